"""All that waits for a person: the questions that the gateway keeps, and what runs ask.

A call of a run waits twice: the gateway keeps its question, and the run has stopped at it. Both are shown as one. An
answer goes to the gateway, whose ledger names who gave it, and to the run, which goes on. They are matched by the key
that the gateway derives from the question itself.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from hashlib import sha256
from typing import TYPE_CHECKING
from urllib.parse import quote

import anyio.to_thread

from lg_console.sources.people import LoggedInBy, Role
from lg_console.sources.questions import Question
from lg_orch.service.api.service import question_view, questions_of
from lg_orch.service.records.rows import Filter
from lg_policy.errors import Conflict, InvalidArguments, NotFound

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lg_console.sources.people import Person
    from lg_console.sources.questions import ApprovalsSource, Decision
    from lg_orch.service.api.service import RunService
    from lg_orch.service.records.rows import RunRow

RUNS = 200
"""Waiting runs whose questions are shown."""
ANSWERS = {"once": ("once", "approved"), "run": ("run", "approved"), "deny": ("deny", "denied")}
"""What a decision tells a run, and the state of its question then."""
ELSEWHERE = "elsewhere."
"""Begins the key of a run's question that only somebody else may answer: the id of the gateway's follows."""


class AllApprovals:
    """Questions of the gateway and of runs."""

    def __init__(self, service: RunService, gateway: ApprovalsSource) -> None:
        self._service = service
        self._gateway = gateway
        self._read: dict[str, tuple[tuple[float, int], list[Question]]] = {}
        """Questions of runs as they were read last, by run."""
        self._keys: dict[str, tuple[int, frozenset[str]]] = {}
        """Keys of what runs have asked, with the number of the event up to which they were read."""

    async def waiting(self) -> list[Question]:
        """Return what waits, oldest first."""
        kept, asked = await self._gateway.waiting(), await self._of_runs()
        joined = [_joined(question, asked) for question in kept]
        found = [question for question in joined if not await self._is_left(question)]
        known = {question.key for question in joined}
        own = [question for question in asked.values() if question.key not in known]
        return sorted([*found, *own], key=lambda question: question.created)

    async def recent(self, limit: int) -> list[Question]:
        """Return the newest questions that no longer wait, newest first."""
        return await self._gateway.recent(limit)

    async def question(self, question_id: str) -> Question | None:
        """Return one question."""
        asked = await self._of_runs()
        found = await self._gateway.question(question_id)
        if found is not None:
            return _joined(found, asked)
        return next((question for question in asked.values() if question.id == question_id), None)

    async def decide(self, person: Person, question_id: str, decision: Decision) -> Question:
        """Answer a question, and have the run that asks it go on."""
        found = await self.question(question_id)
        if found is None:
            raise NotFound(f"there is no question {question_id[:40]}", hint="it may be answered already")
        if found.answer_at:
            raise InvalidArguments(f"question {found.id} takes more than a yes or no", hint=f"see {found.answer_at}")
        if found.of_run and (person.by is LoggedInBy.RUN_TOKEN or await self._gateway.question(question_id) is None):
            return await self._told(person, found, decision)
        done = await self._gateway.decide(person, question_id, decision)
        if found.of_run or found.key.startswith(ELSEWHERE):
            # That somebody else told the run meanwhile changes nothing: the gateway holds the answer.
            with suppress(Conflict):
                await self._tell(person, found, decision)
        return done

    async def mark(self) -> str:
        """Return a digest of what waits."""
        rows = await self._rows()
        own = [[row.run_id, row.updated] for row in rows]
        return sha256(f"{await self._gateway.mark()} {own}".encode()).hexdigest()[:16]

    async def _told(self, person: Person, question: Question, decision: Decision) -> Question:
        """Answer the run alone: it hands the answer to its gateway."""
        if decision.word not in ANSWERS:
            raise InvalidArguments(f"question {question.id} cannot be answered with {decision.word!r}")
        person.need(Role.APPROVER)
        await self._tell(person, question, decision)
        state = ANSWERS[decision.word][1]
        return replace(question, state=state, decided_by=person.name, reason=decision.reason)

    async def _tell(self, person: Person, question: Question, decision: Decision) -> None:
        """Have the run go on with an answer. Raises `Conflict` if it does not wait any more."""
        again = question.key.startswith(ELSEWHERE)
        word = "again" if again else ANSWERS.get(decision.word, ANSWERS["once"])[0]
        said = {"key": question.key, "decision": word, "reason": decision.reason, "arguments": None, "if_lost": None}
        runs, run_id = self._service.runs, question.run_id
        await anyio.to_thread.run_sync(lambda: runs.say(run_id, "answer", said, person.name, expected=("waiting",)))
        self._service.wake()

    async def _is_left(self, question: Question) -> bool:
        """Whether a run asked a question and no longer waits for it: it ended, or was answered and goes on.

        Any client may name a run. Only the run's own journal says that the run has asked.
        """
        if not question.run_id or question.of_run or question.key.startswith(ELSEWHERE):
            return False
        try:
            keys = await anyio.to_thread.run_sync(self._asked_by, question.run_id)
        except (NotFound, InvalidArguments):
            return False
        return question.key in keys or f"{ELSEWHERE}{question.id}" in keys

    def _asked_by(self, run_id: str) -> frozenset[str]:
        """Return the keys of all questions that a run has ever asked."""
        row = self._service.runs.get(run_id)
        last = self._service.events.last(row)
        known = self._keys.get(run_id)
        if known is None or known[0] != last:
            events = self._service.events.all(row)
            keys = frozenset(str(event.data.get("key")) for event in events if event.kind == "approval")
            self._keys.pop(run_id, None)
            self._keys[run_id] = known = (last, keys)
            if len(self._keys) > RUNS:
                del self._keys[next(iter(self._keys))]
        return known[1]

    async def _rows(self) -> list[RunRow]:
        return await anyio.to_thread.run_sync(self._service.runs.page, Filter(state="waiting"), RUNS)

    async def _of_runs(self) -> Mapping[str, Question]:
        """Return what runs wait for, by key."""
        rows = await self._rows()
        fresh = [row for row in rows if self._read.get(row.run_id, (None,))[0] != (row.updated, row.epoch)]
        read = await anyio.to_thread.run_sync(lambda: {row.run_id: self._asked(row) for row in fresh})
        self._read = {
            row.run_id: ((row.updated, row.epoch), read[row.run_id]) if row.run_id in read else self._read[row.run_id]
            for row in rows
        }
        return {question.key: question for _, asked in self._read.values() for question in asked}

    def _asked(self, row: RunRow) -> list[Question]:
        events = self._service.events.all(row)
        views = [question_view(question, events) for question in questions_of(self._service, row, events)]
        return [
            Question(
                id=f"{row.run_id}.{sha256(view.key.encode()).hexdigest()[:8]}",
                state="pending",
                created=row.updated,
                expires=0.0,
                text=view.message,
                tool=view.tool,
                server=view.tool.partition("__")[0],
                identity=row.created_by,
                client="lg-orch",
                run_id=row.run_id,
                where=row.repository,
                operator_only=False,
                in_session=False,
                key=view.key,
                of_run=True,
                answer_at="" if view.kind == "approval" else f"/runs/{quote(row.run_id, safe='')}",
            )
            for view in views
        ]


def _joined(question: Question, asked: Mapping[str, Question]) -> Question:
    """Return a question of the gateway; of one that a run waits for, it says so."""
    if not question.waiting:
        return question
    if question.key in asked:
        return replace(question, of_run=True)
    elsewhere = f"{ELSEWHERE}{question.id}"
    return replace(question, key=elsewhere) if elsewhere in asked else question
