"""What a call costs through the gateway: `python -m bench.gateway.run` prints one Markdown table per question.

Each figure is taken on a fresh process; CPU is the gateway's own, user and system, from the kernel.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import tempfile
import time
import timeit
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
from jsonschema import Draft202012Validator
from mcp.client import Client
from mcp.client.stdio import StdioServerParameters

from lg_gateway.head import HeadFile
from lg_gateway.ledger import Entry, Ledger
from lg_gateway.sqlite_store import SqliteStore
from lg_policy.loading import load_settings
from lg_policy.rules import RuleBook, ToolFacts

FIXTURE = Path(__file__).parents[2] / "tests" / "gateway" / "fixture_server.py"
TICKS = os.sysconf("SC_CLK_TCK")


def config(place: Path, *, everything: bool) -> Path:
    """A settings file with one server; with `everything`, 200 rules, pins and masking."""
    lines = ["[gateway]", "calls_per_minute = 1000000", "calls_at_once = 1000"]
    if not everything:
        lines += ['pins = "off"', 'mask_results = "none"']
    lines += ["[gateway.servers.a]", f"command = {json.dumps(sys.executable)}", f"args = {json.dumps([str(FIXTURE)])}"]
    lines += ['[[gateway.rules]]\ntools = ["*"]\neffect = "allow"']
    for n in range(200 if everything else 0):
        tool = "a__echo" if n < 5 else f"other__tool_{n}"
        when = f'when = {{ properties = {{ text = {{ pattern = "never-{n}$" }} }} }}'
        lines.append(f'[[gateway.rules]]\ntools = ["{tool}"]\neffect = "deny"\n{when}')
    path = place / ("on.toml" if everything else "off.toml")
    path.write_text("\n".join(lines))
    return path


def cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def child_of_this_process(words: str) -> int:
    for stat in Path("/proc").glob("[0-9]*/stat"):
        fields = stat.read_text().rpartition(")")[2].split()
        if int(fields[1]) == os.getpid() and words in (stat.parent / "cmdline").read_text().replace("\0", " "):
            return int(stat.parent.name)
    raise RuntimeError(f"no child runs {words}")


@asynccontextmanager
async def connection(place: Path, what: str) -> AsyncIterator[tuple[Client, str, int | None]]:
    """A client, the name of the tool behind it, and the gateway's process id."""
    if what == "direct":
        async with Client(StdioServerParameters(command=sys.executable, args=[str(FIXTURE)])) as client:
            yield client, "echo", None
        return
    path = config(place, everything=what == "everything on")
    environment = {"XDG_STATE_HOME": str(place / what / "state"), "XDG_CONFIG_HOME": str(place / what / "config")}
    arguments = ["-P", "-m", "lg_gateway", "--config", str(path)]
    async with Client(StdioServerParameters(command=sys.executable, args=arguments, env=environment)) as client:
        await client.list_tools()
        yield client, "a__echo", child_of_this_process("lg_gateway")


async def timed(call: Callable[[], Awaitable[Any]], calls: int, at_once: int) -> tuple[list[float], float]:
    """Milliseconds of each call, and calls a second."""
    took: list[float] = []

    async def worker(count: int) -> None:
        for _ in range(count):
            began = time.perf_counter()
            await call()
            took.append((time.perf_counter() - began) * 1000)

    began = time.perf_counter()
    async with anyio.create_task_group() as tasks:
        for _ in range(at_once):
            tasks.start_soon(worker, calls // at_once)
    return took, calls / (time.perf_counter() - began)


async def calls_table(place: Path, calls: int) -> None:
    print("| path (stdio) | at once | p50 ms | p95 ms | calls/s | gateway CPU ms a call |")
    print("|---|---|---|---|---|---|")
    for what in ("direct", "everything off", "everything on"):
        async with connection(place, what) as (client, tool, pid):

            async def call(client: Client = client, tool: str = tool) -> None:
                result = await client.call_tool(tool, {"text": "hello"})
                if result.is_error:
                    raise RuntimeError(str(result))

            for _ in range(20):
                await call()
            for at_once in (1, 32):
                before = cpu_s(pid) if pid else 0.0
                took, rate = await timed(call, calls, at_once)
                used = f"{(cpu_s(pid) - before) * 1000 / len(took):.2f}" if pid else "-"
                p50, p95 = statistics.median(took), statistics.quantiles(took, n=20)[18]
                print(f"| {what} | {at_once} | {p50:.2f} | {p95:.2f} | {rate:.0f} | {used} |", flush=True)


async def appends_table(place: Path, count: int) -> None:
    ledger = Ledger(HeadFile(place / "bench.head", b"s" * 32), b"k" * 32)
    store = SqliteStore(place / "bench.sqlite", guard=ledger)
    entry = Entry(phase="begun", identity="local:me", tool="a__echo", arguments='{"text": "hello"}')
    print("\n| concurrent appenders | durable appends/s |\n|---|---|")
    for at_once in (1, 32):
        _, rate = await timed(lambda: store.write(lambda tx: ledger.append(tx, entry)), count, at_once)
        print(f"| {at_once} | {rate:.0f} |", flush=True)
    store.close()


def decisions_table(place: Path) -> None:
    settings = load_settings(config=config(place, everything=True), environ={"HOME": str(place)}).settings
    rules, arguments = RuleBook(settings), {"text": "hello"}
    schema = {"type": "object", "properties": {"text": {"type": "string"}}}
    facts = ToolFacts(server="a", tool="a__echo", name="echo", input_schema=schema)
    conditions = [rule.when for rule in settings.gateway.rules if set(rule.tools) <= {"a__echo", "*"}]
    library = [Draft202012Validator(when) for when in conditions]

    def decide() -> None:
        rules.decide(identity="local:me", facts=facts, arguments=arguments)

    def by_library() -> None:
        for validator in library:
            validator.is_valid(arguments)

    print("\n| 200 rules, 6 for the tool | p50 µs | p95 µs | ratio |\n|---|---|---|---|")
    base = 0.0
    for what, work in (("the 6 conditions, by the jsonschema library", by_library), ("a whole decision", decide)):
        took = [timeit.timeit(work, number=10) * 1e5 for _ in range(500)]
        p50, p95 = statistics.median(took), statistics.quantiles(took, n=20)[18]
        base = base or p50
        print(f"| {what} | {p50:.1f} | {p95:.1f} | {p50 / base:.2f} |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--calls", type=int, default=640)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        anyio.run(calls_table, Path(folder), args.calls)
        anyio.run(appends_table, Path(folder), args.calls * 5)
        decisions_table(Path(folder))


if __name__ == "__main__":
    main()
