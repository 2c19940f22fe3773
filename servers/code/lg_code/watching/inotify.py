"""The kernel's notification of changes on Linux (inotify), without a thread between the kernel and the question.

The kernel puts an event into the queue before the call that made the change returns: `write`, `rename`, `unlink` and
the others. So whoever asks after a change finds its event by reading the queue until it is empty.
A library with a reading thread of its own does not give that: its thread may be late.
"""

from __future__ import annotations

import ctypes
import errno
import os
import struct
import sys
from collections.abc import Iterator
from typing import NamedTuple

MODIFY, ATTRIB, CLOSE_WRITE, CLOSE_NOWRITE, OPEN = 0x2, 0x4, 0x8, 0x10, 0x20
MOVED_FROM, MOVED_TO, CREATE, DELETE = 0x40, 0x80, 0x100, 0x200
DELETE_SELF, MOVE_SELF = 0x400, 0x800
UNMOUNT, OVERFLOW, IGNORED, IS_DIR = 0x2000, 0x4000, 0x8000, 0x4000_0000
_ONLY_DIR = 0x0100_0000
WATCHED = (
    MODIFY | ATTRIB | CLOSE_WRITE | CLOSE_NOWRITE | OPEN | MOVED_FROM | MOVED_TO | CREATE | DELETE
    | DELETE_SELF | MOVE_SELF | _ONLY_DIR
)  # fmt: skip
_HEAD = struct.Struct("iIII")
_BUFFER = 1 << 17
_MOST_READS = 64
"""Reads for one answer: more than the kernel's queue holds, so that a program that writes all the time ends no loop."""


class Event(NamedTuple):
    """One event. `name` is "" for the watched directory itself; `cookie` joins the two events of a rename."""

    watch: int
    mask: int
    cookie: int
    name: str


class Inotify:
    """One queue of events. Raises `OSError` where the system has none, or no more of them."""

    def __init__(self) -> None:
        if sys.platform != "linux":
            raise OSError(errno.ENOSYS, "only Linux has it")
        libc = ctypes.CDLL(None, use_errno=True)
        try:
            self._add, self._remove, start = libc.inotify_add_watch, libc.inotify_rm_watch, libc.inotify_init1
        except AttributeError as error:
            raise OSError(errno.ENOSYS, "the system's library does not have it") from error
        self._add.argtypes = (ctypes.c_int, ctypes.c_char_p, ctypes.c_uint32)
        self._remove.argtypes = (ctypes.c_int, ctypes.c_int)
        self._fd: int = start(os.O_NONBLOCK | os.O_CLOEXEC)
        if self._fd < 0:
            raise _last_error()

    def add(self, directory: int) -> int:
        """Watch an open directory, and return the number of the watch. Raises `OSError`."""
        watch: int = self._add(self._fd, b"/proc/self/fd/%d" % directory, WATCHED)
        if watch < 0:
            raise _last_error()
        return watch

    def remove(self, watch: int) -> None:
        """Watch a directory no longer. One that is gone needs no care."""
        self._remove(self._fd, watch)

    def events(self) -> Iterator[Event]:
        """Return what is in the queue, and empty it. Raises `OSError`."""
        for _ in range(_MOST_READS):
            try:
                data = os.read(self._fd, _BUFFER)
            except BlockingIOError:
                return
            yield from _parsed(data)
        yield Event(-1, OVERFLOW, 0, "")  # others write faster than this reads

    def close(self) -> None:
        """Give up the queue and its watches."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


def _parsed(data: bytes) -> Iterator[Event]:
    place = 0
    while place < len(data):
        watch, mask, cookie, length = _HEAD.unpack_from(data, place)
        place += _HEAD.size
        name = data[place : place + length]
        place += length
        yield Event(watch, mask, cookie, os.fsdecode(name.rstrip(b"\0")))


def _last_error() -> OSError:
    number = ctypes.get_errno()
    return OSError(number, os.strerror(number))
