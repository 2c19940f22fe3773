"""What a run's model traffic may still use, and what it has used, in tokens and money."""

from __future__ import annotations

from typing import Any

import pytest

from lg_orch.contracts.errors import OutOfBudget
from lg_orch.contracts.events import Event
from lg_orch.llm.cost.spending import Spending, Traffic, Used, traffic_so_far
from lg_policy.config.settings import BudgetSettings, PriceSettings


def meter(**limits: Any) -> Spending:
    prices = {"p:dear": PriceSettings(input=10, output=100, cached_input=1)}
    return Spending(BudgetSettings(**limits), prices, Traffic(tokens=1_000, usd=0.5))


def test_the_meter_leaves_no_room_that_the_tokens_do_not_have() -> None:
    counted = meter(max_tokens=10_000)
    assert counted.reply_room("p:free", 100, 4_000) == 4_000
    assert counted.reply_room("p:free", 8_000, 4_000) == 800, "a fifth of what is left is kept back"
    assert counted.reply_room("p:free", 8_000, 4_000, beyond=500) == 400
    assert counted.add("p:free", Used(prompt=8_000, completion=990)) is None
    assert counted.unpriced == {"p:free"}
    used = {"role": "coder", "latency_ms": 1, "prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}
    event = Event(
        seq=1, time="2026-01-01T00:00:00+00:00", kind="model", name="p:free", phase="end",
        data=used | {"cost_usd": None},
    )  # fmt: skip
    assert Spending(BudgetSettings(), {}, traffic_so_far([event])).unpriced == {"p:free"}, "also in the next process"
    with pytest.raises(OutOfBudget, match="max_tokens"):
        counted.reply_room("p:free", 0, 4_000)


def test_the_meter_leaves_no_room_that_the_money_does_not_pay() -> None:
    counted = meter(max_cost_usd=0.6)
    assert counted.reply_room("p:dear", 1_000, 4_000) in (719, 720)
    assert counted.add("p:dear", Used(prompt=1_000, completion=500, cached=400)) == pytest.approx(0.0564)
    with pytest.raises(OutOfBudget, match="max_cost_usd"):
        counted.reply_room("p:dear", 4_000, 4_000)


@pytest.mark.parametrize(
    ("model", "cache_write", "most"), [("anthropic:m", None, 12.5), ("anthropic:m", 20, 20), ("openai:m", None, 10)]
)
def test_what_is_written_into_a_cache_is_charged_before_and_after_the_request(
    model: str, cache_write: float | None, most: float
) -> None:
    prices = {model: PriceSettings(input=10, output=100, cached_input=1, cache_write=cache_write)}
    counted = Spending(BudgetSettings(max_cost_usd=1), prices)
    assert counted.at_most(model, 1_000, 10) == pytest.approx((1_000 * most + 1_000) / 1e6)
    assert counted.reply_room(model, 40_000, 8_000) == pytest.approx((1e6 - 40_000 * most) * 0.8 / 100, abs=1)
    assert counted.add(model, Used(prompt=1_000, completion=10, written=300)) == pytest.approx(
        (700 * 10 + 300 * most + 1_000) / 1e6
    )
