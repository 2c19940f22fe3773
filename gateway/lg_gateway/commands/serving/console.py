"""`lg-gateway console`: show a link that logs in to the console of a running gateway. Only a terminal shows it."""

from __future__ import annotations

import argparse
import asyncio

from lg_console.login.sessions import SessionTable
from lg_gateway.commands.terminal.terminal import Terminal
from lg_gateway.console.address import known_address
from lg_gateway.console.rows import ConsoleRows
from lg_gateway.serving.setup import locate
from lg_gateway.store.factory import open_store
from lg_gateway.store.interface import StoreError
from lg_policy.config.flags import common_flags
from lg_policy.errors import ConfigError


def run(args: argparse.Namespace) -> int:
    """`lg-gateway console`."""
    located = locate(common_flags(args), mcp_json=args.mcp_json)
    address = known_address(located.state.path)
    if address is None:
        raise ConfigError(
            "no gateway with a console runs for this directory",
            hint="start one with `lg-gateway serve --transport http --console`, or name its --root or --config",
        )
    with Terminal("showing the link to the console") as terminal:
        try:
            store = open_store(located.store_place, guard=located.ledger())
        except StoreError as error:
            raise ConfigError(str(error)) from error
        try:
            secret = asyncio.run(SessionTable(ConsoleRows(store, located.key("console"))).link())
        finally:
            store.close()
        terminal.write(f"Open within a minute; the link works once:\n{address}/login#link={secret}\n")
    return 0
