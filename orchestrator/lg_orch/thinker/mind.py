"""Decides by asking language models; everything it knows comes with each question, so that any process can go on."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from langchain_core.messages import AIMessage, HumanMessage
from pydantic import ValidationError

from lg_orch.analyst import LocalAnalyst
from lg_orch.errors import ThinkingFailed
from lg_orch.models_io import Answer, Plan, PlannedCall, Route
from lg_orch.thinker.messages import exchange, parameters, plan_text, system, task, tool_schemas, transcript, wrapped
from lg_orch.thinker.structured import ask_json

if TYPE_CHECKING:
    from collections.abc import Sequence

    from langchain_core.messages import BaseMessage

    from lg_orch.models_io import RepoContext, ToolEnvelope, VerifierReport
    from lg_orch.seams import Desk
    from lg_orch.thinker.requests import Models, Reply

MAX_CALLS_A_TURN = 8
MAX_SAME = 3
"""So many times the same call with the same result, one after the other, is a loop that leads nowhere."""


class ModelMind:
    """A mind that may act (`lg_orch.seams.ActingMind`)."""

    def __init__(self, models: Models) -> None:
        self._models = models
        self._given: Desk | None = None

    def attach(self, desk: Desk) -> None:
        """Take what this run lends."""
        self._given = desk

    @property
    def _desk(self) -> Desk:
        if self._given is None:
            raise ThinkingFailed("the model's mind was asked before it was attached to a run")
        return self._given

    def route(self, request: str) -> Route:
        """The analyst's rules for what they know for sure; the router model for everything else."""
        known = LocalAnalyst().route(request)
        if not known.needs_model:
            return known
        messages = [system("route"), HumanMessage(f"<request>\n{request}\n</request>")]
        found = ask_json(self._asking("router"), messages, Route, what="classification")
        return found.model_copy(update={"needs_model": False})

    def plan(self, request: str, route: Route, context: RepoContext, tools: Sequence[str]) -> Plan:
        """The planner model's plan, checked and with ids of our own."""
        message = task(request, context, f"Kind of request: {route.intent}", self._offer(tools))
        return self._plan(message, made=0)

    def replan(
        self,
        request: str,
        route: Route,
        context: RepoContext,
        results: Sequence[ToolEnvelope],
        verification: VerifierReport,
    ) -> Plan:
        """A plan that repairs what the checks found."""
        failed = "\n".join(
            f"{check.name}: exit code {check.exit_code}: {check.summary}"
            for check in verification.checks
            if not check.ok
        )
        parts = (
            f"Kind of request: {route.intent}", self._offer([tool.name for tool in self._desk.tools]),
            "What was done so far, with results:",
            transcript(results), wrapped("failed_checks", failed),
            "The checks above did not pass. Write a new plan that repairs this from the present state of the files.",
        )  # fmt: skip
        return self._plan(task(request, context, *parts), made=len(results))

    def next_calls(
        self, request: str, plan: Plan, context: RepoContext, results: Sequence[ToolEnvelope]
    ) -> Sequence[PlannedCall]:
        """The tool calls of the coder model's next turn; empty when it makes none."""
        self._refuse_a_loop(results)
        tools = tool_schemas(self._desk.tools)
        messages: list[BaseMessage] = [system("act"), task(request, context, plan_text(plan)), *exchange(results)]
        reply = self._models.ask(self._desk, "coder", messages, tools)
        if reply.broken:
            problem = "; ".join(reply.broken)
            again = [*messages, AIMessage(reply.text or "(a tool call)"), HumanMessage(f"Unreadable call: {problem}")]
            reply = self._models.ask(self._desk, "coder", again, tools)
        if reply.broken and not reply.calls:
            raise ThinkingFailed(f"the model's tool calls could not be read twice: {'; '.join(reply.broken)}")
        return _planned(reply, len(results))

    def answer(
        self,
        request: str,
        plan: Plan,
        context: RepoContext,
        results: Sequence[ToolEnvelope],
        verification: VerifierReport | None,
    ) -> Answer:
        """The planner model's words on what was found and done; whether it worked is the verifier's to say."""
        checks = "No check was run." if verification is None else verification.model_dump_json()
        parts = (plan_text(plan), "What was done, with results:", transcript(results), wrapped("checks", checks))
        message = task(request, context, *parts)
        reply = self._models.ask(self._desk, "planner", [system("answer"), message])
        if not reply.text.strip():
            raise ThinkingFailed("the model gave an empty answer")
        return Answer(text_markdown=reply.text)

    def _asking(self, role: str) -> Any:
        return lambda messages: self._models.ask(self._desk, role, messages).text

    def _plan(self, message: HumanMessage, *, made: int) -> Plan:
        plan = ask_json(self._asking("planner"), [system("plan"), message], Plan, what="plan", check=self._problem)
        # Ids must not meet those of an earlier plan of this run.
        steps = tuple(
            step.model_copy(update={"id": f"p{made}s{number}"}) for number, step in enumerate(plan.steps, start=1)
        )
        return plan.model_copy(update={"steps": steps})

    def _problem(self, plan: Plan) -> str | None:
        known = {tool.name for tool in self._desk.tools}
        named = {call.tool for call in plan.calls()} | {use.tool for use in plan.verification}
        if unknown := sorted(named - known):
            return f"there are no tools {', '.join(unknown)}; there are: {', '.join(sorted(known))}"
        runner = self._runner()
        if any(use.tool != runner for use in plan.verification):
            return f"verification may only call {runner}" if runner else "nothing here can run checks: leave them empty"
        return None

    def _runner(self) -> str | None:
        tools = self._desk.tools
        return next((tool.name for tool in tools if tool.original == "exec" and tool.root_id is not None), None)

    def _offer(self, names: Sequence[str]) -> str:
        """The tools in words, for a plan."""
        lines = [
            f"- {tool.name}: {tool.description}\n  input: {json.dumps(parameters(tool))}"
            for tool in self._desk.tools
            if tool.name in names
        ]
        return wrapped("tools", "\n".join(lines))

    def _refuse_a_loop(self, results: Sequence[ToolEnvelope]) -> None:
        last = [(one.tool, one.artifacts.input, one.ok, one.stdout, one.stderr) for one in results[-MAX_SAME:]]
        if len(last) == MAX_SAME and all(one == last[0] for one in last):
            raise ThinkingFailed(f"the model made the same call {MAX_SAME} times with the same result ({last[0][0]})")


def _planned(reply: Reply, made: int) -> list[PlannedCall]:
    calls: list[PlannedCall] = []
    for number, call in enumerate(reply.calls[:MAX_CALLS_A_TURN], start=1):
        try:
            why = reply.text[:300] if number == 1 else ""
            calls.append(PlannedCall(id=f"m{made}.{number}", tool=call.tool, input=call.input, why=why))
        except ValidationError as error:
            raise ThinkingFailed(f"the model named a tool that no tool can be called: {call.tool[:50]!r}") from error
    return calls
