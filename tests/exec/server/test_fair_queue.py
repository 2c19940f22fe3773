"""Which call runs next: clients take turns, over real HTTP too, and nobody can keep the others out of the queue."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import anyio.lowlevel
import pytest
from anyio.abc import TaskGroup
from mcp import Client
from mcp.types import Implementation

from lg_exec.server.fair_queue import Turns
from lg_policy.errors import LimitExceeded
from tests.e2e.programs import serving

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("programs_by_fork")]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    path = tmp_path / "root"
    path.mkdir()
    return path


class Line:
    """Calls that wait behind one that holds the only place until `go`; `served` is the order in which they ran."""

    def __init__(self, max_waiting: int) -> None:
        self.turns = Turns(1, max_waiting)
        self.go = anyio.Event()
        self.served: list[str] = []
        self.refused: list[str] = []
        self.scopes: dict[str, anyio.CancelScope] = {}

    @asynccontextmanager
    async def held(self) -> AsyncIterator[TaskGroup]:
        """A task group for calls that all have to wait, until `go`."""
        async with anyio.create_task_group() as group:
            group.start_soon(self._hold)
            await anyio.wait_all_tasks_blocked()
            yield group

    async def _hold(self) -> None:
        async with self.turns.turn("holder"):
            await self.go.wait()

    async def call(self, name: str) -> None:
        """A call whose client is the first letter of its name."""
        with anyio.CancelScope() as self.scopes[name]:
            try:
                async with self.turns.turn(name[0]):
                    self.served.append(name)
                    await anyio.lowlevel.checkpoint()
            except LimitExceeded:
                self.refused.append(name)

    async def queue(self, group: TaskGroup, names: str) -> None:
        """Start calls one after another, each when the one before waits or was refused."""
        for name in names.split():
            group.start_soon(self.call, name)
            await anyio.wait_all_tasks_blocked()


@pytest.mark.parametrize(
    ("calls", "order"),
    [
        ("a1 a2 a3 b1", "a1 b1 a2 a3"),
        ("a1 a2 a3 b1 b2 c1", "a1 b1 c1 a2 b2 a3"),
        ("a1 a2 a3", "a1 a2 a3"),
    ],
)
async def test_clients_take_turns_and_each_ones_calls_keep_their_order(calls: str, order: str) -> None:
    line = Line(16)
    async with line.held() as group:
        await line.queue(group, calls)
        assert line.turns.waiting == len(calls.split())
        line.go.set()
    assert line.served == order.split()
    assert line.turns.waiting == 0


async def test_in_a_full_queue_the_newest_call_of_the_client_with_the_most_makes_room() -> None:
    line = Line(4)
    async with line.held() as group:
        await line.queue(group, "a1 a2 a3 a4 a5")
        assert line.refused == ["a5"]
        await line.queue(group, "b1 b2 b3 c1")
        line.go.set()
    assert line.refused == ["a5", "a4", "a3", "b3", "a2"]
    assert line.served == ["a1", "b1", "c1", "b2"]


async def test_a_full_queue_refuses_a_client_that_has_its_share() -> None:
    line = Line(1)
    async with line.held() as group:
        await line.queue(group, "a1 b1 a2")
        assert line.refused == ["b1", "a2"]
        line.go.set()
    assert line.served == ["a1"]


async def test_a_call_that_is_cancelled_while_it_waits_leaves_its_place() -> None:
    line = Line(4)
    async with line.held() as group:
        await line.queue(group, "a1 a2 b1")
        line.scopes["a1"].cancel()
        line.scopes["b1"].cancel()
        await anyio.wait_all_tasks_blocked()
        assert line.turns.waiting == 1
        line.go.set()
    assert line.served == ["a2"]


async def test_a_turn_given_to_a_call_in_the_moment_it_is_cancelled_goes_to_the_next() -> None:
    line = Line(4)
    async with line.held() as group:
        await line.queue(group, "a1 b1")
        line.go.set()
        while line.turns.waiting == 2:
            await anyio.lowlevel.checkpoint()
        line.scopes["a1"].cancel()
    assert line.served[-1] == "b1"
    async with line.turns.turn("c"):  # the place is free again
        assert line.turns.waiting == 0


CONFIG = """
[exec]
sandbox = "off"
max_concurrent = 1
max_waiting = 3
[exec.commands.py]
from = "python"
args_allow = ["-c=*..."]
needs_sandbox = false
"""
HOLD = "import os, time\nopen('on', 'w').close()\nwhile not os.path.exists('go'): time.sleep(0.01)"
NOTE = "open('order', 'a').write({name!r} + ' ')"


@pytest.mark.parametrize(
    ("era", "names", "runs"),
    [
        pytest.param("legacy", ("same", "same"), ("", ""), id="by session"),
        pytest.param("auto", ("one", "two"), ("", ""), id="by name"),
        pytest.param("auto", ("same", "same"), ("r1", "r2"), id="by run"),
    ],
)
async def test_two_http_clients_share_the_server_however_many_calls_one_of_them_makes(
    root: Path, tmp_path: Path, era: str, names: tuple[str, str], runs: tuple[str, str]
) -> None:
    (tmp_path / "config.toml").write_text(CONFIG)
    refused: list[str] = []

    async def call(client: Client, name: str, code: str) -> None:
        run = runs[client is modest]
        meta: Any = {"lg/run": {"run_id": run}} if run else None
        answer = await client.call_tool("exec", {"cmd": "py", "args": ["-c", code]}, meta=meta)
        assert answer.structured_content is not None
        if "error" in answer.structured_content:
            assert answer.structured_content["error"]["code"] == "limit_exceeded"
            refused.append(name)

    async def until_refused(count: int) -> None:
        while len(refused) < count:
            await anyio.sleep(0.01)

    with serving("lg-exec", "--root", str(root), "--config", str(tmp_path / "config.toml"), cwd=Path("/")) as address:
        greedy, modest = (
            Client(address, mode=era, client_info=Implementation(name=name, version="1")) for name in names
        )
        with anyio.fail_after(60):
            async with greedy, modest, anyio.create_task_group() as group:
                group.start_soon(call, greedy, "hold", HOLD)
                while not (root / "on").exists():
                    await anyio.sleep(0.01)
                for _ in range(4):  # three of them wait then
                    group.start_soon(call, greedy, "greedy", NOTE.format(name="greedy"))
                await until_refused(1)
                group.start_soon(call, modest, "modest", NOTE.format(name="modest"))
                await until_refused(2)
                (root / "go").touch()
    assert refused == ["greedy", "greedy"]
    assert (root / "order").read_text().split() == ["greedy", "modest", "greedy"]
