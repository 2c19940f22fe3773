"""Counts what a confined program holds of files that it has deleted: they take disk space, and no directory names them.

Not covered: a file whose only descriptor is on its way through a socket. Of a file that is only mapped into memory, a
gateway that is not root counts up to the last byte that is mapped.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterable, Iterator

from lg_gateway.confinement.confinement import Confinement, within

DESCRIPTORS = 500_000
"""Descriptors of one program that are looked at. More count as over the limit."""
_DELETED = " (deleted)"


def deleted_size(confinement: Confinement, pids: Iterable[int]) -> int:
    """Return the bytes of disk of deleted files of the home that the processes hold. A file counts once.

    Raises `OverflowError` for a program with too many descriptors.
    """
    home = str(confinement.private_home)
    try:
        device = os.stat(home).st_dev
    except OSError:
        return 0
    sizes: dict[int, int] = {}
    looked = 0
    for pid in pids:
        for task in _listed(f"/proc/{pid}/task"):  # each thread may have descriptors of its own
            for descriptor in _listed(f"/proc/{pid}/task/{task}/fd"):
                looked += 1
                if looked > DESCRIPTORS:
                    raise OverflowError(f"its program has more than {DESCRIPTORS} descriptors")
                status = _deleted(f"/proc/{pid}/task/{task}/fd/{descriptor}", confinement)
                if status is not None and status.st_dev == device:
                    sizes[status.st_ino] = status.st_blocks * 512
        for inode, size in _mapped(pid, confinement):
            sizes[inode] = max(size, sizes.get(inode, 0))
    return sum(sizes.values())


def _deleted(path: str, confinement: Confinement) -> os.stat_result | None:
    """Return the status of a deleted file of the home, `None` for everything else."""
    try:
        status = os.stat(path)
    except OSError:
        return None
    if status.st_nlink or not stat.S_ISREG(status.st_mode):
        return None
    try:
        return status if _in_home(os.readlink(path), confinement) else None
    except OSError as error:  # a program may nest directories until the path is too long to be read
        return status if error.errno == errno.ENAMETOOLONG else None


def _in_home(path: str, confinement: Confinement) -> bool:
    """Return whether a path of the sandbox is in the private home, and not in a directory that is shown there."""
    named = (*confinement.read, *confinement.write)
    return within(path, confinement.home) and not any(within(path, place) for place in named)


def _mapped(pid: int, confinement: Confinement) -> Iterator[tuple[int, int]]:
    """Yield inode and size of the deleted files that a process has mapped."""
    for line in _lines(f"/proc/{pid}/maps"):
        fields = line.rstrip("\n").split(" ", 5)
        path = fields[-1].lstrip()
        if len(fields) < 6 or not path.endswith(_DELETED) or not _in_home(path.removesuffix(_DELETED), confinement):
            continue
        first, _, last = fields[0].partition("-")
        try:  # whole, where this process may look
            status = os.stat(f"/proc/{pid}/map_files/{fields[0]}")
            yield status.st_ino, status.st_blocks * 512
        except OSError:
            yield int(fields[4]), int(fields[2], 16) + int(last, 16) - int(first, 16)


def _lines(path: str) -> list[str]:
    try:
        with open(path, encoding="utf-8", errors="surrogateescape") as file:
            return file.readlines()
    except OSError:
        return []


def _listed(path: str) -> list[str]:
    try:
        return os.listdir(path)
    except OSError:
        return []
