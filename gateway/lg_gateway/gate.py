"""The step that asks a human: it finds the question about a call or asks it, and waits as the caller can wait.

A yes is only noted here; it is spent in the transaction that writes `begun`, where policy is decided once more.
"""

from __future__ import annotations

import json
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import anyio
import mcp_types as t

from lg_gateway.approvals import Approval, ApprovalBook, Binding, Question, State
from lg_gateway.call import Passage
from lg_gateway.canonical import digest
from lg_gateway.dialogues import round_of
from lg_gateway.question import Frame, Verdict, compose, form, read_answer
from lg_gateway.store import Store, StoreError, Tx
from lg_gateway.upstream import Progress
from lg_policy.config.durations import seconds
from lg_policy.config.settings import ApprovalSettings
from lg_policy.errors import ApprovalDenied, ApprovalRequired, Internal, InvalidArguments
from lg_policy.secrets.masking import Masker

POLL_S = 0.25
PROGRESS_EVERY = 20


@dataclass(frozen=True, kw_only=True)
class Preview:
    """What a call would do: text for the human, hashes of what it saw. `failure` instead when it would fail."""

    text: str = ""
    expected: dict[str, str | None] | None = None
    failure: t.CallToolResult | None = None


Previewer = Callable[[Passage], Awaitable[Preview | None]]


class Gate:
    """Approvals as a step of the pipeline. `clock` gives seconds since the epoch."""

    def __init__(
        self,
        store: Store,
        book: ApprovalBook,
        masker: Masker,
        settings: Callable[[], ApprovalSettings],
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._store = store
        self._book = book
        self._masker = masker
        self._settings = settings
        self._clock = clock

    async def permit(self, passage: Passage, preview: Previewer) -> Passage | t.CallToolResult | t.InputRequiredResult:
        """Return the passage with an approval to spend, a question for the client to answer, or a failed preview.

        Raises `ApprovalRequired` (nobody answered yet), `ApprovalDenied`, `LimitExceeded`.
        """
        try:
            return await self._permit(passage, preview)
        except StoreError as error:
            raise Internal("the approval cannot be recorded or read; nothing was done") from error

    async def _permit(self, passage: Passage, preview: Previewer) -> Passage | t.CallToolResult | t.InputRequiredResult:
        if passage.dialogue is not None:
            return await self._again(passage)
        grant = await self._granted(passage)
        if grant is not None:
            return replace(passage, approval_id=grant)
        binding = passage.binding()
        known = await self._store.read(lambda tx: self._book.find(tx, binding, self._clock()))
        if known is not None and known.state is State.DENIED and (passage.marks.key or _same_run(known, passage)):
            raise _denied(known)
        if known is None or not known.open(self._clock()) or _too_weak(known, passage):
            if passage.call.request_state is not None:
                raise ApprovalRequired("that question is no longer open", hint="make the call again without its state")
            if passage.marks.asks_nobody:
                raise ApprovalRequired(
                    f"a human must approve this call of {passage.entry.tool}, and its caller asks nobody",
                    hint="nothing was done, and nobody was asked",
                )
            seen = await preview(passage)
            if seen is not None and seen.failure is not None:
                return seen.failure
            question = self._question(passage, binding, seen)
            most = self._settings().max_pending
            known = await self._store.write(lambda tx: self._book.ask(tx, question, self._clock(), most))
        if known.state is State.APPROVED:
            return _approved(passage, known)
        if passage.marks.asks_nobody:
            raise _unanswered(known)
        return await self._ask(passage, known)

    async def _again(self, passage: Passage) -> Passage | t.InputRequiredResult:
        """A call that was begun and stands still for its server's question: its yes is spent and not needed twice.

        Clients that start again from the first round are shown the same question once more, as they expect it; a no now
        is a no to going on.
        """
        approval_id, dialogue = passage.approval_id, passage.dialogue
        if dialogue is None or approval_id is None or round_of(passage.call.request_state) is not None:
            return passage
        known = await self._store.read(lambda tx: self._book.get(tx, approval_id, 0.0))
        if known is None or not _answerable(passage, known.approver, known.hidden_lines):
            return passage
        answer = self._answer_in(passage, known)
        if answer is None:
            return self._round(passage, known)
        verdict = _verdict(answer)
        if not verdict.approved:
            raise ApprovalDenied(verdict.reason, hint="do not repeat this call; ask for something else")
        return _approved(passage, known)

    async def _granted(self, passage: Passage) -> str | None:
        if passage.marks.run_id is None or passage.decision is None or passage.decision.approver != "user":
            return None
        return await self._store.read(lambda tx: self.grant_of(tx, passage))

    def grant_of(self, tx: Tx, passage: Passage) -> str | None:
        """Return the id of the "for this run" that covers a call now."""
        call, entry, run_id = passage.call, passage.entry, passage.marks.run_id
        if run_id is None:
            return None
        pin, now = entry.definition_digest, self._clock()
        return self._book.grants.covering(tx, identity=call.identity, run_id=run_id, tool=entry.name, pin=pin, now=now)

    async def _ask(self, passage: Passage, approval: Approval) -> Passage | t.InputRequiredResult:
        call = passage.call
        # A question that only an operator may answer, or that is not shown whole, is never answered by the client.
        if _answerable(passage, approval.approver, approval.hidden_lines):
            if call.asking == "rounds":
                return await self._ask_in_rounds(passage, approval)
            if call.asking == "live" and call.ask is not None:
                return await self._ask_live(passage, approval)
        return await self._hold(passage, approval)

    async def _ask_in_rounds(self, passage: Passage, approval: Approval) -> Passage | t.InputRequiredResult:
        answer = self._answer_in(passage, approval)
        if answer is None:
            return self._round(passage, approval)
        return await self._settle(passage, approval, _verdict(answer))

    def _answer_in(self, passage: Passage, approval: Approval) -> object | None:
        """Return this round's answer. Raises `InvalidArguments` when it was given to another question."""
        answer: object = (passage.call.input_responses or {}).get(question_key(approval))
        if answer is None or passage.call.request_state is None:
            return None
        if _state_of(passage.call.request_state) != approval.id:
            raise InvalidArguments("this answer belongs to another question")
        return answer

    def _round(self, passage: Passage, approval: Approval) -> t.InputRequiredResult:
        message, schema = _shown(passage, approval), form(in_run=approval.run_id is not None)
        request = t.ElicitRequest(params=t.ElicitRequestFormParams(message=message, requested_schema=schema))
        state = json.dumps({"approval": approval.id})
        return t.InputRequiredResult(input_requests={question_key(approval): request}, request_state=state)

    async def _ask_live(self, passage: Passage, approval: Approval) -> Passage:
        """Ask through the client; an answer from another terminal counts as well, whichever comes first."""
        ask = passage.call.ask
        answer: tuple[str, Mapping[str, Any] | None] | None = None
        current: Approval | None = approval
        async with anyio.create_task_group() as tasks:

            async def elsewhere() -> None:
                nonlocal current
                current = await self._answered(approval, None)
                tasks.cancel_scope.cancel()

            tasks.start_soon(elsewhere)
            if ask is not None:
                with anyio.move_on_after(self._settings().live_timeout_s):
                    answer = await ask(_shown(passage, approval), form(in_run=approval.run_id is not None))
            tasks.cancel_scope.cancel()
        if answer is not None:
            return await self._settle(passage, approval, read_answer(*answer))
        if current is None or current.state is State.PENDING:
            await self._store.write(lambda tx: self._expire(tx, approval))
            raise ApprovalRequired("nobody answered in time; the question has expired", hint="nothing was done")
        return _outcome(passage, current)

    async def _hold(self, passage: Passage, approval: Approval) -> Passage:
        """Wait for an answer from another terminal or process."""
        hold = passage.call.hold_s if passage.call.hold_s is not None else self._settings().hold_s
        current: Approval | None = approval
        with anyio.move_on_after(hold):
            current = await self._answered(approval, passage.call.progress)
        if current is None or current.state is State.PENDING:
            raise _unanswered(approval)
        return _outcome(passage, current)

    async def _answered(self, approval: Approval, progress: Progress | None) -> Approval | None:
        """Wait until a question is no longer pending; tell the caller now and then that this is why it waits."""
        current: Approval | None = approval
        waited = 0
        while current is not None and current.state is State.PENDING:
            await anyio.sleep(POLL_S)
            waited += 1
            if progress is not None and waited % PROGRESS_EVERY == 1:
                await progress(waited * POLL_S, None, "waiting for a human's approval")
            current = await self._store.read(lambda tx: self._book.get(tx, approval.id, self._clock()))
        return current

    async def _settle(self, passage: Passage, approval: Approval, verdict: Verdict) -> Passage:
        by = f"{passage.call.identity} through the client"
        return _outcome(passage, await self._store.write(lambda tx: self._decide(tx, approval, verdict, by)))

    def _decide(self, tx: Tx, approval: Approval, verdict: Verdict, by: str) -> Approval:
        current = self._book.get(tx, approval.id, self._clock())
        if current is None or current.state in (State.EXPIRED, State.USED):
            raise ApprovalRequired("that question is no longer open", hint="make the call again")
        if current.state is not State.PENDING:
            return current  # already answered elsewhere: the first answer counts
        moved = self._book.move(tx, current, "approve" if verdict.approved else "deny", by=by, reason=verdict.reason)
        if verdict.for_run:
            self._book.grant(tx, moved, self._clock())
        return moved

    def _expire(self, tx: Tx, approval: Approval) -> None:
        current = self._book.get(tx, approval.id, self._clock())
        if current is not None and current.state is State.PENDING:
            self._book.move(tx, current, "expire")

    def _question(self, passage: Passage, binding: Binding, seen: Preview | None) -> Question:
        decision, entry = passage.decision, passage.entry
        approver = decision.approver if decision else "operator"
        frame = Frame(
            server=entry.server.name,
            builtin=entry.server.builtin is not None,
            tool=entry.tool,
            effect=f"{decision.reason} ({decision.rule})" if decision else "",
            identity=passage.call.identity,
            client=passage.call.client,
            run_id=passage.marks.run_id,
            approver=approver,
        )
        text = self._masker.mask(seen.text) if seen is not None else None
        shown = compose(frame, self._masker.mask_json(passage.call.arguments), text)
        live = passage.call.asking == "live" and _answerable(passage, approver, shown.hidden_lines)
        return Question(
            binding=binding,
            approver=approver,
            text=shown.text,
            hidden_lines=shown.hidden_lines,
            full=shown.full,
            run_id=passage.marks.run_id,
            expected=seen.expected if seen is not None else None,
            lifetime_s=self._settings().live_timeout_s if live else seconds(self._settings().ttl, "approval.ttl"),
        )


def _answerable(passage: Passage, approver: str, hidden_lines: int) -> bool:
    """Whether the client may answer: a user's question, shown whole there."""
    return approver == "user" and (hidden_lines == 0 or passage.marks.shows_whole)


def _shown(passage: Passage, approval: Approval) -> str:
    return approval.full if approval.hidden_lines and passage.marks.shows_whole else approval.text


def question_key(approval: Approval) -> str:
    """Return the request key of a question: the same in every round of the same call while the question is open.

    Adapters match a stored answer by this key alone: an answer to one call cannot be delivered to another, and a yes
    that was used does not fit when the same call is asked about anew.
    """
    return f"approve.{digest([approval.id, approval.binding, approval.text])[:32]}"


def _outcome(passage: Passage, approval: Approval) -> Passage:
    """Return the passage with the yes that was given. Raises for everything else."""
    if approval.state is State.APPROVED:
        return _approved(passage, approval)
    if approval.state is State.DENIED:
        raise _denied(approval)
    raise _unanswered(approval)


def _unanswered(approval: Approval) -> ApprovalRequired:
    return ApprovalRequired(
        f"a human must approve this call of {approval.tool}; the question is {approval.id}",
        hint="nothing was done; make the same call again once it is approved",
        approval_id=approval.id,
    )


def _approved(passage: Passage, approval: Approval) -> Passage:
    return replace(passage, approval_id=approval.id, expected=approval.expected)


def _denied(approval: Approval) -> ApprovalDenied:
    return ApprovalDenied(approval.reason or "a human said no", hint="do not repeat this call; ask for something else")


def _too_weak(approval: Approval, passage: Passage) -> bool:
    """Whether a question was put to the user that the rules now leave to an operator."""
    wanted = passage.decision.approver if passage.decision is not None else "operator"
    return wanted == "operator" and approval.approver != "operator"


def _same_run(approval: Approval, passage: Passage) -> bool:
    return approval.run_id is not None and approval.run_id == passage.marks.run_id


def _state_of(request_state: str) -> str | None:
    try:
        state = json.loads(request_state)
    except ValueError:
        return None
    return state.get("approval") if isinstance(state, dict) else None


def _verdict(answer: object) -> Verdict:
    result = answer if isinstance(answer, t.ElicitResult) else None
    if result is None and isinstance(answer, dict):
        result = t.ElicitResult.model_validate(answer)
    if result is None:
        raise InvalidArguments("the answer to the question is not an elicitation result")
    return read_answer(result.action, result.content)
