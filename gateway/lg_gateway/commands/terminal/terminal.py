"""Reads from and writes to the controlling terminal, even if standard input and output are redirected.

Keys are read from the terminal itself and never kept: what was typed before a question was shown does not answer it.
An arrow, a function key or a paste comes as several bytes. It is one key that no menu has, whatever letters it holds.
"""

from __future__ import annotations

import os
import select
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Self

from lg_policy.errors import ConfigError
from lg_policy.printing import display_width
from lg_policy.terminal_rows import rows_of

LINE_BYTES = 4096
SEQUENCE_S = 0.05
"""What comes so soon after an escape belongs to the same key."""
PASTED = 8
"""More bytes than this at once were not pressed key by key."""
ESCAPE = b"\x1b"
_BEGIN_PASTE, _END_PASTE = b"\x1b[200~", b"\x1b[201~"
_MARK_PASTES, _LEAVE_PASTES = "\x1b[?2004h", "\x1b[?2004l"
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
        for line in rows_of(text, columns - 1):
            height = 1 + max(0, display_width(line) - 1) // columns
            if used and used + height > rows - 1:
                self.write("-- more: press a key --")
                while self.key(60.0) is None:
                    continue
                self.write("\r\x1b[K")
                used = 0
            self.write(line + "\n")
            used += height

    def tell(self, text: str) -> None:
        """Show a few lines of ours, which may hold foreign words."""
        self.write("\n".join(rows_of(text, self.width())) + "\n")

    def width(self) -> int:
        """Return how many columns a row may have: one less than there are, since some terminals wrap a full row."""
        return self._size()[1] - 1

    def key(self, seconds: float) -> str | None:
        """Return the next key pressed, lower case, `None` when none was for that long, "" at the end of input.

        A key of several bytes is returned whole, and so is the beginning of a paste.
        """
        import termios
        import tty

        before = termios.tcgetattr(self._fd)
        try:
            tty.setcbreak(self._fd, termios.TCSADRAIN)
            if not select.select([self._fd], [], [], seconds)[0]:
                return None
            if self._waiting() > PASTED:
                return self._pasted().decode("latin-1").lower()
            data = os.read(self._fd, 1)
            return (self._sequence() if data == ESCAPE else data).decode("latin-1").lower()
        finally:
            termios.tcsetattr(self._fd, termios.TCSADRAIN, before)

    @contextmanager
    def marking_pastes(self) -> Iterator[None]:
        """Have the terminal mark what is pasted for the length of the block, if it can."""
        marks = os.environ.get("TERM") not in (None, "", "dumb", "unknown")
        self.write(_MARK_PASTES if marks else "")
        try:
            yield
        finally:
            self.write(_LEAVE_PASTES if marks else "")

    def _waiting(self) -> int:
        """Return how many bytes can be read now."""
        import array
        import fcntl
        import termios

        count = array.array("i", [0])
        fcntl.ioctl(self._fd, termios.FIONREAD, count)
        return count[0]

    def _pasted(self) -> bytes:
        """Return the end of what comes all at once. Where a marked paste begins in it, that belongs to it."""
        data = os.read(self._fd, LINE_BYTES)
        while data.rfind(_BEGIN_PASTE) > data.rfind(_END_PASTE) or select.select([self._fd], [], [], SEQUENCE_S)[0]:
            more = os.read(self._fd, LINE_BYTES)
            if not more:
                break
            data = data[max(0, data.rfind(_BEGIN_PASTE)) :][:16] + data[-16:] + more
        return data

    def _sequence(self) -> bytes:
        """Return what belongs to the escape that was read: the rest of a key, or the end of a paste."""
        data = ESCAPE
        while not _is_whole(data) and select.select([self._fd], [], [], SEQUENCE_S)[0]:
            more = os.read(self._fd, 1)
            if not more:
                break
            data = data + more if len(data) < LINE_BYTES else data[:16] + data[-16:] + more
        return data

    def forget(self) -> None:
        """Drop what was typed so far."""
        import termios

        termios.tcflush(self._fd, termios.TCIFLUSH)

    def line(self, prompt: str) -> str:
        """Ask for a line; "" at the end of input."""
        self.forget()
        self.write("\n".join(rows_of(prompt.removesuffix(" "), self.width())) + " ")
        typed = os.read(self._fd, LINE_BYTES).replace(_BEGIN_PASTE, b"").replace(_END_PASTE, b"")
        return typed.decode("utf-8", "replace").strip()

    def _size(self) -> tuple[int, int]:
        """Return rows and columns as they are now."""
        try:
            size = os.get_terminal_size(self._fd)
        except OSError:
            return NO_SIZE
        return size.lines or NO_SIZE[0], size.columns or NO_SIZE[1]


def _is_whole(data: bytes) -> bool:
    """Whether this is all of what a key sends that begins with an escape, or of a marked paste."""
    if data.startswith(_BEGIN_PASTE):
        return data.endswith(_END_PASTE)
    if data[1:2] == b"[":
        return len(data) > 2 and 0x40 <= data[-1] <= 0x7E
    return len(data) > (2 if data[1:2] == b"O" else 1)
