"""Runs a gateway for the length of a block: starts the servers first, imports the MCP SDK meanwhile, then works."""

from __future__ import annotations

import argparse
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

from lg_gateway.processes.child_process import Reaper
from lg_gateway.serving.logs import format_logs, mask_logs, one_line_per_outage, start_logging
from lg_gateway.serving.setup import GatewaySetup, prepare, start_children
from lg_gateway.store.interface import StoreError
from lg_policy.config.flags import common_flags
from lg_policy.errors import ConfigError
from lg_policy.prefork.spares import dismiss_spares
from lg_policy.quick_imports import USED_LATER, quick_imports

if TYPE_CHECKING:
    from lg_gateway.serving.gateway import Gateway


@asynccontextmanager
async def running_gateway(setup: GatewaySetup) -> AsyncIterator[Gateway]:
    """Run a gateway and its servers for the length of the block."""
    reaper = Reaper()
    reaper.start()
    started = await start_children(setup, reaper)
    dismiss_spares()
    try:
        with quick_imports(USED_LATER):
            from lg_gateway.serving.gateway import Gateway

        gateway = Gateway(setup, reaper=reaper, started=started)
    except StoreError as error:
        reaper.close()
        raise ConfigError(str(error)) from error
    except BaseException:
        reaper.close()
        raise
    mask_logs(gateway.masker)
    if setup.store_url is not None:
        one_line_per_outage(gateway.store_health)
    async with gateway.running():
        yield gateway


def prepare_from(args: argparse.Namespace, *, workers: int = 1) -> GatewaySetup:
    """Start the log and read the settings that the flags name, for one of several `workers`. Raises `ConfigError`."""
    start_logging(args.log_level, typed=args.command != "serve")
    setup = replace(settings_from(args), workers=workers)
    format_logs(setup.settings.log)
    return setup


def settings_from(args: argparse.Namespace) -> GatewaySetup:
    """Read the settings that the flags name. Raises `ConfigError`."""
    return prepare(common_flags(args), mcp_json=args.mcp_json)
