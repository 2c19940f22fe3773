"""The two transports as processes: start, answer, end."""

from __future__ import annotations

import asyncio
import json
import signal
import socket
import subprocess

import anyio
import httpx2
import pytest
from mcp import Client, StdioServerParameters

from lg_policy.config.flags import ServeFlags
from lg_policy.errors import ConfigError
from lg_policy.wire.serving import listen, serve
from tests.policy.wire.programs import COMMAND, http_server

pytestmark = pytest.mark.anyio


async def test_over_stdio_stray_prints_miss_the_wire_and_children_would_read_end_of_file() -> None:
    with anyio.fail_after(60):
        async with Client(StdioServerParameters(command=COMMAND[0], args=COMMAND[1:])) as client:
            result = await client.call_tool("echo", {"text": "x" * 300_000 + "é"})
    assert result.structured_content == {"text": "x" * 300_000 + "é", "stdin": ""}


async def test_over_http_it_answers_on_a_port_of_the_systems_choice_and_ends_on_sigterm() -> None:
    with http_server() as (process, url):
        with anyio.fail_after(60):
            async with Client(url) as client:
                result = await client.call_tool("echo", {"text": "hi"})
            assert result.structured_content["text"] == "hi"
            process.send_signal(signal.SIGTERM)
            await anyio.to_thread.run_sync(process.wait)
        assert process.returncode in (0, -signal.SIGTERM)


async def test_a_foreign_host_or_origin_is_turned_away() -> None:
    headers = {"content-type": "application/json", "accept": "application/json, text/event-stream"}
    with http_server() as (_, url), anyio.fail_after(60):
        async with httpx2.AsyncClient(timeout=60) as client:
            body = {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}
            wrong_host = await client.post(url, json=body, headers={**headers, "host": "evil.example"})
            wrong_origin = await client.post(url, json=body, headers={**headers, "origin": "http://evil.example"})
    assert wrong_host.status_code == 421
    assert wrong_origin.status_code == 403


@pytest.mark.parametrize("stdin", ["pipe", "null"])
def test_end_of_input_ends_a_stdio_server(stdin: str) -> None:
    source = subprocess.DEVNULL if stdin == "null" else subprocess.PIPE
    with subprocess.Popen(COMMAND, stdin=source, stdout=subprocess.DEVNULL) as process:
        if process.stdin is not None:
            process.stdin.close()
        assert process.wait(timeout=60) == 0


def test_sigterm_ends_a_stdio_server_that_waits_for_its_client() -> None:
    params = {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}}
    hello = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": params}).encode() + b"\n"
    with subprocess.Popen(COMMAND, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(hello)
        process.stdin.flush()
        assert b'"result"' in process.stdout.readline()
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=60) == 0


def test_an_address_that_others_can_reach_is_refused_without_a_login() -> None:
    from tests.policy.wire.support_server import server

    with pytest.raises(ConfigError, match="reachable from other machines"):
        serve(server(), ServeFlags(transport="http", host="0.0.0.0", port=0))


def test_a_port_that_is_taken_is_an_error_that_names_it() -> None:
    from tests.policy.wire.support_server import server

    with http_server() as (_, url):
        port = int(url.split(":")[2].split("/")[0])
        with pytest.raises(ConfigError, match=f"port {port}"):
            serve(server(), ServeFlags(transport="http", host="127.0.0.1", port=port))


async def test_an_answer_in_two_writes_does_not_wait_for_the_clients_acknowledgement_of_the_first() -> None:
    listener = listen(ServeFlags(transport="http", host="127.0.0.1", port=0), authenticated=False)
    delays: list[int] = []
    accepted = asyncio.Event()

    class Watch(asyncio.Protocol):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            connection = transport.get_extra_info("socket")
            delays.append(connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))
            accepted.set()
            transport.close()

    server = await asyncio.get_running_loop().create_server(Watch, sock=listener)
    async with server:
        _, writer = await asyncio.open_connection(*listener.getsockname())
        await accepted.wait()
        writer.close()

    assert delays == [1]
