"""The questions of calls that wait for a person."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from lg_console.sources.people import Person

WAITING = "pending"


@dataclass(frozen=True, kw_only=True)
class Choice:
    """An answer for always. `rule` is what would be written, and `place` where."""

    kind: str
    words: str
    rule: str
    place: str


@dataclass(frozen=True, kw_only=True)
class Question:
    """A question, with all of its text as a terminal shows it. Times are seconds since the epoch."""

    id: str
    state: str
    """pending, approved, denied, expired or used."""
    created: float
    expires: float
    text: str
    tool: str
    server: str
    identity: str
    client: str
    run_id: str
    where: str
    """The root or file that its gateway works for."""
    operator_only: bool
    in_session: bool
    choices: tuple[Choice, ...] = ()
    decided_by: str = ""
    reason: str = ""
    kept: str = ""
    key: str = ""
    """What the client that made the call knows it by."""
    of_run: bool = False
    """Whether a run of this program asks it: then whoever may answer for runs may answer."""
    answer_at: str = ""
    """The page where it can be answered, of one that cannot be answered by a yes or no."""

    def rights(self, person: Person) -> Person:
        """Return a person with the rights that count for this question."""
        return person if self.of_run else person.at_gateway

    @property
    def waiting(self) -> bool:
        """Whether it waits for an answer."""
        return self.state == WAITING

    @property
    def turn(self) -> tuple[str, str, str]:
        """What questions of one turn have in common."""
        return (self.identity, self.client, self.run_id)


@dataclass(frozen=True, kw_only=True)
class Decision:
    """What a person says: `once`, `run`, `session`, `deny`, or the kind of a choice for always."""

    word: str
    reason: str = ""


class ApprovalsSource(Protocol):
    """Questions, and the answers to them."""

    async def waiting(self) -> list[Question]:
        """Return what waits, oldest first."""
        ...

    async def recent(self, limit: int) -> list[Question]:
        """Return the newest questions that no longer wait, newest first."""
        ...

    async def question(self, question_id: str) -> Question | None:
        """Return one question."""
        ...

    async def decide(self, person: Person, question_id: str, decision: Decision) -> Question:
        """Answer. Raises `Conflict` if it no longer waits, `PolicyDenied` if it is not this person's to answer."""
        ...

    async def mark(self) -> str:
        """Return a text that is another one as soon as a question has come or changed."""
        ...
