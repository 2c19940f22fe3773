"""Providers that count in every way there is: what they count together never passes a run's limits."""

from __future__ import annotations

import itertools
import json
import random
import unicodedata
from typing import TYPE_CHECKING, Any

import pytest

from lg_orch.contracts.errors import ModelGone, OutOfBudget
from lg_orch.llm.cost.spending import traffic_so_far
from lg_orch.llm.cost.token_bounds import FORMS, TokenBound, bounds_of, most_tokens, parts_of
from lg_orch.testing import Scripted, ScriptedModel, broken, calls, silent, text
from tests.orchestrator.llm.workshop import DEEP, LARGE, plan, settings_for, shop

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

pytestmark = pytest.mark.anyio
WORDS = "thinking of what to look for next, and where it may stand "
FILES = {f"part{number}.py": f"# part {number}\n" + "value = compute(left, right)\n" * 60 for number in range(12)}


def bytes_of(request: dict[str, Any]) -> int:
    """Of all that a provider counts in a request, as it stands on the wire."""
    said = [f"{one.get('content') or ''}{json.dumps(one.get('tool_calls') or '')}" for one in request["messages"]]
    return len("".join(said).encode()) + len(json.dumps(request.get("tools") or ""))


def reading(count: Callable[[dict[str, Any], int], tuple[int, int]] | None, **how: Any) -> Callable[..., Scripted]:
    """A model that reads one file after the other; `count` says what a request is counted as, by its number."""
    numbers = itertools.count()

    def answer(request: dict[str, Any]) -> Scripted:
        number = next(numbers)
        made = (("fs__read_file", json.dumps({"path": f"part{number % 12}.py", "start_line": 1 + number // 12})),)
        tokens = count(request, number) if count is not None else None
        return Scripted(calls=made, content=WORDS * 3, tokens=tokens, **how)

    return answer


def counted(model: ScriptedModel) -> int:
    return sum(model.prompt_tokens) + sum(model.completion_tokens)


BUDGET = {"max_loops": 50}
COUNTS = {
    "every byte is a token": lambda request, _number: (bytes_of(request), 300),
    "five bytes are a token": lambda request, _number: (bytes_of(request) // 5, 90),
    "it counts a tenth more from the fourth request on": lambda request, number: (
        int(bytes_of(request) / 4 * (1.1 if number > 3 else 1)), 60,
    ),
    "it writes 900 tokens of its own into each prompt": lambda request, _number: (bytes_of(request) // 4 + 900, 60),
}  # fmt: skip


@pytest.mark.parametrize("how", COUNTS)
@pytest.mark.parametrize("limit", [20_000, 60_000])
async def test_whatever_is_counted_stays_below_the_limit_and_little_of_it_is_wasted(
    tmp_path: Path, how: str, limit: int
) -> None:
    with ScriptedModel(reading(COUNTS[how])) as model:
        async with shop(tmp_path, settings_for(model, BUDGET | {"max_tokens": limit}), files=FILES) as made:
            why = await made.breaks_off()
    assert isinstance(why, OutOfBudget)
    assert why.limit == "max_tokens"
    assert made.used().tokens == counted(model) <= limit
    if "byte is" not in how:
        assert counted(model) > limit * 0.6, f"{counted(model)} of {limit}"


async def test_a_count_that_jumps_beyond_everything_is_said_and_expected_from_then_on(tmp_path: Path) -> None:
    def jumps(request: dict[str, Any], number: int) -> tuple[int, int]:
        return bytes_of(request) // 4 + (9_000 if number > 1 else 0), 60

    with ScriptedModel(reading(jumps)) as model:
        async with shop(tmp_path, settings_for(model, BUDGET | {"max_tokens": 60_000}), files=FILES) as made:
            await made.breaks_off()
    assert counted(model) <= 60_000
    above = [event["above_limit"]["prompt"] for event in made.events("model", "end") if "above_limit" in event]
    assert len(above) == 1
    assert 5_000 < above[0] < 9_000
    most = [event["prompt_tokens_most"] for event in made.events("model", "begin")]
    assert most[3] > model.prompt_tokens[2] + above[0]


async def test_a_reply_longer_than_allowed_is_counted_and_expected_from_then_on(tmp_path: Path) -> None:
    hidden = reading(lambda request, _number: (bytes_of(request) // 4, 3_000))
    with ScriptedModel(hidden) as model:
        settings = settings_for(model, BUDGET | {"max_tokens": 40_000}, max_reply_tokens=1_000)
        async with shop(tmp_path, settings, files=FILES) as made:
            await made.breaks_off()
    assert counted(model) <= 40_000
    assert {event["above_limit"]["reply"] for event in made.events("model", "end")} == {2_000}
    assert made.used().tokens == counted(model)


async def test_a_reply_that_never_ends_is_ended_and_its_connection_closed(tmp_path: Path) -> None:
    with ScriptedModel([Scripted(content=WORDS, endless=True)] * 2) as model:  # it is told once
        settings = settings_for(model, {"max_tokens": 20_000}, max_reply_tokens=500)
        async with shop(tmp_path, settings) as made:
            state = await made.go()
    assert model.hung_up == 2
    assert state.final is not None
    assert "reached the reply limit without making a call" in state.final.text
    ends = made.events("model", "end")
    assert len(ends) == 2
    assert all(end["cut"] is True and end["estimated"] is True for end in ends)
    assert all(500 <= end["completion_tokens"] < 1_000 for end in ends)


async def test_a_provider_that_reports_nothing_is_counted_rather_too_high_and_stays_below_the_limit(
    tmp_path: Path,
) -> None:
    with ScriptedModel(reading(None, usage=False)) as model:
        async with shop(tmp_path, settings_for(model, BUDGET | {"max_tokens": 40_000}), files=FILES) as made:
            await made.breaks_off()
    assert counted(model) <= made.used().tokens <= 40_000
    assert counted(model) > 15_000


@pytest.mark.parametrize("limit", [20_000, 60_000])
async def test_repetitions_fallbacks_and_several_roles_are_all_counted(tmp_path: Path, limit: int) -> None:
    chance = random.Random(limit)
    work = reading(lambda request, _number: (bytes_of(request) // 3, 80))
    second = {"provider": "openai", "model": "other"}

    def answer(request: dict[str, Any]) -> Scripted:
        system = str(request["messages"][0]["content"])
        if not request.get("tools"):
            return DEEP if "intent" in system and "steps" not in system else text(plan())
        drawn = chance.random()
        if drawn < 0.15:
            return broken(chance.choice((429, 503)), "busy")
        return Scripted(content=WORDS * 9, breaks_off=True) if drawn < 0.25 else work(request)

    with ScriptedModel(answer) as model:
        second["base_url"] = model.base_url
        settings = settings_for(
            model, BUDGET | {"max_tokens": limit}, fallbacks=("openai:third",), retries=1, models={"planner": second}
        )
        async with shop(tmp_path, settings, files=FILES) as made:
            why = await made.breaks_off(LARGE)
    assert isinstance(why, OutOfBudget | ModelGone)
    assert counted(model) <= made.used().tokens <= limit
    assert {request["model"] for request in model.requests} >= {"scripted", "other"}


async def test_what_was_sent_and_brought_nothing_counts_as_the_most_it_can_have_cost(tmp_path: Path) -> None:
    with ScriptedModel(lambda _request: silent()) as model:
        settings = settings_for(model, timeout_s=1.5, retries=1, models={"prices": {
            "openai:scripted": {"input": 1, "output": 10},
        }})  # fmt: skip
        async with shop(tmp_path, settings) as made:
            why = await made.breaks_off("where is add defined?")
    assert isinstance(why, ModelGone)
    begun = made.events("model", "begin")
    assert len(begun) == 2
    assert made.used().tokens == sum(one["prompt_tokens_most"] + one["max_reply_tokens"] for one in begun)
    assert made.used().usd == pytest.approx(sum(one["cost_usd_most"] for one in begun))


async def test_a_request_whose_end_is_not_in_the_journal_counts_as_the_most_it_can_have_cost(tmp_path: Path) -> None:
    reads = [calls(("fs__read_file", {"path": f"part{number}.py"})) for number in range(3)]
    with ScriptedModel([*reads, text("There.")]) as model:
        async with shop(tmp_path, settings_for(model), files=FILES) as made:
            await made.go("where is add defined?")
    events = made.world.events()
    cut = max(number for number, event in enumerate(events) if event.kind == "model" and event.phase == "begin")
    begun = events[cut].data
    whole, torn = traffic_so_far(events).tokens, traffic_so_far(events[: cut + 1]).tokens
    answered = model.prompt_tokens[-1] + model.completion_tokens[-1]
    assert torn == whole - answered + begun["prompt_tokens_most"] + begun["max_reply_tokens"]


async def test_another_process_knows_of_a_models_counting_what_the_one_before_knew(tmp_path: Path) -> None:
    with ScriptedModel(reading(COUNTS["five bytes are a token"])) as model:
        async with shop(tmp_path, settings_for(model, BUDGET | {"max_tokens": 30_000}), files=FILES) as made:
            await made.breaks_off()
    events = made.world.events()
    known = bounds_of(events)
    tools = [json.dumps(tool) for tool in model.requests[-1]["tools"]]
    assert tools
    begun = [event.data for event in events if event.kind == "model" and event.phase == "begin"]
    assert known.of("openai:scripted") != TokenBound()
    assert begun[-1]["prompt_tokens_most"] < bytes_of(model.requests[-1]) / 3, "what is known needs no bound by bytes"


@pytest.mark.parametrize(
    "content", ["plain words", "ä" * 9, "\ufdfa" * 3, "\u0958\u0959", "\U0001f600", "\ud800", "日本語", "e\u0301", ""]
)
def test_no_form_that_a_tokenizer_brings_a_text_into_has_more_bytes_than_its_bound(content: str) -> None:
    for form in FORMS:
        changed = unicodedata.normalize(form, content)
        assert len(changed.encode("utf-8", "surrogatepass")) <= most_tokens(content)


def test_a_bound_is_never_below_what_a_provider_counts_that_counts_each_text_alike() -> None:
    chance = random.Random(11)
    pool = ["x" * chance.randrange(1, 3_000) for _ in range(60)]
    rate = {one: chance.uniform(0.05, 1.0) for one in pool}
    bound = TokenBound()
    shown: list[str] = []
    for _ in range(400):
        if chance.random() < 0.1:
            shown = chance.sample(shown, len(shown) // 2)
        shown = [*shown, *chance.sample(pool, chance.randrange(3))]
        truth = 300 + sum(int(len(one) * rate[one]) + 10 for one in shown)
        parts = parts_of(shown, tools=True)
        assert bound.most(parts) >= truth
        bound.learn(parts, truth)
        assert truth <= bound.most(parts) <= truth * 9 / 8 + len(shown) + 2


def test_a_request_that_repeats_the_one_before_is_bound_by_what_was_counted_and_what_is_new() -> None:
    bound, first = TokenBound(), ["rules " * 500, "a task " * 500]
    assert bound.most(parts_of(first, tools=True)) > 6_500
    bound.learn(parts_of(first, tools=True), 1_600)
    more = parts_of([*first, "new " * 10], tools=True)
    assert 1_640 < bound.most(more) < 1_950
    bound.learn(more, 1_620)
    assert bound.most(more) < 1_900
    assert bound.most(parts_of(["other rules " * 300, first[1]], tools=True)) > 3_600
