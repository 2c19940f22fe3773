"""Sentences of the report, pure."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lg_orch.contracts.envelopes import ToolEnvelope


def counted(notes: Sequence[str]) -> list[str]:
    """Each note once, in the order in which they first came, with how often it came."""
    return [f"{note} ({times} times)" if times > 1 else note for note, times in Counter(notes).items()]


def repetition(result: ToolEnvelope) -> str:
    """The note on a call that was made again."""
    came = "came back" if result.ok else "did not come back"
    return f"the server of `{result.tool}` was away and {came}; the call was repeated {result.artifacts.repeated} times"
