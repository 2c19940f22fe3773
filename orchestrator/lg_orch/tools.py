"""Tools found at the gateway, and the one way to call them.

Discovery is `langchain.mcp`'s; the call path is our own over the same session, because a call must carry the run's
metadata and report progress, and a failure must come back as an envelope instead of ending the graph.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import anyio

from lg_orch.approvals import APPROVAL_KEY, Nobody, Question
from lg_orch.models_io import Artifacts, Problem, ToolEnvelope

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence

    from mcp.types import CallToolResult, ElicitResult, InputRequiredResult

    from lg_orch.approvals import Approver, Verdict
    from lg_orch.bus import Bus
    from lg_orch.state import QueuedCall

RETRY_PAUSES_S = (0.3, 1.0, 2.5)
"""Pauses before a call is repeated whose server was away; enough for the gateway to restart it."""
MAX_QUESTIONS = 4
"""Rounds of questions that one call may ask before it counts as unanswered."""
_RPC_CODES = {-32602: "invalid_arguments", -32001: "timeout", -32000: "upstream_unavailable"}


@dataclass(frozen=True, kw_only=True)
class ToolInfo:
    """One tool as the gateway lists it. Everything but `name` is the server's word, believed only from our own."""

    name: str
    description: str
    server: str
    original: str
    read_only: bool
    root_id: str | None
    policy: str | None
    sandbox: Mapping[str, Any] | None
    input_schema: Mapping[str, Any] = field(default_factory=dict)
    """JSON Schema of its arguments; empty when the gateway gave none."""


def tool_info(name: str, description: str, metadata: Mapping[str, Any] | None, input_schema: object = None) -> ToolInfo:
    """Read what `langchain.mcp` keeps of a tool's definition."""
    tool = ((metadata or {}).get("mcp") or {}).get("tool") or {}
    meta, annotations = tool.get("_meta") or {}, tool.get("annotations") or {}
    server, _, original = name.partition("__")
    root, sandbox = meta.get("lg/root"), meta.get("lg/sandbox")
    return ToolInfo(
        name=name,
        description=description,
        server=str(meta.get("lg/server", server)),
        original=str(meta.get("lg/tool", original)),
        read_only=annotations.get("read_only_hint") is True,
        root_id=str(root["id"]) if isinstance(root, dict) and "id" in root else None,
        policy=str(meta["lg/policy"]) if "lg/policy" in meta else None,
        sandbox=sandbox if isinstance(sandbox, dict) else None,
        input_schema=input_schema if isinstance(input_schema, dict) else {},
    )


class GatewayTools:
    """Makes calls through one connection; `send` is the connection's thin wire method."""

    def __init__(
        self,
        tools: Sequence[ToolInfo],
        send: Callable[..., Awaitable[CallToolResult | InputRequiredResult]],
        *,
        bus: Bus,
        run_id: str,
        epoch: int = 0,
        approver: Approver | None = None,
        pauses: Sequence[float] = RETRY_PAUSES_S,
    ) -> None:
        self.tools = tuple(sorted(tools, key=lambda tool: tool.name))
        self._by_name = {tool.name: tool for tool in self.tools}
        self._send = send
        self._bus = bus
        self._run_id = run_id
        self._epoch = epoch
        self._approver = approver or Nobody()
        self._pauses = tuple(pauses)
        self.waited_s = 0.0
        """Seconds spent waiting for people; the run's wall clock does not count them."""

    def find(self, original: str) -> ToolInfo | None:
        """The tool of a built-in server (one that reports the root) with that unqualified name."""
        return next((tool for tool in self.tools if tool.original == original and tool.root_id is not None), None)

    async def call(self, queued: QueuedCall, *, step: str, timeout_s: float, may_ask: bool = True) -> ToolEnvelope:
        """Make one call and journal its begin and end; repeat a read-only one whose server was away.

        Without `may_ask` a call that needs a human comes back as `approval_required`.
        """
        call, begun = queued.call, time.monotonic()
        self._bus.emit("tool", call.tool, "begin", {
            "call_id": call.id, "step": step, "input": call.input, "why": call.why, "idempotency_key": queued.key,
            "epoch": self._epoch,
        })  # fmt: skip
        envelope = await self._attempt(queued, step, timeout_s, may_ask)
        info = self._by_name.get(call.tool)
        repeatable = info is not None and info.read_only
        repeated = 0
        for pause in self._pauses:
            if not repeatable or envelope.artifacts.error is None:
                break
            if envelope.artifacts.error.code != "upstream_unavailable":
                break
            self._bus.emit("tool", call.tool, "retry", {
                "call_id": call.id, "step": step, "pause_s": pause, "error": envelope.artifacts.error.model_dump(),
            })  # fmt: skip
            await anyio.sleep(pause)
            envelope = await self._attempt(queued, step, timeout_s, may_ask)
            repeated += 1
        elapsed = round((time.monotonic() - begun) * 1000)
        artifacts = envelope.artifacts.model_copy(update={"repeated": repeated})
        return envelope.model_copy(update={"timing_ms": elapsed, "artifacts": artifacts})

    async def _attempt(self, queued: QueuedCall, step: str, timeout_s: float, may_ask: bool) -> ToolEnvelope:
        from mcp import MCPError
        from mcp.types import CallToolResult

        call = queued.call

        async def progress(done: float, total: float | None, message: str | None) -> None:
            self._bus.progress(call.tool, {"call_id": call.id, "done": done, "total": total, "message": message or ""})

        meta = {
            "lg/run": {"run_id": self._run_id, "epoch": self._epoch, "step": step},
            "lg/idempotency-key": queued.key,
        }
        answered: Verdict | None = None
        again: dict[str, Any] = {}
        try:
            for _ in range(MAX_QUESTIONS):
                result = await self._send(call.tool, call.input, meta, timeout_s, progress, **again)
                if isinstance(result, CallToolResult):
                    envelope = envelope_of(queued, result)
                    by = answered.by if answered is not None else None
                    return envelope.model_copy(
                        update={"artifacts": envelope.artifacts.model_copy(update={"approved_by": by})}
                    )
                responses, answered = await self._answers(queued, result) if may_ask else (None, None)
                if responses is None:
                    break
                again = {"input_responses": responses, "request_state": result.request_state}
        except MCPError as error:
            code = _RPC_CODES.get(error.error.code, "internal")
            return failure(queued, Problem(code=code, message=error.error.message))
        except (RuntimeError, OSError, anyio.ClosedResourceError, anyio.BrokenResourceError) as error:
            # The session raises RuntimeError both when it ended and when a result breaks the tool's own schema.
            gone = not isinstance(error, RuntimeError) or "content" not in str(error)
            code = "upstream_unavailable" if gone else "internal"
            return failure(queued, Problem(code=code, message=str(error) or type(error).__name__))
        hint = "answer it on a terminal, or start the run with --yes or --deny-all"
        return failure(queued, Problem(code="approval_required", message="a human must approve this call", hint=hint))

    async def _answers(
        self, queued: QueuedCall, asked: InputRequiredResult
    ) -> tuple[dict[str, ElicitResult] | None, Verdict | None]:
        """Put the gateway's questions to the approver; `None` when one stays open. A server's own are declined."""
        from mcp.types import ElicitRequest, ElicitResult

        responses: dict[str, ElicitResult] = {}
        verdict: Verdict | None = None
        info = self._by_name.get(queued.call.tool)
        for key, request in (asked.input_requests or {}).items():
            if not key.startswith(APPROVAL_KEY) or not isinstance(request, ElicitRequest):
                responses[key] = ElicitResult(action="decline")
                continue
            question = Question(
                tool=queued.call.tool,
                builtin=info is not None and info.root_id is not None,
                message=request.params.message,
                key=key,
            )
            self._bus.emit("approval", queued.call.tool, "begin", {
                "call_id": queued.call.id, "message": question.message,
            })  # fmt: skip
            begun = time.monotonic()
            verdict = await self._approver.ask(question)
            self.waited_s += time.monotonic() - begun
            if verdict is None:
                return None, None
            self._bus.emit("approval", queued.call.tool, "end", {
                "call_id": queued.call.id, "decision": verdict.decision, "by": verdict.by, "reason": verdict.reason,
            })  # fmt: skip
            content: dict[str, Any] = {"decision": verdict.decision, "reason": verdict.reason}
            responses[key] = ElicitResult(action="accept", content=content)
        return responses or None, verdict


def failure(queued: QueuedCall, problem: Problem) -> ToolEnvelope:
    """The envelope of a call that brought no result."""
    text = f"{problem.code}: {problem.message}" + (f" ({problem.hint})" if problem.hint else "")
    artifacts = Artifacts(call_id=queued.call.id, input=queued.call.input, error=problem)
    return ToolEnvelope(
        tool=queued.call.tool, ok=False, exit_code=None, stdout="", stderr=text, timing_ms=0, artifacts=artifacts
    )


def envelope_of(queued: QueuedCall, result: CallToolResult) -> ToolEnvelope:
    """Turn a tool's answer into an envelope."""
    from mcp.types import TextContent

    text = "\n".join(block.text for block in result.content if isinstance(block, TextContent))
    structured = result.structured_content if isinstance(result.structured_content, dict) else None
    if result.is_error:
        return failure(queued, _problem(structured, text))
    artifacts = Artifacts(call_id=queued.call.id, input=queued.call.input, structured=structured)
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


def _problem(structured: Mapping[str, Any] | None, text: str) -> Problem:
    error = (structured or {}).get("error")
    if isinstance(error, dict) and "code" in error:
        return Problem(
            code=str(error["code"]), message=str(error.get("message", text)), hint=str(error.get("hint") or "")
        )
    return Problem(code="internal", message=text or "the tool reported an error without a text")
