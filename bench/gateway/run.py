"""What a call costs through the gateway: `python -m bench.gateway.run` prints one Markdown table per question.

All targets of a transport are up at once and measured in interleaved rounds. CPU is what the kernel counted for the
measured process alone, without its upstream; read that column and the ratios first, times of a busy machine last.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
import timeit
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import anyio
from jsonschema import Draft202012Validator

from bench.gateway.targets import Reached, Target, config, reached, targets, upstream_over_http
from bench.machine import machine
from lg_gateway.ledger.head import HeadFile
from lg_gateway.ledger.ledger import Ledger, LedgerEntry
from lg_gateway.store.factory import StorePlace, open_store
from lg_policy.config.loading import load_settings
from lg_policy.rules.rule_set import RuleBook, ToolFacts

WARM_UP = 30
AT_ONCE = (1, 32)
WAYS = ("stdio", "http", "http-http")
"""How the client is served, and how the server is reached if not over stdio."""
PEERS = ("fastmcp", "mcp-proxy", "mcp-compressor", "aegis-sandbox")


@dataclass
class Figures:
    """What was seen of one target at one concurrency, over all rounds."""

    took_ms: list[float] = field(default_factory=list)
    rates: list[float] = field(default_factory=list)
    cpu_ms: list[float] = field(default_factory=list)


def cpu_ms(pid: int) -> float:
    """Milliseconds of CPU that all threads of a process have had, as the scheduler counts them."""
    tasks = Path(f"/proc/{pid}/task").glob("*/schedstat")
    return sum(int(task.read_text().split()[0]) for task in tasks) / 1e6


def rss_mb(pid: int) -> float:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS")) / 1024


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
    return took, len(took) / (time.perf_counter() - began)


async def measure(one: Reached, calls: int, at_once: int, figures: Figures) -> None:
    async def call() -> None:
        result = await one.client.call_tool(one.tool, one.arguments("hello"))
        if result.is_error:
            raise RuntimeError(str(result))

    before = cpu_ms(one.pid) if one.pid else 0.0
    took, rate = await timed(call, calls, at_once)
    figures.took_ms += took
    figures.rates.append(rate)
    if one.pid:
        figures.cpu_ms.append((cpu_ms(one.pid) - before) / len(took))


@dataclass
class Measured:
    """What was seen of one target: its figures by how many calls were made at once, its memory, and its start."""

    name: str
    started_s: float
    at_once: dict[int, Figures] = field(default_factory=lambda: {at_once: Figures() for at_once in AT_ONCE})
    memory_mb: float | None = None

    def p50(self, at_once: int = 1) -> float:
        """Milliseconds that half of the calls took at most."""
        return statistics.median(self.at_once[at_once].took_ms)

    def rate(self, at_once: int) -> float:
        """Calls a second."""
        return statistics.median(self.at_once[at_once].rates)

    def cpu(self, at_once: int = 1) -> float:
        """Milliseconds of CPU a call."""
        return statistics.median(self.at_once[at_once].cpu_ms)


async def measured(
    made: Callable[[str | None], list[Target]], ways: str, rounds: int, calls: int
) -> dict[str, Measured]:
    """Measure targets in interleaved rounds. `made` returns them, for the address of a server over HTTP."""
    seen: dict[str, Measured] = {}
    up: list[Reached] = []
    async with AsyncExitStack() as stack:
        url = stack.enter_context(upstream_over_http()) if ways.endswith("-http") else None
        for target in made(url):
            up.append(await stack.enter_async_context(reached(target)))
            seen[target.name] = Measured(target.name, up[-1].started_s)
            await measure(up[-1], WARM_UP, 1, Figures())
        for _ in range(rounds):
            for at_once in AT_ONCE:
                for one in up:
                    await measure(one, calls, at_once, seen[one.target.name].at_once[at_once])
        for one in up:
            seen[one.target.name].memory_mb = rss_mb(one.pid) if one.pid else None
    return seen


async def calls_table(place: Path, ways: str, peers: list[str], rounds: int, calls: int) -> None:
    front, _, server = ways.partition("-")
    seen = await measured(lambda url: targets(place, front, peers, url), ways, rounds, calls)
    print(f"\n{machine()}")
    print(f"{front} to the client, {server or 'stdio'} to the server, {rounds} rounds of {calls} calls\n")
    print("| path | at once | p50 ms | p95 ms | calls/s | CPU ms a call (median; rounds) | RSS MB | first list s |")
    print("|---|---|---|---|---|---|---|---|")
    for one in seen.values():
        for at_once, figures in one.at_once.items():
            first = at_once == 1 and one.memory_mb is not None
            last = f"{one.memory_mb:.0f} | {one.started_s:.1f}" if first else " | "
            print(f"| {one.name} | {at_once} | {_row(figures)} | {last} |", flush=True)


def _row(figures: Figures) -> str:
    cpu = "-"
    if figures.cpu_ms:
        rounds = ", ".join(f"{value:.2f}" for value in figures.cpu_ms)
        cpu = f"{statistics.median(figures.cpu_ms):.2f} ({rounds})"
    p50, p95 = statistics.median(figures.took_ms), statistics.quantiles(figures.took_ms, n=20)[18]
    return f"{p50:.2f} | {p95:.2f} | {statistics.median(figures.rates):.0f} | {cpu}"


async def appends_table(place: Path, count: int, url: str | None) -> None:
    name = "postgres" if url else "sqlite"
    ledger = Ledger(HeadFile(place / f"{name}.head", b"s" * 32), b"k" * 32)
    store = open_store(StorePlace(path=place / "bench.sqlite", url=url, lock_path=place / "bench.lock"), guard=ledger)
    entry = LedgerEntry(phase="begun", identity="local:me", tool="a__echo", arguments='{"text": "hello"}')
    kind = "PostgreSQL" if url else "SQLite, synchronous=FULL"
    print(f"\n| concurrent appenders ({kind}) | durable appends/s |\n|---|---|")
    for at_once in AT_ONCE:
        rates = [
            (await timed(lambda: store.write(lambda tx: ledger.append(tx, entry)), count, at_once))[1] for _ in range(3)
        ]
        print(
            f"| {at_once} | {statistics.median(rates):.0f} ({', '.join(f'{rate:.0f}' for rate in rates)}) |", flush=True
        )
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
    parser.add_argument("--calls", type=int, default=320, help="calls of each target in each round")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", choices=(*WAYS, "appends", "decisions"), action="append")
    parser.add_argument("--peer", choices=PEERS, action="append", default=[])
    parser.add_argument("--postgres", metavar="URL", help="measure appends on this empty database too")
    args = parser.parse_args()
    chosen = args.only or [*WAYS, "appends", "decisions"]
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        for ways in WAYS:
            if ways in chosen:
                anyio.run(calls_table, place, ways, args.peer, args.rounds, args.calls)
        if "appends" in chosen:
            for url in (None, args.postgres) if args.postgres else (None,):
                anyio.run(appends_table, place, args.calls * 10, url)
        if "decisions" in chosen:
            decisions_table(place)


if __name__ == "__main__":
    main()
