"""The console's sections of a gateway, over its store, in a process that runs none: `lg-orch serve` shows them.

The gateways of its runs come and go. What they asked, recorded and pinned is in the store; how their servers stand, the
gateways that run just now say at their status sockets.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING, Any

import anyio.to_thread

from lg_console.sources.people import People, Person, Role, SessionStore
from lg_console.sources.servers import ServerState
from lg_console.web.console import Sources
from lg_gateway.approvals.records import ApprovalTable
from lg_gateway.catalog.pin_table import Pin, PinTable
from lg_gateway.console.address import SERVICE, address_known
from lg_gateway.console.approvals import GatewayApprovals
from lg_gateway.console.audit import GatewayAudit
from lg_gateway.console.judging import Judging, at
from lg_gateway.console.people import GatewayPeople
from lg_gateway.console.provider import CurrentProvider
from lg_gateway.console.rows import ConsoleRows
from lg_gateway.console.servers import end_of_log
from lg_gateway.identity.tokens import TokenTable
from lg_gateway.kept_rules.rules_file import RulesFile, rules_file
from lg_gateway.observability.status_socket import FOLDER, SUFFIX, ask, forget_ended
from lg_gateway.serving.setup import GatewaySetup, prepare, stamp
from lg_gateway.store.factory import open_store
from lg_gateway.store.interface import Store, StoreError
from lg_gateway.views.explanation import Known
from lg_policy.errors import ConfigError, Conflict, NotFound
from lg_policy.secrets.masking import Masker

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from lg_console.login.oidc import ProviderLogin
    from lg_policy.config.flags import CommonFlags

log = logging.getLogger(__name__)

ASKED_S = 2.0
"""For how long the answer of a running gateway is taken from memory."""
RESTING = "resting"


@dataclass(frozen=True, kw_only=True)
class RestingGateway:
    """What a console shows of a gateway, who may log in to it, and where its sessions are kept."""

    sources: Sources
    people: People
    sessions: SessionStore
    provider: Callable[[], ProviderLogin | None]
    announced: Callable[[str], AbstractContextManager[None]]
    """Tells `lg-gateway console` the address, for as long as the block lasts."""
    close: Callable[[], None]


def open_resting(flags: CommonFlags, environ: Mapping[str, str]) -> RestingGateway:
    """Open the store that gateways with these flags use. Raises `ConfigError`."""
    settings = CurrentSettings(flags, environ)
    setup = settings.setup()
    ledger = setup.ledger()
    try:
        store = open_store(setup.store_place, guard=ledger, flush_s=setup.settings.ledger.flush_s)
    except StoreError as error:
        raise ConfigError(str(error)) from error
    approvals, pins = ApprovalTable(setup.key("approvals"), ledger), PinTable(setup.key("pins"), ledger)

    def file() -> RulesFile | None:
        now = settings.setup()
        found = rules_file(now.environ, [now.root] if now.root is not None else [])
        return found if found.path.absolute() in now.watched else None

    return RestingGateway(
        sources=Sources(
            approvals=GatewayApprovals(store, approvals, ledger, where=str(setup.root or setup.state.path), file=file),
            audit=GatewayAudit(store, ledger, approvals),
            servers=RestingServers(store, pins, settings),
        ),
        people=GatewayPeople(store, TokenTable(setup.key("tokens"), ledger), ledger),
        sessions=ConsoleRows(store, setup.key("console")),
        provider=CurrentProvider(settings.setup),
        announced=lambda address: address_known(setup.state.path, address, SERVICE),
        close=store.close,
    )


class CurrentSettings:
    """The settings in force: they are read again once a file of theirs has changed."""

    def __init__(self, flags: CommonFlags, environ: Mapping[str, str]) -> None:
        """Raise `ConfigError` for settings that cannot be used now."""
        self._flags = flags
        self._environ = environ
        self._setup = prepare(flags, mcp_json=None, environ=environ)
        self._stamps = {path: stamp(path) for path in self._setup.watched}

    def setup(self) -> GatewaySetup:
        """Return them; while the files are wrong, those that were right last."""
        stamps = {path: stamp(path) for path in self._setup.watched}
        if stamps != self._stamps:
            self._stamps = stamps
            try:
                self._setup = prepare(self._flags, mcp_json=None, environ=self._environ)
            except ConfigError as error:
                log.warning("the settings have changed and cannot be used: %s", error)
        return self._setup


class RestingServers(Judging):
    """The servers of the settings. Tools are those whose definitions are accepted."""

    def __init__(self, store: Store, pins: PinTable, settings: CurrentSettings) -> None:
        super().__init__(store, pins, settings.setup, self._from_pins)
        self._settings = settings
        self._asked: tuple[float, dict[str, dict[str, Any]]] = (float("-inf"), {})
        self._kept: tuple[GatewaySetup, str, Known] | None = None

    async def servers(self) -> list[ServerState]:
        """Return every server, by name."""
        names = sorted(spec.name for spec in self._settings.setup().specs)
        found = [await self.server(name) for name in names]
        return [server for server in found if server is not None]

    async def server(self, name: str) -> ServerState | None:
        """Return one server with the end of its log, secrets masked."""
        setup = self._settings.setup()
        spec = next((spec for spec in setup.specs if spec.name == name), None)
        if spec is None:
            return None
        known, running = await self.recent(), (await self._running()).get(name, {})
        masker = Masker(setup.key("mask"), spec.secrets(), setup.settings.gateway.secret_patterns)
        printed = await anyio.to_thread.run_sync(end_of_log, spec, masker)
        pinned = await self._from_pins()
        times, state = known.of.get(name, []), str(running.get("state") or RESTING)
        return ServerState(
            name=name,
            builtin=spec.builtin is not None,
            trusted=spec.trusted,
            state=state,
            era=str(running.get("protocol") or ""),
            version=str(running.get("version") or ""),
            tools=_count(running, "tools") or sum(tool.server.name == name for tool in pinned.catalog.entries()),
            restarts=_count(running, "restarts"),
            p50=at(times, 0.5),
            p95=at(times, 0.95),
            calls=len(times),
            error=masker.mask(str(running.get("error") or "")),
            what_to_do="" if running else "it starts with the next run",
            log=printed,
        )

    async def retry(self, person: Person, name: str) -> None:
        """Refuse: only the gateway that runs a server starts it again."""
        person.need(Role.APPROVER)
        if all(spec.name != name for spec in self._settings.setup().specs):
            raise NotFound(f"there is no server {name[:60]}")
        raise Conflict(
            f"{name[:60]} is started by the gateway of a run, which tries again by itself",
            hint="begin or resume a run, or use the console of `lg-gateway serve`",
        )

    async def mark(self) -> str:
        """Return a digest of how the servers stand."""
        states = [[name, up.get("state"), up.get("error")] for name, up in sorted((await self._running()).items())]
        return sha256(json.dumps(states).encode()).hexdigest()[:16]

    async def _running(self) -> dict[str, dict[str, Any]]:
        """Return what the gateways that run say of their servers."""
        if time.monotonic() - self._asked[0] >= ASKED_S:
            found = await anyio.to_thread.run_sync(self._ask)
            self._asked = (time.monotonic(), found)
        return self._asked[1]

    def _ask(self) -> dict[str, dict[str, Any]]:
        folder = self._settings.setup().state.path / FOLDER
        forget_ended(folder)
        found: dict[str, dict[str, Any]] = {}
        for path in sorted(folder.glob(f"*{SUFFIX}")):
            status = json.loads(ask(path) or b"{}")
            for server in status.get("servers", ()):
                known = found.get(str(server["name"]))
                if known is None or known["state"] == "up":  # of several, one that is in trouble is shown
                    found[str(server["name"])] = server
        return found

    async def _from_pins(self) -> Known:
        setup = self._settings.setup()
        pins = await self._store.read(self._pins.all)
        accepted = [pin for pin in pins if pin.accepted is not None and "inputSchema" in pin.accepted]
        mark = sha256(json.dumps([[pin.server, pin.accepted] for pin in accepted]).encode()).hexdigest()
        if self._kept is None or self._kept[:2] != (setup, mark):
            self._kept = (setup, mark, await anyio.to_thread.run_sync(_known, setup, accepted))
        return self._kept[2]


def _known(setup: GatewaySetup, pins: list[Pin]) -> Known:
    """Return the tools of accepted definitions; those of a server whose definitions cannot be read are left out."""
    import mcp_types as t
    from pydantic import ValidationError

    from lg_gateway.calls.decision_step import DecisionStep, Policy
    from lg_gateway.catalog.catalog import Catalog
    from lg_policy.rules.rule_set import RuleBook

    catalog = Catalog(setup.settings.gateway.name_max, setup.specs)
    for spec in setup.specs:
        try:
            catalog.update(spec, [t.Tool.model_validate(pin.accepted) for pin in pins if pin.server == spec.name])
        except ValidationError as error:
            log.warning("the accepted definitions of %s cannot be read: %s", spec.name, error)
    policy = Policy(settings=setup.settings, rules=RuleBook(setup.settings, setup.loaded.rule_places))
    return Known(catalog=catalog, policy=policy, decisions=DecisionStep(lambda: policy, catalog))


def _count(status: Mapping[str, Any], name: str) -> int:
    value = status.get(name)
    return value if isinstance(value, int) else 0
