"""What a command wrote into the upper layer of an overlay, as a list of steps on files and directories.

The kernel writes a removed name as a character device 0:0, and marks a directory that replaced an older one as opaque.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator

from lg_exec.process.worker_thread import Work
from lg_exec.write_back.snapshot import Snapshot
from lg_policy.changes.interrupted import Step
from lg_policy.changes.open_names import DIRECTORY
from lg_policy.errors import LimitExceeded

_OPAQUE = "user.overlay.opaque"
_DIR = os.O_RDONLY | getattr(os, "O_DIRECTORY", 0) | getattr(os, "O_NOFOLLOW", 0)
MAX_DEPTH = 128
"""Nested directories that are written back."""


def steps(upper: str, before: Snapshot, work: Work) -> list[Step]:
    """Return what changed, in an order in which it can be done. Raises `LimitExceeded` and `OSError`."""
    found = list(_walk(upper, before, work))
    order = {"unlink": 0, "rmdir": 1, "mkdir": 2, "put": 3, "chmod": 4, "unknown": 5}
    removed = [step for step in found if step.kind == "rmdir"]
    removed.sort(key=lambda step: step.rel.count("/"), reverse=True)
    rest = sorted((step for step in found if step.kind != "rmdir"), key=lambda step: (order[step.kind], step.rel))
    unlinks = [step for step in rest if step.kind == "unlink"]
    return [*unlinks, *removed, *rest[len(unlinks) :]]


def _walk(upper: str, before: Snapshot, work: Work) -> Iterator[Step]:
    """Look into each directory of the upper layer, with one descriptor for each level."""
    stack = [(os.open(upper, _DIR), "", _names(upper))]
    try:
        while stack:
            work.check()
            directory, parent, names = stack[-1]
            if not names:
                os.close(stack.pop()[0])
                continue
            name = names.pop()
            rel = f"{parent}/{name}" if parent else name
            status = os.stat(name, dir_fd=directory, follow_symlinks=False)
            if not stat.S_ISDIR(status.st_mode):
                yield from _changed_file(rel, status, before)
                continue
            if len(stack) >= MAX_DEPTH:
                raise LimitExceeded(f"the command made more than {MAX_DEPTH} directories inside each other")
            opened = _open_dir(name, directory, status.st_mode)
            yield from _changed_directory(rel, opened, status, before)
            stack.append((opened, rel, _names(opened)))
    finally:
        for directory, _, _ in stack:
            os.close(directory)


def _names(directory: int | str) -> list[str]:
    return sorted(os.listdir(directory), reverse=True)


def _open_dir(name: str, parent: int, mode: int) -> int:
    if mode & 0o500 != 0o500:  # closed by the command to its own user
        os.chmod(name, 0o700, dir_fd=parent)
    return os.open(name, _DIR, dir_fd=parent)


def _changed_file(rel: str, status: os.stat_result, before: Snapshot) -> Iterator[Step]:
    if stat.S_ISCHR(status.st_mode) and status.st_rdev == 0:
        yield from _removed(rel, before)
    elif stat.S_ISREG(status.st_mode) or stat.S_ISLNK(status.st_mode):
        if before.get(rel) == DIRECTORY:
            yield from _removed(rel, before)
        yield Step(kind="put", rel=rel, mode=status.st_mode)
    else:
        yield Step(kind="unknown", rel=rel, mode=status.st_mode)


def _changed_directory(rel: str, opened: int, status: os.stat_result, before: Snapshot) -> Iterator[Step]:
    was = before.get(rel)
    if was == DIRECTORY and not _opaque(opened):
        yield Step(kind="chmod", rel=rel, mode=status.st_mode)  # perhaps: it also stands here if a name in it changed
        return
    if was is not None:
        yield from _removed(rel, before)
    yield Step(kind="mkdir", rel=rel, mode=status.st_mode)


def _removed(rel: str, before: Snapshot) -> Iterator[Step]:
    """Return what to remove where a name was removed: the file, or the directory with its contents."""
    was = before.get(rel)
    if was is None:
        return  # made and removed by the command
    if was != DIRECTORY:
        yield Step(kind="unlink", rel=rel)
        return
    for name in before.below(rel):
        yield Step(kind="rmdir" if before.get(name) == DIRECTORY else "unlink", rel=name)
    yield Step(kind="rmdir", rel=rel)


def _opaque(directory: int) -> bool:
    try:
        return os.getxattr(directory, _OPAQUE) == b"y"
    except OSError:
        return False
