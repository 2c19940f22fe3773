"""Clients that cancel, hang up, or are killed while a command runs: nothing of the command is left."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import pytest
from mcp import Client, StdioServerParameters

from lg_policy.sandbox.bubblewrap import binaries
from tests.e2e.programs import serving
from tests.exec.helpers import processes_with
from tests.support import require

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("programs_by_fork")]

CONFIG = '[exec]\nkill_grace_s = 0.3\n[exec.commands.py]\nfrom = "python"\nargs_allow = ["-c=*..."]\n'
STUBBORN = (
    "import os, signal, sys\n"
    "for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT): signal.signal(number, signal.SIG_IGN)\n"
    "if os.fork() == 0: os.setsid(); os.fork()\n"
    "os.execv(sys.executable, [sys.executable, '-c', 'import time; time.sleep(600)', '{mark}'])"
)
"""A command, a daemon and the daemon's child, none of which minds a signal."""
CALLER = (
    "import sys, anyio\nfrom mcp import Client, StdioServerParameters\n"
    "server = StdioServerParameters(command=sys.executable, args=['-P', '-m', 'lg_exec', *sys.argv[4:]], cwd='/')\n"
    "async def main():\n"
    "    async with Client(server if sys.argv[1] == 'stdio' else sys.argv[1], mode=sys.argv[2]) as client:\n"
    "        await client.call_tool('exec', {'cmd': 'py', 'args': ['-c', sys.argv[3]]})\n"
    "anyio.run(main)"
)
ERAS = pytest.mark.parametrize("era", ["auto", "legacy"])


@pytest.fixture
def arguments(root: Path, tmp_path: Path) -> list[str]:
    require(sys.platform == "linux" and next(binaries(), None) is not None, "bubblewrap")
    (tmp_path / "config.toml").write_text(CONFIG)
    return ["--root", str(root), "--config", str(tmp_path / "config.toml")]


@pytest.fixture
def mark() -> str:
    return f"lg-client-{os.urandom(6).hex()}"


async def until_running(mark: str, count: int) -> None:
    with anyio.fail_after(60):
        while (len(processes_with(mark)) < count) if count else processes_with(mark):
            await anyio.sleep(0.02)


@asynccontextmanager
async def running(client: Client, mark: str) -> AsyncIterator[anyio.CancelScope]:
    """A call whose processes all run; yields what cancels it."""
    call = {"cmd": "py", "args": ["-c", STUBBORN.format(mark=mark)]}
    async with anyio.create_task_group() as group:
        group.start_soon(client.call_tool, "exec", call)
        await until_running(mark, 3)
        yield group.cancel_scope


@pytest.mark.attack("Processes", "a call cancelled by its client, over stdio, with a daemon that ignores signals")
@ERAS
async def test_a_call_that_the_client_cancels_ends_with_all_it_started(
    arguments: list[str], mark: str, era: str
) -> None:
    command = StdioServerParameters(command=sys.executable, args=["-P", "-m", "lg_exec", *arguments], cwd="/")
    async with Client(command, mode=era) as client:
        async with running(client, mark) as call:
            call.cancel()
        await until_running(mark, 0)
        answer = await client.call_tool("exec", {"cmd": "py", "args": ["-c", "print('still here')"]})
    assert answer.structured_content is not None
    assert answer.structured_content["stdout"] == "still here\n"


@pytest.mark.attack("Processes", "a client over stdio killed while its command runs")
async def test_a_stdio_client_killed_in_the_middle_of_a_call_leaves_nothing_running(
    arguments: list[str], mark: str
) -> None:
    command = [sys.executable, "-c", CALLER, "stdio", "auto", STUBBORN.format(mark=mark), *arguments]
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as caller:
        await until_running(mark, 3)
        caller.kill()
    await until_running(mark, 0)


@pytest.mark.attack("Processes", "a client over HTTP, of either protocol era, killed while its command runs")
@ERAS
async def test_an_http_client_killed_in_the_middle_of_a_call_leaves_nothing_running(
    arguments: list[str], mark: str, era: str
) -> None:
    with serving("lg-exec", *arguments, cwd=Path("/")) as address:
        command = [sys.executable, "-c", CALLER, address, era, STUBBORN.format(mark=mark)]
        with subprocess.Popen(command, stderr=subprocess.DEVNULL) as caller:
            await until_running(mark, 3)
            caller.kill()
        await until_running(mark, 0)
        async with Client(address, mode=era) as client:
            refused = await client.call_tool("exec", {"cmd": "py", "args": ["--evil"]})
    assert refused.structured_content is not None
    assert refused.structured_content["error"]["code"] == "policy_denied"
