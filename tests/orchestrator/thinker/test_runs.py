"""Whole runs of the installed program with a model that follows a script, over HTTP."""

from __future__ import annotations

import itertools
import json
from typing import TYPE_CHECKING

import pytest

from lg_orch.testing_openai import Scripted, ScriptedModel, broken, calls, text
from tests.orchestrator.programs import lg_orch
from tests.orchestrator.thinker.project import ANSWER, RIGHT, ROUTE, WRONG, Project, make, patch, plan, read

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return make(tmp_path)


def test_a_failing_test_is_fixed_and_the_check_proves_it(project: Project) -> None:
    script = [text(ROUTE), text(plan(read("calc.py"))), calls(patch()), text("done"), text(ANSWER)]
    with ScriptedModel(script) as model:
        project.configure(model)
        ended = project.run("--yes")
    assert ended.returncode == 0, ended.stderr
    assert RIGHT in project.source()
    assert ANSWER in ended.stdout
    trace = project.trace()
    assert trace["verification"]["ok"] is True
    assert trace["usage"]["tokens"] == 600
    offered = {tool["function"]["name"]: tool["function"] for tool in model.requests[2]["tools"]}
    assert "patch" in offered["fs__apply_patch"]["parameters"]["properties"]
    assert WRONG in model.requests[2]["messages"][-1]["content"]


def test_a_check_that_does_not_pass_goes_back_to_the_planner(project: Project) -> None:
    script = [
        text(ROUTE), text(plan()), calls(patch(new="return a * b")), text("done"),
        text(plan(read("calc.py"))), calls(patch("return a * b", RIGHT)), text("done"), text(ANSWER),
    ]  # fmt: skip
    with ScriptedModel(script) as model:
        project.configure(model)
        ended = project.run("--yes")
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert RIGHT in project.source()
    told = model.requests[4]["messages"][-1]["content"]
    assert "<failed_checks>" in told
    assert "assert 2 == 3" in told
    ids = [call["result"]["artifacts"]["call_id"] for call in project.trace()["tool_calls"]]
    assert len(ids) == len(set(ids))


def test_a_denied_change_is_told_to_the_model_and_the_run_does_not_claim_it(project: Project) -> None:
    script = [
        text(ROUTE),
        text(plan(read("calc.py"), verification=())),
        calls(patch()),
        text("stop"),
        text("I fixed it."),
    ]
    with ScriptedModel(script) as model:
        project.configure(model)
        ended = project.run("--deny-all")
    assert ended.returncode == 1
    assert WRONG in project.source()
    assert "no file was changed" in ended.stdout
    assert "approval_denied" in model.requests[3]["messages"][-1]["content"]


def test_without_a_terminal_the_run_waits_and_another_process_goes_on_after_the_yes(project: Project) -> None:
    script = [text(ROUTE), text(plan()), calls(patch()), text("done"), text(ANSWER)]
    with ScriptedModel(script) as model:
        project.configure(model)
        waiting = project.run()
        assert waiting.returncode == 3, waiting.stdout + waiting.stderr
        assert WRONG in project.source()
        run_id = project.trace()["run_id"]
        ended = lg_orch("resume", run_id, "--approve", cwd=project.root, env=project.env())
        # The check needs an approval of its own.
        while ended.returncode == 3:
            ended = lg_orch("resume", run_id, "--approve", cwd=project.root, env=project.env())
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert RIGHT in project.source()
    assert project.trace()["usage"]["tokens"] == 600


def test_a_plan_that_is_not_json_is_repaired_once(project: Project) -> None:
    script = [text(ROUTE), text("First I shall look."), text(plan()), calls(patch()), text("done"), text(ANSWER)]
    with ScriptedModel(script) as model:
        project.configure(model)
        ended = project.run("--yes")
    assert ended.returncode == 0, ended.stderr
    assert "there is no JSON object" in model.requests[2]["messages"][-1]["content"]


def test_a_plan_that_stays_invalid_ends_the_run_as_failed(project: Project) -> None:
    unknown = plan({"tool": "fs__format_disk", "input": {}})
    with ScriptedModel([text(ROUTE), text(unknown), text(unknown)]) as model:
        project.configure(model)
        ended = project.run("--yes")
    assert ended.returncode == 1
    assert "fs__format_disk" in ended.stdout
    assert len(model.requests) == 3


def test_an_unknown_tool_is_answered_with_an_error_and_the_work_goes_on(project: Project) -> None:
    made = [calls(("fs__write_everything", {"x": 1})), calls(patch()), text("done")]
    with ScriptedModel([text(ROUTE), text(plan()), *made, text(ANSWER)]) as model:
        project.configure(model)
        ended = project.run("--yes")
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "failed: " in model.requests[3]["messages"][-1]["content"]


def test_arguments_that_are_not_json_are_asked_for_again(project: Project) -> None:
    torn = Scripted(calls=(("fs__read_file", '{"path": "calc'),))
    with ScriptedModel([text(ROUTE), text(plan()), torn, calls(patch()), text("done"), text(ANSWER)]) as model:
        project.configure(model)
        ended = project.run("--yes")
    assert ended.returncode == 0, ended.stdout + ended.stderr


def test_a_server_error_makes_the_next_model_answer(project: Project) -> None:
    script = [broken(500, "out of order"), text(ROUTE), text(plan()), calls(patch()), text("done"), text(ANSWER)]
    with ScriptedModel(script) as model:
        project.configure(model, fallbacks=("openai:second",))
        ended = project.run("--yes")
    assert ended.returncode == 0, ended.stderr
    assert [request["model"] for request in model.requests[:3]] == ["scripted", "second", "scripted"]
    (failed,) = [event for event in project.events("model") if event["phase"] == "failed"]
    assert failed["data"]["falls_back"] is True
    assert "out of order" in failed["data"]["error"]


def test_endless_calls_are_stopped_by_the_budget_of_calls(project: Project) -> None:
    endless = (calls(("fs__search_files", {"regex": f"x{number}"})) for number in itertools.count())
    with ScriptedModel(itertools.chain([text(ROUTE), text(plan(verification=()))], endless)) as model:
        project.configure(model, extra="[budgets]\nmax_loops = 2\nmax_tool_calls_per_loop = 3")
        ended = project.run("--yes")
    assert ended.returncode == 1
    assert "budgets.max_loops" in ended.stdout
    assert sum(call["step"] == "executor" for call in project.trace()["tool_calls"]) == 6


def test_no_request_is_made_that_the_tokens_left_do_not_cover(project: Project) -> None:
    script = [text(ROUTE, tokens=(4_000, 1_000)), text(plan(), tokens=(4_000, 1_000)), text("Nothing was done.")]
    with ScriptedModel(script) as model:
        project.configure(model, extra="[budgets]\nmax_tokens = 11_000")
        ended = project.run("--yes")
    assert ended.returncode == 1
    assert "budgets.max_tokens" in ended.stdout
    assert project.trace()["usage"]["tokens"] <= 11_000
    assert not any("tools" in request for request in model.requests), "a request with the tools would not fit"
    assert WRONG in project.source()


def test_the_same_call_with_the_same_result_three_times_ends_the_work(project: Project) -> None:
    same = itertools.repeat(calls(("fs__read_file", {"path": "calc.py"})), 3)
    with ScriptedModel([text(ROUTE), text(plan(verification=())), *same, text("I give up.")]) as model:
        project.configure(model)
        ended = project.run("--yes")
    assert ended.returncode == 1
    assert "3 times with the same result" in ended.stdout
    assert len(model.requests) == 6


def test_a_question_that_rules_understand_costs_no_request_for_its_kind(project: Project) -> None:
    question = json.dumps({"steps": [], "acceptance": [], "verification": []})
    script = [text(question), calls(("fs__read_file", {"path": "calc.py"})), text("done"), text("In `calc.py:1`.")]
    with ScriptedModel(script) as model:
        project.configure(model)
        ended = project.run(request="where is add defined?")
    assert ended.returncode == 0, ended.stderr
    assert "calc.py:1" in ended.stdout
    assert len(model.requests) == 4
