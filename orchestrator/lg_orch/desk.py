"""What a run lends to a mind that asks a language model: its tools, its meter, its journal, its clock."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lg_policy.errors import LimitExceeded

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from lg_orch.meter import Meter, Used
    from lg_orch.services import Services
    from lg_orch.tools import ToolInfo


class RunDesk:
    """The desk of one run in this process."""

    def __init__(self, services: Services, meter: Meter) -> None:
        self._services = services
        self._meter = meter

    @property
    def tools(self) -> Sequence[ToolInfo]:
        """The tools found at the gateway."""
        return self._services.tools.tools

    @property
    def wall_left_s(self) -> float:
        """Seconds until the run's wall clock is used up."""
        return max(0.0, self._services.budgets.limits.max_wall_s - self._services.wall_s())

    def reply_room(self, model: str, prompt_tokens: int, wanted: int) -> int:
        """Tokens that the next reply may have. Raises `LimitExceeded` when tokens, money or time are used up."""
        if self.wall_left_s <= 0:
            limit = self._services.budgets.limits.max_wall_s
            raise LimitExceeded(f"the run used its wall clock of {limit:g} s (budgets.max_wall_s)")
        return self._meter.reply_room(model, prompt_tokens, wanted)

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
