"""HTTP as strangers use it: half-sent requests, foreign hosts, other spellings of the address, browsers."""

from __future__ import annotations

import asyncio
import socket
from contextlib import ExitStack, suppress
from typing import Any

import anyio
import httpx2
import pytest
import uvicorn
from hypothesis import given
from hypothesis import strategies as st

from lg_policy.wire.http_front import LOOPBACK_HOSTS, LOOPBACK_ORIGINS, Addresses
from lg_policy.wire.http_limits import MAX_UNFINISHED, Limits, limited_protocol
from tests.policy.wire.programs import http_server

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("servers_by_fork")]
JSON = {"content-type": "application/json", "accept": "application/json, text/event-stream"}
HELLO = {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}}
INITIALIZE = {"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": HELLO}


@pytest.mark.parametrize(
    ("value", "allowed"),
    [
        ("localhost", True),
        ("LOCALHOST:80", True),
        ("127.0.0.1:65535", True),
        ("[::1]:9", True),
        ("localhost:1.evil.example", False),
        ("localhost:@evil.example", False),
        ("localhost:80:80", False),
        ("localhost:", False),
        ("localhost.evil.example", False),
        ("127.0.0.1.evil.example:80", False),
        ("", False),
    ],
)
def test_a_host_is_compared_as_a_whole(value: str, allowed: bool) -> None:
    assert (value in Addresses(LOOPBACK_HOSTS)) is allowed


@given(st.text(alphabet="localhost127.:[]@/e0 ", max_size=30))
def test_only_a_name_and_a_port_of_digits_is_a_loopback_host(value: str) -> None:
    name, _, port = value.rpartition(":")
    good = {"127.0.0.1", "localhost", "[::1]"}
    wanted = value in good or (name in good and port.isdigit() and len(port) <= 5)
    assert (value in Addresses(LOOPBACK_HOSTS)) is wanted


async def test_what_begins_like_an_allowed_host_or_origin_is_turned_away() -> None:
    with http_server() as (_, url), anyio.fail_after(60):
        async with httpx2.AsyncClient(timeout=60, headers=JSON) as client:
            for host in ("localhost:1.evil.example", "127.0.0.1:80@evil.example"):
                assert (await client.post(url, json=INITIALIZE, headers={"host": host})).status_code == 421
            for origin in ("http://localhost:1.evil.example", "http://localhost.evil.example", "null"):
                assert (await client.post(url, json=INITIALIZE, headers={"origin": origin})).status_code == 403
            good = await client.post(url, json=INITIALIZE, headers={"origin": "http://localhost:3000"})
            assert good.status_code == 200
            assert good.headers["access-control-allow-origin"] == "http://localhost:3000"


async def test_a_request_with_two_lengths_is_refused_and_nothing_after_it_is_read() -> None:
    hidden = b"GET /mcp HTTP/1.1\r\nHost: localhost\r\n\r\n"
    head = b"POST /mcp HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\nTransfer-Encoding: chunked\r\n\r\n"
    with http_server() as (_, url), anyio.fail_after(60):
        port = int(url.rpartition(":")[2].partition("/")[0])
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(head % (5 + len(hidden)) + b"0\r\n\r\n" + hidden)
        answer = await reader.read()
        writer.close()
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert answer.count(b"HTTP/1.1 ") == 1


async def test_the_address_with_a_slash_at_its_end_is_answered_and_not_redirected() -> None:
    with http_server() as (_, url), anyio.fail_after(60):
        async with httpx2.AsyncClient(timeout=60, headers=JSON) as client:
            answer = await client.post(f"{url}/", json=INITIALIZE, headers={"x-forwarded-proto": "https"})
    assert answer.status_code == 200
    assert "serverInfo" in answer.text


async def test_a_client_that_accepts_json_alone_gets_json() -> None:
    with http_server() as (_, url), anyio.fail_after(60):
        async with httpx2.AsyncClient(timeout=60, headers={**JSON, "accept": "application/json"}) as client:
            hello = await client.post(url, json=INITIALIZE)
            assert hello.status_code == 200
            assert hello.headers["content-type"] == "application/json"
            assert hello.json()["result"]["serverInfo"]["name"] == "echo"
            session = {"mcp-session-id": hello.headers["mcp-session-id"]}
            note = await client.post(
                url, json={"jsonrpc": "2.0", "method": "notifications/initialized"}, headers=session
            )
            assert note.status_code == 202
            call = {"jsonrpc": "2.0", "id": 2, "method": "tools/call"}
            params = {"name": "echo", "arguments": {"text": "é" * 100_000}}
            answer = await client.post(url, json={**call, "params": params}, headers=session)
    assert answer.json()["result"]["structuredContent"]["text"] == "é" * 100_000


@pytest.mark.parametrize("accept", ["", "text/event-stream", "*/*"])
async def test_a_client_that_does_not_ask_for_json_gets_events(accept: str) -> None:
    with http_server() as (_, url), anyio.fail_after(60):
        async with httpx2.AsyncClient(headers={**JSON, "accept": accept}) as client:
            hello = await client.post(url, json=INITIALIZE)
    assert hello.status_code == 200
    assert hello.headers["content-type"].startswith("text/event-stream")


async def test_a_request_that_is_refused_begins_no_session() -> None:
    with http_server() as (_, url), anyio.fail_after(60):
        async with httpx2.AsyncClient(headers=JSON) as client:
            refused = [
                await client.post(url, content=b"{bad"),
                await client.post(url, content=b""),
                await client.post(url, json=INITIALIZE, headers={"accept": "text/html"}),
                await client.delete(url),
                await client.options(url),
                await client.put(url, content=b"{}"),
                await client.head(url),
            ]
            assert all(answer.status_code >= 400 for answer in refused)
            assert not any("mcp-session-id" in answer.headers for answer in refused)
            assert [answer.status_code for answer in refused[-3:]] == [405] * 3
            assert "mcp-session-id" in (await client.post(url, json=INITIALIZE)).headers


async def test_a_browser_page_of_this_machine_may_ask_and_any_other_may_not() -> None:
    asks = {"access-control-request-method": "POST", "access-control-request-headers": "content-type,mcp-session-id"}
    with http_server() as (_, url), anyio.fail_after(60):
        async with httpx2.AsyncClient(timeout=60) as client:
            near = await client.options(url, headers={**asks, "origin": "http://localhost:3000"})
            far = await client.options(url, headers={**asks, "origin": "http://evil.example"})
    assert near.status_code == 200
    assert near.headers["access-control-allow-origin"] == "http://localhost:3000"
    assert "mcp-session-id" in near.headers["access-control-allow-headers"].lower()
    assert far.status_code == 403
    assert "access-control-allow-origin" not in far.headers


async def test_hundreds_of_half_sent_requests_shut_nobody_out_and_fill_no_log() -> None:
    with http_server() as (process, url), ExitStack() as stack, anyio.fail_after(60):
        address = ("127.0.0.1", int(url.split(":")[2].split("/")[0]))
        for _ in range(MAX_UNFINISHED + 60):
            connection = stack.enter_context(socket.create_connection(address))
            connection.sendall(b"POST /mcp HTTP/1.1\r\nHost: localhost\r\nX-A: ")
        async with httpx2.AsyncClient(timeout=60, headers=JSON) as client:
            for _ in range(3):
                assert (await client.post(url, json=INITIALIZE)).status_code == 200
        process.kill()
        assert process.stderr is not None
        said = await anyio.to_thread.run_sync(process.stderr.read)
    assert said.count("too many connections") == 1
    assert len(said.splitlines()) < 10


async def serving(limits: Limits) -> Any:
    async def app(_scope: Any, receive: Any, send: Any) -> None:
        while (await receive()).get("more_body"):
            continue
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"done"})

    config = uvicorn.Config(app, lifespan="off")
    config.load()
    protocol, state = limited_protocol(limits), uvicorn.server.ServerState()
    loop = asyncio.get_running_loop()
    return await loop.create_server(lambda: protocol(config=config, server_state=state, app_state={}), "127.0.0.1", 0)


@pytest.mark.parametrize(
    "beginning",
    [b"", b"GET / HT", b"GET / HTTP/1.1\r\nHost: a\r\n", b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nabc"],
)
async def test_a_request_that_does_not_arrive_in_time_loses_its_connection(beginning: bytes) -> None:
    limits = Limits(head_s=0.05, body_s=0.05)
    server = await serving(limits)
    async with server:
        with anyio.fail_after(60):
            reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
            writer.write(beginning)
            with suppress(ConnectionResetError):
                assert await reader.read() == b""
            writer.close()
    assert not limits.unfinished


GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
END = b"done\r\n0\r\n\r\n"


async def test_connections_that_are_kept_open_after_an_answer_count_too_and_the_longest_idle_one_ends() -> None:
    limits = Limits(most_kept=2)
    server = await serving(limits)
    async with server:
        with anyio.fail_after(60):
            pairs = [await asyncio.open_connection(*server.sockets[0].getsockname()) for _ in range(3)]
            for reader, writer in pairs:
                writer.write(GET)
                await reader.readuntil(END)
            assert await pairs[0][0].read() == b"", "closed in order, not reset"
            assert (len(limits.unfinished), len(limits.kept)) == (0, 2)
            for _, writer in pairs:
                writer.close()


async def test_a_client_that_was_answered_keeps_its_connection_however_many_others_send_half_a_request() -> None:
    limits = Limits(most=1, head_s=120)
    server = await serving(limits)
    async with server:
        with anyio.fail_after(60):
            address = server.sockets[0].getsockname()
            pairs: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []

            async def half_sent() -> asyncio.StreamReader:
                pairs.append(await asyncio.open_connection(*address))
                pairs[-1][1].write(GET[:9])
                return pairs[-1][0]

            try:
                for _ in range(3):
                    pairs.append(await asyncio.open_connection(*address))
                    pairs[-1][1].write(GET)
                    await pairs[-1][0].readuntil(END)
                kept = list(pairs)
                first, second = await half_sent(), await half_sent()
                with suppress(ConnectionResetError):
                    assert await first.read() == b""
                for reader, writer in kept:
                    writer.write(GET)
                    await reader.readuntil(END)
                kept[0][1].write(GET[:9])  # half a request over a kept connection is one as well
                with suppress(ConnectionResetError):
                    assert await second.read() == b""
                assert (len(limits.unfinished), len(limits.kept)) == (1, 2)
            finally:
                for _, writer in pairs:
                    writer.close()


async def test_the_oldest_unfinished_connection_makes_room_and_a_whole_request_is_not_counted() -> None:
    limits = Limits(most=2)
    server = await serving(limits)
    async with server:
        with anyio.fail_after(60):
            address = server.sockets[0].getsockname()
            pairs = [await asyncio.open_connection(*address) for _ in range(2)]
            whole_reader, whole = await asyncio.open_connection(*address)
            whole.write(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
            assert b"done" in await whole_reader.read()
            with pytest.raises((ConnectionResetError, asyncio.IncompleteReadError)):
                await pairs[0][0].readexactly(1)
            assert len(limits.unfinished) == 1
            for _, writer in [*pairs, (whole_reader, whole)]:
                writer.close()


def test_the_loopback_origins_are_those_of_web_pages_of_this_machine() -> None:
    assert "http://localhost:5173" in Addresses(LOOPBACK_ORIGINS)
    assert "https://localhost.evil:1" not in Addresses(LOOPBACK_ORIGINS)
