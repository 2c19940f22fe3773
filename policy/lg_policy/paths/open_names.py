"""The name that an open file has now, as the kernel knows it (Linux, /proc)."""

from __future__ import annotations

import errno
import os

_GONE = " (deleted)"


def name_below(root_fd: int, fd: int) -> str | None:
    """Return the name of an open file relative to that of an open directory, "" for the directory itself.

    `None` if the file has no name any more: rules could not tell what was opened. Raises `OSError` (EXDEV) if it is no
    longer below the directory.
    """
    base, name = os.readlink(f"/proc/self/fd/{root_fd}"), os.readlink(f"/proc/self/fd/{fd}")
    prefix = base if base.endswith("/") else f"{base}/"
    if name == base:
        return ""
    if not name.startswith(prefix):
        raise OSError(errno.EXDEV, "moved out of the root while it was opened")
    name = name[len(prefix) :]
    if name.endswith(_GONE) and not _is_at(root_fd, fd, name):
        return None
    return name


def _is_at(root_fd: int, fd: int, name: str) -> bool:
    """Return whether an open file really has that name, which looks as if the kernel said that it was removed."""
    try:
        return os.path.samestat(os.fstat(fd), os.stat(name, dir_fd=root_fd, follow_symlinks=False))
    except OSError:
        return False
