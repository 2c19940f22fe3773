"""What a run lends to a mind that asks a language model: its tools, its meter, its journal, its clock."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lg_orch.bounds import Bounds

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from lg_orch.bounds import Bound
    from lg_orch.meter import Meter, Used
    from lg_orch.services import Services
    from lg_orch.tools import ToolInfo


class RunDesk:
    """The desk of one run in this process."""

    def __init__(self, services: Services, meter: Meter, bounds: Bounds | None = None) -> None:
        self._services = services
        self._meter = meter
        self._bounds = bounds or Bounds()

    @property
    def tools(self) -> Sequence[ToolInfo]:
        """The tools found at the gateway."""
        return self._services.tools.tools

    @property
    def wall_left_s(self) -> float:
        """Seconds until the run's wall clock is used up."""
        return max(0.0, self._services.budgets.limits.max_wall_s - self._services.wall_s())

    def check_wall(self) -> None:
        """Raise `OutOfBudget` once the run's wall clock is used up."""
        self._services.check_wall()

    def bound(self, model: str) -> Bound:
        """What this run knows of a model's counting."""
        return self._bounds.of(model)

    def reply_room(self, model: str, most_prompt: int, wanted: int) -> int:
        """Tokens that the next reply may have. Raises `OutOfBudget` when tokens, money or time are used up."""
        self.check_wall()
        return self._meter.reply_room(model, most_prompt, wanted, beyond=self.bound(model).reply_surplus)

    def at_most(self, model: str, prompt: int, reply: int) -> float | None:
        """US dollars that a request can cost at most; `None` when the model has no price."""
        return self._meter.at_most(model, prompt, reply)

    def record(self, name: str, phase: str, data: Mapping[str, Any]) -> None:
        """Journal it."""
        self._services.bus.emit("model", name, phase, dict(data))

    def spend(self, name: str, phase: str, used: Used, data: Mapping[str, Any]) -> None:
        """Count it and journal it with its price."""
        cost = self._meter.add(name, used) if used.total else 0.0
        usd = round(cost, 8) if cost is not None else None
        self.record(name, phase, {**data, "total_tokens": used.total, "cost_usd": usd})

    def progress(self, name: str, data: Mapping[str, Any]) -> None:
        """Show what is coming in."""
        self._services.bus.progress(name, dict(data), kind="model")

    def mask(self, text: str) -> str:
        """Hide known secrets."""
        return self._services.bus.mask(text)
