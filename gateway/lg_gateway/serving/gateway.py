"""Holds the parts of a running gateway: the store, the catalogue and the upstream servers. Ends them together."""

from __future__ import annotations

import logging
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Mapping
from collections.abc import Set as AbstractSet
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import anyio
import anyio.abc
import anyio.to_thread

from lg_gateway.approvals.records import ApprovalTable
from lg_gateway.calls.approval_step import ApprovalStep
from lg_gateway.calls.call import CallContext
from lg_gateway.calls.decision_step import Policy
from lg_gateway.calls.in_thread import in_thread_if_large
from lg_gateway.calls.kept_answers import KeptAnswers
from lg_gateway.calls.kept_results import KeptResults
from lg_gateway.calls.recorder import LedgerRecorder
from lg_gateway.calls.sending_step import SendingStep
from lg_gateway.catalog.catalog import Catalog
from lg_gateway.catalog.definitions import definition_of, held_pages, held_uris
from lg_gateway.catalog.lint import lint, lookalikes
from lg_gateway.catalog.masked_offer import masked_offer
from lg_gateway.catalog.offer import Offer
from lg_gateway.catalog.pin_check import Pinning
from lg_gateway.catalog.pin_table import PinTable
from lg_gateway.elicitation.login_pages import LoginPages
from lg_gateway.elicitation.pending_questions import PendingQuestionsTable
from lg_gateway.identity.tokens import TokenTable
from lg_gateway.kept_rules.rules_file import RulesFile, rules_file
from lg_gateway.ledger.halting import HaltStep
from lg_gateway.ledger.outcomes import OutcomeTable
from lg_gateway.ledger.segments import Archive
from lg_gateway.observability.call_counts import CallCounts
from lg_gateway.observability.observed import Observed
from lg_gateway.observability.store_health import StoreHealth, WatchedStore
from lg_gateway.observability.turned_on import observer, pipeline_class, trace_calls, tracing_of
from lg_gateway.processes.child_process import Child, Reaper
from lg_gateway.serving.housekeeping import Housekeeping
from lg_gateway.serving.setup import GatewaySetup
from lg_gateway.store.factory import open_store
from lg_gateway.store.interface import Store
from lg_gateway.tasks.task_keeper import TaskKeeper
from lg_gateway.tasks.task_progress import Progressing
from lg_gateway.tasks.task_table import TaskTable
from lg_gateway.upstream_login.login_store import LoginStore
from lg_gateway.upstream_login.server_login import Logins
from lg_gateway.upstreams.handshake_memory import HandshakeMemory
from lg_gateway.upstreams.restart_policy import Backoff
from lg_gateway.upstreams.upstream import Upstream
from lg_gateway.upstreams.upstream_set import UpstreamSet
from lg_policy.config.settings import ApprovalSettings
from lg_policy.rules.rule_set import Kind, RuleBook, ToolFacts
from lg_policy.secrets.masking import Masker

log = logging.getLogger(__name__)

FIRST_LIST_S = 20.0
LISTED = frozenset((Kind.TOOL, Kind.RESOURCE, Kind.PROMPT))
"""What clients list."""

UpdateListener = Callable[[str, str], Awaitable[None]]
Listener = Callable[[AbstractSet[Kind]], Awaitable[None]]


@dataclass
class _Listeners:
    """Who is told of changes."""

    of_lists: list[Listener] = field(default_factory=list)
    of_resources: list[UpdateListener] = field(default_factory=list)


class Gateway:
    """One gateway process. Enter `running` first."""

    session: str
    """Names the one connection of a gateway on stdio."""
    look_at_settings: Callable[[], Awaitable[None]] | None = None
    """Reads the settings again if a file changed; called before a human is asked."""

    def __init__(self, setup: GatewaySetup, *, reaper: Reaper, started: Mapping[str, Child]) -> None:
        self.setup = setup
        self.policy = Policy(settings=setup.settings, rules=RuleBook(setup.settings, setup.loaded.rule_places))
        self.catalog = Catalog(setup.settings.gateway.name_max, setup.specs)
        self.ledger = setup.ledger()
        self.store: Store = open_store(setup.store_place, guard=self.ledger, flush_s=setup.settings.ledger.flush_s)
        self.store_health = StoreHealth(self.store)
        if setup.store_url is not None:
            self.store = WatchedStore(self.store, self.store_health)
        self.tracing, self.store = tracing_of(setup.settings, self.store)
        self.masker = masker = Masker(setup.key("mask"), _secrets(setup), setup.settings.gateway.secret_patterns)
        self.approvals = ApprovalTable(setup.key("approvals"), self.ledger)
        self.pins = PinTable(setup.key("pins"), self.ledger)
        self.tokens = TokenTable(setup.key("tokens"), self.ledger)
        self.pinning = Pinning(self.store, self.pins, lambda: self.policy.settings)
        self.counts = CallCounts()
        self.recorder = self._recorder()
        self.recorder.observe = observer(setup.settings, self.counts)
        approval_step = self._approval_step()
        sending_step = self._sending_step = self._sender()
        self.archive = Archive(self.store, self.ledger, setup.segments_path, records=setup.segment_records)
        self._housekeeping = Housekeeping(
            self.store, self.recorder, self.archive, self.tokens, lambda: self.policy.settings
        )
        self.halts = HaltStep(self.store, self.ledger)
        self._reaper = reaper
        self._listeners = _Listeners()
        self._tasks: anyio.abc.TaskGroup | None = None
        self._began = 0.0
        self.session = secrets.token_hex(8)
        self.upstream_set = self._servers(started)
        self.upstreams = self.upstream_set.upstreams
        self.pipeline = pipeline_class(setup.settings)(
            policy=lambda: self.policy,
            catalog=self.catalog,
            upstream_of=self._upstream_of,
            store=self.store,
            recorder=self.recorder,
            approval_step=approval_step,
            approvals=self.approvals,
            sending_step=sending_step,
            kept_results=KeptResults(setup.key("results")),
            masker=masker,
            halts=self.halts,
            workers=setup.workers,
            refresh=self._refresh,
        )
        trace_calls(self.pipeline, self.tracing)
        self.task_keeper = self._keeper_of_tasks()

    def _keeper_of_tasks(self) -> TaskKeeper:
        """Return what follows the tasks of servers, tied to the pipeline that begins and ends them."""
        progressing = Progressing(
            self.upstream_set.of_caller,
            self.masker,
            lambda: self.policy.settings.gateway.mask_results,
            self.recorder.note,
            self.store,
            lambda: self.catalog.offers.addresses,
        )
        progressing.conclude = self.pipeline.conclude
        keeper = TaskKeeper(
            self.store, TaskTable(self.setup.key("tasks")), progressing, lambda: self.policy.settings.gateway
        )
        self.pipeline.task_step.keeper = keeper
        return keeper

    def _upstream_of(self, context: CallContext) -> Upstream:
        call = context.call
        return self.upstream_set.for_call(context.entry.server.name, call.identity, call.subject())

    def _sender(self) -> SendingStep:
        return SendingStep(
            self.store,
            PendingQuestionsTable(self.setup.key("dialogues"), self.ledger),
            lambda: self.policy.settings.approval,
            self.recorder.note,
            LoginPages(LoginStore(self.setup.environ), self.masker.learn),
        )

    def _recorder(self) -> LedgerRecorder:
        return LedgerRecorder(
            self.store,
            self.ledger,
            self.masker,
            self.setup.key("arguments"),
            outcomes=OutcomeTable(self.setup.key("outcomes")),
            settings=lambda: self.policy.settings.ledger,
        )

    async def _refresh(self) -> None:
        if self.look_at_settings is not None:
            await self.look_at_settings()

    def _approval_step(self) -> ApprovalStep:
        def settings() -> ApprovalSettings:
            return self.policy.settings.approval

        def user_file() -> RulesFile:
            return rules_file(self.setup.environ, [self.setup.root] if self.setup.root is not None else [])

        def reloads() -> bool:
            return user_file().path.absolute() in self.setup.watched

        def file() -> RulesFile | None:
            # `lg-orch` starts its gateway with settings of its own, and asks at its terminal for the user's.
            return user_file() if reloads() or settings().form_always == "write" else None

        def siblings(context: CallContext) -> list[ToolFacts]:
            seen = self.pipeline.decisions.tools(context.call.identity)
            return [entry.facts for entry in seen if entry.server.name == context.entry.server.name]

        kept = KeptAnswers(
            store=self.store,
            book=self.approvals,
            ledger=self.ledger,
            settings=settings,
            file=file,
            reloads=reloads,
            siblings=siblings,
        )
        return ApprovalStep(self.store, self.approvals, self.masker, settings, kept)

    def _servers(self, started: Mapping[str, Child]) -> UpstreamSet:
        settings = self.setup.settings.gateway
        servers = UpstreamSet(
            backoff=Backoff(first_s=settings.restart_backoff_s, longest_s=settings.restart_backoff_max_s),
            reaper=self._reaper,
            on_offer=self._take,
            on_updated=self._updated,
            logins=Logins(LoginStore(self.setup.environ), self.masker.learn, lambda: self.setup.identity),
            memory=HandshakeMemory(self.setup.state.path),
            mask=self.masker.mask,
        )
        for spec in self.setup.specs:
            servers.add(spec, started.get(spec.name))
        return servers

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Own the upstreams for as long as the block lasts; end them all in parallel."""
        try:
            async with anyio.create_task_group() as tasks:
                self._began = anyio.current_time()
                self.upstream_set.start(tasks)
                tasks.start_soon(self.pinning.watch, self._take)
                self._tasks = tasks
                tasks.start_soon(partial(anyio.to_thread.run_sync, self.masker.load, abandon_on_cancel=True))
                tasks.start_soon(self._housekeeping.run)
                self._sending_step.tasks = self.task_keeper.tasks = tasks
                tasks.start_soon(self.task_keeper.run)
                tasks.start_soon(self.halts.watch)
                if self.setup.store_url is not None:
                    tasks.start_soon(self.store_health.watch)
                try:
                    yield
                finally:
                    tasks.cancel_scope.cancel()
        except BaseExceptionGroup as group:
            if len(group.exceptions) > 1:
                raise
            raise group.exceptions[0] from None  # what the block raised, as it raised it
        finally:
            await self._housekeeping.close()
            self._reaper.close()
            self.store.close()
            if self.tracing is not None:
                with anyio.CancelScope(shield=True):
                    await anyio.to_thread.run_sync(self.tracing.close)

    def observed(self, **about: object) -> Observed:
        """Return what an operator may watch. `about` says more about this process."""
        setup = self.setup
        where = {"root": str(setup.root) if setup.root is not None else None, "identity": setup.identity}
        return Observed(
            upstreams=self.upstreams,
            catalog=self.catalog,
            counts=self.counts,
            store=self.store,
            store_health=self.store_health,
            store_kind="sqlite" if setup.store_url is None else "postgresql",
            approvals=self.approvals,
            halts=self.halts,
            held=lambda: {name: len(held) for name, held in self.pinning.held.items()},
            about=where | about,
            mask=self.masker.mask,
        )

    def start_soon(self, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Run a task for as long as the gateway runs. Raises `RuntimeError` if it does not run yet."""
        if self._tasks is None:
            raise RuntimeError("the gateway does not run")
        self._tasks.start_soon(work)

    async def take_over(self, setup: GatewaySetup, policy: Policy) -> None:
        """Bring settings into force that were found good as a whole, and start, replace and end servers accordingly."""
        changes, before = self.upstream_set.changes(setup.specs), self.policy.settings.gateway
        after = policy.settings.gateway
        self.masker.learn((word for spec in setup.specs for word in spec.secrets()), after.secret_patterns)
        self.setup, self.policy = setup, policy
        self.catalog.serve(setup.specs)
        for name, spec in changes.items():
            if name in self.upstreams:
                self.upstream_set.retire(name, policy.settings.gateway.drain_s)
            if spec is None:
                self.catalog.drop(name)
                self.pinning.forget(name)
            else:
                self.upstream_set.add(spec)
                # Its tools stay listed until it says which it has now, but trusted only as far as its new entry says.
                listed = [entry.source for entry in self.catalog.entries() if entry.server.name == name]
                self.catalog.update(spec, listed)
                self.catalog.offers.renew(spec)
        if (before.pins, before.pins_file) != (after.pins, after.pins_file):
            for name, offer in self.pinning.offered().items():
                await self._take(name, offer)
        await self._tell(LISTED)

    def on_list_changed(self, listener: Listener) -> None:
        """Have `listener` called with the kinds of which a merged list really changed."""
        self._listeners.of_lists.append(listener)

    def on_resource_updated(self, listener: UpdateListener) -> None:
        """Have `listener` called with server and URI whenever a resource that a client subscribed to has changed."""
        self._listeners.of_resources.append(listener)

    async def settled(self, seconds: float = FIRST_LIST_S) -> None:
        """Wait until every upstream is up or has failed once, but no longer than that: a list serves what is up."""
        with anyio.move_on_after(seconds):
            for upstream in self.upstreams.values():
                await upstream.settled.wait()

    async def described(self) -> None:
        """Wait until others' servers have said what they have, or `gateway.list_wait_s` is over."""
        with anyio.move_on_at(self._began + self.policy.settings.gateway.list_wait_s):
            for upstream in self.upstreams.values():
                if upstream.spec.builtin is None:
                    await upstream.settled.wait()

    async def listable(self) -> None:
        """Wait for the tools of a first list: our own servers', and others' until `gateway.list_wait_s` is over.

        What comes up later is announced.
        """
        with anyio.move_on_after(FIRST_LIST_S):
            for upstream in self.upstreams.values():
                if upstream.spec.builtin is not None:
                    await upstream.settled.wait()
        with anyio.move_on_at(self._began + self.policy.settings.gateway.list_wait_s):
            for upstream in self.upstreams.values():
                await upstream.settled.wait()

    async def _take(self, name: str, offer: Offer) -> None:
        """Take over what a server offers, except for definitions that wait for a human."""
        spec = self.upstreams[name].spec
        if spec.builtin is None and spec.secrets():
            offer = await in_thread_if_large(offer.tools, masked_offer, offer, self.masker.mask)
        accepted = await self.pinning.accepted(spec, offer)
        entries = await in_thread_if_large(accepted.tools, self.catalog.prepare, spec, accepted.tools)
        offers = self.catalog.offers
        size = [*accepted.resources, *accepted.templates, *accepted.prompts]
        waiting = self.pinning.held.get(name, ())
        held, prepared = [*held_uris(waiting), *held_pages(waiting, offer.tools)], None
        if not offers.known(spec, accepted, held):
            prepared = await in_thread_if_large(size, offers.prepare, spec, accepted, held)
        if self.upstreams.get(name) is None or self.upstreams[name].spec is not spec:
            return  # replaced meanwhile
        changed = offers.install(prepared) if prepared is not None else set()
        if self.catalog.install(spec, entries):
            await in_thread_if_large(accepted.tools, self._report, name)
            changed.add(Kind.TOOL)
        if changed:
            await self._tell(changed)

    async def _tell(self, changed: AbstractSet[Kind]) -> None:
        for listener in self._listeners.of_lists:
            await listener(changed)

    async def _updated(self, server: str, uri: str) -> None:
        for listener in self._listeners.of_resources:
            await listener(server, uri)

    def _report(self, name: str) -> None:
        entries = self.catalog.entries()
        for entry in entries:
            if entry.server.name == name:
                for problem in self.policy.rules.problems(entry.facts):
                    log.error("%s", problem)
                for problem in () if entry.server.builtin else lint(definition_of(entry.listed)):
                    log.warning("%s %s", entry.name, problem)
        owner = {entry.name: entry.server.name for entry in entries}
        pairs = lookalikes((entry.name, entry.server.name, entry.tool) for entry in entries)
        alike = [f"{first} and {second}" for first, second in pairs if name in (owner[first], owner[second])]
        if alike:
            log.warning("%d tools have names like those of other servers: %s", len(alike), ", ".join(alike)[:300])


def _secrets(setup: GatewaySetup) -> list[str]:
    return [word for spec in setup.specs for word in spec.secrets()]
