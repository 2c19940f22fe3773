"""The proxy of a sandbox, spoken to over its socket. Names lead where the test says; connections are real."""

from __future__ import annotations

import asyncio
import ipaddress
import os
import threading
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from lg_gateway.confinement.hosts import Address, read_patterns
from lg_gateway.confinement.proxy import HEAD_BYTES, EgressProxy, look_up

pytestmark = pytest.mark.anyio


class Site:
    """A server on loopback that answers `seen` once to each request, and keeps what it got."""

    def __init__(self) -> None:
        self.port = 0
        self.got: list[bytes] = []

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.got.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nseen")
        await writer.drain()
        writer.close()


@asynccontextmanager
async def site() -> AsyncIterator[Site]:
    made = Site()
    async with await asyncio.start_server(made.serve, "127.0.0.1", 0) as server:
        made.port = server.sockets[0].getsockname()[1]
        yield made


@asynccontextmanager
async def proxy_of(
    tmp_path: Path, *entries: str, leads_to: str = "127.0.0.1"
) -> AsyncIterator[tuple[EgressProxy, Path]]:
    async def resolve(_host: str, _port: int) -> list[Address]:
        return [ipaddress.ip_address(leads_to)]

    proxy = EgressProxy(read_patterns(entries), owner="box", add_with='add "{host}"', resolve=resolve)
    path = tmp_path / ("long" * 40) / "proxy.sock"
    path.parent.mkdir()
    await proxy.start(str(path))
    try:
        yield proxy, path
    finally:
        await proxy.close()


async def ask(path: Path, request: bytes, more: bytes = b"") -> bytes:
    directory = os.open(path.parent, os.O_PATH)
    try:
        reader, writer = await asyncio.open_unix_connection(f"/proc/self/fd/{directory}/{path.name}")
    finally:
        os.close(directory)
    writer.write(request)
    if more:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(more)
    answer = await asyncio.wait_for(reader.read(), 60)
    writer.close()
    return answer


def connect(port: int, host: str = "name.example") -> bytes:
    return f"CONNECT {host}:{port} HTTP/1.1\r\n\r\n".encode()


def named(port: int, *more: str) -> tuple[str, ...]:
    """The name, and the address of loopback, which no name may lead to otherwise."""
    return (f"name.example:{port}", f"127.0.0.1:{port}", *more)


async def test_a_tunnel_leads_to_a_named_host(tmp_path: Path) -> None:
    async with site() as there, proxy_of(tmp_path, *named(there.port)) as (proxy, path):
        answer = await ask(path, connect(there.port), b"GET / HTTP/1.1\r\n\r\n")
    assert answer.endswith(b"seen")
    assert there.got == [b"GET / HTTP/1.1\r\n\r\n"]
    assert not proxy.refused.counts


async def test_a_plain_request_is_passed_on_for_the_host_that_was_checked(tmp_path: Path) -> None:
    async with site() as there, proxy_of(tmp_path, *named(there.port)) as (_, path):
        head = (
            f"GET http://name.example:{there.port}/a?b=c HTTP/1.1\r\nHost: other.example\r\nProxy-Authorization: x\r\n"
        )
        answer = await ask(path, head.encode() + b"Connection: keep-alive\r\nAccept: */*\r\n\r\n")
    assert answer.endswith(b"seen")
    expected = f"GET /a?b=c HTTP/1.1\r\nHost: name.example:{there.port}\r\nAccept: */*\r\nConnection: close\r\n\r\n"
    assert there.got == [expected.encode()]


@pytest.mark.parametrize(
    "host", ["other.example", "127.0.0.1", "2130706433", "[::1]", "name.example.evil", "localhost"]
)
async def test_a_host_that_is_not_named_is_refused_counted_and_the_answer_says_how_to_add_it(
    tmp_path: Path, host: str
) -> None:
    async with site() as there, proxy_of(tmp_path, f"name.example:{there.port}") as (proxy, path):
        answers = [await ask(path, connect(there.port, host)) for _ in range(2)]
    assert all(answer.startswith(b"HTTP/1.1 403") for answer in answers)
    assert f'add "{host}:{there.port}"'.encode() in answers[0]
    assert proxy.refused.counts == {f"{host}:{there.port}": 2}
    assert there.got == []


@pytest.mark.parametrize("address", ["127.0.0.1", "10.0.0.1", "169.254.169.254", "::ffff:127.0.0.1", "::1"])
async def test_a_named_host_that_leads_to_a_private_address_is_refused(tmp_path: Path, address: str) -> None:
    async with site() as there, proxy_of(tmp_path, f"name.example:{there.port}", leads_to=address) as (_, path):
        answer = await ask(path, connect(there.port))
    assert answer.startswith(b"HTTP/1.1 403")
    assert b"is not a public address" in answer
    named_as = "[::1]" if address == "::1" else address.removeprefix("::ffff:")
    assert f'add "{named_as}:{there.port}"'.encode() in answer
    assert there.got == []


@pytest.mark.parametrize(
    "request_",
    [
        b"GET / HTTP/1.1\r\nHost: name.example\r\n\r\n",
        b"CONNECT name.example HTTP/1.1\r\n\r\n",
        b"CONNECT user@name.example:443 HTTP/1.1\r\n\r\n",
        b"GET ftp://name.example/ HTTP/1.1\r\n\r\n",
        b"GET http://name.example/ HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"GET http://name.example/ HTTP/1.1\r\nBad Name: 1\r\n\r\n",
        b"\x05\x01\x00\r\n\r\n",
        b"GET http://name.example/\nHost:other.example HTTP/1.1\r\n\r\n",
        b'CONNECT other","*:443 HTTP/1.1\r\n\r\n',
        b"CONNECT other\x1b:443 HTTP/1.1\r\n\r\n",
    ],
)
async def test_what_is_no_request_to_a_proxy_is_refused(tmp_path: Path, request_: bytes) -> None:
    async with proxy_of(tmp_path, "*") as (_, path):
        assert (await ask(path, request_)).startswith(b"HTTP/1.1 400")


async def test_a_head_without_end_is_refused_at_the_limit(tmp_path: Path) -> None:
    async with proxy_of(tmp_path, "*") as (_, path):
        assert (await ask(path, b"CONNECT a:443 HTTP/1.1\r\nX: " + b"x" * (HEAD_BYTES + 10))).startswith(
            b"HTTP/1.1 431"
        )


async def test_a_body_is_passed_on_to_its_length_and_no_further(tmp_path: Path) -> None:
    async with site() as there, proxy_of(tmp_path, *named(there.port)) as (_, path):
        head = f"POST http://name.example:{there.port}/ HTTP/1.1\r\nContent-Length: 4\r\n\r\nbody"
        assert (await ask(path, head.encode() + b"GET / HTTP/1.1\r\nHost: other.example\r\n\r\n")).endswith(b"seen")
    assert len(there.got) == 1


async def test_the_proxy_ends_although_a_host_takes_nothing_of_what_it_was_sent(tmp_path: Path) -> None:
    held = asyncio.Event()

    async def hold(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.transport.pause_reading()  # type: ignore[attr-defined]  # that of a socket has it
        await held.wait()
        writer.transport.abort()

    async with await asyncio.start_server(hold, "127.0.0.1", 0, limit=1024) as server:
        port = server.sockets[0].getsockname()[1]
        proxy = EgressProxy(read_patterns([f"127.0.0.1:{port}"]), owner="box", add_with="")
        await proxy.start(str(tmp_path / "proxy.sock"))
        reader, writer = await asyncio.open_unix_connection(str(tmp_path / "proxy.sock"))
        writer.write(connect(port, "127.0.0.1"))
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"x" * 30_000_000)
        with pytest.raises(TimeoutError):  # as much as all buffers take, and no more
            await asyncio.wait_for(writer.drain(), 2)
        writer.transport.abort()
        await asyncio.wait_for(proxy.close(), 60)
        held.set()


async def test_names_are_looked_up_apart_from_what_else_the_gateway_does_in_threads() -> None:
    loop, go_on = asyncio.get_running_loop(), threading.Event()
    loop.set_default_executor(ThreadPoolExecutor(1))
    busy = loop.run_in_executor(None, go_on.wait)
    try:
        assert ipaddress.ip_address("127.0.0.1") in await asyncio.wait_for(look_up("127.0.0.1", 80), 30)
    finally:
        go_on.set()
        await busy
