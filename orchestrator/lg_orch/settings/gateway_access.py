"""Connects a command to its gateway: a running one, or its own."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lg_orch.tools.connection import Connection
from lg_orch.tools.gateway import check_url, connect, local_launch, start

if TYPE_CHECKING:
    from collections.abc import Mapping
    from contextlib import AsyncExitStack
    from pathlib import Path

    from lg_orch.settings.setup import CommandSetup


async def opened(
    stack: AsyncExitStack, url: str | None, setup: CommandSetup, environ: Mapping[str, str], log_path: Path
) -> Connection:
    """Connect to the gateway at `url`, else to one of our own that ends with `stack`. Raises `GatewayGone`."""
    if url is not None:
        token = environ.get("LG_GATEWAY_TOKEN") or None
        check_url(url, token)
        return await stack.enter_async_context(connect(url=url, token=token))
    launch = local_launch(
        root=setup.root,
        allow_broad=setup.flags.allow_broad_root,
        state_dir=setup.state.path,
        settings=setup.loaded.settings,
        environ=environ,
        log_path=log_path,
    )
    streams = await stack.enter_async_context(start(launch))
    return await stack.enter_async_context(connect(streams, log_path=log_path))
