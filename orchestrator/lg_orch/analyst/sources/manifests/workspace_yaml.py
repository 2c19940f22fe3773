"""`pnpm-workspace.yaml`: its list of packages and its default catalog, without a YAML parser."""

from __future__ import annotations

import re

from lg_orch.analyst.sources.evidence import split_lines
from lg_orch.analyst.sources.facts import Dependency, FoundValue, Manifest

_ITEM = re.compile(r"""^\s*-\s*["']?([^"'#]+?)["']?\s*(?:#.*)?$""")
_KEY = re.compile(r"^([A-Za-z][\w-]*)\s*:\s*(.*?)\s*(?:#.*)?$")
_ENTRY = re.compile(r"""^\s+["']?(@?[\w./-]+)["']?\s*:\s*["']?([^"'#]+?)["']?\s*(?:#.*)?$""")
_INLINE = re.compile(r"""["']?([^"',\[\]]+)["']?""")


def read(file: str, text: str) -> Manifest:
    """Return the patterns under `packages:` without negations, and the ranges under `catalog:`."""
    members: list[FoundValue] = []
    catalog: list[Dependency] = []
    unread: list[FoundValue] = []
    key, started = "", 1
    for number, line in enumerate(split_lines(text), start=1):
        found = _KEY.match(line)
        if found is not None:
            key, started = found[1], number
            if key == "packages" and found[2].startswith("["):
                names = [name.strip() for name in _INLINE.findall(found[2]) if name.strip()]
                members += [FoundValue(text=name, file=file, line=number) for name in names if name[0] != "!"]
            elif found[2] and key in ("packages", "catalog"):
                unread.append(FoundValue(text=f"`{key}` is written in a way that was not read", file=file, line=number))
            if key == "catalogs":
                unread.append(FoundValue(text="`catalogs` was not read", file=file, line=started))
            continue
        item = _ITEM.match(line) if key == "packages" else None
        if item is not None and not item[1].startswith("!"):
            members.append(FoundValue(text=item[1], file=file, line=number))
        entry = _ENTRY.match(line) if key == "catalog" else None
        if entry is not None:
            catalog.append(Dependency(name=entry[1], range=entry[2], group="catalog", file=file, line=number))
    return Manifest(
        file=file, ecosystem="Node.js", members=tuple(members), dependencies=tuple(catalog), unread=tuple(unread)
    )
