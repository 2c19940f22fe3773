"""What was typed in earlier conversations about this repository: a file of mode 0600 in the state directory."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from prompt_toolkit.history import FileHistory

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

MAX_BYTES = 1_000_000
"""Of the file; the older half goes when it is longer."""


class PrivateHistory(FileHistory):
    """Keeps what is typed, with secrets hidden. A file that cannot be used costs the history and nothing else."""

    def __init__(self, path: Path) -> None:
        super().__init__(str(path))
        self.mask: Callable[[str], str] = str
        try:
            os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600))
            os.chmod(path, 0o600)
            _shorten(path)
        except OSError:
            self._usable = False
        else:
            self._usable = True

    def load_history_strings(self) -> Iterable[str]:
        """Return the entries, the newest first."""
        return super().load_history_strings() if self._usable else ()

    def store_string(self, string: str) -> None:
        """Keep an entry."""
        if self._usable:
            try:
                super().store_string(self.mask(string.encode("utf-8", "replace").decode()))
            except OSError:
                self._usable = False


def _shorten(path: Path) -> None:
    """Drop the older half of a file that has grown too long, up to the beginning of an entry."""
    from lg_policy.state import replace_file

    if os.path.getsize(path) <= MAX_BYTES:
        return
    data = path.read_bytes()[-MAX_BYTES // 2 :]
    replace_file(path, data[data.find(b"\n# ") + 1 :])
