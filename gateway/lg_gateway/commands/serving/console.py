"""`lg-gateway console`: show a link that logs in to a running console. Only a terminal shows it."""

from __future__ import annotations

import argparse
import asyncio

from lg_console.login.sessions import SessionTable
from lg_gateway.commands.terminal.terminal import Terminal
from lg_gateway.console.address import known_addresses
from lg_gateway.console.rows import ConsoleRows
from lg_gateway.serving.setup import locate
from lg_gateway.store.factory import open_store
from lg_gateway.store.interface import StoreError
from lg_policy.config.flags import common_flags
from lg_policy.errors import ConfigError


def run(args: argparse.Namespace) -> int:
    """`lg-gateway console`."""
    located = locate(common_flags(args), mcp_json=args.mcp_json)
    addresses = known_addresses(located.state.path)
    if not addresses:
        raise ConfigError(
            "no console runs for this directory",
            hint="start one with `lg-gateway serve --transport http --console` or `lg-orch serve`, or name the --root"
            " or --config of the one that runs",
        )
    with Terminal("showing the link to the console") as terminal:
        try:
            store = open_store(located.store_place, guard=located.ledger())
        except StoreError as error:
            raise ConfigError(str(error)) from error
        try:
            table = SessionTable(ConsoleRows(store, located.key("console")))
            links = [f"{address}/login#link={asyncio.run(table.link())}" for address in addresses]
        finally:
            store.close()
        terminal.write("\n".join(["Open within a minute; a link works once:", *links, ""]))
    return 0
