"""What a conversation shows while a run works: lines that stay, and the rows of the toolbar below the input."""

from __future__ import annotations

import sys
import time
from contextlib import nullcontext
from typing import TYPE_CHECKING

from lg_orch.display.live_state import LiveState
from lg_orch.display.progress import describe, is_capable, lines_behind, stays, style_of
from lg_policy.terminal_rows import rows_of

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from lg_orch.contracts.events import Event


class ChatView:
    """Shows the runs of a conversation, one after the other."""

    def __init__(self, *, verbose: bool) -> None:
        self._verbose = verbose
        self._state = LiveState(time.monotonic())

    def begin(self) -> None:
        """Forget the run before."""
        self._state = LiveState(time.monotonic())

    def rows(self, width: int) -> list[str]:
        """Return what is going on now."""
        return self._state.rows(width)

    def show(self, event: Event) -> None:
        """Follow the event; print it if it is one that stays."""
        line = describe(event)
        self._state.take(event, line)
        if line is not None and event.phase != "progress" and (self._verbose or stays(event)):
            self.say(" ".join(line.split()))

    def say(self, line: str) -> None:
        """Print a line, above the input where there is one."""
        # Looked up now: while the input is shown, both streams lead around it.
        if not is_capable(sys.stderr):
            print(f"  {lines_behind(line)}", file=sys.stderr, flush=True)
            return
        from rich.console import Console
        from rich.text import Text

        console = Console(file=sys.stderr, highlight=False, markup=False, emoji=False, force_terminal=True)
        shown = "\n".join(rows_of(f"  {lines_behind(line)}", console.width))
        console.print(Text(shown, style_of(line) or "dim"), soft_wrap=True)

    def close(self) -> None:
        """Do nothing: the toolbar goes with the input."""

    def paused(self) -> AbstractContextManager[None]:
        """Do nothing: whoever asks has taken the keyboard first."""
        return nullcontext()
