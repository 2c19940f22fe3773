"""What a program is doing: on SIGUSR1 it writes the stacks of its threads and asyncio tasks to its standard error.

Only the standard library: programs of other environments load it too. A fork of the program answers as well.
"""

from __future__ import annotations

import asyncio
import faulthandler
import gc
import os
import re
import signal
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

SIGNAL = getattr(signal, "SIGUSR1", None)
END = "end of the stacks of process"
WAIT_S = 15.0
MAX_CHARS = 30_000
_POLL_S = 0.05


def arm() -> None:
    """Let this process answer; to be called in its main thread."""
    if SIGNAL is None:
        return
    signal.signal(SIGNAL, _write_tasks)
    # The threads are written by C code at once, even where none of them can run; then the handler above gets its turn.
    faulthandler.register(SIGNAL, file=2, all_threads=True, chain=True)


def stacks_of(pids: Iterable[int], told: Path) -> str:
    """Ask processes that write to the file `told`; returns the end of it, with all that answered in a few seconds."""
    asked = [pid for pid in pids if _answers(pid)]
    for pid in asked:
        try:
            os.kill(pid, SIGNAL or 0)
        except ProcessLookupError:
            continue
    until = time.monotonic() + WAIT_S
    while time.monotonic() < until and not all(f"{END} {pid}\n" in _text(told) for pid in asked):
        time.sleep(_POLL_S)
    return _text(told)[-MAX_CHARS:]


def _text(path: Path) -> str:
    return path.read_text("utf-8", "replace")


def _answers(pid: int) -> bool:
    """Whether a process has a handler; the signal would end every other one."""
    try:
        status = Path(f"/proc/{pid}/status").read_text("ascii", "replace")
    except OSError:
        return False
    caught = re.search(r"^SigCgt:\s*([0-9a-f]+)$", status, re.MULTILINE)
    return SIGNAL is not None and caught is not None and bool(int(caught[1], 16) >> (SIGNAL - 1) & 1)


def _write_tasks(_number: int, _frame: Any) -> None:
    # Tasks of every loop of every thread, which asyncio itself does not list.
    for task in [thing for thing in gc.get_objects() if isinstance(thing, asyncio.Task) and not thing.done()]:
        print(
            f"Task {task.get_name()} (innermost call last):", *_awaited(task.get_coro()), sep="\n", file=sys.__stderr__
        )
    print(f"{END} {os.getpid()}", file=sys.__stderr__, flush=True)


def _awaited(waits: Any) -> Iterator[str]:
    """The calls of a task that wait for each other."""
    while waits is not None:
        for prefix in ("cr", "gi", "ag"):
            frame = getattr(waits, f"{prefix}_frame", None)
            if frame is not None:
                yield f'  File "{frame.f_code.co_filename}", line {frame.f_lineno} in {frame.f_code.co_name}'
        waits = next(
            (found for name in ("cr_await", "gi_yieldfrom", "ag_await") if (found := getattr(waits, name, None))), None
        )
