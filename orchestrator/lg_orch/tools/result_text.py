"""Writes a call's result as plain text for a model: no JSON, exit code first, resulting lines of an edit."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from lg_orch.tools.go_json import go_text
from lg_orch.tools.junit import split_report

if TYPE_CHECKING:
    from lg_orch.contracts.envelopes import ToolEnvelope

MAX_DIFF_CHARS = 4_000
MAX_RESULT_CHARS = 12_000
"""Of one result, in what a model is shown."""
SPARED = 20
"""A text that is longer than its limit by this part of it is not cut: the remark would cost as much."""
NOTE_CHARS = 100
"""Characters kept free for the remark on what is left out."""
_RULE = re.compile(r"([=_*~#-])\1{5,}|(?:[_-] ){5,}")
_FOR_MACHINES = ("diff --git ", "index ", "--- a/", "new file mode ")


def whole_text(result: ToolEnvelope) -> str:
    """Return all that a result says."""
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
    """Return what a command printed, without reports for machines and the rules that test programs draw."""
    errors = split_report(result.stderr)[0].rstrip()
    text = go_text(result.stdout).rstrip()
    text += f"\n--- standard error ---\n{errors}" if errors.strip() else ""
    return _RULE.sub(lambda found: found[0][:3], text)


def _plain_diff(diff: str) -> str:
    """Names and hunks, without git's lines for machines."""
    lines = (line.rstrip() for line in diff.splitlines() if not line.startswith(_FOR_MACHINES))
    return "\n".join(line.removeprefix("+++ b/") if line.startswith("+++ b/") else line for line in lines)


def middle_out(text: str, limit: int, hint: str = "") -> str:
    """Return the beginning and end of a long text, in whole lines if it has some.

    A text that is hardly too long stays whole.
    """
    if len(text) <= limit + limit // SPARED:
        return text
    room = max(2, limit - NOTE_CHARS - len(hint))
    head, tail = text[: room // 2], text[len(text) - room // 2 :]
    # A line of half the room, or longer, is cut where the room ends.
    end, start = head.rfind("\n"), tail.find("\n")
    head = head[: end + 1] if end >= 0 else f"{head}\n"
    tail = tail[start + 1 :] if 0 <= start < len(tail) - 1 else tail
    missing = len(text) - len(head) - len(tail)
    lines = max(0, text.count("\n") - head.count("\n") - tail.count("\n"))
    first = head.count("\n") + 1
    told = f"{lines} lines left out ({first} to {first + lines - 1}), " if end >= 0 and lines else ""
    return f"{head}[{told}{missing} characters left out{hint}]\n{tail}"
