"""A run service with its console in this process, and pages of it in a real browser."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anyio
from playwright.sync_api import Browser

from lg_console.web.console import Console
from lg_orch.cli import arguments
from lg_orch.service.assembly import Parts, assemble
from lg_orch.service.console.gateway_sections import gateway_sections
from lg_orch.service.console.mounting import with_console
from lg_orch.service.serving import WorkerThread, server_of, service_of, tools_of
from lg_orch.settings.setup import prepare
from lg_policy.config.flags import ServeFlags
from lg_policy.wire.serving import listen, shown_address
from tests.console.served import Visit, opened_page


@dataclass(frozen=True, kw_only=True)
class ServedRuns:
    """A service that is being served."""

    address: str
    token: str
    """Of an operator."""
    console: Console
    parts: Parts
    loop: list[asyncio.AbstractEventLoop]
    """That of the service, once it serves."""

    def link(self) -> str:
        """Return a link that logs in the person at this machine."""
        return asyncio.run_coroutine_threadsafe(self.console.link(self.address), self.loop[0]).result(60)


@contextmanager
def served_runs(root: Path, *flags: str, worker: bool = True) -> Iterator[ServedRuns]:
    """A run service with its console and a worker."""
    args = arguments(["serve", "--repo-root", str(root), *flags])
    parts = assemble(args, prepare(args))
    thread = WorkerThread(parts, tools_of(parts, args)) if worker else None
    gateway = gateway_sections(parts, args, os.environ)
    served = with_console(service_of(parts, thread), parts.tokens, gateway)
    server = server_of(served.service, served.routes, served.console.streams.close)
    listener = listen(ServeFlags(transport="http", host="127.0.0.1", port=0), authenticated=False)

    loop: list[asyncio.AbstractEventLoop] = []
    begun = threading.Event()

    async def serve() -> None:
        loop.append(asyncio.get_running_loop())
        begun.set()
        await server.serve(sockets=[listener])

    api = threading.Thread(target=lambda: anyio.run(serve))
    api.start()
    assert begun.wait(60)
    if thread is not None:
        thread.start()
    try:
        yield ServedRuns(
            address=shown_address("127.0.0.1", listener),
            token=parts.tokens.create("ann", "operator", 3600),
            console=served.console,
            parts=parts,
            loop=loop,
        )
    finally:
        server.should_exit = True
        api.join()
        if thread is not None:
            thread.stop()
        listener.close()
        gateway.close()
        parts.close()


@contextmanager
def operator(browser: Browser, address: str, token: str, **options: Any) -> Iterator[Visit]:
    """A browser of somebody who has logged in with a token."""
    with opened_page(browser, address, **options) as visit:
        visit.page.goto(f"{address}/login")
        visit.page.get_by_label("Token").fill(token)
        visit.page.get_by_role("button", name="Log in").click()
        visit.page.wait_for_url("**/runs")
        yield visit
