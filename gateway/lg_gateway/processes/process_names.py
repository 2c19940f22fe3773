"""Names gateway processes, and says whether a named one may still run.

A name holds the process's start as the kernel counts it, so that another process that got the same number later is not
taken for it. Without `/proc` the number alone decides. Not covered: another machine; nothing is known of its processes.
"""

from __future__ import annotations

import os
import socket
from functools import cache


def this_process() -> str:
    """Return a name for this process that another one can look at."""
    return _name(os.getpid())


@cache
def _name(pid: int) -> str:
    """The name of this process, which has this number; after a fork it has another one."""
    return f"{pid}.{_start(pid)}@{socket.gethostname()}"


def is_here(name: str) -> bool:
    """Whether a name is of a process on this machine."""
    return name.rpartition("@")[2] == socket.gethostname()


def may_live(name: str) -> bool:
    """Whether the process of that name may still run. One on another machine is taken to."""
    if not is_here(name):
        return True
    number, _, start = name.rpartition("@")[0].partition(".")
    if not number.isdecimal():
        return False
    try:
        os.kill(int(number), 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return _start(int(number)) == start
    return _start(int(number)) == start


def _start(pid: int) -> str:
    """Return when a process began: the machine's boot and the clock ticks since, empty where that is not told."""
    try:
        with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as boot:
            began = boot.read(8)
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as stat:
            return f"{began}-{stat.read().rpartition(')')[2].split()[19]}"
    except (OSError, IndexError):
        return ""
