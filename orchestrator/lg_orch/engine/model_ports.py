"""Implements the interfaces that a run gives to a model backend: tools, budget, clock and journal."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from lg_orch.llm.cost.token_bounds import TokenBounds
from lg_orch.llm.ports import RunPorts

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lg_orch.agent.budgets import Budgets
    from lg_orch.agent.run_control import RunControl
    from lg_orch.agent.services import Services
    from lg_orch.llm.cost.spending import Spending, Used
    from lg_orch.llm.cost.token_bounds import TokenBound
    from lg_orch.recording.event_bus import EventBus


def ports_of(services: Services, spending: Spending, bounds: TokenBounds | None = None) -> RunPorts:
    """Return the ports of one run in this process."""
    ports = ports_without_tools(services.bus, services.budgets, services.control, spending, bounds)
    return replace(ports, tools=services.tools.tools)


def ports_without_tools(
    bus: EventBus, budgets: Budgets, control: RunControl, spending: Spending, bounds: TokenBounds | None = None
) -> RunPorts:
    """Return the ports of a run whose gateway still starts."""
    clock = RunClock(budgets, control)
    return RunPorts(
        tools=(),
        budget=RunBudget(spending, bounds or TokenBounds(), clock),
        clock=clock,
        journal=RunJournal(bus, spending),
        mask=bus.mask,
    )


class RunClock:
    """The run's wall clock."""

    def __init__(self, budgets: Budgets, control: RunControl) -> None:
        self._budgets = budgets
        self._control = control

    @property
    def wall_left_s(self) -> float:
        """Seconds until the run's wall clock is used up."""
        return max(0.0, self._budgets.limits.max_wall_s - self._control.wall_s())

    def check_wall(self) -> None:
        """Raise `OutOfBudget` once the run's wall clock is used up."""
        self._budgets.check_wall(self._control.wall_s())


class RunBudget:
    """The run's tokens and money, held by the most that a request can have."""

    def __init__(self, spending: Spending, bounds: TokenBounds, clock: RunClock) -> None:
        self._spending = spending
        self._bounds = bounds
        self._clock = clock

    def bound(self, model: str) -> TokenBound:
        """Return what this run knows of a model's counting."""
        return self._bounds.of(model)

    def reply_room(self, model: str, most_prompt: int, wanted: int) -> int:
        """Return the tokens that the next reply may have. Raises `OutOfBudget` when the budgets are used up."""
        self._clock.check_wall()
        return self._spending.reply_room(model, most_prompt, wanted, beyond=self.bound(model).reply_surplus)

    def at_most(self, model: str, prompt: int, reply: int) -> float | None:
        """Return the US dollars that a request can cost at most; `None` when the model has no price."""
        return self._spending.at_most(model, prompt, reply)


class RunJournal:
    """Requests to models in the run's journal, priced."""

    def __init__(self, bus: EventBus, spending: Spending) -> None:
        self._bus = bus
        self._spending = spending

    def record(self, name: str, phase: str, data: Mapping[str, Any]) -> None:
        """Journal a request."""
        self._bus.emit("model", name, phase, dict(data))

    def spend(self, name: str, phase: str, used: Used, data: Mapping[str, Any]) -> None:
        """Count the request and journal it with its price."""
        cost = self._spending.add(name, used) if used.total else 0.0
        usd = round(cost, 8) if cost is not None else None
        self.record(name, phase, {**data, "total_tokens": used.total, "cost_usd": usd})

    def progress(self, name: str, data: Mapping[str, Any]) -> None:
        """Show what is coming in."""
        self._bus.progress(name, dict(data), kind="model")
