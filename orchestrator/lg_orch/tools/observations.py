"""A call's result as plain text, as a model reads it best: no JSON, exit code first, resulting lines of an edit."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lg_orch.contracts.envelopes import ToolEnvelope

MAX_DIFF_CHARS = 4_000
MAX_RESULT_CHARS = 12_000
"""Of one result, in what a model is shown."""
_RULE = re.compile(r"([=_*~#-])\1{5,}|(?:[_-] ){5,}")
_FOR_MACHINES = ("diff --git ", "index ", "--- a/", "new file mode ")


def whole_text(result: ToolEnvelope) -> str:
    """All that a result says."""
    if result.exit_code is not None:
        return f"exit code {result.exit_code}\n{command_output(result)}"
    if not result.ok:
        return f"failed: {result.stderr}" + (f"\n{result.stdout}" if result.stdout else "")
    diff = (result.artifacts.structured or {}).get("diff")
    if isinstance(diff, str) and diff and diff not in result.stdout:
        # The resulting lines stand in the answer, so that no call is needed to look at them.
        remarks = [line for line in result.stdout.splitlines() if line.endswith("]")]
        return "\n".join((*remarks, middle_out(_plain_diff(diff), MAX_DIFF_CHARS)))
    return result.stdout


def command_output(result: ToolEnvelope) -> str:
    """What a command printed, without the rules that test programs draw across the page."""
    text = result.stdout.rstrip()
    text += f"\n--- standard error ---\n{result.stderr.rstrip()}" if result.stderr.strip() else ""
    return _RULE.sub(lambda found: found[0][:3], text)


def _plain_diff(diff: str) -> str:
    """Names and hunks, without git's lines for machines."""
    lines = (line.rstrip() for line in diff.splitlines() if not line.startswith(_FOR_MACHINES))
    return "\n".join(line.removeprefix("+++ b/") if line.startswith("+++ b/") else line for line in lines)


def middle_out(text: str, limit: int, hint: str = "") -> str:
    """Beginning and end of a long text."""
    if len(text) <= limit:
        return text
    half = limit // 2
    return f"{text[:half]}\n[{len(text) - 2 * half} characters left out{hint}]\n{text[-half:]}"
