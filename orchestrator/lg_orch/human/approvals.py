"""Questions to a human and their answers. Flags answer here; `terminal` asks a person, `inquiry` remembers.

Four kinds: may this call be made (`approval`); a call waits for somebody else's yes (`elsewhere`: an operator, or a
place that shows the question whole); was a call carried out whose outcome is lost (`outcome`); a server asks for the
fields of a form while its tool runs (`question`). The gateway composes what an approval says, quotes what callers and
servers wrote, and judges the answer; here it is shown and answered. The default answer is no.

Not covered: this is the user's consent, not a boundary. Questions that only an operator may answer are never put to
the user; the user is told where they wait.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, Protocol, runtime_checkable

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

Kind = Literal["approval", "elsewhere", "outcome", "question"]
Decision = Literal["once", "run", "deny", "edit", "again", "done", "not_done", "stop", "answer"]
DECISIONS: Mapping[Kind, tuple[Decision, ...]] = {
    "approval": ("once", "run", "deny", "edit"),
    "elsewhere": ("again", "deny"),
    "outcome": ("done", "not_done", "stop"),
    "question": ("answer", "deny"),
}
APPROVAL_KEY = "approve."
"""What the gateway's own questions are keyed by."""
SERVER_KEY = "ask."
"""What the questions of servers are keyed by that the gateway passes on."""


@dataclass(frozen=True, kw_only=True)
class Question:
    """One question about one call. `builtin`: about a tool of our own servers."""

    tool: str
    builtin: bool
    message: str
    key: str = ""
    """Its name: the same for the same call, another for any other."""
    kind: Kind = "approval"
    call_id: str = ""
    arguments: Mapping[str, Any] = field(default_factory=dict)
    """What the call would be made with; not part of what is kept, the state has it."""
    form: Mapping[str, Any] = field(default_factory=dict)
    """With `question`: JSON Schema of the answer, an object of plain fields."""
    guides: tuple[str, ...] = ()
    """Agent guides, such as `AGENTS.md`, that the call changes or may change: `--yes` does not answer for them."""
    always: Mapping[str, str] = field(default_factory=dict)
    """With `approval`: rules that a person may keep the answer as, by kind, each with the text that is written."""
    turn: str = ""
    """The same for questions about calls of one turn that were put together."""
    lost_before: bool = False
    """With `outcome`: the call was lost before it was made again now. Not kept, it is about this moment."""


@dataclass(frozen=True, kw_only=True)
class HumanAnswer:
    """The answer and who gave it (`--yes`, `--deny-all`, `terminal`, `resume --approve`)."""

    decision: Decision
    by: str
    reason: str = ""
    arguments: Mapping[str, Any] | None = None
    """With `edit`: what to make the call with instead. With `answer`: the fields of the form."""
    keep: str = ""
    """With `once`: the kind of the rule that the answer is kept as. Only a person at a terminal says so."""


class Approver(Protocol):
    """Whoever answers."""

    async def ask(self, question: Question) -> HumanAnswer | None:
        """Return the answer, or `None` when no one is there to give one."""
        ...


@runtime_checkable
class AsksTogether(Protocol):
    """An approver that takes several questions at once."""

    async def ask_together(self, questions: Sequence[Question]) -> None:
        """Have all of them answered; each answer is found by its question afterwards."""
        ...


@runtime_checkable
class AnswersTogether(Protocol):
    """A person who is shown several questions at once."""

    async def answer_together(self, questions: Sequence[Question]) -> list[HumanAnswer] | None:
        """Return an answer to each, or `None` when no one is there to give one."""
        ...


class Nobody:
    """Answers nothing: the question stays open and the call is not made."""

    async def ask(self, _question: Question) -> HumanAnswer | None:
        """Answer nothing."""
        return None


class DenyAll:
    """`--deny-all`: denies every call that needs approval. It cannot know whether a lost call was carried out."""

    async def ask(self, question: Question) -> HumanAnswer | None:
        """Say no."""
        if question.kind == "outcome":
            return None
        return HumanAnswer(decision="deny", by="--deny-all", reason="the run was started with --deny-all")


class YesToBuiltin:
    """`--yes`: approves calls of our own tools, but no changes of agent guides; other questions go to `otherwise`."""

    def __init__(self, otherwise: Approver) -> None:
        self._otherwise = otherwise

    async def ask(self, question: Question) -> HumanAnswer | None:
        """Say yes to this one call of a built-in tool."""
        if question.kind == "approval" and question.builtin and not question.guides:
            return HumanAnswer(decision="once", by="--yes")
        return await self._otherwise.ask(question)


def by_flags(*, yes: bool, deny_all: bool) -> Approver:
    """Return what the flags answer."""
    if deny_all:
        return DenyAll()
    return YesToBuiltin(Nobody()) if yes else Nobody()
