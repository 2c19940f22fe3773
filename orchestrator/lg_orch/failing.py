"""Tells failures that were there before a change from those that came with it, by what the commands printed."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lg_orch.models_io import ToolEnvelope

_FAILURE = re.compile(
    r"^(?:FAILED|ERROR) (?P<pytest>\S+)"
    r"|^test (?P<cargo>\S+) \.\.\. FAILED"
    r"|^\s*--- FAIL: (?P<go>\S+)"
    r"|^\s*not ok \d+ (?:- )?(?P<tap>.{1,200})"
    r"|^(?P<unittest>(?:FAIL|ERROR): .{1,200})"
    r"|^\s*(?:\u2716|\u2715|\u00d7) (?P<js>.{1,200}?)(?: \([\d.]+ ?m?s\))?$"
    r"|^(?P<checker>\S+:\d+(?::\d+)?: error: .{1,300})",
    re.MULTILINE,
)
_PLACE = re.compile(r":\d+(?::\d+)?:")


def failures(result: ToolEnvelope) -> frozenset[str]:
    """Names of what failed, as the usual test programs and checkers print them; empty when none is recognised.

    Line numbers are left out: a change moves them.
    """
    text = f"{result.stdout}\n{result.stderr}"
    found = (next(name for name in match.groups() if name) for match in _FAILURE.finditer(text))
    return frozenset(_PLACE.sub(":", name).strip() for name in found)


def only_old_failures(before: ToolEnvelope | None, after: ToolEnvelope) -> bool:
    """Whether a check that does not pass failed before as well, and nothing fails now that did not fail then.

    Where no failure can be told by name it is never so: equal exit codes alone prove nothing.
    """
    if before is None or before.exit_code in (None, 0) or after.exit_code != before.exit_code:
        return False
    now = failures(after)
    return bool(now) and now <= failures(before)
