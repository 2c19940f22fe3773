"""A conversation on a terminal of its own, with a model on the real wire."""

from __future__ import annotations

import os
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lg_orch.testing import Scripted, text
from tests.gateway.commands.terminals import WAIT_S, Screen, on_terminal

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from tests.orchestrator.llm.project import Project

OPENS, CLOSES = "\x1b[?2004h", "\x1b[?2004l"
"""What the terminal is told when an input begins and ends."""
ASKS_FOR_PLACE = "\x1b[6n"
ROUTE = text('{"intent": "question", "lane": "interactive", "rationale": "A question."}')


class Talk(Screen):
    """The terminal also answers where its cursor is, as real ones do."""

    def __init__(self, screen: Screen) -> None:
        self.__dict__ = screen.__dict__  # one terminal, seen through both

    def say(self, text: str) -> None:
        """Type a line once the conversation waits for one."""
        self.wait_for_input()
        self.type(f"{text}\r")

    def wait_for_input(self) -> None:
        """Wait until the conversation takes input."""
        deadline = time.monotonic() + WAIT_S
        while self.shown.rfind(OPENS) <= self.shown.rfind(CLOSES):
            assert self._read(deadline), f"no input was opened:\n{self.shown}"

    def _read(self, deadline: float) -> bool:
        before = len(self.shown)
        more = super()._read(deadline)
        for _ in range(self.shown.count(ASKS_FOR_PLACE, max(0, before - len(ASKS_FOR_PLACE) + 1))):
            self.type("\x1b[1;1R")
        return more


@contextmanager
def talking(
    project: Project,
    *flags: str,
    chat: tuple[str, ...] = ("chat",),
    size: tuple[int, int] = (40, 110),
    env: Mapping[str, str] | None = None,
) -> Iterator[Talk]:
    """`lg-orch chat` in the project."""
    program = os.path.join(os.path.dirname(sys.executable), "lg-orch")
    command = (program, *chat, *flags, "--config", str(project.settings), "--repo-root", str(project.root))
    env = {**os.environ, "TERM": "xterm-256color", "LG_MODEL": "", **(env or {})}
    with on_terminal(*command, env=env, size=size) as screen:
        yield Talk(screen)


def state() -> Path:
    """Where the program keeps what it knows."""
    return Path(os.environ["XDG_STATE_HOME"])


def working(script: list[Scripted]) -> Callable[[dict[str, Any]], Scripted]:
    """A model that answers the requests of the work in turn, and one that only classifies as a question."""
    answers = iter(script)
    return lambda request: next(answers) if request.get("tools") else ROUTE
