"""Attacks on the console of the run service, which answers for runs and for the gateway behind them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from lg_console.sources.people import LoggedInBy, Person, Role
from lg_console.sources.questions import Decision
from lg_orch.cli import arguments
from lg_orch.runs.run_directory import fresh_run_id
from lg_orch.service.assembly import assemble
from lg_orch.service.console.approvals import AllApprovals
from lg_orch.service.console.people import ServicePeople
from lg_orch.service.records.rows import NewRun
from lg_orch.service.serving import service_of
from lg_orch.settings.setup import prepare
from lg_policy.errors import PolicyDenied
from tests.console.served import ServedConsole, served_console
from tests.gateway.rig import records, server

OPERATORS_ONLY = '[[gateway.rules]]\ntools = ["a__slow"]\neffect = "approve"\napprover = "operator"\n'


@dataclass(frozen=True, kw_only=True)
class OneConsole:
    """The questions of a run service and of the gateway behind it."""

    gateway: ServedConsole
    approvals: AllApprovals
    holder: Person
    """Who holds an operator's token of the run service, as its login knows them."""
    run_id: str
    """A run of the service, which asks nothing."""

    def asked(self, tool: str, run_id: str | None = None) -> str:
        """Have another client make a call that waits; return the id of its question."""
        meta = {"lg/run": {"run_id": run_id, "epoch": 1, "step": "1"}} if run_id else {}
        self.gateway.begin_call(tool, {"text": "x"} if tool == "a__echo" else {}, meta=meta, client="another 1.0")
        (question,) = self.gateway.waiting(1)
        return question

    def answer(self, person: Person, question: str, word: str = "once") -> Any:
        """Answer a question at the console."""
        return self.gateway.run(self.approvals.decide, person, question, Decision(word=word))

    def stays_open(self, question: str) -> bool:
        """Whether a question still waits, nothing was recorded as answered, and the call was not made."""
        notes = {note["outcome"] for note in records(self.gateway.gateway, notes=True)}
        return self.gateway.waiting(1) == [question] and not notes & {"approved", "denied"} and not self.gateway.answers


@pytest.fixture
def console(tmp_path: Path) -> Iterator[OneConsole]:
    root = tmp_path / "repo"
    root.mkdir()
    with _service(root) as parts, served_console(tmp_path, server("a"), OPERATORS_ONLY) as gateway:
        service = service_of(parts, None)
        named, place, root_id = service.repositories.resolve(None)
        new = NewRun(
            run_id=fresh_run_id(), request="x", repository=named, root=place, root_id=root_id, options={},
            created_by="ann", priority=0, key=None,
        )  # fmt: skip
        row, _ = service.runs.create(new, max_queued=10)
        people = ServicePeople(parts.tokens, gateway.console.people)
        holder = gateway.run(people.operator, parts.tokens.create("ann", "operator", 3600))
        assert holder is not None
        assert gateway.console.sources.approvals is not None
        approvals = AllApprovals(service, gateway.console.sources.approvals)
        yield OneConsole(gateway=gateway, approvals=approvals, holder=holder, run_id=row.run_id)


@contextmanager
def _service(root: Path) -> Iterator[Any]:
    args = arguments(["serve", "--repo-root", str(root)])
    parts = assemble(args, prepare(args))
    try:
        yield parts
    finally:
        parts.close()


@pytest.mark.attack("login", "a program's token of the run service answers what another client of the gateway asks")
def test_a_token_of_the_run_service_answers_no_question_of_another_client(console: OneConsole) -> None:
    question = console.asked("a__echo")
    for word in ("once", "deny", "session"):
        with pytest.raises(PolicyDenied):
            console.answer(console.holder, question, word)
    assert console.stays_open(question)


@pytest.mark.attack("login", "somebody who came by a link answers a question that only an operator may answer")
def test_a_link_is_not_enough_for_a_question_to_operators(console: OneConsole) -> None:
    question = console.asked("a__slow")
    by_link = Person(name="local", role=Role.OPERATOR, local=True, by=LoggedInBy.LINK)
    for word in ("once", "deny"):
        with pytest.raises(PolicyDenied, match="needs the role operator"):
            console.answer(by_link, question, word)
    assert console.stays_open(question)


@pytest.mark.attack("login", "a client names a run of the service in its call, so that who answers for runs answers it")
def test_a_forged_run_id_makes_no_question_one_of_a_run(console: OneConsole) -> None:
    question = console.asked("a__echo", console.run_id)
    for word in ("once", "run", "deny"):
        with pytest.raises(PolicyDenied):
            console.answer(console.holder, question, word)
    shown = console.gateway.run(console.approvals.question, question)
    assert shown is not None
    assert not shown.of_run
    assert console.stays_open(question)


@pytest.mark.attack("login", "a client names a run of the service in its call, so that nobody sees its question")
def test_a_forged_run_id_hides_no_question(console: OneConsole) -> None:
    question = console.asked("a__echo", console.run_id)
    shown = console.gateway.run(console.approvals.waiting)
    assert [found.id for found in shown] == [question]
