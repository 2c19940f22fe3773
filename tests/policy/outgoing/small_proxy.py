"""A small HTTP proxy, as a process of its own. Whatever host a request names, it connects to this machine's port.

It prints its port, then one line for each request: `CONNECT host:port` or `GET http://host:port/path`. With an argument
`user:password` it wants that login.
"""

from __future__ import annotations

import asyncio
import base64
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.parse import urlsplit

REFUSED = b"HTTP/1.1 407 Proxy Authentication Required\r\nConnection: close\r\n\r\n"


class SmallProxy:
    """A proxy process. `asked` is what came to it."""

    def __init__(self, port: int, log: Path) -> None:
        self.url = f"http://127.0.0.1:{port}"
        self.port = port
        self._log = log

    @property
    def asked(self) -> list[str]:
        return self._log.read_text().splitlines()


@contextmanager
def small_proxy(directory: Path, login: str = "") -> Iterator[SmallProxy]:
    """Run one for the length of the block."""
    log = directory / "proxy.log"
    log.touch()
    argv = [sys.executable, __file__, str(log), login]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield SmallProxy(int(next(iter(process.stdout or ()))), log)
        finally:
            process.terminate()


async def carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while data := await reader.read(65_536):
            writer.write(data)
            await writer.drain()
        if writer.can_write_eof():
            writer.write_eof()


async def read_head(reader: asyncio.StreamReader) -> tuple[str, str, list[str]]:
    first, *lines = (await reader.readuntil(b"\r\n\r\n")).decode().removesuffix("\r\n\r\n").split("\r\n")
    method, target, _ = first.split(" ")
    return method, target, lines


async def main(log: str, login: str) -> None:
    wanted = f"proxy-authorization: basic {base64.b64encode(login.encode()).decode()}".lower()

    async def pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Carry a tunnel, or one plain request after the other."""
        far: asyncio.StreamWriter | None = None
        while True:
            method, target, lines = await read_head(reader)
            if login and wanted not in [line.lower() for line in lines]:
                writer.write(REFUSED)
                return
            with open(log, "a", encoding="utf-8") as file:
                file.write(f"{method} {target}\n")
            if method == "CONNECT":
                far_reader, far = await asyncio.open_connection("127.0.0.1", int(target.rpartition(":")[2]))
                writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
                await asyncio.gather(carry(reader, far), carry(far_reader, writer))
                return
            parts = urlsplit(target)
            if far is None:
                far_reader, far = await asyncio.open_connection("127.0.0.1", parts.port)
                tasks.append(asyncio.ensure_future(carry(far_reader, writer)))
            kept = [line for line in lines if not line.lower().startswith("proxy-")]
            size = next((int(line.split(":")[1]) for line in lines if line.lower().startswith("content-length:")), 0)
            head = "\r\n".join([f"{method} {parts.path} HTTP/1.1", *kept, "", ""]).encode()
            far.write(head + await reader.readexactly(size))

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError, asyncio.IncompleteReadError):
            await pass_on(reader, writer)
        writer.close()

    tasks: list[asyncio.Future[None]] = []
    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    os.write(1, b"%d\n" % server.sockets[0].getsockname()[1])
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
