"""What running a command costs: `python -m bench.exec.run` prints Markdown tables.

The command is `true`. The same bubblewrap line, with the same options, system call filter and pipes, is started by
asyncio as the reference; all ways take turns within each round. CPU is that of everything involved: client, server,
bubblewrap and command. `--sandbox off` of the server is measured as well, and a client without the SDK, which writes
and reads lines of JSON and nothing else.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import anyio
from mcp import Client, StdioServerParameters

from lg_exec.process.environment import Program
from lg_exec.process.orphans import Orphans
from lg_exec.sandbox.bubblewrap_backend import BubblewrapBackend
from lg_exec.sandbox.interface import CommandJob
from lg_exec.server.executor import effective_limits
from lg_exec.server.setup import make_place
from lg_policy.config.settings import Settings
from lg_policy.paths.root import Root
from lg_policy.sandbox import seccomp
from lg_policy.sandbox.bubblewrap import binaries

TRUE = "/bin/true"
NAP: dict[str, object] = {"cmd": "sleep", "args": ["3"]}
TICK_MS = 1000 / os.sysconf("SC_CLK_TCK")
CONFIG = """
[exec]
max_concurrent = 8
max_waiting = 100
[exec.commands.true]
executable = "/bin/true"
[exec.commands.sleep]
executable = "/bin/sleep"
args_allow = ["text:*"]
"""


@dataclass
class Way:
    """One way to run `true`; `server` is the process whose CPU belongs to it as well."""

    name: str
    call: Callable[[], Awaitable[None]]
    server: int | None = None
    took_ms: list[float] = field(default_factory=list)
    rounds_ms: list[float] = field(default_factory=list)
    cpu_ms: list[float] = field(default_factory=list)


def own_cpu_ms() -> float:
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(each.ru_utime + each.ru_stime for each in used) * 1000


def server_cpu_ms(pid: int | None) -> float:
    """CPU of a process and of the children that it has reaped."""
    if pid is None:
        return 0.0
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return sum(int(each) for each in fields[11:15]) * TICK_MS


async def reap(orphans: Orphans) -> None:
    """Wait for what bwrap left behind when it ended: the sandbox's first process, and the CPU of taking it down."""
    while orphans.left():
        orphans.reap()
        await anyio.sleep(0.001)


async def measure(ways: list[Way], orphans: Orphans, *, calls: int, rounds: int, at_once: int) -> None:
    """Let the ways take turns, in alternating order."""
    for number in range(rounds):
        for way in ways if number % 2 == 0 else reversed(ways):
            began_cpu = own_cpu_ms() + server_cpu_ms(way.server)
            taken: list[float] = []

            async def worker(count: int, way: Way = way, taken: list[float] = taken) -> None:
                for _ in range(count):
                    began = time.perf_counter()
                    await way.call()
                    taken.append((time.perf_counter() - began) * 1000)

            async with anyio.create_task_group() as group:
                for _ in range(at_once):
                    group.start_soon(worker, calls // at_once)
            await reap(orphans)
            way.cpu_ms.append((own_cpu_ms() + server_cpu_ms(way.server) - began_cpu) / len(taken))
            way.took_ms += taken
            way.rounds_ms.append(statistics.median(taken))


def table(ways: list[Way], at_once: int, reference: str) -> None:
    base = next(way for way in ways if way.name == reference)
    print(f"\n{at_once} in flight\n")
    print("| way | p50 ms | p95 ms | over the bare line, p50 ms | ratio | CPU ms a call |")
    print("|---|---|---|---|---|---|")
    for way in ways:
        over = statistics.median(a - b for a, b in zip(way.rounds_ms, base.rounds_ms, strict=True))
        ratio = statistics.median(a / b for a, b in zip(way.rounds_ms, base.rounds_ms, strict=True))
        p50, p95 = statistics.median(way.took_ms), statistics.quantiles(way.took_ms, n=20)[18]
        cpu = statistics.median(way.cpu_ms)
        print(f"| {way.name} | {p50:.1f} | {p95:.1f} | {over:+.1f} | {ratio:.2f} | {cpu:.1f} |", flush=True)


async def run_true() -> None:
    """`subprocess.run`; at several in flight each blocks a thread."""
    await anyio.to_thread.run_sync(
        lambda: subprocess.run([TRUE], check=True, stdin=subprocess.DEVNULL, capture_output=True)
    )


def bare_line(backend: BubblewrapBackend, job: CommandJob) -> list[str]:
    container = backend.contain(job)
    try:
        return [container.argv[0], *container.options()]
    finally:
        container.close()


async def run_bare(line: list[str], program: bytes, orphans: Orphans) -> None:
    """The same bubblewrap line, started by asyncio; nothing is watched, limited or waited for but bwrap itself."""
    descriptor = os.memfd_create("seccomp")
    try:
        os.write(descriptor, program)
        os.lseek(descriptor, 0, os.SEEK_SET)
        process = await asyncio.create_subprocess_exec(
            *line, *("--seccomp", str(descriptor), "--", TRUE),
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            pass_fds=[descriptor], env={}, cwd="/", start_new_session=True,
        )  # fmt: skip
        orphans.expect(process.pid)
        _, complaint = await process.communicate()
        orphans.forget(process.pid)
    finally:
        os.close(descriptor)
    if process.returncode != 0:
        raise RuntimeError(complaint.decode())


@asynccontextmanager
async def served(root: Path, *flags: str) -> AsyncIterator[tuple[Client, int]]:
    """A client of `lg-exec` over stdio, and the server's process."""
    arguments = ["-P", "-m", "lg_exec", "--root", str(root), *flags]
    before = set(children(os.getpid()))
    async with Client(StdioServerParameters(command=sys.executable, args=arguments, cwd="/")) as client:
        await client.list_tools()
        (server,) = set(children(os.getpid())) - before
        yield client, server


def children(pid: int) -> list[int]:
    found = []
    for task in os.listdir(f"/proc/{pid}/task"):
        found += [int(each) for each in Path(f"/proc/{pid}/task/{task}/children").read_text().split()]
    return found


async def call(client: Client, arguments: dict[str, object]) -> None:
    result = await client.call_tool("exec", arguments)
    if result.is_error or not result.structured_content or not result.structured_content["ok"]:
        raise RuntimeError(str(result))


class LineClient:
    """A client that writes and reads lines of JSON."""

    def __init__(self, server: asyncio.subprocess.Process) -> None:
        self.pid = server.pid
        self._server = server
        self._waiting: dict[int, asyncio.Future[dict[str, Any]]] = {}

    async def read(self) -> None:
        """Hand each answer to whoever waits for it."""
        while self._server.stdout is not None and (line := await self._server.stdout.readline()):
            message = json.loads(line)
            if message.get("id") in self._waiting:
                self._waiting.pop(message["id"]).set_result(message)

    async def request(self, method: str, **params: Any) -> dict[str, Any]:
        number = time.monotonic_ns()
        answer = self._waiting[number] = asyncio.get_running_loop().create_future()
        line = json.dumps({"jsonrpc": "2.0", "id": number, "method": method, "params": params})
        if self._server.stdin is not None:
            self._server.stdin.write(line.encode() + b"\n")
        answered: dict[str, Any] = await answer
        return answered

    async def call(self) -> None:
        answer = await self.request("tools/call", name="exec", arguments={"cmd": "true"})
        if not answer["result"]["structuredContent"]["ok"]:
            raise RuntimeError(str(answer))


@asynccontextmanager
async def lines_served(root: Path, *flags: str) -> AsyncIterator[LineClient]:
    arguments = ["-P", "-m", "lg_exec", "--root", str(root), *flags]
    server = await asyncio.create_subprocess_exec(sys.executable, *arguments, stdin=-1, stdout=-1, cwd="/")
    client = LineClient(server)
    async with anyio.create_task_group() as group:
        group.start_soon(client.read)
        info = {"name": "bench", "version": "1"}
        await client.request("initialize", protocolVersion="2025-06-18", capabilities={}, clientInfo=info)
        yield client
        if server.stdin is not None:
            server.stdin.close()
        await server.wait()


def proportional_kb(pid: int) -> int:
    """Memory of a process and its descendants, shared pages divided."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    own = next(int(line.split()[1]) for line in lines if line.startswith("Pss:"))
    return own + sum(proportional_kb(child) for child in children(pid))


async def memory_table(client: Client, server: int) -> None:
    """What eight sleeping commands add to the server and below it."""
    before = proportional_kb(server)
    idle = len(children(server))
    async with anyio.create_task_group() as group:
        for _ in range(8):
            group.start_soon(call, client, NAP)
        while len(children(server)) < idle + 8:
            await anyio.sleep(0.05)
        await anyio.sleep(1)
        held = proportional_kb(server)
    print(
        f"\nMemory: the server holds {before / 1024:.1f} MiB; each running `sleep` adds {(held - before) / 8:.0f} KiB."
    )


async def compare(place: Path, calls: int, rounds: int) -> None:
    root = place / "root"
    root.mkdir()
    config = place / "config.toml"
    config.write_text(CONFIG)
    settings = Settings()
    program = seccomp.build()
    if program is None:
        raise SystemExit("no system call filter for this machine")
    orphans = Orphans()
    async with AsyncExitStack() as stack:
        opened = stack.enter_context(Root(root))
        (place / "scratch").mkdir()
        backend = BubblewrapBackend(next(binaries()), make_place(settings, opened, str(place / "scratch"), None), None)
        limits = effective_limits(settings.exec.limits, settings.exec.commands["make"].limits)
        job = CommandJob(
            program=Program(path=TRUE), args=(), env={}, cwd="", root_mode="overlay", network=False, limits=limits
        )
        line = bare_line(backend, job)
        boxed, boxed_pid = await stack.enter_async_context(served(root, "--config", str(config)))
        orphans.expect(boxed_pid)
        lines = await stack.enter_async_context(lines_served(root, "--config", str(config)))
        orphans.expect(lines.pid)
        plain, plain_pid = await stack.enter_async_context(served(root, "--config", str(config), "--sandbox", "off"))
        orphans.expect(plain_pid)
        ways = [
            ("subprocess.run", run_true, None),
            ("bwrap, the same line, by asyncio", lambda: run_bare(line, program, orphans), None),
            ("lg-exec over stdio, client without SDK", lines.call, lines.pid),
            ("lg-exec over stdio", lambda: call(boxed, {"cmd": "true"}), boxed_pid),
            ("lg-exec over stdio, sandbox off", lambda: call(plain, {"cmd": "true"}), plain_pid),
        ]
        print(f"{backend.report.backend}; {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}")
        for at_once in (1, 8):
            measured = [Way(name, each, server) for name, each, server in ways]
            await measure(measured, orphans, calls=8, rounds=1, at_once=at_once)  # warm
            measured = [Way(name, each, server) for name, each, server in ways]
            await measure(measured, orphans, calls=calls, rounds=rounds, at_once=at_once)
            table(measured, at_once, "bwrap, the same line, by asyncio")
        await memory_table(boxed, boxed_pid)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--calls", type=int, default=40, help="calls of each way in a round")
    parser.add_argument("--rounds", type=int, default=7)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        anyio.run(compare, Path(folder), args.calls, args.rounds)


if __name__ == "__main__":
    main()
