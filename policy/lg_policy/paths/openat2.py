"""The Linux system call openat2(2): open a path that provably stays beneath a directory.

Python has no wrapper for it. A sandbox of an old container runtime may answer EPERM or ENOSYS; `available` finds out.
"""

from __future__ import annotations

import ctypes
import errno
import os
import sys
from functools import cache

RESOLVE_NO_XDEV = 0x01
RESOLVE_NO_MAGICLINKS = 0x02
RESOLVE_NO_SYMLINKS = 0x04
RESOLVE_BENEATH = 0x08

_SYS_OPENAT2 = 437  # the same number on every architecture
_RETRIES = 64  # EAGAIN means that a rename raced with the resolution; the kernel asks to try again


class _OpenHow(ctypes.Structure):
    _fields_ = (("flags", ctypes.c_uint64), ("mode", ctypes.c_uint64), ("resolve", ctypes.c_uint64))


@cache
def _syscall() -> ctypes._NamedFuncPointer:
    function = ctypes.CDLL(None, use_errno=True).syscall
    function.restype = ctypes.c_long
    function.argtypes = (ctypes.c_long, ctypes.c_int, ctypes.c_char_p, ctypes.POINTER(_OpenHow), ctypes.c_size_t)
    return function


def openat2(dir_fd: int, path: str, flags: int, resolve: int) -> int:
    """Open `path` relative to `dir_fd` and return the new descriptor, close-on-exec. Raises `OSError`.

    `resolve` is an OR of the `RESOLVE_*` constants. EXDEV: the path leaves `dir_fd`, or crosses a mount that `resolve`
    forbids. ELOOP: a link that `resolve` forbids, or too many of them. EAGAIN: renames kept racing.
    """
    how = _OpenHow(flags | os.O_CLOEXEC, 0, resolve)
    name = os.fsencode(path)
    for _ in range(_RETRIES):
        descriptor = _syscall()(_SYS_OPENAT2, dir_fd, name, ctypes.byref(how), ctypes.sizeof(how))
        if descriptor >= 0:
            return int(descriptor)
        code = ctypes.get_errno()
        if code not in (errno.EAGAIN, errno.EINTR):
            raise OSError(code, os.strerror(code), path)
    raise OSError(errno.EAGAIN, "renames kept racing with the lookup", path)


@cache
def available() -> bool:
    """Return whether this kernel, under whatever filters apply to this process, offers openat2."""
    if not sys.platform.startswith("linux"):
        return False
    try:
        os.close(openat2(-100, "/", os.O_RDONLY | os.O_DIRECTORY, RESOLVE_NO_MAGICLINKS))
    except OSError:
        return False
    return True
