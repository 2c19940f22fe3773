"""Names the directories that a confined program must not rename, since a denied name below them would become another.

Masks are looked up by name at each start. With `config/prod.key` denied, a program that may write the root could rename
`config`, and read the key under its new name at the next start. The kernel renames no mount point, so such a directory
is mounted onto itself. A pattern like `.env` matches wherever its directory goes, and needs none of that.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from lg_gateway.confinement.confinement import Confinement, within
from lg_policy.paths.globs import GlobSet
from lg_policy.sandbox.hidden_paths import Masks

_ELSEWHERE = "another-directory"


def pinned_paths(confinement: Confinement, masks: Masks, modes: Mapping[str, str]) -> tuple[str, ...]:
    """Return the directories to mount onto themselves, parents first. `modes` is how each named path is mounted."""
    root = confinement.masked_root
    if root is None:
        return ()
    inside = {f"{root}/{parent}" for name in _bound_to_their_place(confinement, masks) for parent in _parents(name)}
    above = {root, *(place for place in _absolute_parents(root))}
    return tuple(sorted(path for path in inside | above if _is_below_writable(path, modes)))


def _bound_to_their_place(confinement: Confinement, masks: Masks) -> Iterator[str]:
    """Yield the names that are denied where they are, but not in another directory."""
    for patterns, names, is_dir in (
        (confinement.hide, masks.hidden_files, False),
        (confinement.hide, masks.hidden_dirs, True),
        (confinement.protect, masks.protected, False),
        (confinement.protect, masks.protected, True),
    ):
        denied = GlobSet(patterns)
        for name in names:
            moved = f"{_ELSEWHERE}/{name.rpartition('/')[2]}"
            if denied.match(name, is_dir=is_dir) and not denied.match(moved, is_dir=is_dir):
                yield name


def _parents(name: str) -> Iterator[str]:
    while "/" in name:
        name = name.rpartition("/")[0]
        yield name


def _absolute_parents(path: str) -> Iterator[str]:
    return (parent for parent in _parents(path) if parent)


def _is_below_writable(path: str, modes: Mapping[str, str]) -> bool:
    """Return whether a program could rename a directory: it lies below one that is writable, and is no mount yet."""
    around = [shown for shown in modes if within(path, shown)]
    return bool(around) and path not in modes and modes[max(around, key=len)] == "--bind"
