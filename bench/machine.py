"""What a figure depends on besides the programs: cores, load, and how the kernel groups processes."""

from __future__ import annotations

import os
from pathlib import Path

AUTOGROUP = Path("/proc/sys/kernel/sched_autogroup_enabled")


def machine() -> str:
    """Return one line about this machine now, to stand above a table.

    With autogroups on, a program in a session of its own gets a share of the processor like everything else together,
    and the niceness of the one that measures counts for nothing.
    """
    grouped = AUTOGROUP.read_text().strip() if AUTOGROUP.exists() else "unknown"
    load = ", ".join(f"{value:.1f}" for value in os.getloadavg())
    return f"{os.cpu_count()} cores, load {load}, sched_autogroup_enabled {grouped}, {os.uname().release}"
