"""Starts the gateway, imports the graph, runs it, exports the trace."""

from __future__ import annotations

import hashlib
import json
import logging
import sys
import time
from contextlib import AsyncExitStack
from dataclasses import replace
from functools import cached_property
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any

import anyio.to_thread

from lg_orch.agent.calls_beside import calls_beside
from lg_orch.agent.tree_check import CHANGED, tree_now
from lg_orch.contracts.errors import Interrupted, RunLost
from lg_orch.contracts.remarks import FOUND, SAID, Remark
from lg_orch.contracts.state import Final, RunState
from lg_orch.engine.early_refusal import refused_at_once
from lg_orch.engine.job import RunJob
from lg_orch.engine.signals import stoppable
from lg_orch.engine.stop_reports import ended, how_to_go_on, reached, report
from lg_orch.prompts.loading import versions as prompt_versions
from lg_orch.recording.journal import read_journal
from lg_orch.runs.run_root import root_name, root_record
from lg_orch.runs.usage import usage_of
from lg_orch.tools.gateway import check_root, connect, local_launch, start
from lg_policy.errors import LgError
from lg_policy.quick_imports import quick_imports
from lg_policy.version import __version__

if TYPE_CHECKING:
    from lg_orch.agent.budgets import Budgets
    from lg_orch.agent.calls_beside import CallsBeside
    from lg_orch.agent.run_control import RunControl
    from lg_orch.agent.services import Services
    from lg_orch.contracts.state import Status
    from lg_orch.human.inquiry import Inquiry
    from lg_orch.llm.cost.spending import Spending
    from lg_orch.tools.connection import Connection

log = logging.getLogger(__name__)
VERSIONED = ("mcp", "langgraph", "langchain", "fastmcp", "pydantic")


class Driver:
    """Drives one job; `last` is the newest state, for the report of a run that did not end by itself."""

    def __init__(self, job: RunJob) -> None:
        self.job = job
        self.last = RunState(request=job.request)
        self.services: Services | None = None
        self._left: str | None = None
        """Digest of the tree when this process stops; another one may continue."""
        self.reached: dict[str, Any] = {}
        """The limit that ended the run."""
        self._added: list[tuple[int, str]] = []
        """What was said while the run goes on, each with its place among the remarks."""
        self.cause: LgError | None = None
        """What broke the run off."""

    async def run(self) -> Final:
        """Drive the job to its end, whatever that is; only cancellation of the caller is raised, and `RunLost`."""
        try:
            final = await stoppable(self._steps, self._ask_to_stop, self.job.stop)
        except RunLost:
            # Another worker drives it now: what is written here would be no part of the run any more.
            raise
        except Interrupted as error:
            resume = f"`lg-orch resume {self.job.run.run_id}` continues it" if self.services else "nothing was started"
            final = self._ended("interrupted", f"{error.message}; {resume}")
        except LgError as error:
            self.cause = error
            self.job.bus.emit("error", "run", "note", {"text": error.text()})
            limits, events = self.job.settings.budgets, read_journal(self.job.run.journal)
            final = report(self.job.run.run_id, error, self.last, events, limits)
            self.reached = reached(error, limits)
        except Exception as error:
            # The edge of a run: its trace must be written whatever broke.
            log.exception("run %s failed", self.job.run.run_id)
            self.job.bus.emit("error", "run", "note", {"text": f"internal: {type(error).__name__}: {error}"})
            why = f"internal error: {type(error).__name__}: {error} (traceback in the log above)"
            final = self._ended("failed", f"{why}; {how_to_go_on(self.job.run.run_id, {})}")
        self._end(final)
        if self.services is not None and self.last.final is not None:
            from lg_orch.engine.conversations import keep_conversation

            keep_conversation(self.job, self.last.words or final.text)
        return final

    def say(self, text: str) -> bool:
        """Add to the request while the run goes on: it is told with the next step. False before there is a step."""
        if self.services is None:
            return False
        self.job.bus.emit("thought", "user", "note", {"text": text, "guidance": True})
        control = self.services.control
        self._added.append((len(control.remarks), text))
        control.remarks = (*control.remarks, Remark(text=f"{SAID}{text}"))
        return True

    @property
    def unheard(self) -> tuple[str, ...]:
        """What was added and came too late for any step."""
        heard = self.services.control.heard if self.services is not None else 0
        return tuple(text for place, text in self._added if place >= heard)

    def _ended(self, status: Status, why: str) -> Final:
        run = self.job.run
        return ended(status, why, run.run_id, read_journal(run.journal))

    async def _steps(self) -> Final:
        job = self.job
        if not job.resumed:
            job.bus.emit("node", "run", "begin", begin_data(job))
            refused = refused_at_once(job)
            if refused is not None:
                return refused
        else:
            data = {"run_id": job.run.run_id, "epoch": job.prior.epoch, "versions": versions()}
            job.bus.emit("node", "run", "resume", data | {"options": job.record.get("options", {})})
        async with calls_beside() as early, AsyncExitStack() as stack:
            connection = job.connection
            if connection is None:
                connection = await self._connected(stack, early)
            else:
                self._route_early(early)
            check_root(connection.tools, job.root_id)
            job.bus.emit("node", "run", "connected", {
                "tools": [tool.name for tool in connection.tools], "versions": {"gateway": connection.server},
            })  # fmt: skip
            return await self._graph(connection, early)

    async def _connected(self, stack: AsyncExitStack, early: CallsBeside) -> Connection:
        """Connect to the gateway of the run, which is started here unless an address is given."""
        job = self.job
        streams = None
        if job.gateway_url is None:
            launch = local_launch(
                root=job.root,
                allow_broad=job.allow_broad,
                state_dir=job.state_dir,
                settings=job.settings,
                environ=job.environ,
                log_path=job.run.gateway_log,
            )
            with quick_imports():
                streams = await stack.enter_async_context(start(launch))
            job.say("gateway         starting")
        await anyio.to_thread.run_sync(import_heavy)
        self._route_early(early)
        return await stack.enter_async_context(
            connect(streams, url=job.gateway_url, token=job.gateway_token, log_path=job.run.gateway_log)
            if streams is None
            else connect(streams, log_path=job.run.gateway_log)
        )

    def _route_early(self, early: CallsBeside) -> None:
        """Ask a model what kind of request a new run has: it takes about as long as the gateway's start."""
        from lg_orch.agent.interfaces import ActingBackend
        from lg_orch.agent.nodes.router import begin_routing
        from lg_orch.engine.conversations import earlier_of
        from lg_orch.engine.model_ports import ports_without_tools
        from lg_orch.llm.ports import AsksModels

        job, backend = self.job, self.job.chosen.backend
        if job.resumed or "forked_from" in job.record or not isinstance(backend, AsksModels):
            return
        ports = ports_without_tools(job.bus, self._budgets, self._control, self._spending, job.prior.bounds)
        backend.attach(ports, earlier_of(job.run))
        if isinstance(backend, ActingBackend):
            begin_routing(job.request, backend, early)

    @cached_property
    def _control(self) -> RunControl:
        from lg_orch.agent.run_control import RunControl

        prior = self.job.prior
        return RunControl(
            started=self.job.begun,
            prior_s=max(0.0, prior.driven_s - prior.waited_s),
            notices=prior.notices,
            remarks=prior.remarks,
        )

    @cached_property
    def _budgets(self) -> Budgets:
        from lg_orch.agent.budgets import Budgets

        return Budgets(self.job.settings.budgets)

    @cached_property
    def _spending(self) -> Spending:
        from lg_orch.llm.cost.prices import prices_of
        from lg_orch.llm.cost.spending import Spending

        job = self.job
        return Spending(job.settings.budgets, prices_of(job.settings.models, job.environ), job.prior.traffic)

    async def _graph(self, connection: Connection, early: CallsBeside) -> Final:
        from lg_orch.agent.graph import build_graph
        from lg_orch.engine.stepping import Stepper
        from lg_orch.human.inquiry import Inquiry
        from lg_orch.human.question_texts import QuestionTexts
        from lg_orch.runs.checkpoint import open_saver

        job = self.job
        inquiry = Inquiry(
            job.bus, flags=job.flags, person=job.person, given=job.prior.answers, resumed=job.resumed,
            kept=job.prior.kept, if_lost=job.if_lost,
            texts=QuestionTexts(job.run.questions),
        )  # fmt: skip
        async with open_saver(job.store_url, job.run.checkpoints, job.fence) as saver, calls_beside() as beside:
            self.services = replace(self._services(connection, inquiry, beside), asked_early=early)
            graph = build_graph(saver)
            mermaid = graph.get_graph().draw_mermaid()
            job.bus.emit("thought", "graph", "note", {"mermaid": mermaid, "graph_version": graph_version(mermaid)})
            await self._compare(self.services)
            why = "record the state of the files"
            try:
                final = await Stepper(graph, job, self.services, inquiry).run(self._remember)
            except Interrupted:
                self._left = await tree_now(self.services, why)
                raise
            if self.last.final is None:
                self._left = await tree_now(self.services, why)
            return final

    async def _compare(self, services: Services) -> None:
        """Say where somebody changed files since the run stopped: what it read may not be true any more."""
        if self.job.prior.left is None:
            return
        now = await tree_now(services, "check whether files changed since")
        if now not in (None, self.job.prior.left):
            self.job.bus.emit("thought", "tree", "note", {"text": CHANGED, "notice": True})
            services.control.notices = (*services.control.notices, CHANGED)
            services.control.remarks = (*services.control.remarks, Remark(text=f"{FOUND}{CHANGED}."))

    def _remember(self, state: RunState) -> None:
        self.last = state

    def _services(self, connection: Connection, inquiry: Inquiry, beside: CallsBeside) -> Services:
        from lg_orch.agent.services import Services
        from lg_orch.engine.conversations import earlier_of
        from lg_orch.engine.model_ports import ports_of
        from lg_orch.human.approvals import YesToBuiltin
        from lg_orch.llm.ports import AsksModels
        from lg_orch.llm.providers import model_hint
        from lg_orch.recording.result_store import ResultStore
        from lg_orch.tools.gateway_tools import GatewayTools

        job = self.job
        tools = GatewayTools(
            connection.tools,
            connection.send,
            bus=job.bus,
            run_id=job.run.run_id,
            epoch=job.prior.epoch,
            approver=inquiry,
            given_up=job.prior.given_up,
        )
        earlier = earlier_of(job.run)
        services = Services(
            run_id=job.run.run_id,
            root_name=root_name(job.root),
            root_id=job.root_id,
            settings=job.settings,
            backend=job.chosen.backend,
            backend_name=job.chosen.name,
            tools=tools,
            results=ResultStore(job.run.results, job.keep),
            bus=job.bus,
            budgets=self._budgets,
            spending=self._spending,
            model_hint=model_hint(),
            answers_itself=isinstance(job.flags, YesToBuiltin),
            accepted_guide=job.accepted_guide,
            beside=beside,
            earlier_calls=earlier.calls,
            plan_only=job.plan_only,
            control=self._control,
        )
        if isinstance(job.chosen.backend, AsksModels):
            job.chosen.backend.attach(ports_of(services, self._spending, job.prior.bounds), earlier)
        return services

    def _ask_to_stop(self) -> bool:
        """Ask for a stop between two calls; false while there is no call that it could wait for."""
        if self.services is None or self.services.control.asking:
            return False
        self.services.control.stop_requested = True
        text = "stopping after the current call; press Ctrl-C again to stop now"
        self.job.bus.emit("thought", "run", "note", {"text": text})
        return True

    def _end(self, final: Final) -> None:
        job, spent, context = self.job, self.last.budgets, self.last.repo_context
        known = usage_of(read_journal(job.run.journal))
        usage = known.model_copy(update={
            "tool_calls": max(spent.calls, known.tool_calls),
            "loops": spent.loop,
            "tokens": max(spent.tokens, known.tokens),
            "cost_usd": max(spent.cost_usd, known.cost_usd),
            "wall_s": round(job.prior.driven_s + time.monotonic() - job.begun, 3),
            "waited_s": round(job.prior.waited_s + (self.services.control.waited_s if self.services else 0.0), 3),
        })  # fmt: skip
        job.bus.emit("node", "run", "end", {
            "status": final.status,
            "finished": self.last.final is not None,
            **self.reached,
            "final": final.model_dump(mode="json"),
            "usage": usage.model_dump(),
            "verification": self.last.verification.model_dump(mode="json") if self.last.verification else None,
            "revision": context.revision if context else None,
            "tree": context.tree if context else None,
            "left": self._left,
        })  # fmt: skip


def import_heavy() -> None:
    """Import what the graph needs; done in a thread while the gateway starts."""
    import warnings

    with quick_imports(), warnings.catch_warnings():
        # Beta by name only for us: its version is pinned and its call path is our own.
        warnings.filterwarnings("ignore", message=".*langchain.mcp.*beta.*")

        import lg_orch.agent.graph
        import lg_orch.tools.streams  # noqa: F401  # imported for later use, in this thread


def begin_data(job: RunJob) -> dict[str, Any]:
    """Return the run's record: what the first event of its journal holds."""
    return {
        "run_id": job.run.run_id,
        "request": job.request,
        "profile": job.settings.profile,
        **job.record,
        "mind": job.chosen.name,
        "root": root_record(job.root, job.root_id),
        "gateway": job.gateway_url or "own",
        "versions": versions(),
        "prompts": prompt_versions(),
    }


def graph_version(mermaid: str) -> str:
    """Return 12 hex digits over the graph's shape and its state's schema: equal where a run can be taken over."""
    state = json.dumps(RunState.model_json_schema(), sort_keys=True)
    return hashlib.sha256(f"{mermaid}\0{state}".encode()).hexdigest()[:12]


def versions() -> dict[str, str]:
    """Return the versions of what decides how a run goes."""
    found = {"lg-orchestration-platform": __version__, "python": sys.version.split()[0]}
    for name in VERSIONED:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found
