"""Answers to the gateway's questions: by flag, on the terminal, or by nobody.

The gateway composes the question, quotes what callers and servers wrote, and judges the answer; here it is only shown
and answered. The default answer is no.

Not covered: this is the user's consent, not a boundary. Questions that only an operator may answer never come here.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol, TextIO

import anyio.to_thread

from lg_orch.text import visible

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

Decision = Literal["once", "run", "deny"]
APPROVAL_KEY = "approve."
"""What the gateway's own questions are keyed by; any other is a server's."""


@dataclass(frozen=True, kw_only=True)
class Question:
    """One question of the gateway about one call. `builtin`: about a tool of our own servers."""

    tool: str
    builtin: bool
    message: str
    key: str = ""
    """The gateway's name for it: the same for the same call, another for any other."""


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """The answer and who gave it (`--yes`, `--deny-all`, `terminal`)."""

    decision: Decision
    by: str
    reason: str = ""


class Approver(Protocol):
    """Whoever answers."""

    async def ask(self, question: Question) -> Verdict | None:
        """Return the answer, or `None` when nobody is there to give one."""
        ...


class Nobody:
    """The question stays open, the call is not made."""

    async def ask(self, _question: Question) -> Verdict | None:
        """Answer nothing."""
        return None


class Later:
    """The graph stops here with a checkpoint; the answer comes with `lg-orch resume`, if it answers this question."""

    async def ask(self, question: Question) -> Verdict | None:
        """Interrupt the graph, or return what it was resumed with. Raises LangGraph's `GraphInterrupt`."""
        from langgraph.types import interrupt

        payload = {"tool": question.tool, "builtin": question.builtin, "message": question.message, "key": question.key}
        while True:
            answer = interrupt(payload)
            # An answer to another question must not count for this one: ask again.
            if answer.get("key") == question.key:
                return Verdict(decision=answer["decision"], by=answer["by"], reason=answer.get("reason", ""))


class DenyAll:
    """`--deny-all`."""

    async def ask(self, _question: Question) -> Verdict | None:
        """Say no."""
        return Verdict(decision="deny", by="--deny-all", reason="the run was started with --deny-all")


class YesToBuiltin:
    """`--yes`: yes to questions about our own tools; every other goes to `otherwise`."""

    def __init__(self, otherwise: Approver) -> None:
        self._otherwise = otherwise

    async def ask(self, question: Question) -> Verdict | None:
        """Say yes to this one call of a built-in tool."""
        if question.builtin:
            return Verdict(decision="once", by="--yes")
        return await self._otherwise.ask(question)


class Pausing(Protocol):
    """A live view that can step aside."""

    def paused(self) -> AbstractContextManager[None]:
        """Hold still for the length of the block."""
        ...


class Terminal:
    """Asks on the terminal, one question at a time."""

    def __init__(self, view: Pausing, *, source: TextIO = sys.stdin, target: TextIO = sys.stderr) -> None:
        self._view = view
        self._source = source
        self._target = target
        self._lock = anyio.Lock()

    async def ask(self, question: Question) -> Verdict | None:
        """Show the question and read the answer; end of input is a no."""
        async with self._lock:
            with self._view.paused():
                return await anyio.to_thread.run_sync(self._ask, question, abandon_on_cancel=True)

    def _ask(self, question: Question) -> Verdict:
        print(f"\n{visible(question.message)}\n", file=self._target)
        answer = self._read("[o]nce, for this [r]un, or [D]eny? ").lower()
        decisions: dict[str, Decision] = {"o": "once", "once": "once", "r": "run", "run": "run"}
        decision = decisions.get(answer, "deny")
        reason = self._read("Reason, for the run to read (may be empty): ") if decision == "deny" else ""
        return Verdict(decision=decision, by="terminal", reason=reason)

    def _read(self, prompt: str) -> str:
        print(prompt, end="", file=self._target, flush=True)
        return self._source.readline().strip()


def choose_approver(*, yes: bool, deny_all: bool, view: Pausing, absent: Approver) -> Approver:
    """The flags' answer, else a person at the terminal, else `absent`."""
    if deny_all:
        return DenyAll()
    person: Approver = Terminal(view) if sys.stdin.isatty() and sys.stderr.isatty() else absent
    return YesToBuiltin(person) if yes else person
