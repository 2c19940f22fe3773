"""Calls tools found at the gateway. Every call of a run goes through here.

Discovery is `langchain.mcp`'s; the call path is our own over the same session, because a call must carry the run's
metadata and report progress, and a failure must come back as an envelope instead of ending the graph.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import anyio

from lg_orch.contracts.envelopes import Artifacts, Problem, ToolEnvelope
from lg_orch.human.answering import answers
from lg_orch.human.approvals import Nobody, Question
from lg_orch.human.lost_calls import after_outcome, outcome_question
from lg_orch.tools.asking_ahead import AheadCall, AskingAhead
from lg_orch.tools.connection import gone
from lg_orch.tools.effects import effect_kind
from lg_orch.tools.refusals import checked_id, problem_of
from lg_orch.tools.repeat_call import persist
from lg_orch.tools.sending import NoAnswerError
from lg_orch.tools.tool_info import ToolInfo
from lg_policy.errors import Halted, TooManyQuestions
from lg_policy.wire.call_metadata import ASKS_NOBODY, IDEMPOTENCY_KEY, RUN, SHOWS_WHOLE

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Collection, Sequence

    from mcp.types import CallToolResult, InputRequiredResult

    from lg_orch.contracts.state import QueuedCall
    from lg_orch.human.approvals import Approver, HumanAnswer
    from lg_orch.recording.event_bus import EventBus

RETRY_PAUSES_S = (0.3, 1.0, 2.5, 5.0)
"""Pauses before retries of a call whose server was down; enough for the gateway to restart it."""
MAX_QUESTIONS = 20
"""Rounds of questions that one call may ask before it counts as unanswered."""
INVALID_PARAMS = -32602
STOPPED = "the user stopped this command before its end, and said what to do instead"


class GatewayTools:
    """Makes calls through one connection; `send` is the connection's thin wire method."""

    def __init__(
        self,
        tools: Sequence[ToolInfo],
        send: Callable[..., Awaitable[CallToolResult | InputRequiredResult]],
        *,
        bus: EventBus,
        run_id: str,
        epoch: int = 0,
        approver: Approver | None = None,
        pauses: Sequence[float] = RETRY_PAUSES_S,
        given_up: Collection[str] = (),
    ) -> None:
        """`given_up` are keys of calls that the user stopped: they are not made again."""
        self.tools = tuple(sorted(tools, key=lambda tool: tool.name))
        self._by_name = {tool.name: tool for tool in self.tools}
        self._send = send
        self._bus = bus
        self._run_id = run_id
        self._epoch = epoch
        self._approver = approver or Nobody()
        self._pauses = tuple(pauses)
        self._given_up = frozenset(given_up)
        self._ahead = AskingAhead(send, self._approver)

    def find(self, original: str) -> ToolInfo | None:
        """Return the tool of a built-in server (one that reports the root) with that unqualified name."""
        return next((tool for tool in self.tools if tool.original == original and tool.root_id is not None), None)

    def named(self, name: str) -> ToolInfo | None:
        """Return the tool of that qualified name."""
        return self._by_name.get(name)

    async def call(self, queued: QueuedCall, *, step: str, timeout_s: float, may_ask: bool = True) -> ToolEnvelope:
        """Make one call and journal its begin; retry one that is harmless to retry and whose server was down.

        Without `may_ask` a call that needs a human comes back as `approval_required`. All of it, repetitions included,
        ends after `timeout_s`. Raises `GatewayGone` when the connection to the gateway ended: what became of the call
        is known by its key to the next one; `TooManyQuestions` when the gateway takes no further question; `Halted`
        when a human has stopped all calls.
        """
        call, begun = queued.call, time.monotonic()
        self._bus.emit("tool", call.tool, "begin", {
            "call_id": call.id, "step": step, "input": call.input, "why": call.why, "idempotency_key": queued.key,
            "epoch": self._epoch, "effect": effect_kind(self._by_name.get(call.tool), call.input),
        })  # fmt: skip
        if queued.key in self._given_up:
            return failure(queued, Problem(code="approval_denied", message=STOPPED))
        envelope = await self._answered(queued, step, begun + timeout_s, may_ask)
        return envelope.model_copy(update={"timing_ms": round((time.monotonic() - begun) * 1000)})

    def asks_ahead(self, tool: str) -> bool:
        """Tell whether the questions about calls of this tool may be put before the calls are made."""
        return self._ahead.asks(self._by_name.get(tool))

    async def ask_together(self, calls: Sequence[QueuedCall], *, step: str, timeout_s: float) -> None:
        """Put the questions about several calls of a turn together, and make none of the calls.

        Returns where fewer than two have a question, else once all are answered. The answers are found when the calls
        are made. Raises LangGraph's `GraphInterrupt`.
        """
        await self._ahead.together(self._with_meta(calls, step), timeout_s)

    async def drop_questions(self, calls: Sequence[QueuedCall], *, step: str, timeout_s: float) -> None:
        """Answer the questions about calls that will not be made after all: only so many may be open at once."""
        await self._ahead.drop(self._with_meta(calls, step), timeout_s)

    def _with_meta(self, calls: Sequence[QueuedCall], step: str) -> list[AheadCall]:
        return [
            AheadCall(queued=queued, meta=self._meta(queued, step), builtin=self._is_builtin(queued))
            for queued in calls
        ]

    def _meta(self, queued: QueuedCall, step: str) -> dict[str, Any]:
        return {
            RUN: {"run_id": self._run_id, "epoch": self._epoch, "step": step},
            IDEMPOTENCY_KEY: queued.key,
            # A terminal shows a long patch whole, and so does what a run that waits prints.
            SHOWS_WHOLE: True,
        }

    async def _answered(self, queued: QueuedCall, step: str, deadline: float, may_ask: bool) -> ToolEnvelope:
        """Make the call; where it waits for somebody else's yes, or its outcome is lost, do as a human says.

        One that an earlier process of this run began and that still runs is waited for.
        """
        builtin, first = self._is_builtin(queued), True
        while True:
            envelope = await self._made(queued, step, deadline, may_ask)
            error = envelope.artifacts.error
            if error is not None and error.code == Halted.code:
                raise Halted(error.message, hint=error.hint)
            runs = error is not None and error.retry_after_s > 0
            # Said by the very first request of this process: what went on since is not what was lost.
            before = first and error is not None and error.begun_before and not envelope.artifacts.repeated
            first = False
            if error is not None and runs and time.monotonic() < deadline:
                self._bus.progress(queued.call.tool, {"call_id": queued.call.id, "message": error.message})
                await anyio.sleep(min(error.retry_after_s, _left(deadline)))
                continue
            if error is None or not may_ask:
                return envelope
            if error.questions_waiting:
                raise TooManyQuestions(
                    f"{queued.call.tool} needs a human, and {error.message}",
                    waiting=error.questions_waiting,
                    hint="answer some: `lg-gateway approvals list` shows all, `lg-orch approvals` those of runs",
                )
            if error.code == "outcome_unknown" or runs:
                verdict = await self._approver.ask(outcome_question(queued, builtin=builtin, lost_before=before))
                return envelope if verdict is None else after_outcome(envelope, verdict)
            if not error.approval_id:
                return envelope
            verdict = await self._approver.ask(self._elsewhere(queued, error))
            if verdict is None:
                return envelope
            if verdict.decision != "again":
                return failure(queued, Problem(code="approval_denied", message=verdict.reason or "a human said no"))

    async def _made(self, queued: QueuedCall, step: str, deadline: float, may_ask: bool) -> ToolEnvelope:
        """The call, and its repeats where it was cut off."""
        info, call = self._by_name.get(queued.call.tool), queued.call

        def on_repeat(pause_s: float, problem: Problem) -> None:
            told = {"call_id": call.id, "step": step, "pause_s": pause_s, "error": problem.model_dump()}
            self._bus.emit("tool", call.tool, "retry", told)

        return await persist(
            lambda: self._attempt(queued, step, _left(deadline), may_ask),
            pauses=[pause for at, pause in enumerate(self._pauses) if sum(self._pauses[: at + 1]) < _left(deadline)],
            harmless=info is not None and info.read_only,
            on_repeat=on_repeat,
        )

    def _is_builtin(self, queued: QueuedCall) -> bool:
        info = self._by_name.get(queued.call.tool)
        return info is not None and info.root_id is not None

    def _elsewhere(self, queued: QueuedCall, error: Problem) -> Question:
        where = f"`lg-gateway approvals show {error.approval_id}` shows it; `lg-gateway approvals approve` answers it."
        return Question(
            kind="elsewhere",
            tool=queued.call.tool,
            builtin=self._is_builtin(queued),
            message=f"A tool call needs an approval that is not given here.\n{error.message}\n{where}",
            key=f"elsewhere.{error.approval_id}",
            call_id=queued.call.id,
        )

    async def _attempt(self, queued: QueuedCall, step: str, timeout_s: float, may_ask: bool) -> ToolEnvelope:
        from mcp import MCPError
        from mcp.types import CallToolResult

        call = queued.call

        async def progress(done: float, total: float | None, message: str | None) -> None:
            self._bus.progress(call.tool, {"call_id": call.id, "done": done, "total": total, "message": message or ""})

        # A question that nobody is asked would wait for its answer all the same, and only so many may.
        meta = self._meta(queued, step) | {ASKS_NOBODY: not may_ask, **self._bus.trace_of(call.id)}
        answered: HumanAnswer | None = None
        again: dict[str, Any] = {}
        try:
            for _ in range(MAX_QUESTIONS):
                result = await self._send(call.tool, call.input, meta, timeout_s, progress, **again)
                if isinstance(result, CallToolResult):
                    envelope = envelope_of(queued, result, builtin=self._is_builtin(queued))
                    return _with_verdict(envelope, answered)
                given = (
                    await answers(self._approver, queued, result, builtin=self._is_builtin(queued)) if may_ask else None
                )
                if given is None:
                    break
                answered = given.verdict or answered
                again = {"input_responses": given.responses, "request_state": result.request_state}
        except NoAnswerError:
            limits = "budgets.tool_timeout_s, or what was left of budgets.max_wall_s"
            late = f"no answer within {timeout_s:.0f} s ({limits})"
            return failure(queued, Problem(code="timeout", message=late))
        except MCPError as error:
            # The connection lives, so this is an answer, whatever its code.
            code = "invalid_arguments" if error.error.code == INVALID_PARAMS else "internal"
            return failure(queued, Problem(code=code, message=error.error.message))
        except (RuntimeError, OSError, anyio.ClosedResourceError, anyio.BrokenResourceError) as error:
            # The session raises RuntimeError both when it ended and when a result breaks the tool's own schema.
            if not isinstance(error, RuntimeError) or "content" not in str(error):
                raise gone(str(error) or type(error).__name__) from error
            return failure(queued, Problem(code="internal", message=str(error)))
        message = "a human must answer before this call can continue"
        hint = "answer it on a terminal, or start the run with --yes or --deny-all"
        return failure(queued, Problem(code="approval_required", message=message, hint=hint))


def _left(deadline: float) -> float:
    """Seconds until then; never none at all, which would be no limit."""
    return max(0.1, deadline - time.monotonic())


def _with_verdict(envelope: ToolEnvelope, verdict: HumanAnswer | None) -> ToolEnvelope:
    """Note who answered, and what is to be called instead."""
    if verdict is None:
        return envelope
    update: dict[str, Any] = {"approved_by": verdict.by}
    if verdict.decision == "edit":
        update |= {"decision": "edit", "edited": dict(verdict.arguments or {})}
    return envelope.model_copy(update={"artifacts": envelope.artifacts.model_copy(update=update)})


def failure(queued: QueuedCall, problem: Problem) -> ToolEnvelope:
    """Return the envelope of a call that brought no result."""
    text = f"{problem.code}: {problem.message}" + (f" ({problem.hint})" if problem.hint else "")
    call = queued.call
    artifacts = Artifacts(call_id=call.id, input=call.input, why=call.why, error=problem)
    return ToolEnvelope(
        tool=queued.call.tool, ok=False, exit_code=None, stdout="", stderr=text, timing_ms=0, artifacts=artifacts
    )


def _printed(structured: dict[str, Any] | None, *, builtin: bool) -> str:
    """What a command printed before it reached a limit: often the only thing that says why."""
    if structured is None or not builtin or not {"exit_code", "stdout", "stderr"} <= structured.keys():
        return ""
    out, errors = str(structured["stdout"]).rstrip(), str(structured["stderr"]).rstrip()
    return f"{out}\n--- standard error ---\n{errors}" if errors else out


def envelope_of(queued: QueuedCall, result: CallToolResult, *, builtin: bool) -> ToolEnvelope:
    """Turn a tool's answer into an envelope; `builtin`: the tool is one of our own servers'."""
    from mcp.types import TextContent

    text = "\n".join(block.text for block in result.content if isinstance(block, TextContent))
    structured = result.structured_content if isinstance(result.structured_content, dict) else None
    meta = result.meta or {}
    known = {"ledger_id": checked_id(meta.get("lg/request")), "replayed": meta.get("lg/replayed") is True}
    if result.is_error:
        failed = failure(queued, problem_of(structured, text, meta, builtin=builtin))
        update = {
            "artifacts": failed.artifacts.model_copy(update=known),
            "stdout": _printed(structured, builtin=builtin),
        }
        return failed.model_copy(update=update)
    call = queued.call
    artifacts = Artifacts(call_id=call.id, input=call.input, why=call.why, structured=structured)
    artifacts = artifacts.model_copy(update=known)
    if structured is not None and {"exit_code", "stdout", "stderr"} <= structured.keys():
        return ToolEnvelope(
            tool=queued.call.tool,
            ok=structured.get("ok") is True,
            exit_code=structured["exit_code"] if isinstance(structured["exit_code"], int) else None,
            stdout=str(structured["stdout"]),
            stderr=str(structured["stderr"]),
            timing_ms=0,
            artifacts=artifacts,
        )
    return ToolEnvelope(
        tool=queued.call.tool, ok=True, exit_code=None, stdout=text, stderr="", timing_ms=0, artifacts=artifacts
    )
