"""A terminal that scripts type at, and what it shows at the end: for the pictures of docs/."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Sequence
from pathlib import Path

TIMEOUT_S = 300
ASKS_FOR_PLACE = "\x1b[6n"
CONTROL = re.compile(
    r"\x1b\[([?0-9;]*)([A-Za-z])|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)|\x1b[=>78]|[\r\n\b\x07]|.", re.DOTALL
)


class Grid:
    """A terminal that only grows: each cell is a letter and the colours that it was written in."""

    def __init__(self) -> None:
        self.cells: list[list[tuple[str, str]]] = [[]]
        self.row = self.column = 0
        self._style = ""

    def write(self, printed: str) -> None:
        """Take what a program printed."""
        for match in CONTROL.finditer(printed):
            if match[2] is not None:
                self._control(match[2], match[1])
            elif match[0] == "\r":
                self.column = 0
            elif match[0] == "\n":
                self._down(1)
            elif match[0] == "\b":
                self.column = max(0, self.column - 1)
            elif match[0].isprintable():
                self._put(match[0])

    def lines(self) -> list[str]:
        """Return the rows, with a colour code where the colour changes."""
        rows = []
        for row in self.cells:
            style, parts = "", []
            for letter, own in row:
                parts.append((f"\x1b[0m{own}" if own != style else "") + letter)
                style = own
            rows.append("".join(parts).rstrip())
        return rows

    def _put(self, letter: str) -> None:
        row = self.cells[self.row]
        row += [(" ", "")] * (self.column + 1 - len(row))
        row[self.column] = (letter, self._style)
        self.column += 1

    def _down(self, count: int) -> None:
        self.row += count
        self.cells += [[] for _ in range(self.row + 1 - len(self.cells))]

    def _control(self, kind: str, given: str) -> None:
        number = int(given) if given.isdecimal() and int(given) else 1
        if kind == "m":
            self._style = "" if given in ("", "0") else f"{self._style}\x1b[{given}m"
        elif kind in "AB":
            self.row = max(0, self.row - number) if kind == "A" else self.row
            self._down(number if kind == "B" else 0)
        elif kind in "CD":
            self.column = max(0, self.column + (number if kind == "C" else -number))
        elif kind in "JK":
            del self.cells[self.row][self.column :]
            if kind == "J":
                del self.cells[self.row + 1 :]


def typed(
    argv: Sequence[str],
    keys: Sequence[tuple[str, str]],
    *,
    cwd: Path,
    environ: dict[str, str],
    columns: int,
    prompt: str,
) -> list[str]:
    """Run a program at a terminal, behind a prompt; return the rows that it shows at the end.

    `keys` is what is waited for, and what is typed then. Ends this program where that one fails or is not done.
    """
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 400, columns, 0, 0))
    grid, left, heard, deadline = Grid(), list(keys), "", time.monotonic() + TIMEOUT_S
    grid.write(f"\x1b[32m$\x1b[0m {prompt}\r\n")
    with subprocess.Popen(
        argv, cwd=cwd, env=environ, stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True
    ) as process:
        os.close(theirs)
        while time.monotonic() < deadline:
            if not select.select([ours], [], [], 1)[0]:
                continue
            try:
                printed = os.read(ours, 65_536).decode("utf-8", "replace")
            except OSError:  # Linux says so when the last program has closed the terminal
                break
            grid.write(printed)
            heard += printed
            for _ in range(printed.count(ASKS_FOR_PLACE)):
                os.write(ours, f"\x1b[{grid.row + 1};{grid.column + 1}R".encode())
            while left and left[0][0] in heard:
                awaited, pressed = left.pop(0)
                heard = heard[heard.index(awaited) + len(awaited) :]
                os.write(ours, pressed.encode())
        else:
            process.kill()
    os.close(ours)
    if process.returncode != 0 or left:
        sys.exit(f"{prompt}: ended with {process.returncode} before {left[:1]}:\n{grid.lines()}")
    return grid.lines()
