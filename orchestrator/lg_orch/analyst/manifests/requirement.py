"""One Python requirement as packaging spells it: a name, extras, a range, a marker."""

from __future__ import annotations

import re

from lg_orch.analyst.facts import Dependency

_REQUIREMENT = re.compile(r"^\s*([A-Za-z0-9](?:[\w.-]*[A-Za-z0-9])?)\s*(\[[^\]]*\])?\s*(.*?)\s*$")


def requirement(text: str, *, group: str, file: str, line: int) -> Dependency | None:
    """The dependency in `text`, its marker kept behind the range; None when it is none (an option, a URL, a path)."""
    found = _REQUIREMENT.match(text.partition(" #")[0])
    if found is None or "://" in found[1] or found[3].startswith(("/", ":", "\\")):
        return None
    name = found[1] + (found[2] or "")
    rest = found[3]
    ranges, _, marker = rest.partition(";")
    ranges = ranges.strip().strip("()").strip()
    if marker:
        ranges = f"{ranges} ; {marker.strip()}".strip()
    return Dependency(name=name, range=ranges, group=group, file=file, line=line)
