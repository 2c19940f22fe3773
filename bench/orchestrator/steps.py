"""What a step costs without the model's time: `python -m bench.orchestrator.steps [--steps N]` prints two tables.

A step is one request to a scripted model and one call of a reading tool, made by the installed program through its own
gateway. CPU is the program's own process alone, from the kernel, when each step ends; the model is in another process.
The reference does the same with LangChain's `create_agent`, one local tool that reads the same files, and LangGraph's
SQLite checkpoints.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

TICKS = os.sysconf("SC_CLK_TCK")
HERE = Path(__file__).parent
FILES = 40
TIMEOUT_S = 1_800
REQUEST = "where is part7 mentioned?"


@dataclass(frozen=True, kw_only=True)
class Point:
    """The program after a step."""

    step: int
    cpu_s: float
    rss_mb: float


def point(step: int, pid: int) -> Point:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    cpu = (int(fields[11]) + int(fields[12])) / TICKS
    return Point(step=step, cpu_s=cpu, rss_mb=int(fields[21]) * os.sysconf("SC_PAGE_SIZE") / 1e6)


@contextmanager
def model(tool: str, steps: int) -> Iterator[str]:
    """The scripted model in a process of its own; yields its address."""
    argv = [sys.executable, "-m", "bench.orchestrator.reader", tool, str(steps)]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        yield process.stdout.readline().strip()
        process.terminate()


def project(root: Path) -> Path:
    root.mkdir()
    for number in range(FILES):
        (root / f"part{number}.txt").write_text("".join(f"part {number}, line {line}\n" for line in range(30)))
    return root


def place(scratch: Path, address: str, steps: int, context: int) -> tuple[list[str], dict[str, str]]:
    """A project and settings for a run of so many steps: the program's flags, and its environment."""
    root, settings = project(scratch / "project"), scratch / "settings.toml"
    settings.write_text(
        f'[models.default]\nprovider = "openai"\nmodel = "scripted"\nbase_url = "{address}"\n'
        f"context_tokens = {context}\n"
        f"[budgets]\nmax_loops = {steps // 10 + 2}\nmax_tokens = 1_000_000_000\n"
    )
    flags = ["--json", "--config", str(settings), "--repo-root", str(root), "--state-dir", str(scratch / "state")]
    env = {name: value for name, value in os.environ.items() if not name.startswith("LG_")}
    return flags, env | {"XDG_CONFIG_HOME": str(scratch / "config"), "XDG_STATE_HOME": str(scratch / "xdg")}


def ours(scratch: Path, steps: int, context: int) -> tuple[list[Point], Path]:
    """Run the program; returns a point for each step, and the run's directory."""
    with model("fs__read_file", steps) as address:
        flags, env = place(scratch, address, steps, context)
        argv = [sys.executable, "-P", "-m", "lg_orch", "run", REQUEST, *flags]
        points = read(argv, env, lambda event: event["kind"] == "tool" and event["phase"] == "end" and step_of(event))
    [run] = (scratch / "state" / "runs").iterdir()
    return points, run


def step_of(event: dict[str, Any]) -> bool:
    return str(event["data"]["call_id"]).startswith("m")


def reference(scratch: Path, steps: int) -> list[Point]:
    root = project(scratch / "reference")
    with model("read_file", steps) as address:
        argv = [sys.executable, "-P", str(HERE / "reference.py"), str(root), address, str(scratch / "reference.sqlite")]
        return read(argv, dict(os.environ), lambda event: event.get("kind") == "step")


def read(argv: list[str], env: dict[str, str], counts: Any) -> list[Point]:
    points: list[Point] = []
    with subprocess.Popen(argv, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        rest: list[str] = []
        for line in process.stderr:
            event = json.loads(line) if line.startswith("{") else None
            if event is None:
                rest.append(line)
            elif counts(event):
                points.append(point(len(points) + 1, process.pid))
    if process.returncode != 0:
        raise RuntimeError(f"{argv[3:5]} ended with {process.returncode}: {''.join(rest)[-2000:]}")
    return points


def per_step(points: list[Point], first: int, last: int) -> float:
    """CPU milliseconds of one step between two steps."""
    return (points[last - 1].cpu_s - points[first - 1].cpu_s) * 1000 / (last - first)


def steps_table(own: list[Point], other: list[Point], steps: int) -> None:
    print(
        "| steps | lg-orch CPU ms a step | create_agent CPU ms a step | ratio | lg-orch RSS MB | create_agent RSS MB |"
    )
    print("|---|---|---|---|---|---|")
    edges = [edge for edge in (10, 100, 200, 300, 400, 500) if edge < steps] + [steps]
    for first, last in itertools.pairwise(edges):
        mine, theirs = per_step(own, first, last), per_step(other, first, last)
        memory = f"{own[last - 1].rss_mb:.0f} | {other[last - 1].rss_mb:.0f}"
        print(f"| {first} to {last} | {mine:.1f} | {theirs:.1f} | {mine / theirs:.2f} | {memory} |")


def size(paths: Iterable[Path]) -> int:
    return sum(path.stat().st_size for path in paths if path.is_file())


def sizes_table(run: Path, other: Path, steps: int) -> None:
    rows = {
        "checkpoints of lg-orch": size(run.glob("checkpoints.*")),
        "journal of lg-orch": size([run / "journal.jsonl"]),
        "results of lg-orch": size((run / "results").iterdir()),
        "checkpoints of create_agent": size(other.parent.glob(other.name + "*")),
    }
    print(f"\n| after {steps} steps | bytes | bytes a step |\n|---|---|---|")
    for name, total in rows.items():
        print(f"| {name} | {total:,} | {total // steps:,} |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=500)
    parser.add_argument("--context", type=int, default=60_000, help="tokens that one request may have (60000)")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="lg-bench-") as folder:
        scratch = Path(folder)
        own, run = ours(scratch, args.steps, args.context)
        other = reference(scratch, args.steps)
        steps_table(own, other, min(len(own), len(other)))
        sizes_table(run, scratch / "reference.sqlite", len(own))


if __name__ == "__main__":
    main()
