"""Two helpers for the notes in the final report."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lg_orch.contracts.envelopes import ToolEnvelope


def counted(notes: Sequence[str]) -> list[str]:
    """Return each note once, in the order of first appearance, with the number of times it occurs."""
    return [f"{note} ({times} times)" if times > 1 else note for note, times in Counter(notes).items()]


def repetition(result: ToolEnvelope) -> str:
    """Return the note about a call that was retried."""
    recovered = "recovered" if result.ok else "did not recover"
    times = "once" if result.artifacts.repeated == 1 else f"{result.artifacts.repeated} times"
    return f"the server of `{result.tool}` went down and {recovered}; the call was retried {times}"
