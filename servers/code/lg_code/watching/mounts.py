"""Whether the kernel sees every change of a tree: not on file systems that others write to behind its back."""

from __future__ import annotations

import os
import re
import select
from typing import NamedTuple

_LOCAL = frozenset({"ext2", "ext3", "ext4", "xfs", "btrfs", "f2fs", "tmpfs", "ramfs", "zfs", "bcachefs", "jfs"})
"""File systems that only this kernel writes to. Network and FUSE file systems, and overlays, are none."""
_TABLE = "/proc/self/mountinfo"
_MOST_BYTES = 4 << 20
_OCTAL = re.compile(r"\\([0-7]{3})")


class Mount(NamedTuple):
    """A line of the kernel's table of mounts."""

    number: int
    point: str
    kind: str


class MountTable:
    """The kernel's table of mounts, open to see whether it changes. Raises `OSError` where there is none."""

    def __init__(self) -> None:
        self._fd = os.open(_TABLE, os.O_RDONLY | os.O_CLOEXEC)
        self._poll = select.poll()
        self._poll.register(self._fd, select.POLLPRI | select.POLLERR)

    def has_changed(self) -> bool:
        """Return whether anything was mounted or unmounted since this was asked last."""
        return bool(self._poll.poll(0))

    def mounts(self) -> list[Mount]:
        """Return the table. Raises `OSError` and `ValueError`."""
        os.lseek(self._fd, 0, os.SEEK_SET)
        data = b""
        while part := os.read(self._fd, 1 << 16):
            data += part
            if len(data) > _MOST_BYTES:
                raise ValueError("the table of mounts is too long")
        return [_mount(line) for line in os.fsdecode(data).splitlines()]

    def close(self) -> None:
        """Close the table."""
        os.close(self._fd)


def _mount(line: str) -> Mount:
    before, _, after = line.partition(" - ")
    fields = before.split(" ")
    point = _OCTAL.sub(lambda found: chr(int(found[1], 8)), fields[4])
    return Mount(int(fields[0]), point, after.split(" ")[0])


def mounts_of(table: MountTable, directory: int) -> list[Mount]:
    """Return the mount that an open directory is on, and those below it. Raises `OSError` and `ValueError`."""
    path = os.readlink(f"/proc/self/fd/{directory}")
    with open(f"/proc/self/fdinfo/{directory}", encoding="ascii") as told:
        number = next(int(line.split()[1]) for line in told if line.startswith("mnt_id:"))
    below = path.rstrip("/") + "/"
    return [mount for mount in table.mounts() if mount.number == number or mount.point.startswith(below)]


def why_not_seen(mounts: list[Mount]) -> str:
    """Return why changes on these mounts may be unseen; "" if the kernel sees all of them."""
    if not mounts:
        return "its file system is not in the table of mounts"
    for mount in mounts:
        if mount.kind not in _LOCAL:
            return f"{mount.point!a} is a file system of the kind {mount.kind!a}"
        if not os.path.isdir(mount.point):
            return f"{mount.point!a} is a file that is mounted"
    return ""
