"""A call's result as plain text, as a model reads it best: no JSON, exit code first, resulting lines of an edit."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lg_orch.models_io import ToolEnvelope

MAX_DIFF_CHARS = 4_000


def whole_text(result: ToolEnvelope) -> str:
    """All that a result says."""
    if result.exit_code is not None:
        text = f"exit code {result.exit_code}\n{result.stdout}"
        return text + (f"\n--- standard error ---\n{result.stderr}" if result.stderr.strip() else "")
    if not result.ok:
        return f"failed: {result.stderr}" + (f"\n{result.stdout}" if result.stdout else "")
    diff = (result.artifacts.structured or {}).get("diff")
    if isinstance(diff, str) and diff and diff not in result.stdout:
        # The resulting lines stand in the answer, so that no call is needed to look at them.
        return f"{result.stdout}\n{middle_out(diff, MAX_DIFF_CHARS)}"
    return result.stdout


def middle_out(text: str, limit: int, hint: str = "") -> str:
    """Beginning and end of a long text."""
    if len(text) <= limit:
        return text
    half = limit // 2
    return f"{text[:half]}\n[{len(text) - 2 * half} characters left out{hint}]\n{text[-half:]}"
