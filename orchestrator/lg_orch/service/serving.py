"""`lg-orch serve`: the API on a socket, and a worker beside it in a thread of its own."""

from __future__ import annotations

import logging
import os
import signal
import sys
import threading
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING

import anyio
import anyio.from_thread

from lg_orch.service.api.app import run_api
from lg_orch.service.api.bearer import BearerLogin
from lg_orch.service.api.scheduling import scheduled_run
from lg_orch.service.api.service import RunService, never_ended, nobody
from lg_orch.service.assembly import TOKEN, TOKEN_DAYS
from lg_orch.service.records.retention import Retention
from lg_orch.service.work.chores import Chores
from lg_orch.service.work.tools import WorkerTools
from lg_orch.service.work.worker import Worker
from lg_policy.config.flags import ServeFlags
from lg_policy.config.http import is_loopback
from lg_policy.secrets.masking import Masker
from lg_policy.state import load_key, replace_file

if TYPE_CHECKING:
    import argparse
    import asyncio
    import socket
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    import uvicorn
    from starlette.routing import BaseRoute

    from lg_orch.service.assembly import Parts
    from lg_orch.service.console.mounting import ServedRuns

log = logging.getLogger(__name__)
DAY_S = 86_400.0
SHUTDOWN_S = 5
"""Seconds that requests get to finish after a signal."""


class WorkerThread:
    """A worker in a thread with an event loop of its own, so that the API answers while runs are driven."""

    def __init__(self, parts: Parts, tools: WorkerTools) -> None:
        self._parts = parts
        self._tools = tools
        self._ready = threading.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._worker: Worker | None = None
        self._thread = threading.Thread(target=self._run, name="worker")

    def start(self) -> None:
        """Begin; returns when the worker looks for runs."""
        self._thread.start()
        self._ready.wait()

    def ended(self) -> bool:
        """Tell whether its event loop has ended."""
        return self._ready.is_set() and not self._thread.is_alive()

    def wake(self) -> None:
        """Have the worker look for a run now."""
        if self._loop is not None and self._worker is not None:
            self._loop.call_soon_threadsafe(self._worker.wake)

    def stop(self) -> None:
        """Have the runs stop between two calls, and wait for that."""
        if self._loop is not None and self._worker is not None and self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._worker.stop)
        self._thread.join()

    def _run(self) -> None:
        try:
            anyio.run(self._work)
        finally:
            self._loop = None
            self._ready.set()

    async def _work(self) -> None:
        import asyncio

        self._loop = asyncio.get_running_loop()
        self._worker = Worker(self._tools, self._parts.settings)
        self._ready.set()
        await self._worker.run()


def tools_of(parts: Parts, args: argparse.Namespace) -> WorkerTools:
    """Return what workers drive runs with. Raises `ConfigError` for a gateway's address that no token may go to."""
    token = os.environ.get("LG_GATEWAY_TOKEN") or None
    if args.gateway is not None:
        from lg_orch.tools.gateway import check_url

        check_url(args.gateway, token)
    return WorkerTools(
        leases=parts.leases,
        repositories=parts.repositories,
        places=parts.places,
        presence=parts.presence,
        gateway_url=args.gateway,
        gateway_token=token,
        gateways=parts.settings.gateways,
        service=parts.settings,
        chores=chores_of(parts),
    )


def chores_of(parts: Parts) -> Chores:
    """Return what workers do beside runs."""
    masker = Masker(load_key("mask"), [])
    return Chores(
        schedules=parts.schedules, scheduled=lambda schedule: scheduled_run(schedule, parts.repositories, masker),
        runs=parts.runs, retention=Retention(parts.database), repositories=parts.repositories,
        store_url=parts.store_url, max_queued=parts.settings.max_queued, keep_days=parts.settings.keep_days,
    )  # fmt: skip


def first_token(parts: Parts) -> Path:
    """Return the file of a token for this machine's user, which is made where it is not there."""
    path = parts.state / TOKEN
    try:
        known = path.read_text("ascii").strip()
    except (FileNotFoundError, ValueError):
        known = ""
    if parts.tokens.check(known) is None:
        replace_file(path, parts.tokens.create("local", "operator", TOKEN_DAYS * DAY_S).encode() + b"\n")
    return path


def serve_runs(args: argparse.Namespace, parts: Parts) -> int:
    """Serve until a signal arrives. Raises `ConfigError` for an address that is taken or may not be served."""
    from lg_orch.service.console.gateway_sections import gateway_sections
    from lg_orch.service.console.mounting import with_console
    from lg_policy.wire.serving import listen, shown_address

    open_to_others = bool(parts.settings.allowed_hosts)
    flags = ServeFlags(transport="http", host=args.host, port=args.port)
    listener = listen(flags, authenticated=open_to_others)
    thread = WorkerThread(parts, tools_of(parts, args)) if not args.no_worker else None
    gateway = gateway_sections(parts, args, os.environ)
    served = with_console(service_of(parts, thread), parts.tokens, gateway)
    address = shown_address(args.host, listener)
    if is_loopback(args.host):
        print(f"lg-orch: the operator's token is in {first_token(parts)}", file=sys.stderr)
    print(f"listening on {address}/v1/runs", file=sys.stderr, flush=True)
    if thread is not None:
        thread.start()
    try:
        with gateway.announced(address):
            anyio.run(partial(_serve_with_console, served, address, listener))
    finally:
        if thread is not None:
            thread.stop()
        gateway.close()
    return 0


async def _serve_with_console(served: ServedRuns, address: str, listener: socket.socket) -> None:
    """Serve. At a terminal a link is shown that logs in to the console; elsewhere a token does."""
    if sys.stderr.isatty():
        print(f"lg-orch: console, open within a minute: {await served.console.link(address)}", file=sys.stderr)
    else:
        print(
            f"lg-orch: console: {address}/ (`lg-gateway console` shows a link that logs you in)",
            file=sys.stderr,
            flush=True,
        )
    server = server_of(served.service, served.routes, served.console.streams.close)
    async with anyio.create_task_group() as group:
        group.start_soon(_until_signal, server)
        await server.serve(sockets=[listener])
        group.cancel_scope.cancel()


async def _until_signal(server: uvicorn.Server) -> None:
    """Have the server end when a signal arrives; a second one ends the process at once."""
    with anyio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as received:
        async for number in received:
            if server.should_exit:
                signal.signal(number, signal.SIG_DFL)
                signal.raise_signal(number)
            server.should_exit = True


def drive_runs(args: argparse.Namespace, parts: Parts) -> int:
    """Drive runs until a signal arrives: the first lets them stop between two calls, a second one ends them at once."""
    worker = Worker(tools_of(parts, args), parts.settings)
    print(f"worker {worker.name} looks for runs", file=sys.stderr, flush=True)

    async def work() -> None:
        async with anyio.create_task_group() as group:

            async def watch() -> None:
                with anyio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as received:
                    async for _ in received:
                        if worker.stopping:
                            group.cancel_scope.cancel()
                        worker.stop()

            group.start_soon(watch)
            await worker.run()
            group.cancel_scope.cancel()

    anyio.run(work)
    return 0


def service_of(parts: Parts, thread: WorkerThread | None) -> RunService:
    """Return what the API works with."""
    return RunService(
        runs=parts.runs, events=parts.events, repositories=parts.repositories, settings=parts.settings,
        masker=Masker(load_key("mask"), []), logins=(BearerLogin(parts.tokens),),
        schedules=parts.schedules, wake=thread.wake if thread is not None else nobody,
        worker_ended=thread.ended if thread is not None else never_ended,
    )  # fmt: skip


def server_of(
    service: RunService, routes: Sequence[BaseRoute] = (), on_exit: Callable[[], None] = nobody
) -> uvicorn.Server:
    """Return the server of the API, and of `routes` beside it. When it is told to exit, event streams end at once."""
    import uvicorn

    from lg_policy.wire.http_limits import limited_protocol, quiet_logs

    class RunServer(uvicorn.Server):
        @contextmanager
        def capture_signals(self) -> Iterator[None]:
            """Leave signals alone: uvicorn raises each again, which would end the process before its runs stop."""
            yield

        async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
            service.closing.set()
            on_exit()
            await super().shutdown(sockets)

    config = uvicorn.Config(
        run_api(service, routes), http=limited_protocol(), ws="none", log_level="warning", access_log=False,
        lifespan="off", timeout_graceful_shutdown=SHUTDOWN_S,
    )  # fmt: skip
    quiet_logs()
    return RunServer(config)
