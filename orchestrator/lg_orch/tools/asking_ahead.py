"""Puts the questions about several calls before any of them is made, so that a human answers them at once."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import anyio

from lg_orch.human.answering import approval_questions, to_gateway
from lg_orch.human.approvals import AsksTogether, HumanAnswer
from lg_orch.tools.refusals import problem_of
from lg_orch.tools.sending import NoAnswerError
from lg_policy.errors import Conflict
from lg_policy.wire.call_metadata import ONLY_ASKS

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from mcp.types import CallToolResult, InputRequiredResult

    from lg_orch.contracts.state import QueuedCall
    from lg_orch.human.approvals import Approver, Question
    from lg_orch.tools.tool_info import ToolInfo

DROPPED = HumanAnswer(decision="deny", by="run", reason="another call of its turn was denied, so it is not made")


@dataclass(frozen=True, kw_only=True)
class AheadCall:
    """A call that is asked about, and what it is sent with."""

    queued: QueuedCall
    meta: dict[str, Any]
    builtin: bool


@dataclass(frozen=True, kw_only=True)
class _Asked:
    """What the gateway said to a call that it was only to ask about."""

    questions: list[Question] = field(default_factory=list)
    state: Any = None
    needs_none: bool = False


class AskingAhead:
    """The calls of one run in one process. `send` is the connection's thin wire method."""

    def __init__(
        self, send: Callable[..., Awaitable[CallToolResult | InputRequiredResult]], approver: Approver
    ) -> None:
        self._send = send
        self._approver = approver
        self._spared: set[str] = set()
        """Tools a call of which turned out to need no answer: they are not asked about ahead any more."""

    def asks(self, tool: ToolInfo | None) -> bool:
        """Tell whether calls of a tool may be asked about ahead.

        An old gateway would make the call. It says nothing of a tool's effect.
        """
        known = tool is not None and not tool.read_only and tool.effect == "approve" and tool.name not in self._spared
        return known and isinstance(self._approver, AsksTogether)

    async def together(self, calls: Sequence[AheadCall], timeout_s: float) -> None:
        """Put the questions about several calls together. Raises LangGraph's `GraphInterrupt`."""
        answers = [await self._only_ask(call, timeout_s) for call in calls]
        turn = f"turn.{calls[0].queued.key}"
        questions = [replace(question, turn=turn) for asked in answers for question in asked.questions]
        if not questions:
            self._spared |= {
                call.queued.call.tool for call, asked in zip(calls, answers, strict=True) if asked.needs_none
            }
        if len(questions) > 1 and isinstance(self._approver, AsksTogether):
            await self._approver.ask_together(questions)
            await self._deliver(calls, answers, timeout_s)

    async def _deliver(self, calls: Sequence[AheadCall], asked: Sequence[_Asked], timeout_s: float) -> None:
        """Give the gateway all answers where one of them is "for this run".

        Once it has that one it asks no more, and would not hear that another call was denied.
        """
        given = [[await self._approver.ask(question) for question in each.questions] for each in asked]
        if not any(answer is not None and answer.decision == "run" for each in given for answer in each):
            return
        for call, each, answers in zip(calls, asked, given, strict=True):
            known = [(question, answer) for question, answer in zip(each.questions, answers, strict=True) if answer]
            responses = {
                question.key: to_gateway(replace(answer, decision="once") if answer.decision == "run" else answer)
                for question, answer in known
            }
            if responses and call is not calls[0]:
                await self._only_ask(call, timeout_s, input_responses=responses, request_state=each.state)

    async def drop(self, calls: Sequence[AheadCall], timeout_s: float) -> None:
        """Deny what was asked about calls that are not made."""
        for call in calls:
            asked = await self._only_ask(call, timeout_s)
            if asked.questions:
                responses = {question.key: to_gateway(DROPPED) for question in asked.questions}
                await self._only_ask(call, timeout_s, input_responses=responses, request_state=asked.state)

    async def _only_ask(self, call: AheadCall, timeout_s: float, **again: Any) -> _Asked:
        from mcp import MCPError
        from mcp.types import CallToolResult

        asked, meta = call.queued.call, call.meta | {ONLY_ASKS: True}
        try:
            result = await self._send(asked.tool, asked.input, meta, timeout_s, None, **again)
        except (NoAnswerError, MCPError, RuntimeError, OSError, anyio.ClosedResourceError, anyio.BrokenResourceError):
            # The call itself will tell.
            return _Asked()
        if isinstance(result, CallToolResult):
            problem = problem_of(result.structured_content, "", {}, builtin=True)
            return _Asked(needs_none=problem.code == Conflict.code)
        questions = approval_questions(call.queued, result, builtin=call.builtin)
        return _Asked(questions=questions, state=result.request_state)
