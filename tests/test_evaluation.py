"""The evaluation's tasks of several files: their hidden checks tell right from wrong, whatever a run leaves behind."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from eval import work_tasks
from eval.work_run import RESULTS, KnowsTheSolution, Row, reference, table
from eval.work_run import earlier as stored_results
from eval.work_tasks import judge, load, load_all, verify, write

from lg_orch.cli import main

if TYPE_CHECKING:
    from pathlib import Path

FAST = ("flaky", "shared_cause", "split")
"""Tried here; `python -m eval.work_run --verify` tries all."""
CHEAT = """
import pytest


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    report = (yield).get_result()
    report.outcome = "passed"
"""


def test_there_are_twelve_tasks_of_several_files_each_with_a_right_and_a_wrong_solution() -> None:
    tasks = load_all()
    assert len(tasks) >= 12
    for task in tasks:
        assert task.request, task.id
        assert len(task.files["project"]) >= 5, task.id
        changed = {path.removeprefix("!") for path in task.files["reference"]}
        assert changed - task.files["hidden"].keys(), task.id
        assert task.files["lazy"] != task.files["reference"], task.id
    assert len({task.kind for task in tasks}) == len(tasks)


@pytest.mark.parametrize("identity", FAST)
def test_hidden_checks_fail_on_the_untouched_and_on_a_lazy_solution_and_pass_on_a_right_one(identity: str) -> None:
    assert verify(load(identity)) == []


def test_what_a_run_writes_for_the_test_runner_does_not_decide_how_it_is_judged(tmp_path: Path) -> None:
    task = load("shared_cause")
    write(task, tmp_path, "project")
    (tmp_path / "conftest.py").write_text(CHEAT)
    (tmp_path / "pytest.ini").write_text("[pytest]\naddopts = --collect-only\n")
    (tmp_path / "test_hidden.py").write_text("")
    assert judge(task, tmp_path) != []


def test_a_task_whose_path_leaves_the_project_is_refused(tmp_path: Path) -> None:
    text = "kind: x\nrequest: y\n" + "".join(f"-- {section}/a --\n" for section in work_tasks.SECTIONS)
    evil = tmp_path / "evil.txt"
    evil.write_text(text + "-- hidden/../../a --\n")
    with pytest.raises(ValueError, match="leaves the project"):
        work_tasks.read("evil", evil)


def test_the_script_says_the_whole_reference_solution_also_where_it_removes_a_file() -> None:
    *reads, change, end = reference(load("split"))
    assert "bank/model.py" in reads[0].calls[0][1]
    assert "+++ /dev/null" in change.calls[0][1]
    assert change.calls[0][1].count("--- /dev/null") == 4
    assert end.calls == ()


def test_the_script_sorts_and_plans_where_no_tools_are_offered_and_says_its_solution_where_some_are() -> None:
    model = KnowsTheSolution(load("flaky"))
    asked = {"messages": [{"role": "system", "content": 'one of "lane"'}]}
    assert json.loads(model(asked).content or "")["lane"] == "interactive"
    assert model(asked | {"tools": [{}]}).calls


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--task", "no-such"], "tasks are atomic"),
        (["--store", "../results"], "not the name of a file"),
        (["--tasks", "/nowhere/eval"], "clone the repository"),
        (["--model", "nonsense"], "PROVIDER:NAME"),
        (["--model", "openai:x", "--record", "somewhere"], "--base-url"),
        (["--task", "split", "--replay", "nowhere"], "--record DIR makes one"),
    ],
)
def test_the_command_says_what_is_wrong_before_it_runs_anything(
    words: list[str], says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["eval", *words]) == 2
    assert says in capsys.readouterr().err


def test_the_command_reaches_the_tasks_of_its_clone_from_any_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "eval").mkdir()
    (tmp_path / "eval" / "work_run.py").write_text("raise SystemExit('the code of a repository was run')\n")
    monkeypatch.chdir(tmp_path)
    assert main(["eval", "--verify", "--task", "split"]) == 0
    assert capsys.readouterr().out == "split: right\n"


def test_the_stored_results_and_recordings_cover_every_task() -> None:
    for results in stored_results("script"):
        assert {row["task"] for row in results["rows"]} == {task.id for task in load_all()}, results["name"]
        assert all(row["solved"] for row in results["rows"]), results["name"]
    recorded = {path.stem for path in (RESULTS.parent / "cassettes" / "script").glob("*.jsonl")}
    assert recorded == {task.id for task in load_all()}


def test_the_table_shows_earlier_results_beside_new_ones_and_what_is_wrong() -> None:
    good = Row(task="a", solved=True, tokens=1_500, requests=3, cost=0.01, wall=2.0)
    bad = Row(task="b", solved=False, tokens=500, requests=2, cost=None, wall=1.0, wrong=("FAILED x | y",))
    stored = [{"name": "0.1", "rows": [{"task": "a", "solved": True, "tokens": 2_000, "requests": 4}]}]
    lines = table([good, bad], stored).splitlines()
    assert lines[2] == "| a | yes | 2,000 | 4 | 1,500 | 3 | $0.0100 | 2.0 |"
    assert lines[3] == "| b | NO: FAILED x / y | - | - | 500 | 2 | - | 1.0 |"
    assert lines[4] == "| all | 1 of 2 | 2,000 | 4 | 2,000 | 5 | $0.0100 | 3.0 |"
    assert len({line.count("|") for line in lines}) == 1


def test_what_got_worse_than_the_newest_stored_result_is_named() -> None:
    def row(task: str, tokens: int, *, solved: bool = True, requests: int = 3) -> Row:
        return Row(task=task, solved=solved, tokens=tokens, requests=requests, cost=None, wall=1.0, wrong=("x",))

    before = [
        {"task": task, "solved": task != "hard", "tokens": 1_000, "requests": 3}
        for task in ("same", "lost", "dear", "slow", "hard")
    ]
    stored: list[dict[str, Any]] = [{"name": "0.0", "rows": []}, {"name": "0.1", "rows": before}]
    now = [
        row("same", 1_050), row("lost", 900, solved=False), row("dear", 1_200), row("slow", 900, requests=4),
        row("hard", 9_000, solved=False), row("new", 1),
    ]  # fmt: skip
    assert table(now, stored).splitlines()[-1] == (
        "Worse than 0.1: lost is not solved any more; dear takes +20% tokens, 3 requests instead of 3; "
        "slow takes -10% tokens, 4 requests instead of 3."
    )
    assert "Worse" not in table([row("same", 1_000)], stored)
