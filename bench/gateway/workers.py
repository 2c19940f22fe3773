"""Calls a second over HTTP with one worker and with several: `python -m bench.gateway.workers [--workers N]`.

All sides run in one process group, interleaved. The clients are processes of their own, since one would be the
bottleneck. The reference is the gateway with one process. CPU is that of the gateway's whole process tree.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench.gateway.targets import config
from bench.machine import machine
from bench.startup.run import cpu_s, environment
from bench.summarize.run import proportional_set_mb, tree

CLIENT = """
import anyio, sys, time
from mcp.client import Client

async def main(url, at_once, seconds):
    done = 0

    async def caller():
        nonlocal done
        async with Client(url, mode="2026-07-28") as client:
            await client.call_tool("a__peek", {"text": "x"})
            until = time.monotonic() + seconds
            while time.monotonic() < until:
                await client.call_tool("a__peek", {"text": "x"})
                done += 1

    async with anyio.create_task_group() as tasks:
        for _ in range(at_once):
            tasks.start_soon(caller)
    print(done)

anyio.run(main, sys.argv[1], int(sys.argv[2]), float(sys.argv[3]))
"""


@contextmanager
def gateway(place: Path, workers: int) -> Iterator[tuple[str, int]]:
    """Run a gateway with so many workers; yields its address and process."""
    place.mkdir()
    settings = config(place, everything=True)
    argv = [sys.executable, "-P", "-m", "lg_gateway", "serve", "--transport", "http", "--no-login"]
    argv += ["--config", str(settings), "--workers", str(workers)]
    process = subprocess.Popen(argv, stderr=subprocess.PIPE, text=True, env=environment(str(place)))
    try:
        if process.stderr is None:
            raise RuntimeError("the pipes of a process that was started with pipes are missing")
        found = next(match for line in process.stderr if (match := re.search(r"listening on (\S+)", line)))
        yield found[1], process.pid
    finally:
        process.terminate()
        process.wait(60)


def measured(url: str, pid: int, args: argparse.Namespace) -> dict[str, float]:
    """Return calls a second, CPU milliseconds a call and MB of the tree."""
    command = [sys.executable, "-P", "-c", CLIENT, url, str(args.at_once // args.clients)]
    subprocess.run([*command, "1"], stdout=subprocess.DEVNULL, check=True)  # every worker has started
    command.append(str(args.seconds))
    before, began = cpu_s(list(tree(pid))), time.monotonic()
    clients = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(args.clients)]
    calls = sum(int(client.communicate()[0]) for client in clients)
    pids = list(tree(pid))
    used = cpu_s(pids) - before
    return {
        "calls/s": calls / min(args.seconds, time.monotonic() - began),
        "CPU ms a call": 1000 * used / max(1, calls),
        "memory MB": sum(map(proportional_set_mb, pids)),
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="bench.gateway.workers", description="Calls a second by number of workers.")
    parser.add_argument("--workers", type=int, default=2, metavar="N", help="the most workers (default: 2)")
    parser.add_argument("--at-once", type=int, default=32, metavar="N", help="calls at once (default: 32)")
    parser.add_argument("--clients", type=int, default=2, metavar="N", help="client processes (default: 2)")
    parser.add_argument("--seconds", type=float, default=5, metavar="S", help="seconds for each figure (default: 5)")
    parser.add_argument("--rounds", type=int, default=3, metavar="N", help="rounds (default: 3)")
    args = parser.parse_args()
    found: dict[int, list[dict[str, float]]] = {number: [] for number in range(1, args.workers + 1)}
    before = os.getloadavg()[0]
    with tempfile.TemporaryDirectory() as folder:
        for round_number in range(args.rounds):
            for number, figures in found.items():
                with gateway(Path(folder) / f"{round_number}-{number}", number) as (url, pid):
                    figures.append(measured(url, pid, args))
    print(f"{machine()}; load before: {before:.1f}; {json.dumps(vars(args))}\n")
    names = list(found[1][0])
    print("| workers |", " | ".join(names), "| calls/s to one |\n|---|" + "---|" * (len(names) + 1))
    medians = {n: [statistics.median(one[name] for one in figures) for name in names] for n, figures in found.items()}
    for number, values in medians.items():
        print(f"| {number} |", " | ".join(f"{value:.1f}" for value in values), f"| {values[0] / medians[1][0]:.2f} |")


if __name__ == "__main__":
    main()
