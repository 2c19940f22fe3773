"""Steps the graph from wherever its checkpoints stand: from the start, on after a crash, on with an answer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from langgraph.types import Command

from lg_orch.approvals import Question
from lg_orch.driver import ended
from lg_orch.state import Final, RunState

if TYPE_CHECKING:
    from collections.abc import Callable

    from langchain_core.runnables import RunnableConfig
    from langgraph.graph.state import CompiledStateGraph
    from langgraph.types import Interrupt, StateSnapshot

    from lg_orch.driver import Job
    from lg_orch.services import Services


class Stepper:
    """Drives one compiled graph with its checkpoints."""

    def __init__(
        self, graph: CompiledStateGraph[RunState, Services, RunState, RunState], job: Job, services: Services
    ) -> None:
        self._graph = graph
        self._job = job
        self._services = services
        self._config: RunnableConfig = {
            "recursion_limit": services.budgets.recursion_limit(),
            "configurable": {"thread_id": job.run.run_id},
        }

    async def run(self, remember: Callable[[RunState], None]) -> Final:
        """Step to the end or to a question. `remember` gets the state after each step."""
        snapshot = await self._graph.aget_state(self._config)
        if snapshot.values and not snapshot.next:
            # Killed between its last step and the end of its journal: only the report is missing.
            remember(RunState.model_validate(snapshot.values))
            return _final(snapshot)
        entry = await self._entry(snapshot)
        if entry is _WAIT:
            remember(RunState.model_validate(snapshot.values))
            return self._waiting(snapshot.interrupts)
        steps = self._graph.astream(
            entry, self._config, context=self._services, stream_mode="values", durability="sync"
        )
        async for values in steps:
            known = {name: value for name, value in values.items() if name in RunState.model_fields}
            if "request" in known:
                remember(RunState.model_validate(known))
        snapshot = await self._graph.aget_state(self._config)
        if snapshot.interrupts:
            return self._waiting(snapshot.interrupts)
        return _final(snapshot)

    async def _entry(self, snapshot: StateSnapshot) -> Any:
        """What to start the graph with, or `_WAIT` when its question has no answer yet."""
        if not snapshot.values:
            return {"request": self._job.request}
        if snapshot.interrupts:
            answers = {one.id: await self._answer(one) for one in snapshot.interrupts}
            return _WAIT if None in answers.values() else Command(resume=answers)
        return None

    async def _answer(self, asked: Interrupt) -> dict[str, str] | None:
        value = asked.value
        verdict = self._job.answer
        if verdict is None:
            question = Question(
                tool=value["tool"], builtin=value["builtin"], message=value["message"], key=value["key"]
            )
            verdict = await self._job.present.ask(question)
        if verdict is None:
            return None
        return {"key": value["key"], "decision": verdict.decision, "by": verdict.by, "reason": verdict.reason}

    def _waiting(self, interrupts: tuple[Interrupt, ...]) -> Final:
        run_id = self._job.run.run_id
        questions = "\n\n".join(str(one.value["message"]) for one in interrupts)
        how = f"`lg-orch resume {run_id} --approve` or `lg-orch resume {run_id} --deny`"
        text = f"The run waits for a human.\n\n{questions}\n\nAnswer with {how}."
        return Final(status="waiting", exit_status=3, text=text)


def _final(snapshot: StateSnapshot) -> Final:
    final = snapshot.values.get("final")
    return ended("failed", "the graph ended without a report") if final is None else Final.model_validate(final)


_WAIT = object()
