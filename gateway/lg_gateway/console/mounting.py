"""Puts a console in front of a running gateway, and says where it is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from lg_console.serving.routes import console_routes
from lg_console.sources.people import LoggedInBy, Person, Role
from lg_console.web.console import Console, Sources
from lg_gateway.console.approvals import GatewayApprovals
from lg_gateway.console.audit import GatewayAudit
from lg_gateway.console.people import GatewayPeople
from lg_gateway.console.provider import CurrentProvider
from lg_gateway.console.rows import ConsoleRows
from lg_gateway.console.servers import GatewayServers
from lg_gateway.kept_rules.rules_file import RulesFile, rules_file
from lg_gateway.serving.setup import user_name

if TYPE_CHECKING:
    from starlette.routing import BaseRoute

    from lg_gateway.serving.gateway import Gateway

NAME = "LG console"


@dataclass(frozen=True, kw_only=True)
class MountedConsole:
    """A console and its routes."""

    console: Console
    routes: list[BaseRoute]


def mounted(gateway: Gateway) -> MountedConsole:
    """Return a console of a gateway."""
    setup = gateway.setup

    def file() -> RulesFile | None:
        found = rules_file(setup.environ, [setup.root] if setup.root is not None else [])
        return found if found.path.absolute() in gateway.setup.watched else None

    approvals = GatewayApprovals(
        gateway.store,
        gateway.approvals,
        gateway.ledger,
        where=str(setup.root or setup.state.path),
        file=file,
    )
    console = Console(
        Sources(
            approvals=approvals,
            audit=GatewayAudit(gateway.store, gateway.ledger, gateway.approvals),
            servers=GatewayServers(gateway),
        ),
        people=GatewayPeople(gateway.store, gateway.tokens, gateway.ledger),
        store=ConsoleRows(gateway.store, setup.key("console")),
        name=NAME,
        provider=CurrentProvider(lambda: gateway.setup),
    )
    # Not an operator: what only an operator may approve takes a token, or a code that a terminal shows.
    local = Person(name=f"user {user_name()}", role=Role.APPROVER, local=True, by=LoggedInBy.LINK)
    return MountedConsole(console=console, routes=console_routes(console, local=local))
