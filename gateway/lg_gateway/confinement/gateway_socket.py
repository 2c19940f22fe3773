"""A socket on which a confined client finds the gateway: each connection gets a gateway process outside the sandbox.

That is what a client does that starts `lg-gateway` itself, so the gateway behaves the same.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Mapping, Sequence

from lg_gateway.confinement.private_socket import private_server

log = logging.getLogger(__name__)

CHUNK = 65_536
CONNECTIONS = 16
END_S = 15.0


class GatewaySocket:
    """Listens for the client, and starts `argv` for each connection."""

    def __init__(self, argv: Sequence[str], env: Mapping[str, str]) -> None:
        self._argv = tuple(argv)
        self._env = dict(env)
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._ending: set[asyncio.Task[None]] = set()
        """Gateways whose input is closed. Each is waited for, also if its connection's task is cancelled."""

    async def start(self, path: str) -> None:
        """Listen on a Unix socket at `path`, which may be long. Raises `OSError`."""
        self._server = await private_server(path, self._accept, limit=CHUNK)

    async def close(self) -> None:
        """End all connections, and with each its gateway."""
        if self._server is not None:
            self._server.close()
        for task in self._tasks:
            task.cancel()
        for tasks in (self._tasks, self._ending):
            if tasks:
                await asyncio.wait(set(tasks))

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.ensure_future(self._served(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _served(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            if len(self._tasks) <= CONNECTIONS:
                await self._serve(reader, writer)
            else:
                log.warning("a confined client has more than %d connections to the gateway", CONNECTIONS)
        except OSError as error:
            log.warning("a connection of the confined client broke: %s", error)
        finally:
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        process = await asyncio.create_subprocess_exec(
            *self._argv, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, env=self._env,
            limit=CHUNK, start_new_session=True,
        )  # fmt: skip
        if process.stdin is None or process.stdout is None:
            return
        there = asyncio.ensure_future(_carry(reader, process.stdin))
        back = asyncio.ensure_future(_carry(process.stdout, writer))
        try:
            await back  # to the end of what the gateway says
        finally:
            for task in (there, back):
                task.cancel()
            await asyncio.gather(there, back, return_exceptions=True)
            process.stdin.close()
            ending = asyncio.ensure_future(_ended(process))
            self._ending.add(ending)
            ending.add_done_callback(self._ending.discard)
            await asyncio.shield(ending)


async def _carry(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
    with contextlib.suppress(ConnectionError):
        while data := await source.read(CHUNK):
            target.write(data)
            await target.drain()
        if target.can_write_eof():
            target.write_eof()


async def _ended(process: asyncio.subprocess.Process) -> None:
    """Wait for a gateway whose input is closed; end one that does not end."""
    try:
        async with asyncio.timeout(END_S):
            await process.wait()
    except TimeoutError:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()
