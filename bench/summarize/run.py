"""Measure `lg-orch run "summarize repo"` as a user sees it: `python -m bench.summarize.run [--files N] [--rounds N]`.

Per round, interleaved: the whole process tree's wall clock, CPU (waited-for children included) and peak memory (sum of
proportional set sizes, sampled), the time to the first line of progress, and two references in the same round: a bare
interpreter that imports what the programs import, and a bare walk that reads every file once.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.summarize.generate import generate

SAMPLE_S = 0.1
IMPORTS = "import mcp, langchain.mcp, langgraph.graph"
WALK = "import os,sys\nfor d,_,n in os.walk(sys.argv[1]):\n    for f in n: open(os.path.join(d,f),'rb').read()"


@dataclass(frozen=True, kw_only=True)
class Measured:
    """One run. Times in seconds, memory in MiB."""

    wall: float
    cpu: float
    peak_mb: float
    first_line: float
    status: int


def tree(pid: int) -> Iterator[int]:
    """Yield a process and all below it."""
    yield pid
    with contextlib.suppress(OSError):
        for task in os.listdir(f"/proc/{pid}/task"):
            for child in Path(f"/proc/{pid}/task/{task}/children").read_text().split():
                yield from tree(int(child))


def proportional_set_mb(pid: int) -> float:
    """Return the memory of a process, shared pages divided among their users; 0 if it is gone."""
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) / 1024
    return 0.0


def measure(argv: Sequence[str], environment: dict[str, str], cwd: Path) -> Measured:
    """Run a command to its end and measure its whole tree."""
    start = time.monotonic()
    process = subprocess.Popen(argv, env=environment, cwd=cwd, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    stderr = process.stderr
    if stderr is None:
        raise RuntimeError("stderr was asked for as a pipe")
    peak, first, done = 0.0, 0.0, threading.Event()

    def sample() -> None:
        nonlocal peak
        while not done.wait(SAMPLE_S):
            peak = max(peak, sum(proportional_set_mb(pid) for pid in set(tree(process.pid))))

    sampler = threading.Thread(target=sample)
    sampler.start()
    for _line in stderr:
        first = first or time.monotonic() - start
    _, status, usage = os.wait4(process.pid, 0)
    wall = time.monotonic() - start
    process.returncode = os.waitstatus_to_exitcode(status)
    done.set()
    sampler.join()
    cpu = usage.ru_utime + usage.ru_stime
    return Measured(wall=wall, cpu=cpu, peak_mb=peak, first_line=first, status=process.returncode)


def show(name: str, rounds: Sequence[Measured], reference: float) -> None:
    """Print one row: medians, and the ratio of CPU to the reference's."""
    wall, cpu = statistics.median(r.wall for r in rounds), statistics.median(r.cpu for r in rounds)
    peak, first = max(r.peak_mb for r in rounds), statistics.median(r.first_line for r in rounds)
    best = min(r.wall for r in rounds)
    print(f"| {name} | {wall:.2f} | {best:.2f} | {cpu:.2f} | {cpu / reference:.2f} | {peak:.0f} | {first:.2f} |")


def main() -> int:
    """Measure and print a Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--files", type=int, default=5000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--repo", type=Path, help="measure on this repository instead of a generated one")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as home:
        repo = arguments.repo or Path(tempfile.gettempdir()) / f"lg-bench-{arguments.files}"
        if arguments.repo is None:
            generate(repo, arguments.files)
        environment = {k: v for k, v in os.environ.items() if not k.startswith(("LG_", "XDG_"))}
        environment |= {"XDG_STATE_HOME": f"{home}/state", "XDG_CONFIG_HOME": f"{home}/config"}
        program = shutil.which("lg-orch", path=str(Path(sys.executable).parent))
        if program is None:
            parser.error("lg-orch is not installed beside this interpreter")
        python = [sys.executable, "-P", "-W", "ignore", "-c"]
        commands: dict[str, list[str]] = {
            "reference: imports alone": [*python, IMPORTS],
            "reference: read every file once": [*python, WALK, str(repo)],
            "lg-orch --help": [program, "--help"],
            "lg-orch run": [program, "run", "summarize repo", "--repo-root", str(repo)],
        }
        results: dict[str, list[Measured]] = {name: [] for name in commands}
        for index in range(arguments.rounds + 1):
            for name, argv in commands.items():
                measured = measure(argv, environment, Path(home))
                if measured.status != 0:
                    parser.error(f"{name} ended with status {measured.status}")
                if index:  # the first round warms the caches
                    results[name].append(measured)
    print("| | wall s, median | wall s, best | CPU s | CPU / imports | peak MiB | first line s |")
    print("|---|---|---|---|---|---|---|")
    reference = statistics.median(r.cpu for r in results["reference: imports alone"])
    for name, rounds in results.items():
        show(name, rounds, reference)
    return 0


if __name__ == "__main__":
    sys.exit(main())
