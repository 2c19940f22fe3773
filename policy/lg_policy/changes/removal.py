"""Remove a directory that a command has filled: also what is unreadable in it, and however deep it is."""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import sys

_DIR = os.O_RDONLY | getattr(os, "O_DIRECTORY", 0) | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0)


def remove_tree(path: str) -> None:
    """Remove a scratch directory. What cannot be removed is left.

    Each directory is moved up to `path` before it is emptied, so that no name grows too long and nothing recurses.
    """
    if sys.platform == "win32":
        shutil.rmtree(path, ignore_errors=True)
        return
    with contextlib.suppress(OSError):
        os.chmod(path, 0o700)
        top = os.open(path, _DIR)
        try:
            waiting = _empty(top, top)
            while waiting:
                waiting += _emptied(top, waiting.pop())
        finally:
            os.close(top)
        os.rmdir(path)


def _emptied(top: int, name: str) -> list[str]:
    """Empty and remove one directory; returns the new names of those that were in it."""
    with contextlib.suppress(OSError):
        os.chmod(name, 0o700, dir_fd=top)
        opened = os.open(name, _DIR, dir_fd=top)
        try:
            moved = _empty(top, opened)
        finally:
            os.close(opened)
        with contextlib.suppress(OSError):
            os.rmdir(name, dir_fd=top)
        return moved
    return []


def _empty(top: int, opened: int) -> list[str]:
    moved: list[str] = []
    with os.scandir(opened) as entries:
        for entry in entries:
            with contextlib.suppress(OSError):
                if not entry.is_dir(follow_symlinks=False):
                    os.unlink(entry.name, dir_fd=opened)
                    continue
                name = entry.name
                os.chmod(name, 0o700, dir_fd=opened)  # moving a directory writes into it
                if opened != top:
                    name = secrets.token_hex(8)
                    os.rename(entry.name, name, src_dir_fd=opened, dst_dir_fd=top)
                moved.append(name)
    return moved
