"""Runs a small helper process that ends the gateway's children when the gateway has ended, for whatever reason.

Run as a file, by itself, on the standard library alone. It reads `+PGID START` and `-PGID` lines from its standard
input; at end of file it ends every process group that is still registered. After a line `=MARK` it also ends every
process that was started with the mark in its environment: bubblewrap has it, whose sandbox may not be built yet when
the gateway is killed. It does not cover a grandchild that left its group, nor a machine without process groups.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import time

GRACE_S = 1.0
MARK = "LG_CONFINED"
ROUND_S = 0.1


def start_time(pid: int) -> str:
    """Return the kernel's start time of a process, "" when it cannot be known. It tells a reused number apart."""
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as file:
            return file.read().rpartition(")")[2].split()[19]
    except (OSError, IndexError):
        return ""


def signal_group(pgid: int, number: int) -> bool:
    """Send a signal to a process group; return whether there was one."""
    try:
        os.killpg(pgid, number)
    except (ProcessLookupError, PermissionError):
        return False
    return True


def still_ours(pgid: int, started: str) -> bool:
    """Whether the group is the one registered: its leader unchanged, or gone (a group outlives its leader)."""
    now = start_time(pgid)
    return now in ("", started)


def end_marked(mark: str) -> None:
    """Kill what has the mark. Two rounds find nothing at the end: a process that was just being started shows later."""
    wanted = f"{MARK}={mark}".encode()
    empty = 0
    while empty < 2:
        found = [int(name) for name in os.listdir("/proc") if name.isdigit() and _has(name, wanted)]
        empty = 0 if found else empty + 1
        for pid in found:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(ROUND_S)


def _has(pid: str, wanted: bytes) -> bool:
    try:
        with open(f"/proc/{pid}/environ", "rb") as file:
            return wanted in file.read().split(b"\0")
    except OSError:
        return False


def main() -> None:
    """Serve until the other end of standard input is closed, then clean up."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    groups: dict[int, str] = {}
    mark = ""
    for line in sys.stdin:
        words = line.split()
        if words and words[0].startswith("="):
            mark = words[0][1:]
        elif words and words[0].startswith("+"):
            groups[int(words[0][1:])] = words[1] if len(words) > 1 else ""
        elif words:
            groups.pop(int(words[0][1:]), None)
    ours = [
        pgid for pgid, started in groups.items() if still_ours(pgid, started) and signal_group(pgid, signal.SIGTERM)
    ]
    if ours:
        time.sleep(GRACE_S)
    for pgid in ours:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(pgid, signal.SIGKILL)
    if mark:
        end_marked(mark)


if __name__ == "__main__":
    main()
