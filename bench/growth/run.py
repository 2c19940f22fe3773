"""What grows with the ledger: `python -m bench.growth.run [--records N …]` prints one Markdown table.

For each number of records: how long one more takes, how long the whole chain takes to verify, and how long the longest
call had to wait for its record, for some seconds without and then while all older records were sealed into segment
files. CPU is that of the process with all its threads. The first row is the reference.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import tempfile
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import anyio

from bench.machine import machine
from lg_gateway.ledger.head import HeadFile
from lg_gateway.ledger.ledger import Ledger, LedgerEntry, stamp
from lg_gateway.ledger.segments import Archive
from lg_gateway.store.factory import StorePlace, open_store
from lg_gateway.store.interface import Store, Tx

BATCH = 1_000
APPENDS = 300
ENTRY = LedgerEntry(phase="begun", identity="local:me", tool="a__echo", arguments='{"text": "hello"}')
ALONE_S = 5.0
"""Seconds for which the same calls wait for their records while nothing is sealed."""
HEADS = (
    "records",
    "append p50 ms",
    "append p95 ms",
    "append CPU ms",
    "verify s",
    "verify CPU s",
    "longest wait ms",
    "while sealing ms, longest",
    "p99",
    "over 100 ms",
    "seal s",
    "seal CPU s",
)


@dataclass(frozen=True, kw_only=True)
class Grown:
    """The figures of one size of the ledger."""

    records: int
    appends_ms: list[float]
    append_cpu_ms: float
    verify_s: tuple[float, float]
    """Seconds by the clock, and of CPU."""
    alone_ms: list[float]
    waits_ms: list[float]
    seal_s: tuple[float, float]

    def cells(self) -> list[str]:
        """Return the figures as the cells of a row."""
        p50, p95 = statistics.median(self.appends_ms), statistics.quantiles(self.appends_ms, n=20)[18]
        waits, p99 = max(self.waits_ms), statistics.quantiles(self.waits_ms, n=100)[98]
        figures = (p50, p95, self.append_cpu_ms, *self.verify_s, max(self.alone_ms), waits, p99)
        long = sum(wait > 100 for wait in self.waits_ms)
        cells = [f"{figure:.2f}" for figure in figures]
        return [f"{self.records:,}", *cells, f"{long} of {len(self.waits_ms):,}", *(f"{s:.1f}" for s in self.seal_s)]


class Clocks:
    """Seconds by the clock and of this process's CPU since it was made."""

    def __init__(self) -> None:
        self._began = time.perf_counter(), time.process_time()

    def read(self) -> tuple[float, float]:
        """Return both."""
        return time.perf_counter() - self._began[0], time.process_time() - self._began[1]


async def grown(place: Path, records: int) -> Grown:
    """Fill a ledger with so many records and measure it."""
    folder = place / "segments"
    ledger = Ledger(HeadFile(place / "head", b"s" * 32), b"k" * 32, folder)
    store = open_store(StorePlace(path=place / "store.sqlite", lock_path=place / "lock"), guard=ledger, flush_s=0.02)
    try:
        for at in range(0, records, BATCH):
            count = min(BATCH, records - at)
            await store.write(lambda tx, count=count: _append(ledger, tx, count))  # type: ignore[misc]  # a loop's value
        clocks = Clocks()
        appends = [await _appended(store, ledger) for _ in range(APPENDS)]
        append_cpu_ms = clocks.read()[1] * 1000 / APPENDS
        clocks = Clocks()
        found, problems = await asyncio.to_thread(store.read_now, ledger.verify)
        verify_s = clocks.read()
        if problems or found != records + APPENDS:
            raise RuntimeError(f"{found} records, {problems}")
        alone: list[float] = []
        with anyio.move_on_after(ALONE_S):
            await _call_on(store, ledger, alone)
        waits: list[float] = []
        clocks = Clocks()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(_call_on, store, ledger, waits)
            await Archive(store, ledger, folder, records=100_000).seal(stamp(datetime.now(UTC)), by="bench")
            seal_s = clocks.read()
            tasks.cancel_scope.cancel()
        waits.append(await _appended(store, ledger))
    finally:
        store.close()
    return Grown(
        records=records,
        appends_ms=appends,
        append_cpu_ms=append_cpu_ms,
        verify_s=verify_s,
        alone_ms=alone,
        waits_ms=waits,
        seal_s=seal_s,
    )


def _append(ledger: Ledger, tx: Tx, count: int) -> None:
    for _ in range(count):
        ledger.append(tx, ENTRY)


async def _appended(store: Store, ledger: Ledger) -> float:
    """Append one record as a call does; return the milliseconds that it took."""
    began = time.perf_counter()
    await store.write(lambda tx: ledger.append(tx, ENTRY), durable=False)
    return (time.perf_counter() - began) * 1000


async def _call_on(store: Store, ledger: Ledger, waits: list[float]) -> None:
    while True:
        waits.append(await _appended(store, ledger))
        await anyio.sleep(0.005)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="bench.growth.run", description="Measure what grows with the ledger.")
    parser.add_argument("--records", type=int, nargs="+", default=[10_000, 100_000, 1_000_000], metavar="N")
    args = parser.parse_args()
    print(f"{machine()}\n\n| {' | '.join(HEADS)} |\n{'|---' * len(HEADS)}|")
    for records in args.records:
        with tempfile.TemporaryDirectory() as folder:
            print(f"| {' | '.join(anyio.run(grown, Path(folder), records).cells())} |", flush=True)


if __name__ == "__main__":
    main()
