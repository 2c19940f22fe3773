"""Words notes of the final report: who answered a question, which call was repeated, what occurs several times."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from lg_orch.contracts.text import code_span

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lg_orch.contracts.envelopes import ToolEnvelope


def counted(notes: Sequence[str]) -> list[str]:
    """Return each note once, in the order of first appearance, with the number of times it occurs."""
    return [f"{note} ({times} times)" if times > 1 else note for note, times in Counter(notes).items()]


def answered(result: ToolEnvelope) -> str:
    """Return the note about a call that the gateway asked about."""
    by, tool = str(result.artifacts.approved_by), code_span(result.tool)
    error = result.artifacts.error
    where = "at the terminal" if by == "terminal" else f"by `{by}`"
    if result.artifacts.decision == "edit":
        return f"the gateway asked about {tool}: you changed its arguments {where}"
    if error is not None and error.code == "approval_denied":
        return f"the gateway asked about {tool}: you denied it {where}"
    said = "you said yes" if result.artifacts.decision in (None, "once", "run") else "answered"
    return f"the gateway asked about {tool}: {said} {where}"


def repetition(result: ToolEnvelope) -> str:
    """Return the note about a call that was retried."""
    recovered = "recovered" if result.ok else "did not recover"
    times = "once" if result.artifacts.repeated == 1 else f"{result.artifacts.repeated} times"
    return f"the server of `{result.tool}` went down and {recovered}; the call was retried {times}"
