"""Renames files without ever replacing any, which `os.rename` cannot do."""

from __future__ import annotations

import ctypes
import errno
import os
from functools import cache
from typing import Any

_NOREPLACE = 1


@cache
def _renameat2() -> Any:
    """Return the C library's renameat2(2), or `None`."""
    function = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    if function is not None:
        function.restype = ctypes.c_int
        function.argtypes = (ctypes.c_int, ctypes.c_char_p, ctypes.c_int, ctypes.c_char_p, ctypes.c_uint)
    return function


def rename_new(source: str, source_fd: int, target: str, target_fd: int) -> None:
    """Rename a file (names relative to directory descriptors); fails with `FileExistsError` if the target exists.

    Raises `OSError`. Where the kernel or the file system cannot do this in one step, a hard link and an unlink do;
    a crash between the two leaves both names.
    """
    function = _renameat2()
    if function is not None:
        if function(source_fd, os.fsencode(source), target_fd, os.fsencode(target), _NOREPLACE) == 0:
            return
        code = ctypes.get_errno()
        if code not in (errno.ENOSYS, errno.EINVAL, errno.EPERM):
            raise OSError(code, os.strerror(code), target)
    os.link(source, target, src_dir_fd=source_fd, dst_dir_fd=target_fd, follow_symlinks=False)
    os.unlink(source, dir_fd=source_fd)
