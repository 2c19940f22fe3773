"""Puts a console in front of a running gateway, and says where it is."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from lg_console.serving.routes import console_routes
from lg_console.web.console import Console, Sources
from lg_gateway.console.approvals import GatewayApprovals
from lg_gateway.console.people import GatewayPeople
from lg_gateway.console.rows import ConsoleRows
from lg_gateway.kept_rules.rules_file import RulesFile, rules_file
from lg_gateway.serving.setup import user_name
from lg_policy.state import replace_file

if TYPE_CHECKING:
    from starlette.routing import BaseRoute

    from lg_gateway.serving.gateway import Gateway

ADDRESS_FILE = "console.json"
"""In the state directory: where the console of a running gateway is."""
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
        Sources(approvals=approvals),
        people=GatewayPeople(gateway.store, gateway.tokens, gateway.ledger),
        store=ConsoleRows(gateway.store, setup.key("console")),
        name=NAME,
    )
    return MountedConsole(console=console, routes=console_routes(console, local_person=f"user {user_name()}"))


@contextmanager
def address_known(state: Path, address: str) -> Iterator[None]:
    """Keep the address where `lg-gateway console` finds it, for as long as the block lasts."""
    path = state / ADDRESS_FILE
    replace_file(path, json.dumps({"address": address, "pid": os.getpid()}).encode(), 0o600)
    try:
        yield
    finally:
        with suppress(OSError):
            path.unlink()


def known_address(state: Path) -> str | None:
    """Return where the console of a running gateway is."""
    try:
        found = json.loads((state / ADDRESS_FILE).read_text("utf-8"))
        os.kill(int(found["pid"]), 0)
    except PermissionError:
        return str(found["address"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return str(found["address"])
