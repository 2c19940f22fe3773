"""Many workers over one PostgreSQL: `python -m bench.workers.run [--workers 3] [--runs 200]` prints Markdown.

First one worker alone, then several, then several of which one is killed or stopped (SIGSTOP) every few seconds. After
each part it counts what was lost and what was done twice; the exit status is 1 if anything was. It copies the programs
first, so that the work tree may change meanwhile. After `--minutes`, or on Ctrl-C, it begins no further run and counts
what it has. Needs PostgreSQL's own programs, or `LG_TEST_PG_DSN`.
"""

from __future__ import annotations

import argparse
import random
import resource
import signal
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from bench.workers.copied import in_a_copy, removed_at_the_end

if TYPE_CHECKING:
    from bench.workers.fleet import Fleet

FINISH_S = 60.0
"""Seconds that runs get to come to their end once no further one is begun."""
SAY_S = 30.0
"""Seconds between two lines about how far it is."""
COLUMNS = (
    "workers", "runs", "seconds", "runs a minute", "CPU s a run", "killed", "stopped", "taken over", "lost", "wrong",
)  # fmt: skip
PARTS = ("one", "many", "chaos")


@dataclass(kw_only=True)
class Stop:
    """When to begin no further run."""

    deadline: float
    asked: threading.Event = field(default_factory=threading.Event)

    def reached(self) -> bool:
        """Whether it is time."""
        return self.asked.is_set() or time.monotonic() > self.deadline


@dataclass(kw_only=True)
class Part:
    """One row of the table."""

    name: str
    workers: int
    runs: int
    every_s: float
    """Seconds between two disturbances; 0 for none."""
    seed: int

    def measured(self, made: Fleet, stop: Stop) -> tuple[str, bool]:
        """Drive the runs; returns the row, and whether all is well."""
        made.create(self.runs)
        begun, cpu = time.monotonic(), _cpu_s()
        for _ in range(self.workers):
            made.start()
        events = self._driven(made, stop)
        took = time.monotonic() - begun
        made.wake_all()
        if made.left():
            made.give_up(FINISH_S)
        made.end()
        # A worker may have begun a run at the moment when it was given up.
        rows = [
            row for row in made.rows() if row.epoch and not (row.state == "cancelled" and row.run_id in made.given_up)
        ]
        done = {row.run_id for row in rows if row.state in ("done", "unchecked")}
        lost = [row for row in rows if row.run_id not in done]
        wrong = made.wrong(done)
        for line in (*wrong, *(f"run {row.run_id} is {row.state}: {row.report}" for row in lost)):
            print(line, file=sys.stderr)
        taken_over = sum((row.epoch - 1) // 2 for row in rows)  # one count for the loss, one for the next claim
        cells = [
            self.workers, len(rows), f"{took:.0f}", f"{60 * len(done) / took:.1f}",
            f"{(_cpu_s() - cpu) / max(1, len(done)):.2f}", events.count("killed"), events.count("stopped"),
            taken_over, len(lost), len(wrong),
        ]  # fmt: skip
        return "| " + " | ".join(map(str, cells)) + " |", not lost and not wrong

    def _driven(self, made: Fleet, stop: Stop) -> list[str]:
        """Wait for the runs, and disturb the workers meanwhile; returns what was done to them."""
        from bench.workers.fleet import POLL_S, disturb

        rng, stopped, events = random.Random(self.seed), list[subprocess.Popen[bytes]](), list[str]()
        due, say = time.monotonic() + self.every_s, time.monotonic() + SAY_S
        while (left := made.left()) and not stop.reached():
            stop.asked.wait(POLL_S)
            now = time.monotonic()
            if self.every_s and now > due:
                due = now + self.every_s * rng.uniform(0.5, 1.5)
                events.append(disturb(made, rng, stopped=stopped))
            if now > say:
                say = now + SAY_S
                print(f"{self.name}: {left} of {self.runs} runs left", file=sys.stderr, flush=True)
        return events


def _cpu_s() -> float:
    """CPU seconds of the workers that have ended, and of the gateways that ended before them."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def arguments() -> argparse.Namespace:
    """Return what the command line says."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workers", type=int, default=3)
    parser.add_argument("--runs", type=int, default=200, help="of each part with several workers")
    parser.add_argument("--alone", type=int, metavar="RUNS", help="of the part with one worker; by default a quarter")
    parser.add_argument("--repositories", type=int, default=4)
    parser.add_argument("--gateways", type=int, default=0, help="repositories with a gateway that runs already")
    parser.add_argument(
        "--idle-s", type=float, default=120.0, help="seconds that workers keep a gateway for the next run"
    )
    parser.add_argument("--delay-s", type=float, default=0.3, help="seconds that the model takes for an answer")
    parser.add_argument("--every-s", type=float, default=10.0, help="seconds between two disturbances")
    parser.add_argument("--minutes", type=float, default=60.0, help="for all parts together")
    parser.add_argument("--parts", nargs="*", default=list(PARTS), choices=PARTS)
    parser.add_argument("--seed", type=int, default=1)
    return parser.parse_args()


def parts(args: argparse.Namespace) -> list[Part]:
    """Return what is measured."""
    alone = args.alone or max(1, args.runs // 4)
    return [
        Part(
            name=name, workers=1 if name == "one" else args.workers, runs=alone if name == "one" else args.runs,
            every_s=args.every_s if name == "chaos" else 0.0, seed=args.seed,
        )
        for name in args.parts
    ]  # fmt: skip


def main() -> int:
    """Measure all parts and print the table."""
    args = arguments()
    in_a_copy("bench.workers.run", sys.argv[1:])
    from tests import postgres

    from bench.machine import machine
    from bench.workers.fleet import fleet

    begun, well = time.monotonic(), True
    stop = Stop(deadline=begun)
    for wanted in (signal.SIGINT, signal.SIGTERM):
        signal.signal(wanted, lambda _number, _frame: stop.asked.set())
    with removed_at_the_end(), postgres.server() as server:
        print(machine(), end="\n\n")
        print(f"| {' | '.join(COLUMNS)} |\n|{'---|' * len(COLUMNS)}", flush=True)
        for number, part in enumerate(chosen := parts(args)):
            # What is left of the time is shared among the parts that are left.
            left = begun + 60 * args.minutes - time.monotonic()
            stop.deadline = time.monotonic() + left / (len(chosen) - number)
            with ExitStack() as stack:
                folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="lg-workers-")))
                made = stack.enter_context(
                    fleet(
                        folder,
                        stack.enter_context(postgres.schema(server)),
                        repositories=args.repositories,
                        gateways=args.gateways,
                        delay_s=args.delay_s,
                        idle_s=args.idle_s,
                    )
                )
                row, good = part.measured(made, stop)
            print(row, flush=True)
            well = well and good
            if stop.asked.is_set():
                break
    return 0 if well else 1


if __name__ == "__main__":
    sys.exit(main())
