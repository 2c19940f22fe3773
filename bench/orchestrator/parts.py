"""What of a step is the model's call and what the tool's, and how long a resume takes.

`python -m bench.orchestrator.parts [--steps N] [--context N]`. CPU is that of the `lg-orch` process, from the kernel's
scheduler, read when the program prints that a call begins or ends; what passes until it is read counts to the next
part. The gateway and the model are other processes. A resume follows a SIGKILL: seconds until its first node begins,
beside those of a run that begins anew.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Generator
from contextlib import closing
from pathlib import Path
from typing import Any

from bench.orchestrator.steps import REQUEST, model, place

PARTS = ("model", "tool", "rest")


def cpu_ms(pid: int) -> float:
    """Milliseconds that all threads of a process ran so far."""
    total = 0
    for task in Path(f"/proc/{pid}/task").iterdir():
        try:
            total += int((task / "schedstat").read_text().split()[0])
        except (FileNotFoundError, ProcessLookupError):
            continue  # the thread has just ended
    return total / 1e6


Told = Generator[tuple[dict[str, Any], float, int], None, None]


def events(command: list[str], flags: list[str], env: dict[str, str]) -> Told:
    """Each event with the seconds since the start, and the process; whoever stops reading kills it."""
    argv = [sys.executable, "-P", "-m", "lg_orch", *command, *flags]
    begun = time.monotonic()
    with subprocess.Popen(argv, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stderr is not None
            for line in process.stderr:
                if line.startswith("{"):
                    yield json.loads(line), time.monotonic() - begun, process.pid
        finally:
            process.kill()


def is_step(event: dict[str, Any], phase: str) -> bool:
    named = str(event["data"].get("call_id", "")).startswith("m")
    return event["phase"] == phase and (event["kind"] == "model" or (event["kind"] == "tool" and named))


def split(told: Told, steps: int) -> tuple[list[dict[str, float]], float]:
    """CPU of each step by its parts, and the seconds until the first node began. The run is killed after the last."""
    found: list[dict[str, float]] = []
    current = dict.fromkeys(PARTS, 0.0)
    started, last = 0.0, 0.0
    with closing(told):
        for event, seconds, pid in told:
            if not started and event["kind"] == "node" and event["name"] != "run":
                started, last = seconds, cpu_ms(pid)
            begins, ends = is_step(event, "begin"), is_step(event, "end")
            if not begins and not ends:
                continue
            now = cpu_ms(pid)
            current["rest" if begins else event["kind"]] += now - last
            last = now
            if ends and event["kind"] == "tool":
                found.append(current)
                current = dict.fromkeys(PARTS, 0.0)
                if len(found) == steps:
                    break
    return found, started


def resumed(told: Told) -> float:
    """Seconds until the killed run's next node begins."""
    with closing(told):
        return next(s for event, s, _ in told if event["kind"] == "node" and event["name"] != "run")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=500)
    parser.add_argument("--context", type=int, default=16_000, help="tokens that one request may have (16000)")
    args = parser.parse_args()
    print("| steps | model call ms | tool call ms | rest ms | a run begins after s | a resume after s |")
    print("|---|---|---|---|---|---|")
    for steps in sorted({min(50, args.steps), args.steps}):
        with tempfile.TemporaryDirectory(prefix="lg-bench-") as folder, model("fs__read_file", steps + 10) as address:
            flags, env = place(Path(folder), address, steps + 10, args.context)
            found, started = split(events(["run", REQUEST], flags, env), steps)
            last = found[len(found) // 2 :]
            means = [sum(step[part] for step in last) / len(last) for part in PARTS]
            times = f"{started:.2f} | {resumed(events(['resume', 'last'], flags, env)):.2f}"
            print(f"| {len(found) - len(last) + 1} to {len(found)} | " + " | ".join(f"{m:.1f}" for m in means), end="")
            print(f" | {times} |", flush=True)


if __name__ == "__main__":
    main()
