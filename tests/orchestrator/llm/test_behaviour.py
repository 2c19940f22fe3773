"""A model that behaves badly, in every way that is known: each ends as it should, and no budget is ever passed."""

from __future__ import annotations

import itertools
import json
import socket
from typing import TYPE_CHECKING, Any

import pytest

from lg_orch.testing import Scripted, ScriptedModel, broken, calls, silent, text
from tests.orchestrator.llm.workshop import (
    DEEP,
    DONE,
    LARGE,
    READ,
    RIGHT,
    WRONG,
    last,
    patch,
    plan,
    run,
    settings_for,
    shop,
)  # fmt: skip

if TYPE_CHECKING:
    from pathlib import Path


pytestmark = pytest.mark.anyio


async def test_a_false_claim_of_success_is_not_printed_as_one(tmp_path: Path) -> None:
    claim = "All tests pass now."
    script = [READ, patch(WRONG, "return a * b"), text(claim)]
    script += [calls(("fs__read_file", {"path": "notes.txt"})), text(claim), text("{}"), text("{}")]
    ran = await run(tmp_path, script)
    assert ran.final.status == "failed"
    assert ran.final.text.startswith("**Failed:**")
    before, _, after = ran.final.text.partition(f"> {claim}")
    assert claim not in before + after or "nothing above or below proves" in before
    assert ran.state.verification is None or not ran.state.verification.ok


async def test_no_change_where_one_was_asked_for_has_failed_and_runs_no_check_again(tmp_path: Path) -> None:
    ran = await run(tmp_path, [READ, text("I fixed it.")])
    assert ran.final.status == "failed"
    assert "no file was changed" in ran.final.text
    assert "> I fixed it." in ran.final.text
    assert "Changed:" not in ran.final.text
    assert ran.made.tools.names().count("exec__exec") == 1


async def test_a_plan_is_repaired_once_and_then_the_run_ends_as_failed(tmp_path: Path) -> None:
    unknown = plan({"tool": "fs__format_disk", "input": {}})
    ran = await run(tmp_path, [DEEP, text("First I look."), text(unknown)], request=LARGE)
    assert ran.final.status == "failed"
    assert "there is no JSON object" in last(ran.model, 2)
    assert "fs__format_disk" in ran.final.text
    assert WRONG in ran.made.source()


async def test_an_unknown_tool_is_answered_with_an_error_and_the_work_goes_on(tmp_path: Path) -> None:
    ran = await run(tmp_path, [calls(("fs__write_all", {"x": 1})), READ, patch(), text(DONE)])
    assert ran.final.status == "done"
    assert "failed: " in last(ran.model, 1)


async def test_arguments_that_are_not_json_are_asked_for_again_once(tmp_path: Path) -> None:
    torn = Scripted(calls=(("fs__read_file", '{"path": "calc'),))
    with ScriptedModel([torn, READ, patch(), text(DONE), torn, torn]) as model:
        async with shop(tmp_path, settings_for(model)) as made:
            assert (await made.go()).final is not None
            assert RIGHT in made.source()
            state = await made.go("fix it again")
    assert state.final is not None
    assert state.final.status == "failed"
    assert "could not be read, twice in a row" in state.final.text


@pytest.mark.parametrize(
    ("repeated", "reason"),
    [
        (("fs__read_file", {"path": "calc.py"}), "came back 3 times with the same result"),
        (("fs__read_file", {"path": "nowhere.py"}), "came back 3 times with the same result"),
    ],
)
async def test_the_same_call_three_times_stops_the_run(
    tmp_path: Path, repeated: tuple[str, dict[str, Any]], reason: str
) -> None:
    ran = await run(tmp_path, lambda _request: calls(repeated))
    assert ran.final.status == "failed"
    assert reason in ran.final.text
    assert len(ran.model.requests) == 3


async def test_the_same_call_many_times_in_one_turn_is_made_once_and_the_work_goes_on(tmp_path: Path) -> None:
    read = ("fs__read_file", {"path": "calc.py"})
    same = calls(*[read] * 4, ("exec__exec", {"cmd": "make", "args": ["test"]}), read, read)
    with ScriptedModel([same, patch(), text("done")]) as model:
        async with shop(tmp_path, settings_for(model)) as made:
            state = await made.go()
    assert state.final is not None
    assert state.final.status == "done", state.final.text
    assert made.tools.names().count("fs__read_file") == 2, "before the command and after it"


async def test_the_same_failing_call_is_noticed_between_others(tmp_path: Path) -> None:
    numbers = itertools.count()

    def talk(_request: dict[str, Any]) -> Scripted:
        number = next(numbers)
        if number % 2:
            return calls(("fs__search_files", {"regex": f"x{number}"}))
        return calls(("exec__exec", {"cmd": "make", "args": ["test"]}))

    ran = await run(tmp_path, talk)
    assert "the same call failed 3 times in the same way" in ran.final.text
    assert len(ran.model.requests) == 5


async def test_a_patch_over_the_limit_is_not_sent(tmp_path: Path) -> None:
    big = calls(("fs__apply_patch", {"patch": "big.py\n<<<<<<< SEARCH\n=======\n" + "x = 1\n" * 200}))
    with ScriptedModel([big, text("I wrote it.")]) as model:
        async with shop(tmp_path, settings_for(model, {"max_patch_bytes": 500})) as made:
            state = await made.go("add big.py")
            assert not (made.root / "big.py").exists()
    assert state.final is not None
    assert state.final.status == "failed"
    assert "budgets.max_patch_bytes" in last(model, 1)
    assert "fs__apply_patch" not in made.tools.names()


async def test_endless_calls_end_with_the_budget_of_calls(tmp_path: Path) -> None:
    numbers = itertools.count()

    def endless(_request: dict[str, Any]) -> Scripted:
        return calls(("fs__search_files", {"regex": f"x{next(numbers)}"}))

    ran = await run(tmp_path, endless, budgets={"max_loops": 2, "max_tool_calls_per_loop": 3})
    assert ran.final.status == "failed"
    assert "budgets.max_loops" in ran.final.text
    assert ran.made.tools.names().count("fs__search_files") <= 6


async def test_talk_without_end_is_cut_and_ends_the_run(tmp_path: Path) -> None:
    ran = await run(tmp_path, lambda _request: text("blah " * 100_000), max_reply_tokens=500)
    assert ran.final.status == "failed"
    assert "max_reply_tokens" in ran.final.text
    assert ran.model.completion_tokens == [500, 500]  # it is told once


@pytest.mark.parametrize("limit", [4_000, 16_000])
async def test_the_tokens_of_a_run_never_pass_their_budget(tmp_path: Path, limit: int) -> None:
    numbers = itertools.count()

    def endless(_request: dict[str, Any]) -> Scripted:
        return calls(("fs__search_files", {"regex": f"x{next(numbers)}"}), content="thinking " * 40)

    with ScriptedModel(endless) as model:
        async with shop(tmp_path, settings_for(model, {"max_tokens": limit, "max_loops": 20})) as made:
            why = await made.breaks_off()
    assert "budgets.max_tokens" in why.message
    used = sum(model.prompt_tokens) + sum(model.completion_tokens)
    assert used <= limit
    assert made.used().tokens == used


async def test_the_money_of_a_run_never_passes_its_budget_and_each_request_says_its_price(tmp_path: Path) -> None:
    price = {"prices": {"openai:scripted": {"input": 10, "output": 40, "cached_input": 1}}}
    numbers = itertools.count()

    def endless(_request: dict[str, Any]) -> Scripted:
        made = (("fs__search_files", json.dumps({"regex": f"x{next(numbers)}"})),)
        return Scripted(calls=made, cached=100)

    with ScriptedModel(endless) as model:
        settings = settings_for(model, {"max_cost_usd": 0.2, "max_loops": 20}, models=price)
        async with shop(tmp_path, settings) as made:
            why = await made.breaks_off()
    assert "budgets.max_cost_usd" in why.message
    spent = sum(event["cost_usd"] for event in made.events("model", "end"))
    assert spent == pytest.approx(made.used().usd)
    assert 0.05 < spent <= 0.2
    first = made.events("model", "end")[0]
    dear, cheap, said = first["prompt_tokens"] - 100, 100, first["completion_tokens"]
    assert first["cost_usd"] == pytest.approx((dear * 10 + cheap * 1 + said * 40) / 1e6)


@pytest.mark.parametrize("budgets", [{}, {"max_cost_usd": 2.0}])
async def test_a_cost_that_is_not_known_is_said_once_and_once_more_where_a_limit_was_set(
    tmp_path: Path, budgets: dict[str, float]
) -> None:
    with ScriptedModel([READ, patch(), text(DONE)]) as model:
        async with shop(tmp_path, settings_for(model, budgets)) as made:
            state = await made.go()
    assert state.final is not None
    words, _, footer = state.final.text.rpartition("\n\n")
    assert "cost unknown (no price for openai:scripted)" in footer
    assert ("`budgets.max_cost_usd` could not be enforced" in words) is bool(budgets)
    assert ("no price" in words) is bool(budgets)
    assert {event["cost_usd"] for event in made.events("model", "end")} == {None}


async def test_no_request_is_made_when_the_wall_clock_is_used_up(tmp_path: Path) -> None:
    with ScriptedModel([READ, patch(), text(DONE)]) as model:
        async with shop(tmp_path, settings_for(model, {"max_wall_s": 1e-6})) as made:
            why = await made.breaks_off()
    assert "budgets.max_wall_s" in why.message
    assert model.requests == []


async def test_a_busy_server_is_asked_again_after_a_pause_that_the_trace_shows(tmp_path: Path) -> None:
    script = [broken(429, "slow down", retry_after=0.02), broken(503, "busy"), READ, patch(), text(DONE)]
    ran = await run(tmp_path, script)
    assert ran.final.status == "done"
    first, second = ran.made.events("model", "retry")
    assert first["pause_s"] >= 0.02
    assert "slow down" in first["error"]
    assert 0.01 <= second["pause_s"] <= 0.02


async def test_silence_ends_with_the_time_of_a_request_and_a_fallback_is_asked(tmp_path: Path) -> None:
    def answer(request: dict[str, Any]) -> Scripted:
        if request["model"] == "scripted":
            return silent()
        return text("In `calc.py:1`.")

    with ScriptedModel(answer) as model:
        settings = settings_for(model, timeout_s=2, retries=0, fallbacks=("openai:second",))
        async with shop(tmp_path, settings) as made:
            state = await made.go("where is add defined?")
    assert state.final is not None
    assert state.final.status == "done", state.final.text
    failed = made.events("model", "failed")[0]
    assert failed["falls_back"] is True
    assert failed["total_tokens"] > 0, "a request that was taken may be billed"


async def test_nobody_answering_ends_the_run_with_every_reason(tmp_path: Path) -> None:
    with ScriptedModel(lambda _request: broken(500, "out of order")) as model:
        async with shop(tmp_path, settings_for(model, retries=1, fallbacks=("openai:second",))) as made:
            why = await made.breaks_off()
    assert "openai:scripted: " in why.message
    assert "openai:second: " in why.message
    assert len(model.requests) == 4


async def test_a_refused_connection_ends_the_run_and_names_the_address(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound and not listening: whoever connects is refused
        model = ScriptedModel([], base_url=f"http://127.0.0.1:{taken.getsockname()[1]}/v1")
        async with shop(tmp_path, settings_for(model, retries=0)) as made:
            why = await made.breaks_off()
    assert f"{model.base_url} cannot be reached" in why.message


async def test_a_stream_that_breaks_off_is_asked_again(tmp_path: Path) -> None:
    torn = Scripted(content="I shall look at it now and then", breaks_off=True)
    ran = await run(tmp_path, [torn, READ, patch(), text(DONE)])
    assert ran.final.status == "done", ran.final.text


async def test_a_server_that_reports_no_usage_is_counted_by_estimate(tmp_path: Path) -> None:
    with ScriptedModel([Scripted(content="In `calc.py:1`.", usage=False)]) as model:
        async with shop(tmp_path, settings_for(model)) as made:
            state = await made.go("where is add defined?")
    [end] = made.events("model", "end")
    assert end["estimated"] is True
    assert state.budgets.tokens == end["total_tokens"] > model.prompt_tokens[0] // 2
