"""What a process tree uses, read from `/proc`. Without `/proc` nothing is known, and every answer is empty."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass

_PAGE = os.sysconf("SC_PAGE_SIZE") if hasattr(os, "sysconf") else 4096
_TICK_MS = 1000 / (os.sysconf("SC_CLK_TCK") if hasattr(os, "sysconf") else 100)


@dataclass(frozen=True, kw_only=True)
class Usage:
    """A tree at one moment: resident bytes (each process counts shared pages), CPU milliseconds, threads."""

    memory: int = 0
    cpu_ms: float = 0
    threads: int = 0


def children(pid: int) -> list[int]:
    """Return the direct children of a process, or nothing if it is gone."""
    found: list[int] = []
    try:
        tasks = os.listdir(f"/proc/{pid}/task")
    except OSError:
        return found
    for task in tasks:
        text = _read(f"/proc/{pid}/task/{task}/children")
        found += [int(word) for word in text.split()]
    return found


def members(pid: int) -> list[int]:
    """Return the process and all its descendants, the outermost first."""
    found = [pid]
    for member in found:  # grows while it is walked
        found += children(member)
    return found


def usage(pids: Iterable[int]) -> Usage:
    """Add up what the processes use. Those that have ended meanwhile count nothing.

    The CPU time of a process includes its reaped children, so the sum over a living tree misses nothing.
    """
    memory = threads = 0
    cpu = 0.0
    for pid in pids:
        fields = _read(f"/proc/{pid}/stat").rpartition(")")[2].split()
        if len(fields) < 22:
            continue
        cpu += sum(int(field) for field in fields[11:15])  # utime, stime, cutime, cstime
        threads += int(fields[17])
        memory += int(fields[21]) * _PAGE
    return Usage(memory=memory, cpu_ms=cpu * _TICK_MS, threads=threads)


def proportional_memory(pids: Iterable[int]) -> int:
    """Return the bytes in use, with shared pages divided among their users. Ten times as slow as `usage`."""
    total = 0
    for pid in pids:
        for line in _read(f"/proc/{pid}/smaps_rollup").splitlines():
            if line.startswith("Pss:"):
                total += int(line.split()[1]) * 1024
    return total


def has_marker(pid: int, marker: str) -> bool | None:
    """Return whether the process was started with `marker` in its environment. A process that replaced it is missed.

    Returns `None` if it shows no environment at this moment: it is becoming another program, or has ended.
    """
    try:
        with open(f"/proc/{pid}/environ", "rb") as file:
            shown = file.read()
    except OSError:
        return False
    return marker.encode() in shown if shown else None


def _read(path: str) -> str:
    try:
        with open(path, encoding="ascii", errors="replace") as file:
            return file.read()
    except OSError:
        return ""
