"""What a run's model traffic used, in tokens and money, and how much the next request may use.

The sums start from the journal, so that a request whose step was lost in a crash stays counted. A limit is checked
before a request is made, for the whole prompt and the longest reply that it is allowed.

Not covered: a provider whose own count of a prompt is above the estimate; the limit can be passed by that difference.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from lg_policy.errors import LimitExceeded

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from lg_orch.models_trace import Event
    from lg_policy.config import BudgetSettings, PriceSettings

MIN_REPLY = 64
"""A request that leaves less than this for its reply is not made."""
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
        """The sum of both."""
        return Traffic(
            tokens=self.tokens + other.tokens, usd=self.usd + other.usd, unpriced=self.unpriced | other.unpriced
        )


class Meter:
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

    def reply_room(self, model: str, prompt_tokens: int, wanted: int) -> int:
        """Tokens, at most `wanted`, that the reply to a prompt may have. Raises `LimitExceeded` when none are left."""
        room = self._limits.max_tokens - self.tokens - prompt_tokens
        if room < MIN_REPLY:
            raise LimitExceeded(self._too_many(prompt_tokens))
        price = self._prices.get(model)
        if price is not None:
            room = min(room, self._affordable(price, prompt_tokens))
        return min(wanted, room)

    def _too_many(self, prompt_tokens: int) -> str:
        left = max(0, self._limits.max_tokens - self.tokens)
        return (
            f"the next request to the model, about {prompt_tokens} tokens, does not fit into what is left of the run's "
            f"{self._limits.max_tokens} tokens, {left} (budgets.max_tokens)"
        )

    def _affordable(self, price: PriceSettings, prompt_tokens: int) -> int:
        left = self._limits.max_cost_usd - self.usd
        after_prompt = left - prompt_tokens * max(price.input, price.cache_write or 0.0) / MILLION
        room = int(after_prompt * MILLION / price.output) if price.output > 0 else self._limits.max_tokens
        if after_prompt < 0 or room < MIN_REPLY:
            message = (
                f"the next request to the model does not fit into what is left of the run's "
                f"{self._limits.max_cost_usd:g} US dollars, {max(0.0, left):.4f} (budgets.max_cost_usd)"
            )
            raise LimitExceeded(message)
        return room

    def add(self, model: str, used: Used) -> float | None:
        """Count what a request used; returns its price in US dollars, `None` when it has none in the settings."""
        self.tokens += used.total
        price = self._prices.get(model)
        if price is None:
            self.unpriced.add(model)
            return None
        cached = price.cached_input if price.cached_input is not None else price.input
        written = price.cache_write if price.cache_write is not None else price.input
        usd = (used.prompt - used.cached - used.written) * price.input + used.cached * cached + used.written * written
        usd += used.completion * price.output
        self.usd += usd / MILLION
        return usd / MILLION


def traffic_so_far(events: Sequence[Event]) -> Traffic:
    """What the journal's requests used."""
    asked = [event.data for event in events if event.kind == "model"]
    return Traffic(
        tokens=sum(int(data.get("total_tokens", 0)) for data in asked),
        usd=sum(float(data.get("cost_usd") or 0.0) for data in asked),
        unpriced=frozenset(
            event.name for event in events
            if event.kind == "model" and event.data.get("total_tokens") and event.data.get("cost_usd") is None
        ),
    )  # fmt: skip
