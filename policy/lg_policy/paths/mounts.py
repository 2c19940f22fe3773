"""Which file system a directory lies on."""

from __future__ import annotations

import re

_OWN = frozenset({"bcachefs", "btrfs", "ext2", "ext3", "ext4", "f2fs", "overlay", "ramfs", "tmpfs", "xfs", "zfs"})
_ESCAPED = re.compile(r"\\([0-7]{3})")


def on_own_disk(path: str, mountinfo: str = "/proc/self/mountinfo") -> bool:
    """Return whether `path` (absolute, links resolved) lies on a disk or in the memory of this machine.

    There a small file is read about as quickly as anything else is done. `False` for network and user-space file
    systems, which may keep a reader waiting for ever, for unknown ones, and where the system does not tell (proc(5)).
    """
    try:
        with open(mountinfo, encoding="utf-8", errors="surrogateescape") as file:
            mounts = [_mount(line) for line in file]
    except OSError:
        return False
    covering = [(len(point), number, kind) for number, (point, kind) in enumerate(mounts) if _covers(point, path)]
    return max(covering, default=(0, 0, ""))[2] in _OWN  # of two on one place the later hides the earlier


def _mount(line: str) -> tuple[str, str]:
    left, _, right = line.partition(" - ")
    point = _ESCAPED.sub(lambda match: chr(int(match[1], 8)), left.split(" ")[4])
    return point, right.split(" ")[0]


def _covers(point: str, path: str) -> bool:
    return point == "/" or path == point or path.startswith(f"{point}/")
