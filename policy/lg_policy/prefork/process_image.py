"""Lets the kernel show other arguments and variables for this process, as `ps` and `/proc/PID/environ` print them.

A fork shows those of its parent, which would mislead whoever looks for a server, and `pkill`.
"""

from __future__ import annotations

import ctypes
import mmap
import os
from collections.abc import Sequence

_PR_SET_MM = 35
_PR_SET_MM_MAP = 14
_MEMORY: list[mmap.mmap] = []  # what the kernel reads them from; it must not go

_FIELDS = (26, 27, 45, 46, 47, 28)
"""Where /proc/PID/stat has start_code, end_code, start_data, end_data, start_brk and start_stack."""


class _MemoryMap(ctypes.Structure):
    """`struct prctl_mm_map` of the kernel."""

    _fields_ = (
        *((name, ctypes.c_uint64) for name in (
            "start_code", "end_code", "start_data", "end_data", "start_brk", "brk", "start_stack",
            "arg_start", "arg_end", "env_start", "env_end", "auxv",
        )),
        ("auxv_size", ctypes.c_uint32),
        ("exe_fd", ctypes.c_int32),
    )  # fmt: skip


def set_process_image(argv: Sequence[bytes], environment: Sequence[bytes]) -> None:
    """Set both. Raises `OSError` where the kernel cannot (it needs CONFIG_CHECKPOINT_RESTORE, as all distributions)."""
    arguments, variables = (b"".join(word + b"\0" for word in words) for words in (argv, environment))
    memory = mmap.mmap(
        -1, max(1, len(arguments) + len(variables)), flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS
    )  # the kernel reads no shared memory here
    memory.write(arguments + variables)
    begin = ctypes.addressof(ctypes.c_char.from_buffer(memory))
    middle, end = begin + len(arguments), begin + len(arguments) + len(variables)
    with open("/proc/self/stat", encoding="utf-8", errors="replace") as file:
        words = file.read().rpartition(")")[2].split()
    start_code, end_code, start_data, end_data, start_brk, start_stack = (int(words[n - 3]) for n in _FIELDS)
    libc = ctypes.CDLL(None, use_errno=True)
    libc.sbrk.restype, libc.sbrk.argtypes = ctypes.c_void_p, (ctypes.c_ssize_t,)
    libc.prctl.argtypes = (ctypes.c_int, *[ctypes.c_ulong] * 4)
    known = (start_code, end_code, start_data, end_data, start_brk, libc.sbrk(0), start_stack)
    wanted = _MemoryMap(*known, begin, middle, middle, end, 0, 0, -1)
    if libc.prctl(_PR_SET_MM, _PR_SET_MM_MAP, ctypes.addressof(wanted), ctypes.sizeof(wanted), 0) != 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    _MEMORY.append(memory)
