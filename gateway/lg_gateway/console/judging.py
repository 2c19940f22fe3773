"""Tools, pins and rules, and how calls would be decided: what every source of servers for the console has in common."""

from __future__ import annotations

import json
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from itertools import islice
from typing import TYPE_CHECKING, Any

import anyio.to_thread

from lg_console.sources.people import Person
from lg_console.sources.servers import PinState, RuleState, ToolState
from lg_gateway.catalog.lint import lint
from lg_gateway.catalog.pin_table import Pin, PinTable
from lg_gateway.kept_rules.rules_file import rules_file
from lg_gateway.kept_rules.usage import last_change, listed_rules, rule_use
from lg_gateway.store.canonical_json import digest
from lg_gateway.store.interface import Store, Tx
from lg_gateway.views.explanation import Known, explanation, named, seen_arguments
from lg_gateway.views.pin_diff import definition_diff
from lg_policy.errors import Conflict, UnknownName

if TYPE_CHECKING:
    from lg_gateway.serving.setup import GatewaySetup

RECORDS = 2_000
"""Newest records of which latencies are counted."""
KEPT_S = 5.0
"""For how long the latencies are taken from memory."""
DIFF_LINES = 2_000
IDENTITIES = 50


@dataclass
class Latencies:
    """Milliseconds of the last calls, by server, who made them, and when they were read."""

    at: float = float("-inf")
    of: dict[str, list[float]] = field(default_factory=dict)
    identities: list[str] = field(default_factory=list)


class Judging:
    """Reads one store. `setup` gives the settings in force, `known` the tools and the rules about them."""

    def __init__(
        self,
        store: Store,
        pins: PinTable,
        setup: Callable[[], GatewaySetup],
        known: Callable[[], Awaitable[Known]],
    ) -> None:
        self._store = store
        self._pins = pins
        self._setup = setup
        self._known = known
        self._latencies = Latencies()

    async def recent(self) -> Latencies:
        """Return what the newest records of the ledger tell of calls."""
        if time.monotonic() - self._latencies.at >= KEPT_S:
            self._latencies = await self._store.read(_latencies)
        return self._latencies

    async def identities(self) -> list[str]:
        """Return the local caller and who has called lately."""
        recent = await self.recent()
        return list(dict.fromkeys([self._setup().identity, *recent.identities]))[:IDENTITIES]

    async def tools(self, identity: str) -> list[ToolState]:
        """Return every tool with what would happen to its calls, as far as that is the same for all of them."""
        known = await self._known()
        rules, decisions = known.policy.rules, known.decisions
        found = []
        for entry in known.catalog.entries():
            outlook = rules.outlook(identity=identity, facts=entry.facts)
            decision = decisions.decide(identity, entry, {})
            found.append(
                ToolState(
                    name=entry.name,
                    server=entry.server.name,
                    kind=str(entry.kind),
                    description=entry.listed.description or "",
                    effect=str(outlook) if outlook is not None else "depends",
                    rule=decision.rule if outlook is not None else "on the arguments",
                    place=rules.place(decision.rule) if outlook is not None else "",
                    visible=decisions.visible(identity, entry.facts),
                    read_only=entry.read_only,
                )
            )
        return found

    async def pins(self) -> list[PinState]:
        """Return definitions; those that wait come first."""
        pins = await self._store.read(self._pins.all)
        shown = await anyio.to_thread.run_sync(lambda: [_pin(pin) for pin in pins])
        return sorted(shown, key=lambda pin: (pin.state == "accepted", pin.server, pin.tool))

    async def accept(self, person: Person, server: str, tool: str, digest: str) -> None:
        """Accept the definition that waits, if it is the one that was shown."""
        person.need_to_manage()
        table = self._pins

        def work(tx: Tx) -> None:
            pin = next((pin for pin in table.all(tx, server) if pin.tool == tool), None)
            if pin is None or pin.waiting is None or _digest(pin) != digest:
                raise Conflict("another definition waits now, or none", hint="look at it again")
            try:
                table.accept(tx, pin, by=f"{person.name} at the console")
            except ValueError as error:
                raise Conflict(str(error)) from error

        await self._store.write(work)

    async def rules(self) -> list[RuleState]:
        """Return the rules in force with their hits."""
        setup = self._setup()
        own = rules_file(setup.environ).path.absolute()
        changed = await anyio.to_thread.run_sync(last_change, [*setup.watched])
        used = await self._store.read(lambda tx: rule_use(tx, changed))
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
        known = await self._known()
        entry = named(known.catalog, tool)
        if entry is None:
            raise UnknownName(f"there is no tool, prompt or resource {tool[:80]!r}")
        given = seen_arguments(entry, dict(arguments))
        found: Mapping[str, Any] = await anyio.to_thread.run_sync(explanation, known, entry, given, identity)
        return found


def at(times: list[float], share: float) -> float | None:
    """Return the time that a share of sorted times does not exceed."""
    return times[min(len(times) - 1, int(len(times) * share))] if times else None


def _latencies(tx: Tx) -> Latencies:
    found = Latencies(at=time.monotonic())
    callers: dict[str, None] = {}
    for (text,) in tx.execute("SELECT record FROM ledger ORDER BY seq DESC LIMIT ?", (RECORDS,)):
        record = json.loads(text)
        took = record.get("duration_ms")
        if record.get("phase") == "ended" and record.get("outcome") != "refused" and isinstance(took, int | float):
            found.of.setdefault(str(record.get("server")), []).append(float(took))
        if record.get("phase") != "note" and record.get("identity"):
            callers.setdefault(str(record["identity"]))
    found.of = {server: sorted(times) for server, times in found.of.items()}
    found.identities = list(callers)
    return found


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
