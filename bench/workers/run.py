"""Many workers over one PostgreSQL: `python -m bench.workers.run [--workers 3] [--runs 200]` prints Markdown.

First one worker alone, then several, then several of which one is killed or stopped (SIGSTOP) every few seconds. After
each part it counts what was lost and what was done twice. Needs PostgreSQL's own programs, or `LG_TEST_PG_DSN`.
"""

from __future__ import annotations

import argparse
import random
import resource
import sys
import tempfile
import time
from pathlib import Path

from tests import postgres

from bench.machine import machine
from bench.workers.fleet import Fleet, counted, disturb, fleet

WITHIN_S = 3_600.0
PART_S = 15.0
"""Seconds between two disturbances."""


def measured(made: Fleet, runs: int, workers: int, *, chaos: bool, seed: int) -> str:
    """Drive runs with so many workers; returns a row of the table."""
    rng, events, stopped = random.Random(seed), [], []  # type: ignore[var-annotated]  # filled below
    made.create(runs)
    for _ in range(workers):
        made.start()
    begun, cpu = time.monotonic(), _cpu_s()
    if chaos:
        while made.left() and time.monotonic() - begun < WITHIN_S:
            time.sleep(PART_S * rng.uniform(0.5, 1.5))
            events.append(disturb(made, rng, stopped=stopped))
    made.wait(WITHIN_S)
    took = time.monotonic() - begun
    made.end()
    rows = made.rows()
    tried = sum(row.epoch for row in rows)
    wrong = made.wrong()
    for line in (*wrong, *(f"run {row.run_id} is {row.state}: {row.report}" for row in made.failed())):
        print(line, file=sys.stderr)
    done = counted(events)
    cells = [
        str(workers), str(runs), f"{took:.0f}", f"{60 * runs / took:.1f}", f"{(_cpu_s() - cpu) / runs:.1f}",
        str(done["killed"]), str(done["stopped"]),
        str(tried - len(rows)), str(len(made.failed())), str(len(wrong)),
    ]  # fmt: skip
    return "| " + " | ".join(cells) + " |"


def _cpu_s() -> float:
    """CPU seconds of the workers that have ended, and of the gateways that they started."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def main() -> int:
    """Measure all parts and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--workers", type=int, default=3)
    parser.add_argument("--runs", type=int, default=200)
    parser.add_argument("--repositories", type=int, default=20)
    parser.add_argument("--gateways", type=int, default=20, help="repositories with a gateway that runs already")
    parser.add_argument(
        "--idle-s", type=float, default=120.0, help="seconds that workers keep a gateway for the next run"
    )
    parser.add_argument("--delay-s", type=float, default=0.3, help="seconds that the model takes for an answer")
    parser.add_argument("--parts", nargs="*", default=["one", "many", "chaos"])
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    print(machine(), end="\n\n")
    print(
        "| workers | runs | seconds | runs a minute | CPU s a run | killed | stopped | taken over | lost | wrong |",
        flush=True,
    )
    print("|---|---|---|---|---|---|---|---|---|---|", flush=True)
    with postgres.server() as server:
        for part in args.parts:
            workers = 1 if part == "one" else args.workers
            runs = max(1, args.runs // args.workers) if part == "one" else args.runs
            how = {"repositories": args.repositories, "gateways": args.gateways, "delay_s": args.delay_s}
            how["idle_s"] = args.idle_s
            with (
                tempfile.TemporaryDirectory(prefix="lg-workers-") as folder,
                postgres.schema(server) as url,
                fleet(Path(folder), url, **how) as made,
            ):
                print(measured(made, runs, workers, chaos=part == "chaos", seed=args.seed), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
