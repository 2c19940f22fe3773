"""`list_files`: entries of a directory or tree, paged, with type, size and time."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

from lg_fs.tree.cursor import CursorPosition, pack, unpack
from lg_fs.tree.glob_argument import GlobArg
from lg_fs.tree.totals import Totals, TotalsJob
from lg_policy.errors import InvalidArguments
from lg_policy.jobs import Job
from lg_policy.tree.names import nameable, shown
from lg_policy.tree.walk import DirEntry, Walk
from lg_policy.tree.workspace import Located, WalkArgs, Workspace, from_place, walking


@dataclass(frozen=True, kw_only=True)
class ListRequest:
    """The arguments of `list_files`. Cursors are bound to `raw`, the arguments as they came."""

    path: str
    recursive: bool
    globs: str | Sequence[str] | None
    limit: int
    cursor: str | None
    include_ignored: bool
    raw: Mapping[str, Any]


@dataclass(kw_only=True)
class Listing:
    """One page. `stopped` says why the walk ended early.

    `hidden` counts the names that rules hide, as far as the walk came. `unnameable` counts those that no tool accepts.
    """

    entries: list[dict[str, Any]] = field(default_factory=list)
    last: str = ""
    """The path of the last entry, as it is on the disk."""
    next_cursor: str | None = None
    stopped: str | None = None
    hidden: int = 0
    unnameable: int = 0
    unreadable: int = 0


def list_entries(workspace: Workspace, request: ListRequest, job: Job) -> Listing:
    """Return one page of entries. Raises as `Root.open_dir`, `InvalidArguments` for a bad cursor or glob."""
    starts = workspace.everywhere(request.path)
    listing = Listing()
    if len(starts) > 1 and not request.recursive:
        listing.entries = [_root_entry(located) for located in starts]
        return listing
    after = unpack(request.cursor, request.raw).path if request.cursor else None
    for located in from_place(starts, after):
        prefix = located.place.prefix
        own_after = after[len(prefix) :] if after is not None and after.startswith(prefix) else None
        args = WalkArgs(recursive=request.recursive, include_ignored=request.include_ignored, after=own_after)
        wanted = GlobArg(request.globs, located.rel, root=str(located.place.root.path))
        with walking(located, args, workspace.settings, job) as walk:
            full = _fill(listing, walk, wanted, request, prefix, job)
        listing.hidden += walk.result.hidden
        listing.unnameable += walk.result.unnameable
        listing.unreadable += walk.result.unreadable
        listing.stopped = listing.stopped or walk.result.stopped
        if full or listing.stopped:
            break
    return listing


def count_totals(workspace: Workspace, request: ListRequest, job: Job) -> Totals:
    """Count files, bytes and lines below a path."""
    counting: TotalsJob | None = None
    for located in workspace.everywhere(request.path):
        wanted = GlobArg(request.globs, located.rel, root=str(located.place.root.path))
        counting = counting or TotalsJob(job, wanted, workspace.settings)
        args = WalkArgs(include_ignored=request.include_ignored)
        with walking(located, args, workspace.settings, job) as walk:
            counting.add(walk, located.place.prefix)
    if counting is None:
        raise InvalidArguments("there is no root to count", hint="start the server with --root")
    return counting.result(workspace.settings.totals_max_rows)


def _fill(listing: Listing, walk: Walk, wanted: GlobArg, request: ListRequest, prefix: str, job: Job) -> bool:
    """Add entries until the page is full; whether it is."""
    for folder in walk:
        chosen = wanted.select(folder.entries, job)
        room = request.limit - len(listing.entries)
        listing.entries += _described(chosen[:room], prefix, is_clean=nameable(prefix + folder.path))
        if chosen[:room]:
            listing.last = prefix + chosen[:room][-1].path
        if len(chosen) > room:
            listing.next_cursor = pack(CursorPosition(path=listing.last), request.raw)
            return True
    if walk.result.stopped and listing.last and not walk.result.stopped.startswith("directories"):
        listing.next_cursor = pack(CursorPosition(path=listing.last), request.raw)
    return False


def _described(entries: list[DirEntry], prefix: str, *, is_clean: bool) -> list[dict[str, Any]]:
    """Describe entries of one directory, whose own name `is_clean` if it can be shown as it is."""
    described: list[dict[str, Any]] = []
    for _, rel, kind, _, dirent in entries:
        path = prefix + rel if is_clean else shown(prefix + rel)
        try:
            status = dirent.stat(follow_symlinks=False)
        except OSError:
            described.append({"path": path, "type": kind, "size": 0, "mtime": None})
            continue
        size = 0 if kind == "dir" else status.st_size
        described.append({"path": path, "type": kind, "size": size, "mtime": _as_time(int(status.st_mtime))})
    return described


def as_time(seconds: float) -> str | None:
    """Return a file time as ISO 8601 in UTC, to the second; `None` for one that no calendar has."""
    return _as_time(int(seconds))


@lru_cache(maxsize=4_096)  # the files of a checkout share a few seconds
def _as_time(seconds: int) -> str | None:
    try:
        return f"{datetime.fromtimestamp(seconds, UTC).isoformat()[:19]}Z"
    except (ValueError, OverflowError, OSError):
        return None  # some file systems hold any 64-bit number


def _root_entry(located: Located) -> dict[str, Any]:
    status = os.fstat(located.place.root.fd)
    return {"path": located.place.name, "type": "dir", "size": 0, "mtime": as_time(status.st_mtime)}
