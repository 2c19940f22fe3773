"""Runs of the installed program that broke off, by an outage or at a limit, and went on in another process."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from lg_orch.testing import Scripted, ScriptedModel, broken, calls, text
from tests.gateway.commands.support_commands import run
from tests.gateway.commands.terminals import gateway_on_terminal
from tests.orchestrator.llm.project import ANSWER, READ, RIGHT, WRONG, Project, make, patch
from tests.orchestrator.programs import lg_orch

if TYPE_CHECKING:
    import subprocess
    from pathlib import Path

pytestmark = pytest.mark.usefixtures("programs_by_fork")


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return make(tmp_path)


def again(
    project: Project, *flags: str, command: str = "resume", env: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    return lg_orch(command, "last", *flags, cwd=project.root, env=project.env() | (env or {}))


def journal(project: Project, state: Path) -> bytes:
    (path,) = state.glob("runs/*/journal.jsonl")
    return path.read_bytes()


def test_after_an_outage_a_run_goes_on_where_it_was_and_repeats_no_effect(project: Project) -> None:
    script = [calls(READ), calls(patch()), broken(503, "out of order"), broken(401, "wrong key"), text(ANSWER)]
    with ScriptedModel(script) as model:
        project.configure(model)
        ended = project.run("--yes")
        assert ended.returncode == 1, ended.stdout + ended.stderr
        run_id = project.trace()["run_id"]
        assert ended.stdout.startswith("**Failed:** the language model could not be asked: openai:scripted:")
        assert "out of order" in ended.stdout
        assert "Changed so far: `calc.py`" in ended.stdout
        assert f"`lg-orch resume {run_id}` continues from there" in ended.stdout
        keyless = again(project, "--yes")
        assert keyless.returncode == 1
        assert "is OPENAI_API_KEY right?" in keyless.stdout
        listed = lg_orch("runs", "list", cwd=project.root)
        assert "(can be resumed)" in listed.stdout
        done = again(project, "--yes")
    assert done.returncode == 0, done.stdout + done.stderr
    assert ANSWER in done.stdout
    assert RIGHT in project.source()
    asked = [request["messages"] for request in model.requests[2:]]
    assert asked[0] == asked[1] == asked[2], "the request that brought nothing is made again as it was"
    trace = project.trace()
    keys = [call["idempotency_key"] for call in trace["tool_calls"]]
    assert len(keys) == len(set(keys))
    assert len(trace["patches"]) == 1
    assert trace["status"] == "done"
    assert trace["usage"]["tokens"] == sum(model.prompt_tokens) + sum(model.completion_tokens)
    assert "can be resumed" not in lg_orch("runs", "list", cwd=project.root).stdout
    replayed = again(project, command="replay")
    assert replayed.returncode == 0
    assert ANSWER in replayed.stdout
    assert "failed" in replayed.stderr
    undone = again(project, "--yes", command="undo")
    assert undone.returncode == 0, undone.stderr
    assert WRONG in project.source()


def test_a_run_that_is_resumed_without_a_key_is_left_as_it_is_and_goes_on_once_there_is_one(project: Project) -> None:
    with ScriptedModel([calls(READ), broken(503, "out of order"), calls(patch()), text(ANSWER)]) as model:
        project.configure(model)
        assert project.run("--yes").returncode == 1
        project.settings.write_text('[models.default]\nprovider = "openai"\nmodel = "scripted"\n')
        flags = ("--yes", "--config", str(project.settings))
        keyless = lg_orch("resume", "last", *flags, cwd=project.root, env={"OPENAI_API_KEY": ""})
        assert keyless.returncode == 2
        assert "set OPENAI_API_KEY" in keyless.stderr
        project.configure(model)
        done = again(project, "--yes", "--trace", "--config", str(project.settings))
    assert done.returncode == 0, done.stdout + done.stderr
    assert RIGHT in project.source()


def test_a_run_at_its_limit_goes_on_only_with_a_higher_one(project: Project, tmp_path: Path) -> None:
    state = ("--state-dir", str(tmp_path / "state"))
    large = Scripted(calls=calls(READ).calls, tokens=(2_500, 5_000))
    with ScriptedModel([large, calls(patch()), text(ANSWER)]) as model:
        project.configure(model)
        ended = project.run("--yes", "--max-tokens", "9000", *state)
        assert ended.returncode == 1, ended.stdout + ended.stderr
        assert "budgets.max_tokens" in ended.stdout
        assert "--max-tokens 18000" in ended.stdout
        before = journal(project, tmp_path / "state")
        refused = again(project, "--yes", *state)
        assert refused.returncode == 1
        assert "reached budgets.max_tokens = 9000, and the limit is not higher now" in refused.stderr
        assert "--max-tokens 18000" in refused.stderr
        assert journal(project, tmp_path / "state") == before
        assert len(model.requests) == 1
        done = again(project, "--yes", "--max-tokens", "60000", *state)
    assert done.returncode == 0, done.stdout + done.stderr
    assert RIGHT in project.source()
    assert project.trace()["usage"]["tokens"] == sum(model.prompt_tokens) + sum(model.completion_tokens)


def test_a_run_breaks_off_where_too_many_questions_wait_and_a_check_that_nobody_is_asked_about_is_none(
    project: Project,
) -> None:
    asking = "[exec.commands.pytest]\napproval = true\n[approval]\nmax_pending = "
    with ScriptedModel(
        [calls(READ), calls(patch()), calls(READ), calls(patch()), calls(patch()), text(ANSWER)]
    ) as model:
        project.configure(model, extra=f"{asking}1\n")
        assert project.run().returncode == 3, "the baseline, which asks nobody, left no question that counts"
        ended = project.run()
        assert ended.returncode == 1, ended.stdout + ended.stderr
        assert "1 questions of local:" in ended.stdout
        assert "already wait for an answer (approval.max_pending)" in ended.stdout
        assert "`lg-gateway approvals list` shows all" in ended.stdout
        assert "continues from there" in ended.stdout
        project.configure(model, extra=f"{asking}2\n")
        done = again(project, "--yes")
    assert done.returncode == 0, done.stdout + done.stderr
    assert RIGHT in project.source()


def test_a_limit_that_makes_no_sense_or_cannot_be_held_is_refused(project: Project) -> None:
    with ScriptedModel([]) as model:
        project.configure(model)
        nonsense = project.run("--max-tokens", "-5")
        unpriced = project.run("--max-cost-usd", "0.5")
    assert nonsense.returncode == 2
    assert "max_tokens" in nonsense.stderr
    assert "command line" in nonsense.stderr
    assert unpriced.returncode == 2
    assert "there is no price for openai:scripted" in unpriced.stderr
    assert model.requests == []


def test_a_run_stops_while_a_human_has_halted_all_calls_and_goes_on_afterwards(project: Project) -> None:
    here = ("--root", str(project.root))
    with ScriptedModel([calls(READ), calls(READ, READ), calls(patch()), text(ANSWER)]) as model:
        project.configure(model)
        assert run("halt", "--reason", "looking into it", *here).returncode == 0
        halted = project.run("--yes")
        assert halted.returncode == 1, halted.stdout + halted.stderr
        assert "looking into it" in halted.stdout
        assert "`lg-gateway continue`" in halted.stdout
        assert "resume" in halted.stdout
        assert len(model.requests) <= 1, "no model is paid for calls that are refused"
        assert again(project, "--yes").returncode == 1
        with gateway_on_terminal("continue", *here) as shown:
            shown.wait("Type continue: ")
            shown.type("continue\r")
            assert shown.end() == 0
        done = again(project, "--yes")
    assert done.returncode == 0, done.stdout + done.stderr
    assert RIGHT in project.source()
    assert len(project.trace()["patches"]) == 1
