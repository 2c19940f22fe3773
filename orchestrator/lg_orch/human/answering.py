"""Answers the questions that the gateway returns instead of a call's result.

The gateway's own ask for leave to make a call; a server's, passed on by the gateway, ask for the fields of a form. Both
are found again by their key, which is a pure function of the call, however often the call is made again.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lg_orch.contracts.agent_guides import guides_addressed, guides_in, guides_named
from lg_orch.human.approvals import APPROVAL_KEY, SERVER_KEY, Question
from lg_orch.human.forms import described
from lg_policy.wire.call_metadata import RULES

if TYPE_CHECKING:
    from mcp.types import ElicitRequest, ElicitResult, InputRequiredResult

    from lg_orch.contracts.state import QueuedCall
    from lg_orch.human.approvals import Approver, HumanAnswer


@dataclass(frozen=True, kw_only=True)
class Answers:
    """What goes back, by key, and who answered the gateway's own question."""

    responses: dict[str, ElicitResult]
    verdict: HumanAnswer | None = None


async def answers(
    approver: Approver, queued: QueuedCall, asked: InputRequiredResult, *, builtin: bool
) -> Answers | None:
    """Put every question to the approver; `None` when one stays open, or when nothing was asked."""
    from mcp.types import ElicitRequest, ElicitResult

    responses: dict[str, ElicitResult] = {}
    approval: HumanAnswer | None = None
    rules = _rules(asked)
    for key, request in (asked.input_requests or {}).items():
        if not key.startswith((APPROVAL_KEY, SERVER_KEY)) or not isinstance(request, ElicitRequest):
            responses[key] = ElicitResult(action="decline")
            continue
        question = _question(queued, key, request, rules, builtin=builtin)
        verdict = await approver.ask(question)
        if verdict is None:
            return None
        if question.kind == "question":
            responses[key] = _to_server(verdict)
        else:
            approval = verdict
            responses[key] = to_gateway(verdict)
    return Answers(responses=responses, verdict=approval) if responses else None


def approval_questions(queued: QueuedCall, asked: InputRequiredResult, *, builtin: bool) -> list[Question]:
    """Return the gateway's own questions whether a call may be made."""
    from mcp.types import ElicitRequest

    rules = _rules(asked)
    return [
        _question(queued, key, request, rules, builtin=builtin)
        for key, request in (asked.input_requests or {}).items()
        if key.startswith(APPROVAL_KEY) and isinstance(request, ElicitRequest)
    ]


def _question(
    queued: QueuedCall, key: str, request: ElicitRequest, rules: dict[str, str], *, builtin: bool
) -> Question:
    message = request.params.message
    call = queued.call
    if key.startswith(APPROVAL_KEY):
        return Question(
            tool=call.tool,
            builtin=builtin,
            message=message,
            key=key,
            call_id=call.id,
            arguments=call.input,
            guides=(guides := _guides(queued, message)),
            always={} if guides else rules,
        )
    form = dict(getattr(request.params, "requested_schema", None) or {})
    fields = described(form)
    shown = "\n".join([message, *(["It asks for:", *fields] if fields else [])])
    return Question(
        kind="question", tool=call.tool, builtin=builtin, message=shown, key=key, call_id=call.id, form=form
    )


def _rules(asked: InputRequiredResult) -> dict[str, str]:
    """The rules that the gateway offers as an answer. One for a call that changes agent guides is not offered."""
    found = (asked.meta or {}).get(RULES)
    return {str(kind): str(text) for kind, text in found.items()} if isinstance(found, dict) else {}


def _guides(queued: QueuedCall, message: str) -> tuple[str, ...]:
    """The agent guides that a call changes; where no dry run said which files it changes, all that are named."""
    tool = queued.call.tool.rpartition("__")[2]
    if tool == "exec":
        return guides_named(json.dumps(queued.call.input, ensure_ascii=False))
    if tool not in ("apply_patch", "revert_patch"):
        return ()
    if queued.touches is not None:
        # A name in the patch may be a link to the file that changes.
        return tuple(dict.fromkeys([*guides_in(queued.touches), *guides_addressed(queued.call.input)]))
    return guides_named(f"{message}\n{json.dumps(queued.call.input, ensure_ascii=False)}")


def to_gateway(verdict: HumanAnswer) -> ElicitResult:
    """Return an answer to one of the gateway's own questions as it is sent."""
    from mcp.types import ElicitResult

    yes = verdict.decision in ("once", "run")
    # The gateway keeps the reason with the approval: a yes by a flag must be told from one by a person.
    reason = verdict.reason or (f"by {verdict.by}" if yes else "")
    decision = (verdict.keep or verdict.decision) if yes else "deny"
    return ElicitResult(action="accept", content={"decision": decision, "reason": reason})


def _to_server(verdict: HumanAnswer) -> ElicitResult:
    """A server learns the fields of its form, or that there is no answer; never a reason."""
    from mcp.types import ElicitResult

    if verdict.decision != "answer":
        return ElicitResult(action="decline")
    content: dict[str, Any] = dict(verdict.arguments or {})
    return ElicitResult(action="accept", content=content)
