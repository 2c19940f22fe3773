"""A gateway with its console in this process, in a thread of its own, and pages of it in a real browser."""

from __future__ import annotations

import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import anyio
import httpx2
import uvicorn
from anyio.from_thread import BlockingPortal, start_blocking_portal
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, Request
from starlette.applications import Starlette

from lg_console.web.console import Console
from lg_gateway.console.mounting import mounted
from lg_gateway.serving.gateway import Gateway
from lg_gateway.serving.running import running_gateway
from lg_policy.config.flags import ServeFlags
from lg_policy.wire.http_front import LOOPBACK_HOSTS, LOOPBACK_ORIGINS, front
from lg_policy.wire.http_limits import limited_protocol
from lg_policy.wire.serving import listen, shown_address
from tests.gateway.rig import make_setup, send

T = TypeVar("T")
LONG_MS = 60_000
"""How long a page is waited for: the machine may be busy."""


@dataclass
class ServedConsole:
    """A console that is being served. Work in its event loop goes through `run`."""

    gateway: Gateway
    console: Console
    address: str
    portal: BlockingPortal
    answers: list[Any] = field(default_factory=list)

    def run(self, work: Callable[..., Awaitable[T]], *args: Any, **options: Any) -> T:
        """Do something in the event loop of the gateway."""
        return self.portal.call(partial(work, *args, **options))

    def begin_call(self, name: str, arguments: dict[str, Any], **options: Any) -> None:
        """Make a call that waits; its answer is added to `answers`."""
        given = {"progress": _quiet} | options

        async def call() -> None:
            self.answers.append(await send(self.gateway, name, arguments, **given))

        self.portal.start_task_soon(call)

    def waiting(self, count: int) -> list[str]:
        """Wait until so many questions wait; return their ids."""

        async def look() -> list[str]:
            assert self.console.sources.approvals is not None
            with anyio.fail_after(60):
                while len(found := await self.console.sources.approvals.waiting()) != count:
                    await anyio.sleep(0.02)
            return [question.id for question in found]

        return self.run(look)

    def answered(self, count: int) -> list[Any]:
        """Wait until so many calls were answered; return the answers."""

        async def look() -> None:
            with anyio.fail_after(60):
                while len(self.answers) < count:
                    await anyio.sleep(0.02)

        self.run(look)
        return self.answers

    def link(self) -> str:
        """Return a new one-time link."""
        return self.run(self.console.link, self.address)

    def operator_token(self, role: Any = "operator") -> str:
        """Make a token of an operator, or of another role."""

        def make(tx: Any) -> str:
            _, text = self.gateway.tokens.create(
                tx, "ann", role=role, scopes=(), lifetime_s=3600, now=time.time(), by="test"
            )
            return text

        made: str = self.run(self.gateway.store.write, make)
        return made

    def http(self, **headers: str) -> httpx2.Client:
        """A client that is no browser."""
        return httpx2.Client(base_url=self.address, headers=headers, timeout=60)


@contextmanager
def served_console(tmp_path: Path, *parts: str) -> Iterator[ServedConsole]:
    """Serve the console of a gateway with these settings."""
    ready: dict[str, ServedConsole] = {}
    started, over = threading.Event(), {}

    async def serve(portal: BlockingPortal) -> None:
        setup = make_setup(tmp_path, *parts)
        async with running_gateway(setup) as gateway, anyio.create_task_group() as tasks:
            await gateway.settled()
            found = mounted(gateway)
            listener = listen(ServeFlags(transport="http", host="127.0.0.1", port=0), authenticated=False)
            app = Starlette(routes=found.routes, middleware=front(LOOPBACK_HOSTS, LOOPBACK_ORIGINS, browsers=False))
            config = uvicorn.Config(
                app, http=limited_protocol(), ws="none", log_level="warning", timeout_graceful_shutdown=5
            )
            server = uvicorn.Server(config)
            over["event"] = anyio.Event()
            tasks.start_soon(partial(server.serve, sockets=[listener]))
            address = shown_address("127.0.0.1", listener)
            ready["it"] = ServedConsole(gateway=gateway, console=found.console, address=address, portal=portal)
            started.set()
            await over["event"].wait()
            found.console.streams.close()
            server.should_exit = True

    with start_blocking_portal() as portal:
        task = portal.start_task_soon(_with_limit, serve, portal, started)
        assert started.wait(90)
        if "it" not in ready:
            task.result()
        try:
            yield ready["it"]
        finally:
            portal.call(over["event"].set)
            task.result(90)


async def _with_limit(
    serve: Callable[[BlockingPortal], Awaitable[None]], portal: BlockingPortal, started: threading.Event
) -> None:
    try:
        await serve(portal)
    finally:
        started.set()


async def _quiet(*_progress: Any) -> None:
    """Take progress: a caller that takes none would be answered at once."""


@dataclass
class Visit:
    """A page of a browser that somebody looks at, and what went wrong on it."""

    page: Page
    context: BrowserContext
    wrong: list[str]

    def text(self) -> str:
        """Return what the page shows."""
        return self.page.locator("body").inner_text()


@contextmanager
def visiting(browser: Browser, served: ServedConsole, *, link: bool = True, **options: Any) -> Iterator[Visit]:
    """Open a browser window, logged in by a link."""
    with opened_page(browser, served.address, **options) as visit:
        if link:
            visit.page.goto(served.link())
            visit.page.wait_for_url(f"{served.address}/approvals")
        yield visit


@contextmanager
def opened_page(browser: Browser, address: str, **options: Any) -> Iterator[Visit]:
    """Open a browser window. An error on its console or a request elsewhere fails the test."""
    context = browser.new_context(reduced_motion="reduce", **options)
    context.set_default_timeout(LONG_MS)
    page, wrong = context.new_page(), list[str]()
    page.on("console", partial(_heard, wrong))
    page.on("pageerror", lambda error: wrong.append(f"script: {error}"))
    context.on("request", partial(_requested, wrong, address))
    page.on("dialog", lambda dialog: wrong.append(f"dialog: {dialog.message}"))
    try:
        yield Visit(page=page, context=context, wrong=wrong)
        assert not wrong
    finally:
        context.close()


def _heard(wrong: list[str], message: ConsoleMessage) -> None:
    if message.type in ("error", "warning") and "the server responded with a status of 4" not in message.text:
        wrong.append(message.text)


def _requested(wrong: list[str], address: str, request: Request) -> None:
    if not request.url.startswith((f"{address}/", "data:")):
        wrong.append(f"request to {request.url}")
