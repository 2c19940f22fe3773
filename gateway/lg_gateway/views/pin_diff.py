"""Shows what changed in the definition of a tool."""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Iterator
from typing import Any

from lg_gateway.catalog.pin_table import Pin

LONG_LINE = 100
_SENTENCE = re.compile(r"(?<=[.;!?]) ")


def definition_diff(pin: Pin) -> Iterator[str]:
    """Return the lines of the difference between the accepted definition and the one that waits."""
    before, after = definition_lines(pin.accepted), definition_lines(pin.waiting)
    return difflib.unified_diff(before, after, "accepted", "now", lineterm="")


def definition_lines(definition: dict[str, Any] | None) -> list[str]:
    """Lines of a definition for comparing: long texts by line, long lines by sentence, so that a change shows alone."""
    if definition is None:
        return []
    shown = json.dumps(definition, indent=2, sort_keys=True, ensure_ascii=False)
    lines = [part for line in shown.split("\n") for part in line.split("\\n")]
    return [part for line in lines for part in (_SENTENCE.split(line) if len(line) > LONG_LINE else [line])]
