"""Tells the human that a call waits, where its client cannot ask: by the terminal's bell, or on the desktop.

Off by default (`approval.notify`). Each question is told once, and several within some seconds together: a caller that
floods the gateway with questions rings no more often for it. Names in the text are quoted, and no markup.

Not covered: whether anybody sees it. `lg-gateway approvals watch` shows every question.
"""

from __future__ import annotations

import logging
import os
import shutil
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable, Sequence

import anyio

from lg_gateway.approvals.layout import word
from lg_gateway.approvals.records import Approval

log = logging.getLogger(__name__)

PAUSE_S = 5.0
"""Seconds after a notification in which no other is given."""
REMEMBERED = 256
SHOW_S = 10.0
"""Seconds that the program that shows a notification may take."""
TITLE = "lg-gateway: a call waits for you"


class Notifier:
    """Gives notifications. `how` returns the setting; `clock` counts seconds."""

    def __init__(self, how: Callable[[], Sequence[str]], clock: Callable[[], float] = time.monotonic) -> None:
        self._how = how
        self._clock = clock
        self._told: deque[str] = deque(maxlen=REMEMBERED)
        self._last = -PAUSE_S

    async def tell(self, approval: Approval) -> None:
        """Notify about a question, unless that was done or another was told just now."""
        how = self._how()
        if not how or approval.id in self._told:
            return
        self._told.append(approval.id)
        if self._clock() - self._last < PAUSE_S:
            return
        self._last = self._clock()
        if "bell" in how:
            ring()
        if "desktop" in how:
            await _show(f"{word(approval.tool)} asks. Answer at a terminal: lg-gateway approvals watch")


def ring() -> None:
    """Ring the bell of this process's terminal, if it has one. Nothing that a program reads is written to."""
    try:
        terminal = os.open("/dev/tty", os.O_WRONLY | os.O_NOCTTY | os.O_NONBLOCK)
    except OSError:
        return
    try:
        os.write(terminal, b"\a")
    except OSError:
        log.debug("the bell could not be rung")
    finally:
        os.close(terminal)


async def _show(text: str) -> None:
    command = desktop_command(text)
    if command is None:
        log.debug("there is no program for notifications on the desktop")
        return
    try:
        with anyio.move_on_after(SHOW_S):
            await anyio.run_process(
                command, check=False, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
            )
    except OSError as error:
        log.debug("no notification: %s", error)


def desktop_command(text: str, which: Callable[[str], str | None] = shutil.which) -> list[str] | None:
    """Return the command that shows a notification; `None` where there is none."""
    if sys.platform == "darwin":
        program = which("osascript")
        script = "on run argv\ndisplay notification (item 1 of argv) with title (item 2 of argv)\nend run"
        return [program, "-e", script, text, TITLE] if program is not None else None
    program = which("notify-send")
    # The text of a notification may have markup there.
    from html import escape  # brings a table of all entities

    return [program, "--app-name=lg-gateway", "--", TITLE, escape(text)] if program is not None else None
