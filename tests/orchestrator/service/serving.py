"""A run service in this process: its API on a port, its worker in a thread; and a client of it."""

from __future__ import annotations

import asyncio
import json
import os
import queue
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass, replace
from http.client import HTTPConnection
from typing import TYPE_CHECKING, Any

import anyio

from lg_orch.cli import arguments
from lg_orch.service.assembly import Parts, assemble
from lg_orch.service.console.gateway_sections import gateway_sections
from lg_orch.service.console.mounting import with_console
from lg_orch.service.serving import WorkerThread, first_token, server_of, service_of, tools_of
from lg_orch.settings.setup import prepare
from lg_policy.config.flags import ServeFlags
from lg_policy.wire.serving import listen

if TYPE_CHECKING:
    import socket
    from collections.abc import Iterator
    from pathlib import Path

    from lg_console.sources.people import People
    from lg_console.web.console import Console

WAIT_S = 120.0


@dataclass(frozen=True, kw_only=True)
class Answered:
    status: int
    headers: dict[str, str]
    data: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.data)


@dataclass(kw_only=True)
class Api:
    """A client that logs in with a token."""

    port: int
    token: str
    parts: Parts
    thread: Any = None
    """The worker's, where there is one."""
    people: People
    """Who may log in to its console."""

    def __call__(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        headers: dict[str, str] | None = None,
        data: bytes | None = None,
    ) -> Answered:
        connection = HTTPConnection("127.0.0.1", self.port, timeout=WAIT_S)
        sent = {"authorization": f"Bearer {self.token}", **(headers or {})}
        if body is not None:
            sent, data = {"content-type": "application/json", **sent}, json.dumps(body).encode()
        connection.request(method, path, data, {name: text for name, text in sent.items() if text})
        try:
            response = connection.getresponse()
            found = {name.lower(): text for name, text in response.getheaders()}
            return Answered(status=response.status, headers=found, data=response.read())
        finally:
            connection.close()

    def create(self, request: str, **fields: Any) -> str:
        made = self("POST", "/v1/runs", {"request": request, **fields})
        assert made.status == 201, made.data
        return str(made.json["run_id"])

    def run(self, run_id: str) -> dict[str, Any]:
        found: dict[str, Any] = self("GET", f"/v1/runs/{run_id}").json
        return found

    def until(self, run_id: str, *states: str) -> dict[str, Any]:
        """The run once it is in one of these states."""
        deadline = time.monotonic() + WAIT_S
        while (found := self.run(run_id))["state"] not in states:
            assert time.monotonic() < deadline, found
            time.sleep(0.05)
        return found

    def undone(self, run_id: str) -> dict[str, Any]:
        """What became of an undo that was asked for."""
        deadline = time.monotonic() + WAIT_S
        while (undo := self.run(run_id)["undo"])["state"] == "queued":
            assert time.monotonic() < deadline, undo
            time.sleep(0.05)
        return dict(undo)

    def events(self, run_id: str, after: int = 0) -> list[tuple[str, str, Any]]:
        """Name, id and data of everything that the stream brings until it ends."""
        answered = self("GET", f"/v1/runs/{run_id}/events", headers={"last-event-id": str(after) if after else ""})
        assert answered.status == 200, answered.data
        return parsed(answered.data.decode())

    def events_so_far(self, run_id: str) -> list[tuple[str, str, Any]]:
        """The same of a run that may go on."""
        return parsed(self("GET", f"/v1/runs/{run_id}/events?follow=false").data.decode())


def parsed(stream: str) -> list[tuple[str, str, Any]]:
    found = []
    for block in stream.split("\n\n"):
        fields = dict(line.split(": ", 1) for line in block.splitlines() if not line.startswith(":"))
        if "event" in fields:
            found.append((fields["event"], fields.get("id", ""), json.loads(fields["data"])))
    return found


@dataclass(frozen=True, kw_only=True)
class Serving:
    """A service that is being served, with its console."""

    parts: Parts
    thread: Any
    """The worker's, where there is one."""
    console: Console
    listener: socket.socket
    loop: asyncio.AbstractEventLoop


@contextmanager
def served_service(root: Path, *flags: str, worker: bool = True, recheck_s: float = 15.0) -> Iterator[Serving]:
    """The service of a repository with its console, for the length of the block."""
    args = arguments(["serve", "--repo-root", str(root), *flags])
    args.base_url = None
    parts = assemble(args, prepare(args))
    thread = WorkerThread(parts, tools_of(parts, args)) if worker else None
    gateway = gateway_sections(parts, args, os.environ)
    served = with_console(replace(service_of(parts, thread), recheck_s=recheck_s), parts.tokens, gateway)
    server = server_of(served.service, served.routes, served.console.streams.close)
    listener = listen(ServeFlags(transport="http", host="127.0.0.1", port=0), authenticated=False)
    begun: queue.Queue[asyncio.AbstractEventLoop] = queue.Queue()

    async def serve() -> None:
        begun.put(asyncio.get_running_loop())
        await server.serve(sockets=[listener])

    api = threading.Thread(target=lambda: anyio.run(serve))
    api.start()
    loop = begun.get(timeout=WAIT_S)
    if thread is not None:
        thread.start()
    try:
        yield Serving(parts=parts, thread=thread, console=served.console, listener=listener, loop=loop)
    finally:
        server.should_exit = True
        api.join()
        if thread is not None:
            thread.stop()
        listener.close()
        gateway.close()
        parts.close()


@contextmanager
def serving(root: Path, *flags: str, worker: bool = True, recheck_s: float = 15.0) -> Iterator[Api]:
    """The same, and a client of it."""
    with served_service(root, *flags, worker=worker, recheck_s=recheck_s) as made:
        token = first_token(made.parts).read_text("ascii").strip()
        port, people = made.listener.getsockname()[1], made.console.people
        yield Api(port=port, token=token, parts=made.parts, people=people, thread=made.thread)
