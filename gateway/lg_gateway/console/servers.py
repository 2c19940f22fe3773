"""The servers, tools, pins and rules of a running gateway, for the console."""

from __future__ import annotations

import json
import time
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from itertools import islice
from typing import TYPE_CHECKING, Any

import anyio.to_thread

from lg_console.sources.people import Person, Role
from lg_console.sources.servers import PinState, RuleState, ServerState, ToolState
from lg_gateway.catalog.lint import lint
from lg_gateway.catalog.pin_table import Pin
from lg_gateway.kept_rules.rules_file import rules_file
from lg_gateway.kept_rules.usage import last_change, listed_rules, rule_use
from lg_gateway.store.canonical_json import digest
from lg_gateway.store.interface import Tx
from lg_gateway.upstreams.upstream import Upstream, UpstreamState
from lg_gateway.views.explanation import Known, explanation, named, seen_arguments
from lg_gateway.views.pin_diff import definition_diff
from lg_policy.errors import Conflict, NotFound, UnknownName

if TYPE_CHECKING:
    from lg_gateway.serving.gateway import Gateway

RECORDS = 2_000
"""Newest records of which latencies are counted."""
KEPT_S = 5.0
"""For how long the latencies are taken from memory."""
LOG_BYTES = 64_000
LOG_LINES = 200
DIFF_LINES = 2_000
IDENTITIES = 50


@dataclass
class _Latencies:
    """Milliseconds of the last calls, by server, and when they were read."""

    at: float = float("-inf")
    of: dict[str, list[float]] = field(default_factory=dict)
    identities: list[str] = field(default_factory=list)


class GatewayServers:
    """What a running gateway knows of its servers."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway
        self._latencies = _Latencies()

    async def servers(self) -> list[ServerState]:
        """Return every server, by name."""
        known = await self._recent()
        return [self._state(name, upstream, known) for name, upstream in sorted(self._gateway.upstreams.items())]

    async def server(self, name: str) -> ServerState | None:
        """Return one server with the end of its log, secrets masked."""
        upstream = self._gateway.upstreams.get(name)
        if upstream is None:
            return None
        known = await self._recent()
        log = await anyio.to_thread.run_sync(self._log, upstream)
        return self._state(name, upstream, known, log)

    async def retry(self, person: Person, name: str) -> None:
        """Start a server now that waits to be started."""
        person.need(Role.APPROVER)
        upstream = self._gateway.upstreams.get(name)
        if upstream is None:
            raise NotFound(f"there is no server {name[:60]}")
        await self._gateway.recorder.note("server woken", f"{name}, by {person.name} at the console", person.name)
        upstream.wake()

    async def identities(self) -> list[str]:
        """Return the caller of this gateway on stdio and who has called lately."""
        recent = await self._recent()
        return list(dict.fromkeys([self._gateway.setup.identity, *recent.identities]))[:IDENTITIES]

    async def tools(self, identity: str) -> list[ToolState]:
        """Return every tool with what would happen to its calls, as far as that is the same for all of them."""
        gateway = self._gateway
        rules, decisions = gateway.policy.rules, gateway.pipeline.decisions
        found = []
        for entry in gateway.catalog.entries():
            outlook = rules.outlook(identity=identity, facts=entry.facts)
            decision = decisions.decide(identity, entry, {})
            seen = decisions.visible(identity, entry.facts)
            found.append(
                ToolState(
                    name=entry.name,
                    server=entry.server.name,
                    kind=str(entry.kind),
                    description=entry.listed.description or "",
                    effect=str(outlook) if outlook is not None else "depends",
                    rule=decision.rule if outlook is not None else "on the arguments",
                    place=rules.place(decision.rule) if outlook is not None else "",
                    visible=seen,
                    read_only=entry.read_only,
                )
            )
        return found

    async def pins(self) -> list[PinState]:
        """Return definitions; those that wait come first."""
        pins = await self._gateway.store.read(self._gateway.pins.all)
        shown = await anyio.to_thread.run_sync(lambda: [_pin(pin) for pin in pins])
        return sorted(shown, key=lambda pin: (pin.state == "accepted", pin.server, pin.tool))

    async def accept(self, person: Person, server: str, tool: str, digest: str) -> None:
        """Accept the definition that waits, if it is the one that was shown."""
        person.need_to_manage()
        table = self._gateway.pins

        def work(tx: Tx) -> None:
            pin = next((pin for pin in table.all(tx, server) if pin.tool == tool), None)
            if pin is None or pin.waiting is None or _digest(pin) != digest:
                raise Conflict("another definition waits now, or none", hint="look at it again")
            try:
                table.accept(tx, pin, by=f"{person.name} at the console")
            except ValueError as error:
                raise Conflict(str(error)) from error

        await self._gateway.store.write(work)

    async def rules(self) -> list[RuleState]:
        """Return the rules in force with their hits."""
        setup = self._gateway.setup
        own = rules_file(setup.environ).path.absolute()
        changed = await anyio.to_thread.run_sync(last_change, [*setup.watched])
        used = await self._gateway.store.read(lambda tx: rule_use(tx, changed))
        return [
            RuleState(
                number=rule.number,
                name=rule.settings.name or rule.name,
                effect=rule.settings.effect,
                tools=", ".join([*rule.settings.tools, *rule.settings.resources, *rule.settings.prompts]),
                identities=", ".join(rule.settings.identities),
                place=rule.place,
                reason=rule.settings.reason,
                hits=rule.use.hits,
                last=rule.use.last,
            )
            for rule in listed_rules(setup.loaded, own, used)
        ]

    async def explain(self, tool: str, arguments: Mapping[str, Any], identity: str) -> Mapping[str, Any]:
        """Return how one call would be decided."""
        known = Known.of(self._gateway)
        entry = named(known.catalog, tool)
        if entry is None:
            raise UnknownName(f"there is no tool, prompt or resource {tool[:80]!r}")
        given = seen_arguments(entry, dict(arguments))
        found: Mapping[str, Any] = await anyio.to_thread.run_sync(explanation, known, entry, given, identity)
        return found

    async def mark(self) -> str:
        """Return a digest of how the servers stand."""
        states = [(name, str(up.state), up.restarts, up.error) for name, up in sorted(self._gateway.upstreams.items())]
        return sha256(json.dumps(states).encode()).hexdigest()[:16]

    def _state(self, name: str, upstream: Upstream, known: _Latencies, log: str = "") -> ServerState:
        spec, times = upstream.spec, sorted(known.of.get(name, ()))
        tools = sum(entry.server.name == name for entry in self._gateway.catalog.entries())
        return ServerState(
            name=name,
            builtin=spec.builtin is not None,
            trusted=spec.trusted,
            state=str(upstream.state),
            era=upstream.protocol,
            version=upstream.version,
            tools=tools,
            restarts=upstream.restarts,
            p50=_at(times, 0.5),
            p95=_at(times, 0.95),
            calls=len(times),
            error=upstream.error if upstream.state is not UpstreamState.UP else "",
            what_to_do=_what_to_do(upstream),
            log=log,
        )

    def _log(self, upstream: Upstream) -> str:
        launch = upstream.spec.launch
        if launch is None:
            return ""
        try:
            with open(launch.log_path, "rb") as file:
                file.seek(0, 2)
                file.seek(max(0, file.tell() - LOG_BYTES))
                data = file.read(LOG_BYTES)
        except OSError:
            return ""
        lines = deque(self._gateway.masker.mask(data.decode("utf-8", "replace")).splitlines(), LOG_LINES)
        return "\n".join(lines)

    async def _recent(self) -> _Latencies:
        if time.monotonic() - self._latencies.at >= KEPT_S:
            self._latencies = await self._gateway.store.read(_latencies)
        return self._latencies


def _latencies(tx: Tx) -> _Latencies:
    found = _Latencies(at=time.monotonic())
    callers: dict[str, None] = {}
    for (text,) in tx.execute("SELECT record FROM ledger ORDER BY seq DESC LIMIT ?", (RECORDS,)):
        record = json.loads(text)
        took = record.get("duration_ms")
        if record.get("phase") == "ended" and record.get("outcome") != "refused" and isinstance(took, int | float):
            found.of.setdefault(str(record.get("server")), []).append(float(took))
        if record.get("phase") != "note" and record.get("identity"):
            callers.setdefault(str(record["identity"]))
    found.identities = list(callers)
    return found


def _at(times: list[float], share: float) -> float | None:
    return times[min(len(times) - 1, int(len(times) * share))] if times else None


def _what_to_do(upstream: Upstream) -> str:
    if upstream.state is UpstreamState.UP:
        return ""
    if upstream.login.needs_a_person:
        return f"log in: `lg-gateway login {upstream.name}`"
    if upstream.state is UpstreamState.FAILED:
        return "it is not started again by itself: mend its entry, or try again"
    return ""


def _digest(pin: Pin) -> str:
    return digest(pin.waiting or pin.accepted)[:16]


def _pin(pin: Pin) -> PinState:
    state = "accepted" if pin.waiting is None else "changed" if pin.accepted else "new"
    ours = pin.basis.startswith("version")
    return PinState(
        server=pin.server,
        tool=pin.tool,
        state=state,
        digest=_digest(pin),
        basis=pin.basis,
        diff="\n".join(islice(definition_diff(pin), DIFF_LINES)) if pin.waiting is not None else "",
        warnings=() if ours else tuple(lint(pin.waiting or pin.accepted or {})),
    )
