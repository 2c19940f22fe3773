"""Steps the graph from its last checkpoint: at the start, after a crash, or with an answer."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from langgraph.types import Command
from pydantic import ValidationError

from lg_orch.contracts.state import Final, RunState, checked_update
from lg_orch.engine.plan_view import plan_shown, with_steps
from lg_orch.engine.stop_reports import changed_so_far, ended
from lg_orch.human.inquiry import how_to_answer, of_same_turn, question_of
from lg_orch.recording.journal import read_journal
from lg_policy.errors import Conflict

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from langchain_core.runnables import RunnableConfig
    from langgraph.graph.state import CompiledStateGraph
    from langgraph.types import StateSnapshot

    from lg_orch.agent.channels import GraphState
    from lg_orch.agent.services import Services
    from lg_orch.engine.job import RunJob
    from lg_orch.human.approvals import Question
    from lg_orch.human.inquiry import Inquiry


class Stepper:
    """Drives one compiled graph with its checkpoints; `inquiry` knows the answers or whom to ask."""

    def __init__(
        self,
        graph: CompiledStateGraph[GraphState, Services, GraphState, GraphState],
        job: RunJob,
        services: Services,
        inquiry: Inquiry,
    ) -> None:
        self._graph = graph
        self._job = job
        self._services = services
        self._inquiry = inquiry
        self._config: RunnableConfig = {
            "recursion_limit": services.budgets.recursion_limit(),
            "configurable": {"thread_id": job.run.run_id},
        }

    async def run(self, remember: Callable[[RunState], None]) -> Final:
        """Step to the end or to a question that gets no answer. `remember` gets the state after each step."""
        snapshot = await self._look()
        # Not `next`: that leaves out a task whose writes are kept and whose checkpoint is not.
        if snapshot.values and not snapshot.tasks:
            # Killed between its last step and the end of its journal: only the report is missing.
            remember(RunState.model_validate(snapshot.values))
            return _final(snapshot)
        entry: Any = None if snapshot.values else {"request": self._job.request}
        if self._job.edited_plan is not None:
            await self._graph.aupdate_state(self._config, self._edited(snapshot, self._job.edited_plan), "planner")
            snapshot = await self._look()
        while True:
            if snapshot.interrupts:
                if not await self._settled(snapshot):
                    remember(RunState.model_validate(snapshot.values))
                    run = self._job.run
                    changed = changed_so_far(run.run_id, read_journal(run.journal))
                    return waiting(run.run_id, [each for group in _questions(snapshot) for each in group], changed)
                # The answers are the inquiry's to give, by key; this only wakes the graph.
                entry = Command(resume={asked.id: True for asked in snapshot.interrupts})
            await self._step(entry, remember)
            snapshot = await self._look()
            if self._job.plan_only and snapshot.next and not snapshot.interrupts:
                planned = plan_shown(self._job.run.run_id, RunState.model_validate(snapshot.values))
                if planned is not None:
                    return planned
                entry = None
                continue
            if not snapshot.interrupts:
                return _final(snapshot)

    async def _look(self) -> StateSnapshot:
        """Where the run stands. Raises `Conflict` when another version wrote a state that this one cannot read."""
        try:
            return await self._graph.aget_state(self._config)
        except ValidationError as error:
            found = error.errors()[0]
            raise Conflict(
                f"run {self._job.run.run_id} was started by another version, whose state this version cannot read "
                f"({found['msg']} at {'.'.join(map(str, found['loc']))})",
                hint="resume it with the version that `runs show --json` names, or start a new run",
            ) from error

    async def _step(self, entry: Any, remember: Callable[[RunState], None]) -> None:
        steps = self._graph.astream(
            entry, self._config, context=self._services, stream_mode="values", durability="sync",
            interrupt_after=["planner"] if self._job.plan_only else None,
        )  # fmt: skip
        async for values in steps:
            # The results are many, and nobody asks for them between two steps.
            known = {name: values[name] for name in values if name in RunState.model_fields and name != "tool_results"}
            if "request" in known:
                remember(RunState.model_validate(known))

    def _edited(self, snapshot: StateSnapshot, steps: tuple[str, ...]) -> dict[str, Any]:
        """The state with the plan as the user changed it; the calls that the old one named are decided anew.

        Raises `Conflict` for a run that has no plan yet or has begun to carry it out.
        """
        state = RunState.model_validate(snapshot.values) if snapshot.values else None
        if state is None or state.plan is None or state.tool_results or state.verification is not None:
            raise Conflict(
                "the plan of this run can no longer be changed",
                hint="say what should be different with `lg-orch resume --say TEXT`",
            )
        plan = with_steps(state.plan, steps)
        data = {"text": "the user changed the plan", "plan": plan.model_dump(mode="json")}
        self._job.bus.emit("thought", "planner", "end", data)
        return checked_update("planner", {"plan": plan, "queue": ()})

    async def _settled(self, snapshot: StateSnapshot) -> bool:
        """Whether every question has an answer; the time a person takes is not the run's."""
        begun = time.monotonic()
        self._services.control.asking = True
        try:
            answered = [await self._inquiry.settle_together(questions) for questions in _questions(snapshot)]
        finally:
            self._services.control.asking = False
            self._services.control.waited_s += time.monotonic() - begun
        return all(answered)


def waiting(run_id: str, questions: list[Question], changed: str = "") -> Final:
    """Return the report of a run that waits for a human; `changed` says what it changed until then."""
    parts = ["The run waits for a human.", *([changed] if changed else [])]
    for question in questions:
        together = of_same_turn(question, questions)
        answer = how_to_answer(run_id, question, len(together)) if question == together[-1] else ""
        parts.append(f"{question.message}\n\n{answer}".rstrip())
    return Final(status="waiting", exit_status=3, text="\n\n".join(parts))


def _questions(snapshot: StateSnapshot) -> list[list[Question]]:
    """The questions of each interrupt: one, or those of a turn together."""
    inputs = _inputs(snapshot.values)
    payloads = [asked.value if isinstance(asked.value, list) else [asked.value] for asked in snapshot.interrupts]
    return [[question_of(payload, inputs.get(payload["call_id"])) for payload in group] for group in payloads]


def _inputs(values: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """The arguments of the decided calls, by id."""
    decided = (*values.get("queue", ()), *values.get("checks", ()), *values.get("baseline_checks", ()))
    # The state leaves out what is empty.
    return {queued["call"]["id"]: queued["call"].get("input", {}) for queued in decided}


def _final(snapshot: StateSnapshot) -> Final:
    final = snapshot.values.get("final")
    return ended("failed", "the graph ended without a report") if final is None else Final.model_validate(final)
