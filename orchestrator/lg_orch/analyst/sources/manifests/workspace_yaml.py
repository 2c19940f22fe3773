"""`pnpm-workspace.yaml`: its list of packages, without a YAML parser."""

from __future__ import annotations

import re

from lg_orch.analyst.sources.evidence import split_lines
from lg_orch.analyst.sources.facts import FoundValue, Manifest

_ITEM = re.compile(r"""^\s*-\s*["']?([^"'#]+?)["']?\s*(?:#.*)?$""")


def read(file: str, text: str) -> Manifest:
    """Return the patterns under `packages:`; negations are left out."""
    members: list[FoundValue] = []
    inside = False
    for number, line in enumerate(split_lines(text), start=1):
        if line and not line[0].isspace() and not line.startswith(("-", "#")):
            inside = line.startswith("packages:")
            continue
        found = _ITEM.match(line) if inside else None
        if found and not found[1].startswith("!"):
            members.append(FoundValue(text=found[1], file=file, line=number))
    return Manifest(file=file, ecosystem="Node.js", members=tuple(members))
