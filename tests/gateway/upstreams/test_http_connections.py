"""Connections to servers over HTTP: each is given back or closed however a call ends, and none answers another call."""

from __future__ import annotations

import asyncio
import socket
from pathlib import Path
from typing import Any

import anyio
import httpx2
import pytest

from lg_gateway.http_client.connection import HELD_BYTES, KeptConnection
from lg_gateway.http_client.pool import AT_ONCE, HttpPool
from lg_policy.config.settings import GatewaySettings
from tests.gateway.rig import ALLOW_ALL, code_of, gateway_of, send, text_of, until
from tests.gateway.upstreams.support_http import raw_server, settings

pytestmark = pytest.mark.anyio


async def test_headers_of_the_settings_go_with_every_call(tmp_path: Path) -> None:
    given = {"Authorization": "Bearer of-the-settings", "Mcp-Tenant": "a", "Content-Length-Hint": "7"}
    lines = ["[gateway.servers.raw.headers]", *(f'{name} = "{value}"' for name, value in given.items())]
    async with raw_server() as state, gateway_of(tmp_path, settings(state, *lines), ALLOW_ALL) as gateway:
        assert text_of(await send(gateway, "raw__plain", {})) == "plain"

    _, headers = state.requests[-1]
    assert {name: headers.get(name.lower()) for name in given} == given


@pytest.mark.parametrize("name", ["refused_at_length", "continued_in_silence"])
async def test_a_call_that_ends_while_its_answer_comes_keeps_no_connection(tmp_path: Path, name: str) -> None:
    async with raw_server() as state:
        part = settings(state, "call_timeout_s = 0.5")
        async with gateway_of(tmp_path, part, ALLOW_ALL) as gateway:
            answer = await send(gateway, f"raw__{name}", {})
            held = state.connections - state.closed
            # One connection is kept and one has the notice that the call was given up.
            await until(lambda: state.connections - state.closed <= min(held, 2))
            direct: Any = gateway.upstreams["raw"]._direct
            await until(lambda: direct._transport._inner._turns._value == AT_ONCE)

    assert code_of(answer) == "timeout"


async def test_a_call_that_finds_no_free_connection_disturbs_no_other(tmp_path: Path) -> None:
    many = "[gateway]\ncalls_at_once = 1000\n"
    async with raw_server() as state, gateway_of(tmp_path, many, settings(state), ALLOW_ALL) as gateway:
        direct: Any = gateway.upstreams["raw"]._direct
        direct._extensions["timeout"]["pool"] = 0.2
        answers: list[Any] = []

        async def ask(name: str) -> None:
            answers.append(await send(gateway, f"raw__{name}", {}))

        async with anyio.create_task_group() as tasks:
            for _ in range(AT_ONCE):
                tasks.start_soon(ask, "stream_with_a_slow_start")
            await until(lambda: state.calls.count("stream_with_a_slow_start") >= AT_ONCE - 2)
            await ask("plain")
            await ask("plain")
            state.go_on.set()
        restarts = gateway.upstreams["raw"].restarts

    refused = [answer for answer in answers if code_of(answer)]
    assert refused
    assert {code_of(answer) for answer in refused} == {"upstream_unavailable"}
    assert state.calls.count("plain") == sum(text_of(answer) == "plain" for answer in answers)
    assert len(state.calls) + len(refused) == AT_ONCE + 2
    assert restarts == 0


def test_one_caller_alone_cannot_use_up_the_connections_of_a_server() -> None:
    assert GatewaySettings().calls_at_once < AT_ONCE


async def test_a_request_that_is_no_http_fails_as_one_and_gives_its_turn_back() -> None:
    async with raw_server() as state:
        pool = HttpPool()
        async with httpx2.AsyncClient(transport=pool) as client:
            for _ in range(AT_ONCE + 1):
                with pytest.raises(httpx2.LocalProtocolError):
                    await client.post(state.url, json={}, headers={"x": "a\r\nb: c"})


async def connected(listener: socket.socket) -> tuple[KeptConnection, socket.socket]:
    _, connection = await asyncio.get_running_loop().create_connection(KeptConnection, *listener.getsockname())
    accepted, _ = listener.accept()
    return connection, accepted


async def test_bytes_after_a_large_answer_are_no_answer_to_the_next_request() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        connection, accepted = await connected(listener)
    with accepted:
        await connection.send(b"GET", b"/", [(b"Host", b"x")], b"", 10)
        size = HELD_BYTES + 1
        answer = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (size, b"x" * size)
        await asyncio.to_thread(accepted.sendall, answer)
        await connection.head(10)
        await until(lambda: connection._paused)
        while await connection.body(10) is not None:
            pass
        assert connection.next_cycle()
        accepted.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nno")
        await until(lambda: not connection.usable)


class Uncounted:
    """A socket of a system that keeps no count of acknowledged bytes, as gVisor: all of them are 0."""

    def getsockopt(self, _level: int, _name: int, size: int) -> bytes:
        return b"\x01" + bytes(size - 1)

    def setsockopt(self, *_option: Any) -> None:
        """Do nothing."""


async def test_where_the_system_does_not_count_a_request_may_have_been_taken() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        connection, accepted = await connected(listener)
    connection._socket = Uncounted()
    with accepted:
        await connection.send(b"GET", b"/", [(b"Host", b"x")], b"", 10)
        assert await asyncio.to_thread(accepted.recv, 1000)
    with pytest.raises(httpx2.TransportError):
        await connection.head(10)
    assert not connection.took_nothing
