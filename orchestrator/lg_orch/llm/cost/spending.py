"""Counts what a run's model requests used, in tokens and money, and limits what the next request may use.

The sums start from the journal, so that a request whose step was lost in a crash stays counted. A limit is checked
before a request is made, for the most tokens that its prompt can have (`token_bounds`) and the longest reply that it is
allowed, at the dearest price of each: what a provider's cache may save is not counted on.

Not covered: what a provider counts beyond both; it is counted once reported, and expected from then on.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lg_orch.contracts.errors import OutOfBudget
from lg_orch.llm.cost.token_bounds import open_requests
from lg_orch.llm.providers import PROVIDERS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from lg_orch.contracts.events import Event
    from lg_policy.config.settings import BudgetSettings, PriceSettings

MIN_REPLY = 256
"""A request that leaves less than this for its reply is not made."""
SURE = 4 / 5
"""Of what is left for a reply, what it is allowed to have: the rest is for providers that do not keep to the limit,
whose reply is ended here by an estimate of its tokens."""
MILLION = 1_000_000


@dataclass(frozen=True, kw_only=True)
class Used:
    """Tokens of one request, as the provider counted them."""

    prompt: int
    completion: int
    cached: int = 0
    """Of the prompt, found in the provider's cache."""
    written: int = 0
    """Of the prompt, written into the provider's cache."""
    estimated: bool = False
    """The provider reported nothing; the numbers are ours."""

    @property
    def total(self) -> int:
        """Prompt and completion."""
        return self.prompt + self.completion


@dataclass(frozen=True, kw_only=True)
class Traffic:
    """Sums over requests."""

    tokens: int = 0
    usd: float = 0.0
    unpriced: frozenset[str] = frozenset()
    """Models that were asked and have no price: the money is then known in part only."""

    def plus(self, other: Traffic) -> Traffic:
        """Return the sum of both."""
        return Traffic(
            tokens=self.tokens + other.tokens, usd=self.usd + other.usd, unpriced=self.unpriced | other.unpriced
        )


class Spending:
    """One run's tokens and money against its budgets."""

    def __init__(
        self, limits: BudgetSettings, prices: Mapping[str, PriceSettings], before: Traffic | None = None
    ) -> None:
        self._limits = limits
        self._prices = prices
        begun = before or Traffic()
        self.tokens, self.usd = begun.tokens, begun.usd
        self.unpriced = set(begun.unpriced)
        """Models that were asked and have no price."""

    def reply_room(self, model: str, most_prompt: int, wanted: int, *, beyond: int = 0) -> int:
        """Return the tokens, at most `wanted`, that the reply to a prompt of at most `most_prompt` tokens may have.

        `beyond` more may come. Raises `OutOfBudget` when too few are left.
        """
        needed = min(wanted, MIN_REPLY)
        room = int((self._limits.max_tokens - self.tokens - most_prompt - beyond) * SURE)
        if room < needed:
            raise OutOfBudget(self._too_many(most_prompt), limit="max_tokens")
        price = self._prices.get(model)
        if price is not None:
            dearest = _dearest(model, price)
            room = min(room, self._affordable(price, dearest * most_prompt, beyond, needed))
        return min(wanted, room)

    def at_most(self, model: str, prompt: int, reply: int) -> float | None:
        """Return the US dollars that a request can cost at most; `None` when the model has no price."""
        price = self._prices.get(model)
        return None if price is None else (prompt * _dearest(model, price) + reply * price.output) / MILLION

    def _too_many(self, most_prompt: int) -> str:
        left = max(0, self._limits.max_tokens - self.tokens)
        return (
            f"the next request to the model, up to {most_prompt} tokens and a reply, does not fit into the {left} "
            f"tokens that are left of {self._limits.max_tokens} (budgets.max_tokens)"
        )

    def _affordable(self, price: PriceSettings, for_prompt: float, beyond: int, needed: int) -> int:
        """`for_prompt`: millionths of a US dollar."""
        left = self._limits.max_cost_usd - self.usd
        for_reply = left - (for_prompt + beyond * price.output) / MILLION
        room = int(for_reply * SURE * MILLION / price.output) if price.output > 0 else self._limits.max_tokens
        if for_reply < 0 or room < needed:
            message = (
                f"the next request to the model does not fit into the {max(0.0, left):.4f} US dollars that are left of "
                f"{self._limits.max_cost_usd:g} (budgets.max_cost_usd)"
            )
            raise OutOfBudget(message, limit="max_cost_usd")
        return room

    def add(self, model: str, used: Used) -> float | None:
        """Count what a request used; returns its price in US dollars, `None` when it has none in the settings."""
        self.tokens += used.total
        price = self._prices.get(model)
        if price is None:
            self.unpriced.add(model)
            return None
        cached = price.cached_input if price.cached_input is not None else price.input
        written = _written(model, price)
        usd = (used.prompt - used.cached - used.written) * price.input + used.cached * cached + used.written * written
        usd += used.completion * price.output
        self.usd += usd / MILLION
        return usd / MILLION


def _dearest(model: str, price: PriceSettings) -> float:
    """The most that a prompt token can cost."""
    return max(price.input, price.cached_input or 0.0, _written(model, price))


def _written(model: str, price: PriceSettings) -> float:
    """What a prompt token costs that the provider writes into its cache."""
    if price.cache_write is not None:
        return price.cache_write
    known = PROVIDERS.get(model.partition(":")[0])
    return price.input * (known.write_factor if known is not None else 1.0)


def traffic_so_far(events: Sequence[Event]) -> Traffic:
    """Return what the journal's requests used; a request without an end counts as the most it can have used."""
    asked = [event.data for event in events if event.kind == "model"]
    lost = [event.data for event in open_requests(events)]
    return Traffic(
        tokens=sum(int(data.get("total_tokens", 0)) for data in asked) + sum(map(most_of, lost)),
        usd=sum(float(data.get("cost_usd") or 0.0) for data in asked)
        + sum(float(data.get("cost_usd_most") or 0.0) for data in lost),
        unpriced=frozenset(
            event.name for event in events
            if event.kind == "model" and event.data.get("total_tokens") and event.data.get("cost_usd") is None
        ),
    )  # fmt: skip


def most_of(begun: Mapping[str, Any]) -> int:
    """Return the tokens that a request can have used at most, by the data of its begin."""
    prompt = begun.get("prompt_tokens_most") or begun.get("prompt_tokens_estimate") or 0
    return int(prompt) + int(begun.get("max_reply_tokens") or 0)
