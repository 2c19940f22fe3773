"""A web server on this machine whose every answer a test writes itself: an authorization server that cheats."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

Page = Callable[[bytes], AsyncIterator[bytes]]


class ProgrammedSite:
    """Answers each path from `pages`. `asked` has the head and the body of each request."""

    def __init__(self, port: int) -> None:
        self.origin = f"http://127.0.0.1:{port}"
        self.url = f"{self.origin}/mcp"
        self.pages: dict[str, Page] = {}
        self.asked: list[bytes] = []
        self.sent = 0
        self.metadata: dict[str, Any] = {
            "issuer": self.origin,
            "authorization_endpoint": f"{self.origin}/authorize",
            "token_endpoint": f"{self.origin}/token",
            "registration_endpoint": f"{self.origin}/register",
            "code_challenge_methods_supported": ["S256"],
        }
        self.resource: dict[str, Any] = {"resource": self.url, "authorization_servers": [self.origin]}
        self.challenge = f'Bearer resource_metadata="{self.origin}/resource"'
        self.pages["/mcp"] = lambda _request: answer({}, status=401, more=f"www-authenticate: {self.challenge}\r\n")
        self.pages["/resource"] = lambda _request: answer(self.resource)
        self.pages["/.well-known/oauth-authorization-server"] = lambda _request: answer(self.metadata)
        self.pages["/register"] = lambda _request: answer({"client_id": "made"}, status=201)
        self.pages["/token"] = lambda _request: answer({"access_token": "made-token", "token_type": "Bearer"})

    def paths(self) -> list[str]:
        return [request.split()[1].decode().partition("?")[0] for request in self.asked]

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            length = next(
                (int(line[15:]) for line in head.lower().split(b"\r\n") if line[:15] == b"content-length:"), 0
            )
            self.asked.append(head + await reader.readexactly(length))
            page = self.pages.get(self.paths()[-1], nothing)
            async for part in page(self.asked[-1]):
                writer.write(part)
                await writer.drain()
                self.sent += len(part)
        except (OSError, asyncio.IncompleteReadError):
            return  # the gateway went away
        finally:
            writer.close()


async def answer(body: Any, *, status: int = 200, more: str = "") -> AsyncIterator[bytes]:
    data = json.dumps(body).encode()
    yield f"HTTP/1.1 {status} X\r\ncontent-type: application/json\r\ncontent-length: {len(data)}\r\n{more}\r\n".encode()
    yield data


def nothing(_request: bytes) -> AsyncIterator[bytes]:
    return answer({}, status=404)


async def redirect(where: str, status: int = 302) -> AsyncIterator[bytes]:
    yield f"HTTP/1.1 {status} X\r\nlocation: {where}\r\ncontent-length: 0\r\n\r\n".encode()


async def endless(megabytes: int) -> AsyncIterator[bytes]:
    yield b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n\r\n{"
    for _ in range(megabytes * 16):
        yield b" " * 65_536


async def dripping() -> AsyncIterator[bytes]:
    yield b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n\r\n"
    while True:
        yield b" "
        await asyncio.sleep(0.01)


@asynccontextmanager
async def programmed_site() -> AsyncIterator[ProgrammedSite]:
    """Serve one in this process."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        site = ProgrammedSite(listener.getsockname()[1])
        server = await asyncio.start_server(site.serve, sock=listener)
        try:
            yield site
        finally:
            server.close()
