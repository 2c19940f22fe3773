"""What Python manifests share: requirements as packaging spells them, and files that hold a version."""

from __future__ import annotations

import posixpath
import re
from typing import TYPE_CHECKING

from lg_orch.analyst.sources.facts import Dependency, FoundValue

if TYPE_CHECKING:
    from collections.abc import Iterator

_REQUIREMENT = re.compile(r"([A-Za-z0-9](?:[\w.-]*[A-Za-z0-9])?)\s*(\[[^\]]*\])?")


def requirement(text: str, *, group: str, file: str, line: int) -> Dependency | None:
    """Return the dependency in `text`, its marker kept behind the range.

    None when it is no dependency but an option, a URL or a path.
    """
    text = text.partition(" #")[0].strip()
    found = _REQUIREMENT.match(text)
    if found is None:
        return None
    rest = text[found.end() :].strip()
    if "\n" in rest or "://" in found[1] or rest.startswith(("/", ":", "\\")):
        return None
    name = found[1] + (found[2] or "")
    ranges, _, marker = rest.partition(";")
    ranges = ranges.strip().strip("()").strip()
    if marker:
        ranges = f"{ranges} ; {marker.strip()}".strip()
    return Dependency(name=name, range=ranges, group=group, file=file, line=line)


def read_or_note(text: str, *, group: str, file: str, line: int, notes: list[FoundValue]) -> Iterator[Dependency]:
    """Yield the dependency in `text`; where there is none, say in `notes` that this could not be read."""
    parsed = requirement(text, group=group, file=file, line=line)
    if parsed is not None:
        yield parsed
    else:
        notes.append(
            FoundValue(text=f"{group}: {text.strip()!r} is no requirement that could be read", file=file, line=line)
        )


def beside(file: str, path: str) -> str:
    """Return a path that a manifest names, relative to the root."""
    return posixpath.normpath(posixpath.join(posixpath.dirname(file), path)).lstrip("/")


def attribute_files(file: str, attribute: str) -> tuple[str, ...]:
    """Return where the module of `package.module.NAME` may stand: beside the manifest or below `src`."""
    module = attribute.partition(":")[0] if ":" in attribute else attribute.rpartition(".")[0]
    stem = module.replace(".", "/")
    names = (f"{stem}.py", f"{stem}/__init__.py")
    return tuple(beside(file, f"{start}{name}") for start in ("", "src/") for name in names) if stem else ()
