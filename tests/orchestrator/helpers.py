"""Building a run for a test: real graph, journal and result store; scripted backend; gateway in memory."""

from __future__ import annotations

from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lg_orch.agent.budgets import Budgets
from lg_orch.agent.calls_beside import calls_beside
from lg_orch.agent.channels import GraphState
from lg_orch.agent.graph import build_graph
from lg_orch.agent.interfaces import ActingBackend
from lg_orch.agent.services import Services
from lg_orch.contracts.errors import ModelGone, OutOfBudget
from lg_orch.contracts.state import RunState
from lg_orch.engine.model_ports import ports_of
from lg_orch.llm.cost.spending import Spending
from lg_orch.llm.ports import AsksModels
from lg_orch.llm.providers import model_hint
from lg_orch.recording.event_bus import EventBus
from lg_orch.recording.journal import Journal, read_journal
from lg_orch.recording.result_store import ResultStore
from lg_orch.runs.run_directory import RunDir, new_run
from lg_orch.tools.gateway_tools import GatewayTools
from lg_policy.config.settings import BudgetSettings, Settings
from lg_policy.secrets.masking import Masker
from tests.orchestrator.fake_gateway import ROOT_ID, FakeGateway

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping
    from pathlib import Path

    from lg_orch.agent.interfaces import Backend
    from lg_orch.contracts.events import Event
    from lg_orch.human.approvals import Approver
    from lg_orch.recording.event_bus import Listener


@dataclass(kw_only=True)
class World:
    services: Services
    run: RunDir
    gateway: FakeGateway

    def events(self) -> list[Event]:
        return read_journal(self.run.journal)

    def visits(self) -> list[str]:
        return [event.name for event in self.events() if event.kind == "node" and event.phase == "begin"]

    async def go(self, request: str) -> RunState:
        """Run the graph to its end within its recursion limit."""
        values = await build_graph().ainvoke(
            GraphState(request=request),
            {"recursion_limit": self.services.budgets.recursion_limit()},
            context=self.services,
        )
        return RunState.model_validate(values)

    async def breaks_off(self, request: str) -> ModelGone | OutOfBudget:
        """Run the graph until it breaks off where it could go on; return why."""
        try:
            state = await self.go(request)
        except (ModelGone, OutOfBudget) as error:
            return error
        raise AssertionError(f"the run came to its end: {state.final}")


@asynccontextmanager
async def world(
    state: Path,
    backend: Backend | ActingBackend,
    *,
    gateway: FakeGateway | None = None,
    budgets: Mapping[str, float] | None = None,
    settings: Settings | None = None,
    listeners: tuple[Listener, ...] = (),
    approver: Approver | None = None,
) -> AsyncIterator[World]:
    gateway = gateway or FakeGateway()
    settings = settings or Settings(budgets=BudgetSettings.model_validate(budgets or {}))
    run = new_run(state)
    journal = Journal(run.journal)
    bus = EventBus(journal, Masker(b"k" * 32), listeners)
    spending = Spending(settings.budgets, settings.models.prices)
    async with gateway.connected() as connection, calls_beside() as beside:
        tools = GatewayTools(
            connection.tools, connection.send, bus=bus, run_id=run.run_id, approver=approver, pauses=(0.0, 0.0)
        )
        services = Services(
            run_id=run.run_id,
            root_name="repo",
            root_id=ROOT_ID,
            settings=settings,
            backend=backend,
            backend_name="a script",
            model_hint=model_hint(),
            tools=tools,
            results=ResultStore(run.results),
            bus=bus,
            budgets=Budgets(settings.budgets),
            spending=spending,
            beside=beside,
        )
        if isinstance(backend, AsksModels):
            backend.attach(ports_of(services, spending))
        yield World(services=services, run=run, gateway=gateway)
    journal.close()
