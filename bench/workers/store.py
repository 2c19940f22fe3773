"""What the store of runs bears: `python -m bench.workers.store` prints one Markdown table.

Each figure is the CPU and wall time of one operation on PostgreSQL, made one after the other by one process.
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from tests import postgres

from bench.machine import machine
from lg_orch.contracts.events import Event
from lg_orch.runs.run_directory import RunDir, fresh_run_id
from lg_orch.service.records.lease_table import LeaseTable
from lg_orch.service.records.postgres import PostgresDatabase
from lg_orch.service.records.rows import Filter, NewRun
from lg_orch.service.records.stored_events import LeasedRun

if TYPE_CHECKING:
    from collections.abc import Callable

TIMES = 300
EVENT = Event(
    seq=1,
    time="2026-01-01T00:00:00.000+00:00",
    kind="tool",
    name="fs__read_file",
    phase="end",
    data={"text": "x" * 2_000},
)


def measured(what: str, work: Callable[[int], object]) -> str:
    """Return a row: the median cost of doing it many times."""
    wall, cpu = time.perf_counter(), time.process_time()
    for number in range(TIMES):
        work(number)
    each_ms = (time.perf_counter() - wall) / TIMES * 1000
    return f"| {what} | {each_ms:.2f} | {(time.process_time() - cpu) / TIMES * 1000:.2f} |"


def rows(url: str, folder: Path) -> list[str]:
    """Return the rows of the table."""
    database = PostgresDatabase(url)
    leases = LeaseTable(database, lease_s=1_000, max_attempts=9)

    def create(number: int) -> None:
        new = NewRun(
            run_id=fresh_run_id(), request="x", repository=f"/{number}", root="/x", root_id=str(number), created_by="a"
        )
        leases.runs.create(new, max_queued=10**6)

    found = [measured("create a run", create)]
    held = []
    found.append(measured("claim a run", lambda _: held.append(leases.claim("w"))))
    lease = next(claim for claim in held if claim is not None)[0]
    found.append(measured("look for a run in vain", lambda _: leases.claim("w")))
    found.append(measured("a sign of life", lambda _: leases.renew(lease)))
    journal = LeasedRun(database, lease, RunDir(path=folder, run_id=lease.run_id))
    found.append(measured("an event of 2 kB", lambda number: journal.append(EVENT.model_copy(update={"seq": number}))))
    found.append(measured("a page of 50 runs", lambda _: leases.runs.page(Filter(), 50)))
    journal.close()
    database.close()
    return found


def main() -> int:
    """Measure and print."""
    print(machine(), end="\n\n")
    print("| operation | ms | CPU ms of the worker |\n|---|---|---|")
    with postgres.server() as server, postgres.schema(server) as url, tempfile.TemporaryDirectory() as folder:
        print("\n".join(rows(url, Path(folder))))
    return 0


if __name__ == "__main__":
    sys.exit(main())
