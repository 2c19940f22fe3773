"""Every task of the evaluation, answered through the real file server in memory: facts, places and budget."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
from eval.repos import contents, names, unpack
from eval.run import Result, table
from eval.tasks import MAX_CALLS, Fact, Said, Task, judge, load

from tests.orchestrator.analyst.driver import ask

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("task", load(), ids=lambda task: task.id)
async def test_the_answer_says_every_fact_at_its_place(task: Task, tmp_path: Path) -> None:
    outcome = await ask(unpack(task.repo, tmp_path), task.request)
    answer = Said(
        statements=tuple(
            (item.text, f"{item.file}:{item.line}" if item.file else "") for item in outcome.answer.statements
        ),
        missing=outcome.answer.missing,
        text=outcome.text,
        refused=outcome.route.needs_model,
    )
    assert judge(task, answer) == []
    assert outcome.calls <= MAX_CALLS


@pytest.mark.parametrize("repo", names())
async def test_every_place_that_is_named_exists(repo: str, tmp_path: Path) -> None:
    files = contents(repo)
    outcome = await ask(unpack(repo, tmp_path), "summarize repo")
    placed = [item for item in outcome.answer.statements if item.file]
    assert placed
    for item in placed:
        assert item.file in files, item
        assert 1 <= (item.line or 0) <= max(1, files[str(item.file)].count("\n")), item


@pytest.mark.parametrize("repo", names())
async def test_every_quoted_value_stands_on_the_line_that_is_named(repo: str, tmp_path: Path) -> None:
    """Dependencies: the line named contains the dependency's own name."""
    files = contents(repo)
    outcome = await ask(unpack(repo, tmp_path), "what are its dependencies?")
    rows = [item for item in outcome.answer.statements if re.search(r", (runtime|requirements|optional)$", item.text)]
    for item in rows:
        name = re.split(r"[:/.]", item.text.split("`")[1])[-1]
        window = files[str(item.file)].splitlines()[(item.line or 1) - 1 :][:4]  # a Maven dependency spans lines
        assert any(name in line for line in window), item


async def test_the_same_repository_gives_the_same_answer(tmp_path: Path) -> None:
    root = unpack("monorepo", tmp_path)
    first, second = await ask(root, "summarize repo"), await ask(root, "summarize repo")
    assert first.answer == second.answer


def test_a_fact_elsewhere_a_missing_one_and_a_forbidden_word_are_all_wrong() -> None:
    task = Task(
        id="t",
        repo="r",
        request="q",
        facts=(Fact(words=("a", "b"), at="f:2"),),
        missing=("licence",),
        never=("secret",),
    )
    good = Said(statements=(("b and a", "f:2"),), missing=("no licence",), text="fine", refused=False)
    assert judge(task, good) == []
    bad = Said(statements=(("b and a", "f:3"),), missing=(), text="a secret", refused=True)
    assert len(judge(task, bad)) == 4


def test_the_table_shows_what_is_wrong() -> None:
    shown = table([Result(id="one", repo="r", ok=False, facts=1, wrong=("not said: x",), seconds=1.0)], "a test")
    assert "WRONG one" in shown
    assert "not said: x" in shown
    assert "0 of 1 tasks" in shown
