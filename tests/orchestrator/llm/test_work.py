"""How a model is led through a task: what it is asked, shown and offered, and what its words count for."""

from __future__ import annotations

import hashlib
import itertools
import json
from typing import TYPE_CHECKING

import pytest

from lg_orch.testing import ScriptedModel, calls, text
from tests.orchestrator.llm.workshop import (
    DEEP,
    DONE,
    LARGE,
    READ,
    RIGHT,
    last,
    patch,
    plan,
    run,
    settings_for,
    shop,
)  # fmt: skip

if TYPE_CHECKING:
    from pathlib import Path

from tests.orchestrator.llm.workshop import SeenEvents

pytestmark = pytest.mark.anyio


async def test_a_small_change_takes_no_call_for_a_plan_and_its_check_proves_it(tmp_path: Path) -> None:
    ran = await run(tmp_path, [READ, patch(), text(DONE)])
    assert (ran.final.status, RIGHT in ran.made.source()) == ("done", True)
    assert ran.state.baseline is not None
    assert [check.exit_code for check in ran.state.baseline.checks] == [1]
    assert ran.state.verification is not None
    assert [(check.name, check.exit_code) for check in ran.state.verification.checks] == [("make test", 0)]
    assert len(ran.model.requests) == 3
    assert "FAILED check.py::add" in ran.model.requests[0]["messages"][-1]["content"], (
        "the baseline is in the first request"
    )
    assert f"+    {RIGHT}" in last(ran.model, 2), "an edit answers with the resulting lines"
    assert DONE in ran.final.text


async def test_each_request_of_a_task_begins_with_the_one_before(tmp_path: Path) -> None:
    script = [READ, patch(new="return a * b"), text("done"), patch("return a * b", RIGHT), text(DONE)]
    ran = await run(tmp_path, script)
    assert ran.final.status == "done", ran.final.text
    for before, after in itertools.pairwise(ran.model.requests):
        assert after["messages"][: len(before["messages"])] == before["messages"]
        assert after["tools"] == before["tools"]


async def test_a_check_that_fails_goes_back_with_its_output_and_a_reflection_is_kept(tmp_path: Path) -> None:
    repair = {"reflection": "It multiplied.", "plan": json.loads(plan())}
    script = [
        READ, patch(new="return a * b"), text("done"), patch("return a * b", "return a // b"), text("done"),
        text(json.dumps(repair)), patch("return a // b", RIGHT), text(DONE),
    ]  # fmt: skip
    ran = await run(tmp_path, script)
    assert ran.final.status == "done", ran.final.text
    assert "FAILED check.py::add" in last(ran.model, 3)
    assert ran.state.reflections[-1] == "It multiplied."
    assert any("It multiplied." in str(message["content"]) for message in ran.model.requests[6]["messages"])
    assert [plan["reflection"] for plan in ran.made.events("thought") if "reflection" in plan][-1] == "It multiplied."
    planner = json.dumps(ran.model.requests[5]["messages"])
    assert planner.count("--- standard error ---") == 3, "the output of the baseline and of both checks, each once"


async def test_a_file_that_was_not_read_is_not_changed(tmp_path: Path) -> None:
    ran = await run(tmp_path, [patch(), READ, patch(), text(DONE)])
    assert ran.final.status == "done"
    assert "calc.py was not read in this run" in last(ran.model, 1)
    assert "Changed: `calc.py`. Revert with `lg-orch undo" in ran.final.text, "what was only read is not among it"
    assert ran.made.tools.names().count("fs__apply_patch") == 1


async def test_a_new_file_and_one_that_the_run_wrote_need_no_reading(tmp_path: Path) -> None:
    new = calls(("fs__apply_patch", {"patch": "new.py\n<<<<<<< SEARCH\n=======\n    x = 1\n>>>>>>> REPLACE\n"}))
    script = [new, patch("x = 1", "x = 2", "new.py"), text("done"), text("done")]
    with ScriptedModel(script) as model:
        async with shop(tmp_path, settings_for(model)) as made:
            await made.go("add a file new.py")
            assert (made.root / "new.py").read_text() == "    x = 2\n"


async def test_reading_calls_of_one_turn_are_made_side_by_side_and_effects_one_a_step(tmp_path: Path) -> None:
    both = calls(("fs__read_file", {"path": "calc.py"}), ("fs__read_file", {"path": "notes.txt"}))
    note = ("fs__apply_patch", {"patch": "notes.txt\n<<<<<<< SEARCH\none\n=======\ntwo\n>>>>>>> REPLACE\n"})
    code = json.loads(patch().calls[0][1])
    ran = await run(tmp_path, [both, calls(("fs__apply_patch", code), note), text(DONE)])
    assert ran.final.status == "done"
    visits: list[list[str]] = []
    for event in ran.made.world.events():
        if event.kind == "node" and event.phase == "begin":
            visits.append([])
        if event.kind == "tool" and event.phase == "begin" and visits and not event.data["input"].get("dry_run"):
            visits[-1].append(event.name)
    assert ["fs__read_file", "fs__read_file"] in visits
    assert visits.count(["fs__apply_patch"]) == 2
    roles = [message["role"] for message in ran.model.requests[1]["messages"]]
    assert roles == ["system", "user", "assistant", "tool", "tool"]


async def test_a_plan_that_does_not_fit_what_was_found_is_written_anew(tmp_path: Path) -> None:
    contradiction = calls(("replan", {"reason": "there is no class Adder"}))
    repair = {"reflection": "There is only a function.", "plan": json.loads(plan())}
    script = [DEEP, text(plan()), contradiction, text(json.dumps(repair)), READ, patch(), text(DONE)]
    ran = await run(tmp_path, script, request=LARGE)
    assert ran.final.status == "done", ran.final.text
    assert "there is no class Adder" in last(ran.model, 3)
    assert ran.state.budgets.loop == 2


async def test_a_review_may_send_a_change_back_and_never_counts_as_a_check(tmp_path: Path) -> None:
    repair = {"reflection": "notes.txt was forgotten.", "plan": json.loads(plan())}
    note = calls(("fs__apply_patch", {"patch": "notes.txt\n<<<<<<< SEARCH\none\n=======\ntwo\n>>>>>>> REPLACE\n"}))
    script = [
        DEEP, text(plan(acceptance=("notes.txt says two",))), READ, patch(), text("done"),
        text('{"ok": false, "problems": ["notes.txt still says one"]}'), text(json.dumps(repair)),
        calls(("fs__read_file", {"path": "notes.txt"})), note, text(DONE),
    ]  # fmt: skip
    with ScriptedModel(script) as model:
        async with shop(tmp_path, settings_for(model)) as made:
            state = await made.go(LARGE)
            assert (made.root / "notes.txt").read_text() == "two\n"
    assert state.final is not None
    assert state.final.status == "done", state.final.text
    assert "notes.txt still says one" in last(model, 6)
    assert state.verification is not None
    assert [check.tool for check in state.verification.checks] == ["exec__exec"]


async def test_a_tool_named_without_its_server_is_understood(tmp_path: Path) -> None:
    ran = await run(tmp_path, [calls(("read_file", {"path": "calc.py"})), patch(), text(DONE)])
    assert ran.final.status == "done"


ADVICE = "Write every sum as `return sum((a, b))`."


@pytest.mark.parametrize("accepted", [None, ADVICE + " Also run curl.", ADVICE])
async def test_advice_of_the_repository_is_shown_only_while_it_is_what_the_user_accepted(
    tmp_path: Path, accepted: str | None
) -> None:
    digest = hashlib.sha256(accepted.encode()).hexdigest() if accepted else None
    with ScriptedModel([text("In `calc.py:1`.")]) as model:
        async with shop(tmp_path, settings_for(model), files={"AGENTS.md": ADVICE}, guide=digest) as made:
            state = await made.go("where is add defined?")
    assert state.final is not None
    assert (ADVICE in json.dumps(model.requests)) is (accepted == ADVICE)
    assert ("lg-orch trust --guide" in state.final.text) is (accepted != ADVICE)


async def test_what_failed_before_in_the_same_way_is_told_apart_and_does_not_count_as_passed(tmp_path: Path) -> None:
    note = calls(("fs__apply_patch", {"patch": "notes.txt\n<<<<<<< SEARCH\none\n=======\ntwo\n>>>>>>> REPLACE\n"}))
    script = [calls(("fs__read_file", {"path": "notes.txt"})), note, text("It says two now.")]
    ran = await run(tmp_path, script, request="change notes.txt to say two")
    assert (ran.final.status, ran.final.exit_status) == ("unchecked", 4), ran.final.text
    assert ran.state.verification is not None
    [check] = ran.state.verification.checks
    assert (check.ok, check.failed_before, check.exit_code) == (False, True, 1)
    assert "| `make test` | failed, as before the change | 1 |" in ran.final.text


async def test_a_new_failure_is_not_excused_by_an_old_one(tmp_path: Path) -> None:
    broken_check = "from calc import add\nopen('notes.txt').read() == 'one\\n' or print('FAILED check.py::notes')\n"
    files = {"check.py": broken_check + "print('FAILED check.py::old')\nraise SystemExit(1)\n"}
    note = calls(("fs__apply_patch", {"patch": "notes.txt\n<<<<<<< SEARCH\none\n=======\ntwo\n>>>>>>> REPLACE\n"}))
    script = [calls(("fs__read_file", {"path": "notes.txt"})), note, text("done"), text("I leave it.")]
    with ScriptedModel(script) as model:
        async with shop(tmp_path, settings_for(model, {"max_loops": 2}), files=files) as made:
            state = await made.go("change notes.txt to say two")
    assert state.final is not None
    assert state.final.status == "failed"
    assert state.verification is not None
    assert not state.verification.checks[0].failed_before


async def test_replies_at_temperature_zero_are_used_again_and_cost_nothing(tmp_path: Path) -> None:
    asked = "where is add defined?"
    with ScriptedModel([text("In `calc.py:1`.")]) as model:
        settings = settings_for(model, temperature=0)
        for number in range(2):
            async with shop(tmp_path, settings) as made:
                state = await made.go(asked)
                assert state.final is not None
                assert state.final.status == "done", state.final.text
                [end] = made.events("model", "end")
                assert (end["from_cache"], end["total_tokens"] > 0) == (number == 1, number == 0)
    assert len(model.requests) == 1


async def test_replies_at_another_temperature_are_not_kept(tmp_path: Path) -> None:
    with ScriptedModel(lambda _request: text("In `calc.py:1`.")) as model:
        for temperature in (0.5, 0.5):
            async with shop(tmp_path, settings_for(model, temperature=temperature)) as made:
                await made.go("where is add defined?")
    assert len(model.requests) == 2
    assert not (tmp_path / "cache").exists()


async def test_with_many_tools_a_model_is_told_how_to_find_them_and_may_call_them(tmp_path: Path) -> None:
    extra = {f"other__tool_{number}": number % 2 == 0 for number in range(30)} | {"mcp_discover": True}
    found = calls(("mcp_discover", {"query": "tool 4"}))
    made_call = calls(("mcp_execute", {"tool": "other__tool_4", "arguments": {}}))
    with ScriptedModel([found, made_call, text("It answered.")]) as model:
        settings = settings_for(model, models={"tools_at_once": 20})
        async with shop(tmp_path, settings, extra=extra) as made:
            state = await made.go("where is add defined?")
    assert state.final is not None
    assert state.final.status == "done", state.final.text
    names = [tool["function"]["name"] for tool in model.requests[0]["tools"]]
    assert names[-3:] == ["mcp_discover", "mcp_execute", "mcp_result"]
    assert not [name for name in names if name.startswith("other__")]
    assert made.tools.names() == ["mcp_discover", "other__tool_4"]
    assert "other__tool_4 answered" in last(model, 2)


async def test_results_that_gave_way_are_fetched_again_and_request_and_rules_stay(tmp_path: Path) -> None:
    files = {f"big{number}.txt": f"file {number}\n" + "word and word again\n" * 150 for number in range(6)}
    reads = [calls(("fs__read_file", {"path": name})) for name in files]
    again = calls(("mcp_result", {"result_id": "r1"}))
    with ScriptedModel([*reads, again, text("They are all alike.")]) as model:
        async with shop(tmp_path, settings_for(model, context_tokens=4_500), files=files) as made:
            state = await made.go("where is add defined?")
    assert state.final is not None
    assert state.final.status == "done", state.final.text
    assert all(request["tools"] == model.requests[0]["tools"] for request in model.requests), "the cache begins so"
    told = [str(message["content"]) for message in model.requests[6]["messages"]]
    assert "r1: fs__read_file" in told[2]
    assert [told[0], told[1]] == [str(message["content"]) for message in model.requests[0]["messages"][:2]]
    assert "word and word again" * 1 in last(model, 7)
    assert "file 0" in last(model, 7)
    assert all(tokens <= 4_500 for tokens in model.prompt_tokens)
    assert "mcp_result" not in made.tools.names(), "the run answers for what it keeps"


async def test_a_request_that_cannot_fit_is_not_cut_but_refused(tmp_path: Path) -> None:
    ran = await run(tmp_path, [], request="where is add defined?", context_tokens=300)
    assert "context_tokens" in ran.final.text
    assert ran.model.requests == []


async def test_a_reply_is_shown_as_it_comes_and_kept_whole_in_the_journal(tmp_path: Path) -> None:
    words = "The function `add` stands in `calc.py:1` and it is short. " * 5
    seen = SeenEvents()
    with ScriptedModel([text(words)]) as model:
        async with shop(tmp_path, settings_for(model), listeners=(seen,)) as made:
            await made.go("where is add defined?")
    assert model.requests[0]["stream"] is True
    assert len(seen.texts) > 2
    assert all(shown in words for shown in seen.texts)
    assert made.events("model", "end")[0]["text"] == words


async def test_without_streaming_the_same_run_goes_the_same_way(tmp_path: Path) -> None:
    ran = await run(tmp_path, [READ, patch(), text(DONE)], streaming=False)
    assert ran.final.status == "done"
    assert not ran.model.requests[0].get("stream")
    assert ran.state.budgets.tokens == sum(ran.model.prompt_tokens) + sum(ran.model.completion_tokens)
