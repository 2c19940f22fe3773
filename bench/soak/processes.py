"""The processes of the soak: what they use, and the end of some of them, at random."""

from __future__ import annotations

import os
import random
import signal
import statistics
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

PAGE = os.sysconf("SC_PAGE_SIZE")


@dataclass(frozen=True, kw_only=True)
class Usage:
    """What one gateway uses at a moment. `processes` counts those below it."""

    memory_mb: float
    descriptors: int
    threads: int
    processes: int


KINDS = ("memory_mb", "descriptors", "threads", "processes")
MAY_GROW = {"memory_mb": 12.0, "descriptors": 16.0, "threads": 4.0, "processes": 2.0}
"""By how much the median of the last quarter may be above that of the first."""


def usage(pid: int) -> Usage | None:
    """Return what a process uses; `None` if it has ended."""
    place = Path(f"/proc/{pid}")
    try:
        memory = int((place / "statm").read_text().split()[1]) * PAGE / 1e6
        descriptors, threads = len(os.listdir(place / "fd")), len(os.listdir(place / "task"))
    except (FileNotFoundError, ProcessLookupError):
        return None
    return Usage(memory_mb=memory, descriptors=descriptors, threads=threads, processes=len(below(pid)))


def below(pid: int) -> list[int]:
    """Return all processes below one that still run."""
    children: dict[int, list[int]] = {}
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            state, parent = (folder / "stat").read_text().rpartition(")")[2].split()[:2]
            if state != "Z":
                children.setdefault(int(parent), []).append(int(folder.name))
    found: list[int] = []
    waiting = [pid]
    while waiting:
        waiting += (inner := children.get(waiting.pop(), []))
        found += inner
    return found


def servers(pids: Sequence[int], mark: str) -> list[int]:
    """Return the processes below gateways whose command line has a mark."""
    found = []
    for pid in {inner for outer in pids for inner in below(outer)}:
        with suppress(OSError):
            if mark.encode() in Path(f"/proc/{pid}/cmdline").read_bytes():
                found.append(pid)
    return sorted(found)


def kill_one(pids: Sequence[int], mark: str, chance: random.Random) -> bool:
    """Kill a server of the gateways at random; return whether there was one."""
    candidates = servers(pids, mark)
    if candidates:
        with suppress(ProcessLookupError):
            os.kill(chance.choice(candidates), signal.SIGKILL)
    return bool(candidates)


def growth(samples: Sequence[Usage]) -> dict[str, tuple[float, float]]:
    """Return the medians of the first and of the last quarter of the samples, for each kind."""
    quarter = max(1, len(samples) // 4)
    return {
        kind: (
            statistics.median(getattr(sample, kind) for sample in samples[:quarter]),
            statistics.median(getattr(sample, kind) for sample in samples[-quarter:]),
        )
        for kind in KINDS
    }


def leaks(name: str, samples: Sequence[Usage]) -> list[str]:
    """Name what has grown more than it may."""
    return [
        f"{name}: {kind} grew from {first:.0f} to {last:.0f}"
        for kind, (first, last) in growth(samples).items()
        if last - first > MAY_GROW[kind] + (0.1 * first if kind == "memory_mb" else 0.0)
    ]
