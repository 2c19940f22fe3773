"""Several workers behind one address are one gateway: its sessions, limits, settings and guarantees are whole."""

from __future__ import annotations

import json
import os
import random
import re
import signal
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, cast

import anyio
import httpx2
import mcp_types as t
import pytest
from mcp.client import Client

from tests.fork_server import ForkServer
from tests.forked_programs import programs_of
from tests.gateway.commands.support_commands import run
from tests.gateway.elicitation.server_questions import blue
from tests.gateway.rig import (
    ALLOW_ALL,
    alive,
    code_of,
    http_gateway,
    journal,
    program_environment,
    server,
    text_of,
    until,
    write_config,
)
from tests.processes import Output, Shared, answers, descendants, end
from tests.support import require

pytestmark = pytest.mark.anyio
WORKERS = ("--workers", "2")
HELLO = {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "test", "version": "1"}}
WITHIN_S = 90
CALLERS = 4
KEYS = 10
KILLS = 4


@pytest.fixture(autouse=True)
def _not_on_windows() -> None:
    require(os.name == "posix", "workers need POSIX sockets")


def post(url: str, method: str, params: dict[str, Any] | None = None, session: str = "") -> httpx2.Response:
    """Send one request of a 2025 client over a connection of its own."""
    headers = {"accept": "application/json, text/event-stream"} | ({"mcp-session-id": session} if session else {})
    message = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params or {}}
    return httpx2.post(f"{url}/mcp", json=message, headers=headers, timeout=WITHIN_S)


def sessions_of_both(url: str) -> list[str]:
    """One session of each worker. The kernel chooses who serves a connection."""
    found: dict[str, str] = {}
    while len(found) < 2:
        session = post(url, "initialize", HELLO).headers["mcp-session-id"]
        found[session.partition("-")[0]] = session
    return [found["0"], found["1"]]


def called(url: str, session: str, tool: str, arguments: dict[str, Any]) -> str:
    answer = post(url, "tools/call", {"name": tool, "arguments": arguments}, session).text
    found = json.loads(next(line for line in answer.splitlines() if line.startswith("data: {"))[6:])
    return str(found["error"]["message"] if "error" in found else found["result"]["content"][0]["text"])


def workers(pid: int) -> list[int]:
    """The workers below the process that holds the sockets."""
    found = []
    for child in descendants(pid):
        words = Path(f"/proc/{child}/cmdline").read_bytes().decode(errors="replace").split("\0")
        if words[1:4] == ["-P", "-m", "lg_gateway"]:
            found.append(child)
    return found


LIMIT = '[[gateway.limits]]\ntools = ["a__big"]\ncalls_per_minute = 6\n'


@dataclass(frozen=True, kw_only=True)
class Workers:
    """A gateway with two workers. `a` speaks both eras, `old` asks as in 2025; `a__big` has a limit."""

    url: str
    process: subprocess.Popen[str]
    config: Path
    places: dict[str, str]
    """The environment that its state is found by."""


@contextmanager
def two_workers(folder: Path, fork_server: ForkServer | None) -> Iterator[Workers]:
    config = write_config(folder, server("a"), server("old", "--era", "legacy"), ALLOW_ALL, LIMIT)
    places = {f"XDG_{name}_HOME": str(folder / name.lower()) for name in ("STATE", "CONFIG", "CACHE", "DATA")}
    with ExitStack() as stack:
        with pytest.MonkeyPatch.context() as environment, programs_of(fork_server):
            for name, place in places.items():
                environment.setenv(name, place)
            url, process = stack.enter_context(http_gateway("--config", str(config), *WORKERS))
        yield Workers(url=url, process=process, config=config, places=places)


@pytest.fixture(scope="module")
def shared_workers(homes: Path, fork_server: ForkServer | None) -> Iterator[Shared[Workers]]:
    def make() -> AbstractContextManager[Workers]:
        return two_workers(Path(tempfile.mkdtemp(prefix="workers-", dir=homes)), fork_server)

    with closing(Shared(make, lambda made: answers(made.url))) as shared:
        yield shared


@pytest.fixture
def both(shared_workers: Shared[Workers], monkeypatch: pytest.MonkeyPatch) -> Workers:
    made = shared_workers.get()
    for name, place in made.places.items():
        monkeypatch.setenv(name, place)
    return made


def test_a_session_is_reached_over_any_connection(both: Workers) -> None:
    for session in sessions_of_both(both.url):
        told = [called(both.url, session, "a__echo", {"text": f"{n}"}) for n in range(8)]
        assert told == [str(n) for n in range(8)]
        ended = httpx2.delete(f"{both.url}/mcp", headers={"mcp-session-id": session}, timeout=WITHIN_S)
        assert ended.status_code == 200
        assert post(both.url, "tools/list", session=session).status_code == 404
    for strange in ("7-x", "0-x", "1-", "-", "x-1", "99999999999-1"):
        assert post(both.url, "tools/list", session=strange).status_code in (400, 404)


async def test_progress_and_questions_reach_a_client_over_any_worker(both: Workers) -> None:
    asked: list[str] = []
    progress: list[float] = []

    async def elicit(_context: Any, params: Any) -> t.ElicitResult:
        asked.append(params.message)
        return t.ElicitResult(action="accept", content=blue(params.message))

    async def note(done: float, _total: float | None, _text: str | None) -> None:
        progress.append(done)

    with anyio.fail_after(WITHIN_S):
        for _ in range(4):  # each answer to a question goes over a connection of its own, perhaps to the other worker
            async with Client(f"{both.url}/mcp", mode="legacy", elicitation_callback=cast(Any, elicit)) as client:
                await client.call_tool("old__progress", {}, progress_callback=cast(Any, note))
                assert text_of(await client.call_tool("old__ask", {"rounds": 2})) == "accept blue; accept blue"
    assert progress == [1, 2, 3] * 4
    assert len(asked) == 8


@pytest.mark.usefixtures("programs_by_fork")
def test_a_second_gateway_does_not_get_a_part_of_the_clients(both: Workers) -> None:
    port = both.url.rpartition(":")[2]
    config = ("--config", str(both.config))
    second = run("serve", "--transport", "http", "--no-login", "--port", port, *config, *WORKERS)
    assert second.returncode == 2, second.stderr
    assert f"cannot listen on 127.0.0.1 port {port}" in second.stderr


def test_a_limit_holds_for_all_workers_together(both: Workers) -> None:
    sessions = sessions_of_both(both.url)
    texts = [called(both.url, session, "a__big", {"size": 1}) for session in sessions for _ in range(10)]
    assert texts.count("x") == 6
    assert all("limit" in text for text in texts if text != "x")


async def test_new_settings_reach_every_worker(both: Workers) -> None:
    sessions = sessions_of_both(both.url)
    assert [called(both.url, session, "a__peek", {"text": "x"}) for session in sessions] == ["x", "x"]
    denied = '[[gateway.rules]]\ntools = ["a__peek"]\neffect = "deny"\n'
    both.config.write_text(both.config.read_text() + denied)
    both.process.send_signal(signal.SIGHUP)
    await until(
        lambda: all("Unknown tool" in called(both.url, session, "a__peek", {"text": "x"}) for session in sessions)
    )


async def test_a_worker_that_cannot_be_started_again_is_tried_again(tmp_path: Path) -> None:
    require(sys.platform == "linux", "limits of other processes are set on Linux only")
    import resource

    config = write_config(tmp_path, server("a"), ALLOW_ALL)
    argv = ["--transport", "http", "--no-login", "--config", str(config), *WORKERS]
    process = subprocess.Popen(
        [sys.executable, "-P", "-m", "lg_gateway", *argv], stderr=subprocess.PIPE, text=True, env=program_environment()
    )
    assert process.stderr is not None
    output = Output(process.stderr)
    try:
        url = output.first(re.compile(r"listening on (http://\S+)/mcp").search)[1]
        sessions = sessions_of_both(url)
        before = resource.prlimit(process.pid, resource.RLIMIT_NOFILE)
        resource.prlimit(process.pid, resource.RLIMIT_NOFILE, (3, before[1]))
        os.kill(workers(process.pid)[0], signal.SIGKILL)
        output.first(re.compile("cannot be started").search)
        resource.prlimit(process.pid, resource.RLIMIT_NOFILE, before)
        await until(lambda: len(workers(process.pid)) == 2)
        assert "x" in [called(url, session, "a__echo", {"text": "x"}) for session in sessions_of_both(url)]
        assert len(sessions) == 2
    finally:
        end(process, output)
        process.stderr.close()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
async def test_workers_and_their_servers_end_with_the_process_that_holds_the_sockets(
    tmp_path: Path, number: signal.Signals
) -> None:
    config = write_config(tmp_path, server("a"), ALLOW_ALL)
    with http_gateway("--config", str(config), *WORKERS) as (url, process):
        sessions_of_both(url)
        below = list(descendants(process.pid))
        assert len(workers(process.pid)) == 2
        process.send_signal(number)
        assert process.wait(WITHIN_S) == (0 if number == signal.SIGTERM else -signal.SIGKILL)
        await until(lambda: not any(alive(pid) for pid in below))


async def test_no_effect_is_lost_or_done_twice_when_workers_are_killed_under_load(tmp_path: Path) -> None:
    log = tmp_path / "journal"
    config = write_config(tmp_path, server("a", "--journal", str(log)), ALLOW_ALL)
    codes: dict[str, str | None] = {}
    chance = random.Random(7)

    async def caller(url: str, number: int) -> None:
        for n in range(KEYS):
            key = f"{number}-{n}"
            codes[key] = await _code_at_last(url, key)

    def answered(enough: int) -> bool:
        return len(codes) >= enough

    async def killer(pid: int) -> None:
        for _ in range(KILLS):
            await until(lambda: len(workers(pid)) == 2)
            enough = min(len(codes) + 1, CALLERS * KEYS)
            os.kill(chance.choice(workers(pid)), signal.SIGKILL)
            await until(partial(answered, enough))

    with http_gateway("--config", str(config), *WORKERS) as (url, process):
        async with anyio.create_task_group() as tasks:
            for number in range(CALLERS):
                tasks.start_soon(caller, url, number)
            tasks.start_soon(killer, process.pid)

    arrived = Counter(line["arguments"]["text"] for line in journal(log) if line.get("tool") == "echo")
    assert len(codes) == CALLERS * KEYS
    assert set(arrived.values()) <= {1}, "a call under one key was made twice"
    assert {key for key, code in codes.items() if code is None} <= arrived.keys(), "an answer without its call"
    assert set(codes.values()) <= {None, "outcome_unknown"}
    verified = run("audit", "verify", "--config", str(config))
    assert "intact" in verified.stdout, verified.stdout + verified.stderr


async def _code_at_last(url: str, key: str) -> str | None:
    """Make a call until it is answered: over a new connection whenever a worker ends."""
    with anyio.fail_after(WITHIN_S):
        while True:
            try:
                async with Client(f"{url}/mcp", mode="2026-07-28") as client:
                    meta: Any = {"lg/idempotency-key": key}
                    code = code_of(await client.call_tool("a__echo", {"text": key}, meta=meta))
            except BaseExceptionGroup as group:
                if not _all_of(group, _lost):
                    raise
                continue
            except Exception as error:
                if not _lost(error):
                    raise
                continue
            if code not in ("conflict", "upstream_unavailable"):
                return code


def _lost(error: BaseException) -> bool:
    return type(error).__module__.split(".")[0] in ("httpx2", "httpcore2", "mcp", "anyio")


def _all_of(group: BaseExceptionGroup[BaseException], fits: Callable[[BaseException], bool]) -> bool:
    return all(_all_of(e, fits) if isinstance(e, BaseExceptionGroup) else fits(e) for e in group.exceptions)
