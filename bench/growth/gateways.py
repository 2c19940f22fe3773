"""What grows around a gateway: `python -m bench.growth.gateways [--only lists clients results recovery]`.

- `lists`: servers with 20 tools each. One list of all of them, against listing each server directly.
- `clients`: HTTP clients that call at once, each over its own connection.
- `results`: results of one client, and what a neighbour's small calls wait meanwhile.
- `recovery`: a server or the gateway is killed; the time to the next answer, against starting the server directly.

CPU is that of the gateway's process alone. The first row of a table is its reference.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, suppress
from functools import partial
from pathlib import Path
from typing import Any

import anyio

from bench.gateway.run import cpu_ms, rss_mb
from bench.gateway.targets import free_port
from bench.growth.raw_clients import RawHttp, RawStdio
from bench.machine import machine
from lg_gateway.upstreams.restart_policy import QUICK_FAILURE_S

ROOT = Path(__file__).parents[2]
TOOLS = 20
LISTS = 20
MEGABYTE = 1_000_000
CALLED, NEIGHBOUR = "s00__text_0_00", "s01__text_1_00"
"""Tools of two servers: what waits for the gateway must not wait for a server that is busy."""
Row = Sequence[str | float]


def server(number: int = 0) -> list[str]:
    """Return the command of a server. Its tools have names of their own."""
    return [sys.executable, "-P", "-S", str(Path(__file__).with_name("many_tools.py")), str(TOOLS), str(number)]


def settings(place: Path, servers: int) -> Path:
    """Write a settings file with so many trusted servers."""
    lines = ["[gateway]", "calls_per_minute = 10000000", "calls_at_once = 1000", "requests_per_minute = 10000000"]
    lines += ["bytes_out_per_minute = 100000000000", "result_max_bytes = 20000000", "tools_page_size = 5000"]
    for number in range(servers):
        program, *words = server(number)
        command = f"command = {json.dumps(program)}\nargs = {json.dumps(words)}"
        lines.append(f"[gateway.servers.s{number:02}]\ntrusted = true\n{command}")
    lines.append('[[gateway.rules]]\ntools = ["*"]\neffect = "allow"')
    path = place / "settings.toml"
    path.write_text("\n".join(lines))
    return path


def gateway(place: Path, servers: int, port: int | None = None) -> tuple[list[str], dict[str, str]]:
    """Return the command of a gateway with so many servers, and its environment."""
    argv = [sys.executable, "-P", "-m", "lg_gateway", "--config", str(settings(place, servers))]
    if port is not None:
        argv += ["--transport", "http", "--port", str(port), "--no-login"]
    home = {"HOME": os.environ["HOME"], "PATH": os.environ["PATH"]}
    return argv, home | {"XDG_STATE_HOME": str(place / "state"), "XDG_CONFIG_HOME": str(place / "config")}


async def took_ms(work: Callable[[], Awaitable[Any]]) -> float:
    """Return the milliseconds that some work takes."""
    began = time.perf_counter()
    await work()
    return (time.perf_counter() - began) * 1000


async def all_tools(of: RawStdio, count: int) -> None:
    """List tools until so many are there: a gateway starts with those of its quickest servers."""
    with anyio.fail_after(300):
        while (await listed(of)).count(b'"inputSchema"') < count:
            await anyio.sleep(0.05)


async def listed(of: RawStdio) -> bytes:
    """Return a list as it came."""
    return await of.request("tools/list", {})


async def lists(place: Path, servers: int, code: Mapping[str, str] | None = None) -> Row:
    """Measure lists of all tools of so many servers. `code`: more of the environment, to run another version."""
    argv, environment = gateway(place, servers)
    environment |= code or {}
    async with AsyncExitStack() as stack:
        direct = [await stack.enter_async_context(RawStdio(server(), modern=False)) for _ in range(servers)]
        began = time.perf_counter()
        through = await stack.enter_async_context(RawStdio(argv, environment, modern=True))
        await all_tools(through, servers * TOOLS)
        started = time.perf_counter() - began
        before = cpu_ms(through.pid)
        ours, theirs = [], []
        for _ in range(LISTS):
            ours.append(await took_ms(lambda: listed(through)))
            theirs.append(sum([await took_ms(partial(listed, connected)) for connected in direct]))
        used = (cpu_ms(through.pid) - before) / LISTS
        p50, reference = statistics.median(ours), statistics.median(theirs)
        return servers, p50, reference, p50 / reference, used, rss_mb(through.pid), started


async def clients(place: Path, count: int, calls: int = 1_280) -> Row:
    """Measure calls of so many HTTP clients at once."""
    async with _served(place) as (port, pid):
        took: list[float] = []

        async def caller(connected: RawHttp) -> None:
            took.extend([await took_ms(lambda: connected.call(CALLED, 100)) for _ in range(calls // count)])

        async with AsyncExitStack() as stack:
            connected = [await stack.enter_async_context(RawHttp(port)) for _ in range(count)]
            for one in connected:
                await one.call(CALLED, 100)
            before, began = cpu_ms(pid), time.perf_counter()
            async with anyio.create_task_group() as tasks:
                for one in connected:
                    tasks.start_soon(caller, one)
            rate, used = len(took) / (time.perf_counter() - began), (cpu_ms(pid) - before) / len(took)
        p95 = statistics.quantiles(took, n=20)[18]
        return count, rate, statistics.median(took), p95, used, rss_mb(pid)


async def results(place: Path, size: int) -> Row:
    """Measure results of this many bytes, and the small calls of a neighbour meanwhile."""
    async with _served(place) as (port, pid), RawHttp(port) as large, RawHttp(port) as small:
        await large.call(CALLED, size)
        waits: list[float] = []
        took: list[float] = []
        over = anyio.Event()

        async def neighbour() -> None:
            while not over.is_set():
                waits.append(await took_ms(lambda: small.call(NEIGHBOUR, 100)))
                await anyio.sleep(0.005)

        before = cpu_ms(pid)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(neighbour)
            times = 10 if size >= MEGABYTE else 50
            took += [await took_ms(lambda: large.call(CALLED, size)) for _ in range(times)]
            over.set()
        used = (cpu_ms(pid) - before) / (len(took) + len(waits))
        p95 = statistics.quantiles(waits, n=20)[18] if len(waits) > 1 else waits[0]
        return f"{size / 1000:,.0f} kB", statistics.median(took), p95, max(waits), used, rss_mb(pid)


async def recovery(place: Path) -> list[Row]:
    """Measure how long the next answer takes after a server or the gateway was killed."""
    argv, environment = gateway(place, 1)
    answered: dict[str, list[float]] = {"a server is started directly": [], "a server was killed": []}
    answered["the gateway was killed and started again"] = []

    for _ in range(5):
        answered["a server is started directly"].append(
            await took_ms(partial(_first_answer, None, "text_0_00", server()))
        )
        async with RawStdio(argv, environment, modern=True) as through:
            await _until_answered(through)
            await anyio.sleep(QUICK_FAILURE_S)  # one that ends sooner is started again after a pause
            os.kill(_child_of(through.pid), signal.SIGKILL)
            answered["a server was killed"].append(await took_ms(lambda: _until_answered(through)))
            os.kill(through.pid, signal.SIGKILL)
        again = await took_ms(partial(_first_answer, environment, CALLED, argv))
        answered["the gateway was killed and started again"].append(again)
    reference = statistics.median(answered["a server is started directly"])
    return [(what, statistics.median(ms), statistics.median(ms) / reference) for what, ms in answered.items()]


async def _first_answer(environment: dict[str, str] | None, tool: str, argv: list[str]) -> None:
    async with RawStdio(argv, environment, modern=environment is not None) as connected:
        await connected.request("tools/call", {"name": tool, "arguments": {"bytes": 10}})


async def _until_answered(through: RawStdio) -> None:
    """Call until an answer comes: a call that was under way when its server died is not made again."""
    with anyio.fail_after(60):
        while True:
            with suppress(ValueError):
                await through.request("tools/call", {"name": CALLED, "arguments": {"bytes": 10}})
                return
            await anyio.sleep(0.001)


def _child_of(pid: int) -> int:
    """Return the process of the server behind a gateway."""
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            parent = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
            words = (folder / "cmdline").read_text().split("\0")
        except (FileNotFoundError, ProcessLookupError):
            continue
        if parent == pid and any(word.endswith("many_tools.py") for word in words):
            return int(folder.name)
    raise RuntimeError("the gateway has no server")


class _served:  # noqa: N801  used like a function, as a context manager
    """A gateway with one server over HTTP, for the length of a block: its port and its process."""

    def __init__(self, place: Path) -> None:
        self._place = place
        self._process: subprocess.Popen[bytes] | None = None

    async def __aenter__(self) -> tuple[int, int]:
        port = free_port()
        argv, environment = gateway(self._place, 2, port)
        null = subprocess.DEVNULL
        self._process = subprocess.Popen(argv, env=environment, cwd=ROOT, stdout=null, stderr=null)
        with anyio.fail_after(120):
            while True:
                try:
                    async with RawHttp(port) as first:
                        await first.call(CALLED, 100)
                        return port, self._process.pid
                except (OSError, ValueError):
                    await anyio.sleep(0.05)

    async def __aexit__(self, *_: object) -> None:
        if self._process is not None:
            self._process.terminate()
            self._process.wait(60)


def table(heads: Sequence[str], rows: list[Row]) -> None:
    """Print a table."""
    print(f"\n| {' | '.join(heads)} |\n{'|---' * len(heads)}|")
    for row in rows:
        cells = [f"{cell:.2f}" if isinstance(cell, float) else str(cell) for cell in row]
        print(f"| {' | '.join(cells)} |", flush=True)


LIST_HEADS = ("servers", "list p50 ms", "all lists directly ms", "ratio", "CPU ms a list", "RSS MB", "all tools s")
CLIENT_HEADS = ("clients", "calls/s", "p50 ms", "p95 ms", "CPU ms a call", "RSS MB")
RESULT_HEADS = ("result", "p50 ms", "neighbour p95 ms", "longest ms", "CPU ms a call", "RSS MB")
RECOVERY_HEADS = ("first answer after", "p50 ms", "ratio")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="bench.growth.gateways", description="Measure what grows around a gateway.")
    parser.add_argument("--only", nargs="+", choices=("lists", "clients", "results", "recovery"))
    parser.add_argument("--servers", type=int, nargs="+", default=[1, 20, 100], metavar="N")
    parser.add_argument("--clients", type=int, nargs="+", default=[1, 8, 32, 128], metavar="N")
    parser.add_argument("--bytes", type=int, nargs="+", default=[1_000, 100_000, MEGABYTE, 10 * MEGABYTE], metavar="N")
    args = parser.parse_args()
    only = args.only or ["lists", "clients", "results", "recovery"]
    print(machine())

    def each(work: Callable[[Path, int], Awaitable[Row]], sizes: list[int]) -> list[Row]:
        rows = []
        for size in sizes:
            with tempfile.TemporaryDirectory() as folder:
                rows.append(anyio.run(work, Path(folder), size))
        return rows

    if "lists" in only:
        table(LIST_HEADS, each(lists, args.servers))
    if "clients" in only:
        table(CLIENT_HEADS, each(clients, args.clients))
    if "results" in only:
        table(RESULT_HEADS, each(results, args.bytes))
    if "recovery" in only:
        with tempfile.TemporaryDirectory() as folder:
            table(RECOVERY_HEADS, anyio.run(recovery, Path(folder)))


if __name__ == "__main__":
    main()
