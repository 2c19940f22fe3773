"""The `paths` argument: which files of the index it means."""

from __future__ import annotations

from collections.abc import Sequence

from lg_code.index.index import Index
from lg_policy.errors import InvalidArguments

Below = tuple[str, ...] | None
"""Directories and files; `None` for all."""


def below(index: Index, paths: Sequence[str] | None) -> Below:
    """Return the paths of a call as the index writes them. Raises as `Workspace.locate`.

    Raises `InvalidArguments` when no file is indexed below them: an empty answer would say that there is nothing.
    """
    if not paths:
        return None
    found: list[str] = []
    for path in paths:
        found += [located.shown.rstrip("/") for located in index.workspace.everywhere(path)]
    if "" in found:
        return None
    with index.read() as db:
        for name in found:
            low, high = f"{name}/", f"{name}0"  # "0" follows "/"
            query = "SELECT 1 FROM files WHERE path = ? OR (path >= ? AND path < ?) LIMIT 1"
            if db.execute(query, (name, low, high)).fetchone() is not None:
                return tuple(found)
    raise InvalidArguments(
        f"no file is indexed below {', '.join(found)}", hint="leave paths out, or name a directory that has code"
    )


def lies_below(path: str, wanted: Below) -> bool:
    """Return whether a file is one of the paths, or below one of them."""
    return wanted is None or any(path == name or path.startswith(f"{name}/") for name in wanted)
