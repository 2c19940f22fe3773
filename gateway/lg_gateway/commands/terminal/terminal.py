"""Reads from and writes to the controlling terminal, even if standard input and output are redirected.

Keys are read one by one from the terminal itself and never kept: what was typed before a question was shown does not
answer it.
"""

from __future__ import annotations

import os
import select
import sys
from types import TracebackType
from typing import Self

from lg_policy.errors import ConfigError
from lg_policy.printing import display_width

LINE_BYTES = 4096
NO_SIZE = (10**9, 80)
"""Rows and columns of a terminal that does not say."""


class Terminal:
    """Enter it. Raises `ConfigError` without a terminal, or where single keys cannot be read (Windows).

    `purpose` is the subject of that message: what needs a terminal.
    """

    def __init__(self, purpose: str = "approving") -> None:
        self._purpose = purpose

    def __enter__(self) -> Self:
        if sys.platform == "win32":
            raise ConfigError(
                "you can answer only at a POSIX terminal", hint="use WSL, or answer where your client asks you"
            )
        try:
            self._fd = os.open("/dev/tty", os.O_RDWR | os.O_CLOEXEC | os.O_NOCTTY)
        except OSError as error:
            raise ConfigError(
                f"{self._purpose} needs a terminal with a human at it", hint="run this command in a terminal"
            ) from error
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.close(self._fd)

    def write(self, text: str) -> None:
        """Show text. Whatever comes from callers and servers must have been made visible before."""
        data = text.encode("utf-8", "replace")
        while data:
            data = data[os.write(self._fd, data) :]

    def show(self, text: str) -> None:
        """Show text of any length, page by page where it does not fit, so that nothing scrolls by unseen."""
        rows, columns = self._size()
        used = 0
        for line in text.split("\n"):
            height = 1 + max(0, display_width(line) - 1) // columns
            if used and used + height > rows - 1:
                self.write("-- more: press a key --")
                while self.key(60.0) is None:
                    continue
                self.write("\r\x1b[K")
                used = 0
            self.write(line + "\n")
            used += height

    def width(self) -> int:
        """Return how many columns a row may have: one less than there are, since some terminals wrap a full row."""
        return self._size()[1] - 1

    def key(self, seconds: float) -> str | None:
        """Return the next key pressed, lower case, `None` when none was for that long, "" at the end of input."""
        import termios
        import tty

        before = termios.tcgetattr(self._fd)
        try:
            tty.setcbreak(self._fd, termios.TCSADRAIN)
            if not select.select([self._fd], [], [], seconds)[0]:
                return None
            return os.read(self._fd, 1).decode("latin-1").lower()
        finally:
            termios.tcsetattr(self._fd, termios.TCSADRAIN, before)

    def forget(self) -> None:
        """Drop what was typed so far."""
        import termios

        termios.tcflush(self._fd, termios.TCIFLUSH)

    def line(self, prompt: str) -> str:
        """Ask for a line; "" at the end of input."""
        self.forget()
        self.write(prompt)
        return os.read(self._fd, LINE_BYTES).decode("utf-8", "replace").strip()

    def _size(self) -> tuple[int, int]:
        """Return rows and columns as they are now."""
        try:
            size = os.get_terminal_size(self._fd)
        except OSError:
            return NO_SIZE
        return size.lines or NO_SIZE[0], size.columns or NO_SIZE[1]
