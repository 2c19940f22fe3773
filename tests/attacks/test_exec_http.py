"""`lg-exec` over HTTP: requests that are never finished, senders that hang up, and many clients at once."""

from __future__ import annotations

import socket
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import anyio
import pytest
from mcp import Client

from lg_policy.sandbox.bubblewrap import binaries
from tests.e2e.programs import serving
from tests.support import require

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("programs_by_fork")]

CONFIG = (
    '[exec.commands.py]\nfrom = "python"\nargs_allow = ["-c=*..."]\n'
    '[exec.commands.writer]\nfrom = "python"\nargs_allow = ["-c=*..."]\nroot = "rw"\n'
)
ERAS = pytest.mark.parametrize("era", ["auto", "legacy"])
HALVES = 120
"""More than the connections of one sender that a server of ours serves at once."""


@pytest.fixture
def arguments(root: Path, tmp_path: Path) -> list[str]:
    require(sys.platform == "linux" and next(binaries(), None) is not None, "bubblewrap")
    (tmp_path / "config.toml").write_text(CONFIG)
    return ["--root", str(root), "--config", str(tmp_path / "config.toml")]


def half_sent(address: str, body: bytes, missing: int) -> socket.socket:
    """Open a connection and send a request whose body ends early."""
    parts = urlsplit(address)
    head = (
        f"POST {parts.path} HTTP/1.1\r\nHost: {parts.netloc}\r\nContent-Type: application/json\r\n"
        f"Accept: application/json, text/event-stream\r\nContent-Length: {len(body) + missing}\r\n\r\n"
    )
    connection = socket.create_connection((parts.hostname or "", parts.port or 0), timeout=60)
    connection.sendall(head.encode() + body)
    return connection


async def printed(client: Client, text: str) -> str:
    answer: Any = await client.call_tool("exec", {"cmd": "py", "args": ["-c", f"print({text!r})"]})
    assert answer.structured_content is not None
    return str(answer.structured_content.get("stdout", answer.structured_content))


@pytest.mark.attack(
    "Processes", "120 requests to lg-exec over HTTP whose bodies never end, and senders that hang up in one"
)
@ERAS
async def test_half_sent_bodies_and_hang_ups_keep_no_client_from_running_a_command(
    arguments: list[str], root: Path, era: str
) -> None:
    call = b'{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"exec","arguments":{"cmd":"writer","args":'
    evil = call + b"[\"-c\",\"open('evil','w')\"]}}}"
    with serving("lg-exec", *arguments, cwd=Path("/")) as address, ExitStack() as held, anyio.fail_after(90):
        for number in range(HALVES):
            connection = held.enter_context(half_sent(address, evil if number % 2 else call, 1 + number % 3))
            if number % 3 == 0:
                connection.close()
        async with Client(address, mode=era) as client:
            assert await printed(client, "hello") == "hello\n"
            assert not (root / "evil").exists(), "what is not whole is not carried out"
            await client.call_tool("exec", {"cmd": "writer", "args": ["-c", "open('evil','w')"]})
            assert (root / "evil").exists(), "a whole call would have been"


@pytest.mark.attack("Processes", "twelve clients at once over HTTP, of both protocol eras, each with its own text")
async def test_each_of_many_parallel_clients_gets_its_own_output(arguments: list[str]) -> None:
    answers: dict[str, str] = {}

    async def call(address: str, number: int) -> None:
        async with Client(address, mode="legacy" if number % 2 else "auto") as client:
            for again in range(3):
                text = f"client {number}, call {again}"
                answers[text] = await printed(client, text)

    with serving("lg-exec", *arguments, cwd=Path("/")) as address, anyio.fail_after(120):
        async with anyio.create_task_group() as tasks:
            for number in range(12):
                tasks.start_soon(call, address, number)
    assert len(answers) == 36
    assert all(answer == f"{text}\n" for text, answer in answers.items())
