"""New contents on their way into the tree: written beside their place under a name of their own."""

from __future__ import annotations

import os
import stat

from lg_policy.paths import Opened


def temporary_name(change_id: str, number: int) -> str:
    """Under which name file `number` of a change set is staged; unguessable, as change ids are random."""
    return f".lg-{change_id}-{number}.tmp"


def stage(parent: Opened, name: str, data: bytes, mode: int, *, durable: bool) -> None:
    """Write a new file, which must not exist, with exactly these permissions. Raises `OSError`."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    fd = os.open(name, flags, 0o600, dir_fd=parent.fd)
    with os.fdopen(fd, "wb") as file:
        file.write(data)
        file.flush()
        os.fchmod(file.fileno(), stat.S_IMODE(mode))
        if durable:
            os.fsync(file.fileno())
