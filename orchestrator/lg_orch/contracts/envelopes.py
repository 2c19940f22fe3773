"""The envelope that every tool call returns."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from lg_orch.contracts.base import Strict

if TYPE_CHECKING:
    pass


class Problem(Strict):
    """Why a call was refused or failed; `code` is one of `lg_policy.errors.ERROR_CODES`, or a server's own."""

    code: str
    message: str
    hint: str = ""
    retry_after_s: float = 0.0
    """Above zero: the call still runs; made again, under the same key, after so many seconds it brings its outcome."""
    approval_id: str = ""
    """The gateway's name for a question that only it can be answered at."""
    begun_before: bool = False
    """With `outcome_unknown`: an earlier request lost it, and the gateway looked whether it can be made again."""
    questions_waiting: int = 0
    """Above zero: so many questions wait for a human that the gateway takes no other; nothing was done."""


class Artifacts(Strict):
    """What belongs to a result besides its text."""

    call_id: str
    """The `PlannedCall.id` this answers."""
    input: dict[str, Any] = Field(default_factory=dict)
    why: str = ""
    """What was said when the call was decided."""
    structured: dict[str, Any] | None = None
    """The tool's `structuredContent`, if it has one; null in a trace or state that only refers to the stored result."""
    error: Problem | None = None
    repeated: int = 0
    """How often the call was made again because its server was away."""
    approved_by: str | None = None
    """Who answered the gateway's question about this call: `terminal`, `--yes`; null when nothing was asked."""
    decision: Literal["edit", "not_done", "stop"] | None = None
    """What a human said that changes what follows: `edit` (make the call in `edited` instead), and of a call whose
    outcome was lost `not_done` (make it again, as a new call) or `stop`."""
    edited: dict[str, Any] | None = None
    """The arguments that a human gave instead of `input`; the call with them follows."""
    replayed: bool = False
    """The gateway answered from its record: the call was made before, under the same key."""
    ledger_id: str = ""
    """The call's `request_id` in the gateway's ledger (`lg-gateway audit show`); empty when it never got there."""
    digest: str = ""
    """SHA-256 of the whole result in the run's result store."""
    size: int = 0
    """Bytes of the whole result."""
    truncated: bool = False
    """`stdout` is only the beginning of the result's text."""


class ToolEnvelope(Strict):
    """What every tool call comes back as (`schemas/tool_envelope.schema.json`)."""

    tool: str
    ok: bool
    exit_code: int | None
    """The command's exit status; null for tools that run no command, and for commands that were killed."""
    stdout: str
    """The tool's answer as text; for a command its standard output."""
    stderr: str
    """A failure's message; for a command its standard error."""
    timing_ms: int
    """Wall time of the call as the orchestrator saw it."""
    artifacts: Artifacts
