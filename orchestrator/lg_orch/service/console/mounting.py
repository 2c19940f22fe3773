"""Puts a console in front of the run service."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from lg_console.serving.routes import console_routes
from lg_console.sources.people import LoggedInBy, Person, Role
from lg_console.web.console import Console
from lg_orch.service.console.approvals import AllApprovals
from lg_orch.service.console.people import CookieLogin, ServicePeople
from lg_orch.service.console.runs import ServiceRuns

if TYPE_CHECKING:
    from starlette.routing import BaseRoute

    from lg_orch.service.api.service import RunService
    from lg_orch.service.console.gateway_sections import GatewaySections
    from lg_orch.service.records.token_table import TokenRows

NAME = "LG console"
LOCAL = Person(name="local", role=Role.OPERATOR, local=True, by=LoggedInBy.LINK)
"""Who a one-time link logs in: the user whose service this is."""


@dataclass(frozen=True, kw_only=True)
class ServedRuns:
    """The service with the console's login, and the routes of its pages."""

    service: RunService
    console: Console
    routes: list[BaseRoute]


def with_console(service: RunService, tokens: TokenRows, gateway: GatewaySections) -> ServedRuns:
    """Return the service with a console of its runs and of the gateway that they go through."""
    sources = replace(gateway.sources, runs=ServiceRuns(service))
    if sources.approvals is not None:
        sources = replace(sources, approvals=AllApprovals(service, sources.approvals))
    console = Console(
        sources,
        people=ServicePeople(tokens, gateway.people),
        store=gateway.sessions,
        name=NAME,
        provider=gateway.provider,
    )
    logins = (*service.logins, CookieLogin(console.guard))
    return ServedRuns(
        service=replace(service, logins=logins), console=console, routes=console_routes(console, local=LOCAL)
    )
