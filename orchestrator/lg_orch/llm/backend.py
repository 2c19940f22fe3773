"""Decides by asking language models. Everything comes with each question, so that any process can continue."""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import takewhile
from typing import TYPE_CHECKING, Any, TypeVar

from langchain_core.messages import AIMessage, BaseMessage, HumanMessage
from pydantic import BaseModel, ValidationError

from lg_orch.agent.checks.check_commands import can_check
from lg_orch.contracts.errors import ContextExceeded, ThinkingFailed
from lg_orch.contracts.plans import CHANGES, THE_REQUEST, Plan, PlannedCall, PlanStep, Repair, Review, Route, Turn
from lg_orch.contracts.reports import VerifierReport
from lg_orch.llm.conversation.conversation import BASELINE_ID, Rendered, conversation, transcript
from lg_orch.llm.conversation.earlier import Earlier, continued
from lg_orch.llm.conversation.messages import checks_text, plan_text, system, task, wrapped
from lg_orch.llm.conversation.notes import Notes
from lg_orch.llm.corrections import refuse_second, wrong_with
from lg_orch.llm.model_request import ModelRequest
from lg_orch.llm.plain_requests import route_by_rules
from lg_orch.llm.structured import ask_json, bounded
from lg_orch.llm.text_calls import SERVER_SETTING, before_calls, calls_in_text, looks_like_calls
from lg_orch.llm.tool_names import tool_meant
from lg_orch.llm.tool_offer import DISCOVER, REPLAN, RESULT, chosen, offer, parameters
from lg_orch.llm.wire.call_arguments import too_deep, without_wrapper
from lg_orch.prompts.loading import prompt
from lg_orch.tools.result_text import command_output, middle_out
from lg_orch.tools.tool_info import EXECUTE, unwrapped

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from lg_orch.agent.interfaces import Work
    from lg_orch.contracts.envelopes import ToolEnvelope
    from lg_orch.llm.ports import RunPorts
    from lg_orch.llm.replies import Reply
    from lg_orch.llm.requests import Models

Answer = TypeVar("Answer", bound=BaseModel)
MAX_CALLS_A_TURN = 8
MAX_FAILURE_CHARS = 4_000
"""Of one failing check's output, in a digest."""
MAX_WORDS = 8_000
MAX_WHY = 600
"""Characters of what a model says beside its calls that stay in the conversation."""

OURS = frozenset((REPLAN, DISCOVER, EXECUTE, RESULT))
"""Names that a model may call beside the tools of the gateway."""


class ModelBackend:
    """A backend that may act (`lg_orch.agent.interfaces.ActingBackend`)."""

    def __init__(self, models: Models, *, tools_at_once: int = 40) -> None:
        self._models = models
        self._at_once = tools_at_once
        self._given: RunPorts | None = None
        self._rendered, self._notes = Rendered(), Notes()
        self._earlier, self._sent, self._made = Earlier(), list[BaseMessage](), 0
        self._told: Earlier | None = None
        self._rules, self._more = tuple[str, ...](), tuple[str, ...]()

    def attach(self, ports: RunPorts, earlier: Earlier | None = None) -> None:
        """Take the run's interfaces, and what the conversation said before it."""
        self._earlier, self._told, self._sent = earlier or Earlier(), None, []
        self._given, self._rendered, self._notes = ports, Rendered(self._earlier.calls), Notes()

    def conversation(self, request: str, words: str) -> Earlier | None:
        """Return the conversation with this run, for one that follows; `None` when no model worked on it here."""
        if not self._sent:
            return None
        before = replace(self._earlier, rules=self._rules, told=self._more)
        return continued(before, self._sent, request, words, self._made, self._ports.mask)

    def _before(self, shorter: int) -> Earlier:
        """What was said before, as it is told in this run: the same in each request, unless the budgets are short."""
        count = self._models.counter("coder").count
        if self._told is None:
            self._told = self._earlier.within(count, self._models.context_tokens("coder") // 2)
        return self._told if shorter == 1 else self._earlier.within(count, 0)

    @property
    def _ports(self) -> RunPorts:
        if self._given is None:
            raise ThinkingFailed("the model's backend was asked before it was attached to a run")
        return self._given

    def route(self, request: str) -> Route:
        """Return the rules' word where the wording says enough; the router model's for everything else."""
        known = route_by_rules(request)
        if known is not None:
            return known
        before = [HumanMessage(self._earlier.summary())] if self._earlier.exchanges else []
        messages = [system("route"), *before, HumanMessage(f"<request>\n{request}\n</request>")]
        found = ask_json(self._asking("router", Route), messages, Route, what="classification")
        return found.model_copy(update={"needs_model": False})

    def draft(self, work: Work) -> Plan:
        """Return the plan: in the interactive lane the request itself, which costs nothing, else the planner's."""
        if work.route.lane == "interactive":
            return _request_as_plan(0)
        parts = (self._earlier.summary(), f"Kind of request: {work.route.intent}", self._offer(work))
        message = task(_whole_request(work), work.context, *parts)
        asked = ask_json(
            self._asking("planner", Plan), [system("plan"), message], Plan, what="plan", check=self._problem
        )
        return _numbered(asked, 0)

    def replan(self, work: Work) -> Repair:
        """Return a plan that repairs what the checks found, or fits what was found.

        In the interactive lane a failed check goes straight to who works on it the first time: its output is the last
        thing in the conversation, and the request stays the plan.
        """
        failure = _failure(work)
        if work.route.lane == "interactive" and not work.reflections and not work.contradiction:
            plan = _request_as_plan(len(work.results))
            verification = work.plan.verification if work.plan else ()
            return Repair(reflection=failure, plan=plan.model_copy(update={"verification": verification}))
        before = (f"Kind of request: {work.route.intent}", self._offer(work), "What was done so far, with results:")
        after = (*(f"Learnt before: {text}" for text in work.reflections), failure)
        found = self._asked_fitting("planner", Repair, lambda shorter: [
            system("replan"),
            task(_whole_request(work), work.context, *before, self._transcript(work, shorter), *after),
        ], what="plan", check=lambda repair: self._problem(repair.plan))  # fmt: skip
        plan = _numbered(found.plan, len(work.results))
        if not plan.verification and work.plan is not None:
            plan = plan.model_copy(update={"verification": work.plan.verification})
        return found.model_copy(update={"plan": plan})

    def act(self, work: Work) -> Turn:
        """Return the tool calls of the coder model's next turn; its closing words when it makes none."""
        asked, reply = self._models.ask_fitting(self._ports, lambda shorter: self._turn_of(work, shorter))
        messages, tools = asked.messages, asked.tools
        self._sent, self._made = list(messages[1:]), len(work.results)
        notes = self._models.notes("coder")
        told = set[str]()
        while True:
            reply, in_words = self._out_of_words(reply)
            notes = (*notes, SERVER_SETTING) if in_words and SERVER_SETTING not in notes else notes
            problem, correction = wrong_with(reply, in_words=in_words)
            if not problem or problem in told:
                break
            told.add(problem)
            again = [
                *messages,
                AIMessage(reply.text.strip() or "(nothing that could be read)"),
                HumanMessage(correction),
            ]
            reply = self._models.ask(self._ports, ModelRequest(role="coder", messages=again, tools=tools))
        refuse_second(problem, reply)
        return self._turn(reply, len(work.results)).model_copy(update={"notes": notes})

    def _out_of_words(self, reply: Reply) -> tuple[Reply, bool]:
        """The reply with the calls that it holds as text, where all of them are known; and whether it holds any."""
        known = {tool.name for tool in self._ports.tools} | OURS
        if reply.calls or reply.broken or not looks_like_calls(reply.text, known):
            return reply, False
        calls = calls_in_text(reply.text)
        unknown = any(self._resolved(call.tool, call.input)[0] not in known for call in calls)
        if not calls or unknown or any(too_deep(call.input) for call in calls):
            return reply, True
        return replace(reply, text=before_calls(reply.text), calls=tuple(calls)), True

    def review(self, work: Work) -> Review | None:
        """Return the verifier model's comparison with the acceptance criteria; only where a plan has some."""
        if work.route.lane != "deep" or work.plan is None or not work.plan.acceptance:
            return None
        before = (plan_text(work.plan), "What was done, with results:")
        return self._asked_fitting("verifier", Review, lambda shorter: [
            system("review"), task(_whole_request(work), work.context, *before, self._transcript(work, shorter)),
        ], what="review")  # fmt: skip

    def _turn_of(self, work: Work, shorter: int) -> ModelRequest:
        """The request for the next turn, or a shorter one."""
        deep = work.route.lane == "deep"
        # The same ones in every request of a run: a provider's cache begins with them.
        tools = offer(self._ports.tools, work.context, self._at_once, replan=deep, changes=self._changes(work))
        messages = self._messages(work, shorter, tools)
        return ModelRequest(role="coder", messages=messages, tools=tools, results=len(work.results))

    def _changes(self, work: Work) -> bool:
        """Whether tools that change files are offered: a conversation goes on with the same ones, for the cache."""
        return _changes(work) or bool(self._earlier.exchanges)

    def _messages(self, work: Work, shorter: int, tools: Sequence[dict[str, Any]]) -> list[BaseMessage]:
        counter = self._models.counter("coder")
        notes = [(self._earlier.calls + number, text) for number, text in self._notes.of(work)]
        # The rules that a conversation began with stay in front; what else holds in this run is told with its request.
        wanted, before = _rules(work), self._before(shorter)
        rules = before.rules or wanted
        more = tuple(name for name in wanted if name not in (*rules, *before.told))
        self._rules, self._more = rules, (*before.told, *more)
        asked = task(work.request, work.context, self._baseline(work), *map(prompt, more))
        first = [system(*rules), *before.messages, asked]
        fixed = counter.count("\n".join([*(str(message.content) for message in first), *(text for _, text in notes)]))
        room = self._models.context_tokens("coder") - fixed - counter.count(json.dumps(tools))
        if room < 0:
            what = "request, rules, plan and tools alone need more tokens than a request may have"
            raise ThinkingFailed(f"{what} (models.*.context_tokens)")
        # Digests of what gave way need room as well.
        told = conversation(work.results, counter.count, room * 6 // 7, notes, self._rendered, shorter=shorter)
        return [*first, *told.messages]

    def _baseline(self, work: Work) -> str:
        """The checks that were run before the work began. Those just before the first change come later: the beginning
        of a conversation stays as it is.
        """
        first = list(takewhile(lambda result: result.artifacts.call_id.startswith(BASELINE_ID), work.results))
        ran = [result for result in first if result.artifacts.error is None]
        if work.baseline is None or not ran:
            return ""
        report = VerifierReport(ok=False, checks=work.baseline.checks[: len(ran)])
        return checks_text(report, _outputs(report, ran), "Checks before any change, run by the program:")

    def _transcript(self, work: Work, shorter: int) -> str:
        counter = self._models.counter("planner")
        room = self._models.context_tokens("planner") // 2
        return transcript(work.results, counter.count, room, shorter=shorter)

    def _fitting(self, role: str, model: type[Any], build: Callable[[int], list[BaseMessage]]) -> Sequence[BaseMessage]:
        """The messages of a request for JSON, as long as the budgets leave room for."""
        schema = bounded(model.model_json_schema())
        return self._models.fitting(
            self._ports, lambda shorter: ModelRequest(role=role, messages=build(shorter), schema=schema)
        ).messages

    def _asked_fitting(
        self, role: str, model: type[Answer], build: Callable[[int], list[BaseMessage]], **options: Any
    ) -> Answer:
        """A JSON answer to the messages as long as they may be; once more, shorter, where they are too long."""
        asking = self._asking(role, model)
        try:
            return ask_json(asking, self._fitting(role, model, build), model, **options)
        except ContextExceeded:
            return ask_json(asking, self._fitting(role, model, build), model, **options)

    def _asking(self, role: str, model: type[Any]) -> Any:
        schema = bounded(model.model_json_schema())
        return lambda messages: (
            self._models.ask(self._ports, ModelRequest(role=role, messages=messages, schema=schema)).text
        )

    def _problem(self, plan: Plan) -> str | None:
        known = {tool.name for tool in self._ports.tools}
        named = {call.tool for call in plan.calls()} | {use.tool for use in plan.verification}
        if unknown := sorted(named - known):
            return f"there are no tools {', '.join(unknown)}; there are: {', '.join(sorted(known))}"
        runner = next((tool.name for tool in self._ports.tools if tool.original == "exec" and tool.builtin), None)
        if any(use.tool != runner for use in plan.verification):
            return f"verification may only call {runner}" if runner else "nothing here can run checks: leave them empty"
        return None

    def _offer(self, work: Work) -> str:
        """The tools in words, for a plan."""
        told, _more = chosen(self._ports.tools, work.context, self._at_once, changes=self._changes(work))
        lines = [f"- {tool.name}: {json.dumps(parameters(tool, work.context)['properties'])}" for tool in told]
        return wrapped("tools", "\n".join(lines))

    def _turn(self, reply: Reply, made: int) -> Turn:
        calls: list[PlannedCall] = []
        reading = {tool.name for tool in self._ports.tools if tool.read_only}
        since = 0
        for number, call in enumerate(reply.calls[:MAX_CALLS_A_TURN], start=1):
            if tool_meant(call.tool, self._ports.tools, OURS) == REPLAN:
                return Turn(replan=str(call.input.get("reason", ""))[:2_000] or "the model gave no reason")
            tool, arguments = self._resolved(call.tool, call.input)
            if tool not in reading:
                since = len(calls) + 1
            elif (tool, arguments) in [(call.tool, call.input) for call in calls[since:]]:
                # With no effect between them once says as much as twice; three would look like a run in circles.
                continue
            try:
                why = reply.text.strip()[:MAX_WHY] if number == 1 else ""
                calls.append(PlannedCall(id=f"m{made}.{number}", tool=tool, input=arguments, why=why))
            except ValidationError as error:
                raise ThinkingFailed(f"the model named {tool[:50]!r}, which cannot be a tool's name") from error
        return Turn(calls=tuple(calls), words="" if calls else reply.text.strip()[:MAX_WORDS])

    def _resolved(self, name: str, arguments: dict[str, Any]) -> tuple[str, dict[str, Any]]:
        """The tool that is meant: out of `mcp_execute`, and by its own name where a model leaves the server's out."""
        tools = self._ports.tools
        name, arguments = unwrapped(tool_meant(name, tools, OURS), arguments)
        name = tool_meant(name, tools, OURS)
        schema = next((tool.input_schema for tool in tools if tool.name == name), {})
        return name, without_wrapper(arguments, schema)


def _request_as_plan(made: int) -> Plan:
    """A small request is its own plan."""
    return Plan(steps=(PlanStep(id=f"p{made}s1", description=THE_REQUEST),))


def _whole_request(work: Work) -> str:
    """The request with what was said since, for a request that shows no conversation."""
    return "\n\n".join((work.request, *(remark.text for remark in work.remarks)))


def _changes(work: Work) -> bool:
    """Whether the request asks for a change."""
    return work.route.intent in CHANGES


def _rules(work: Work) -> tuple[str, ...]:
    """The prompts of a turn: only what holds in this run."""
    if not _changes(work):
        return ("act",)
    named = work.plan is not None and work.plan.verification
    return ("act", "change", "checked" if named or can_check(work.context) else "unchecked")


def _failure(work: Work) -> str:
    """What went wrong: what contradicted the plan, or which checks did not pass; what they printed stands with the
    results.
    """
    if work.contradiction:
        return f"What was found contradicts the plan: {work.contradiction}"
    if work.verification is None:
        return "The work is not done."
    failed = (check for check in work.verification.checks if not check.ok and not check.harmless)
    return "\n".join(
        f"{check.name}: {check.outcome} (exit code {check.exit_code}): {check.summary}" for check in failed
    )


def _outputs(report: VerifierReport, results: Sequence[ToolEnvelope]) -> dict[str, str]:
    """The output of each check that did not pass; `results` are those of the checks, in order."""
    return {
        check.name: middle_out(command_output(result), MAX_FAILURE_CHARS)
        for check, result in zip(report.checks, results, strict=True)
        if not check.ok
    }


def _numbered(plan: Plan, made: int) -> Plan:
    """With ids of our own, which must not meet those of an earlier plan of this run."""
    steps = tuple(
        step.model_copy(update={"id": f"p{made}s{number}"}) for number, step in enumerate(plan.steps, start=1)
    )
    return plan.model_copy(update={"steps": steps})
