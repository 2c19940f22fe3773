"""Removes the control groups of servers that were killed before they could.

A group is removed when all of this holds: its name is one of ours, it is older than a minute, the process that made it
is gone, and the kernel finds nothing in it. The last alone keeps running commands safe. The others keep groups that a
living server has made and not filled yet, also one in a container that does not see the same process numbers.
"""

from __future__ import annotations

import contextlib
import os
import re
import time

YOUNG_S = 60.0
CLOCK_SLACK_S = 2.0
"""The kernel tells when the system started in whole seconds."""
_OURS = re.compile(r"lg-exec-(?:probe-[0-9a-f]{12}|(?P<owner>[0-9]{1,10})(?:-[0-9a-f]{12})?)")


def sweep(parent: str, young_s: float = YOUNG_S) -> None:
    """Remove what dead servers left below a group, unless it is younger. What cannot be removed stays."""
    with contextlib.suppress(OSError):
        now, started = time.time(), _system_start()
        for name in os.listdir(parent):
            match = _OURS.fullmatch(name)
            if match is None:
                continue
            directory = f"{parent}/{name}"
            with contextlib.suppress(OSError):
                made = os.stat(directory).st_mtime
                if now - made > young_s and _is_gone(match["owner"], made, started):
                    os.rmdir(directory)


def _is_gone(owner: str | None, made: float, system_start: float) -> bool:
    """Whether the process that made a group has ended. Its number may belong to a later one."""
    if owner is None:
        return True
    try:
        with open(f"/proc/{owner}/stat", encoding="ascii", errors="replace") as file:
            ticks = int(file.read().rpartition(")")[2].split()[19])
    except (FileNotFoundError, ProcessLookupError):
        return True
    return system_start + ticks / os.sysconf("SC_CLK_TCK") > made + CLOCK_SLACK_S


def _system_start() -> float:
    with open("/proc/stat", encoding="ascii") as file:
        return float(next(line for line in file if line.startswith("btime ")).split()[1])
