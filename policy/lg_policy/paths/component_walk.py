"""Confined path resolution without openat2: one component at a time, links followed by us.

Race-free: each component is opened relative to its parent's descriptor with `O_NOFOLLOW`, so a directory swapped for
a link between two steps makes the open fail instead of leading it astray. A link's target is only ever used as more
components of the same walk.
"""

from __future__ import annotations

import errno
import os

MAX_LINKS = 40  # as Linux itself allows

_NOFOLLOW = getattr(os, "O_NOFOLLOW", 0)
# O_PATH needs only search permission on the directories in between.
_STEP = getattr(os, "O_PATH", os.O_RDONLY) | getattr(os, "O_DIRECTORY", 0) | _NOFOLLOW | getattr(os, "O_CLOEXEC", 0)


def resolve(root_fd: int, root_path: str, rel: str, flags: int, *, follow: bool) -> tuple[int, str]:
    """Open `rel` below `root_fd` with `flags`; return the descriptor and the resolved relative name.

    `root_path` is the root's real path: absolute links to places below it are accepted. Raises `OSError`: EXDEV when a
    link leads out of the root, ELOOP for more than 40 links (any, unless `follow`), else what the system says.
    """
    pending = _reversed_parts(rel)
    done: list[str] = []
    current = os.dup(root_fd)
    links = 0
    exact = False  # whether `current` was opened with the caller's flags
    try:
        while pending:
            name = pending.pop()
            if name == "..":
                current, exact = _up(root_fd, current, done), False
                continue
            target = _link_target(name, current)
            if target is None:
                exact = not pending
                current = _step(current, name, flags if exact else _STEP)
                done.append(name)
                continue
            links += 1
            if links > MAX_LINKS or not follow:
                raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), rel)
            if target.startswith("/"):
                target = _below(root_path, target)
                done.clear()
                current, exact = _replace(current, os.dup(root_fd)), False
            pending.extend(_reversed_parts(target))
        if not exact:  # the path is the root, or ended with going up
            current = _replace(current, _descend(root_fd, done, flags))
    except BaseException:
        os.close(current)
        raise
    return current, "/".join(done)


def _reversed_parts(path: str) -> list[str]:
    return [part for part in reversed(path.split("/")) if part not in ("", ".")]


def _replace(old: int, new: int) -> int:
    os.close(old)
    return new


def _step(current: int, name: str, flags: int) -> int:
    return _replace(current, os.open(name, flags | _NOFOLLOW, dir_fd=current))


def _link_target(name: str, dir_fd: int) -> str | None:
    try:
        return os.readlink(name, dir_fd=dir_fd)
    except OSError as error:
        if error.errno == errno.EINVAL:  # not a link
            return None
        raise


def _below(root_path: str, target: str) -> str:
    if target == root_path or target.startswith(root_path.rstrip("/") + "/"):
        return target[len(root_path) :]
    raise OSError(errno.EXDEV, os.strerror(errno.EXDEV), target)


def _up(root_fd: int, current: int, done: list[str]) -> int:
    if not done:
        raise OSError(errno.EXDEV, os.strerror(errno.EXDEV), "..")
    done.pop()
    return _replace(current, _descend(root_fd, done, _STEP))


def _descend(root_fd: int, names: list[str], flags: int) -> int:
    """Open a chain of real names from the root; the last one (or the root) with `flags`."""
    if not names:
        return os.open(".", flags, dir_fd=root_fd)
    current = os.dup(root_fd)
    try:
        for name in names[:-1]:
            current = _step(current, name, _STEP)
        return os.open(names[-1], flags | _NOFOLLOW, dir_fd=current)
    finally:
        os.close(current)
