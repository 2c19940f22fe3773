"""Measure how long the programs take to be ready: `python -m bench.startup.run [--rounds N] [--other PYTHON]`.

Per round, interleaved: the wall clock from starting a program to its first answer to `tools/list`, and then the CPU
and the memory of its whole process tree (proportional set size) and of the program itself (resident set size). The
reference of the same round is a server of one tool, written with the SDK as its tutorial shows. `lg-orch run` answers
a question about a small repository; its memory is that of the tree once it is connected to its gateway. `--other` names
the interpreter of a second environment, such as that of an earlier version: each of its rows stands beside ours.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from bench.summarize.run import proportional_set_mb, tree

REFERENCE = "a server of the MCP SDK"
DIRECT = "from mcp.server import MCPServer\nserver = MCPServer('x')\n@server.tool()\ndef echo(text: str) -> str:\n"
DIRECT += "    return text\nserver.run('stdio')"
RUN = "lg-orch run"
HELP = "lg-orch --help"
SERVERS = ("lg_fs", "lg_exec", "lg_gateway")
HELLO = {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "bench", "version": "1"}}
TOOLS_LIST = 2


@dataclass(frozen=True, kw_only=True)
class Measured:
    """One start: seconds until it was ready, seconds of CPU and MiB of its tree by then, and its own resident MiB."""

    wall: float
    cpu: float
    memory_mb: float
    resident_mb: float


def cpu_s(pids: list[int]) -> float:
    """Return the CPU seconds of living processes, of children that they waited for too."""
    total = 0
    for pid in pids:
        try:
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        total += sum(int(field) for field in fields[11:15])
    return total / os.sysconf("SC_CLK_TCK")


def resident_mb(pid: int) -> float:
    """Return the resident set size of a process."""
    found = next(line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("VmRSS"))
    return int(found.split()[1]) / 1024


def start_server(argv: list[str], root: Path, environ: dict[str, str]) -> Measured:
    """Start a server, say hello in the handshake era, list its tools, end it."""
    began = time.perf_counter()
    with subprocess.Popen(
        argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=environ, cwd=root.parent
    ) as process:
        if process.stdin is None or process.stdout is None:
            raise RuntimeError("the pipes of a process that was started with pipes are missing")
        messages = (
            {"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": HELLO},
            {"jsonrpc": "2.0", "method": "notifications/initialized"},
            {"jsonrpc": "2.0", "id": TOOLS_LIST, "method": "tools/list"},
        )
        process.stdin.write(b"".join(json.dumps(message).encode() + b"\n" for message in messages))
        process.stdin.flush()
        while json.loads(process.stdout.readline()).get("id") != TOOLS_LIST:
            pass
        wall = time.perf_counter() - began
        pids = list(tree(process.pid))
        memory = sum(map(proportional_set_mb, pids))
        found = Measured(wall=wall, cpu=cpu_s(pids), memory_mb=memory, resident_mb=resident_mb(process.pid))
        process.stdin.close()
        process.wait(30)
    return found


def run_to_end(argv: list[str], environ: dict[str, str]) -> Measured:
    """Run a program that ends by itself."""
    began = time.perf_counter()
    process = subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environ)
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RuntimeError(f"{argv} ended with status {process.returncode}")
    wall = time.perf_counter() - began
    most = used.ru_maxrss / 1024
    return Measured(wall=wall, cpu=used.ru_utime + used.ru_stime, memory_mb=most, resident_mb=most)


def orchestrator_run(python: str, root: Path, environ: dict[str, str]) -> Measured:
    """Let `lg-orch run` answer a question; its memory is measured when it is connected, its CPU at the end."""
    argv = [python, "-P", "-m", "lg_orch", "run", "where is found defined?", "--json", "--repo-root", str(root)]
    began = time.perf_counter()
    process = subprocess.Popen(
        argv, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, env=environ, text=True
    )
    if process.stderr is None:
        raise RuntimeError("the pipe of a process that was started with one is missing")
    memory = resident = 0.0
    for line in process.stderr:
        if not memory and json.loads(line).get("phase") == "connected":
            memory = sum(map(proportional_set_mb, tree(process.pid)))
            resident = resident_mb(process.pid)
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RuntimeError(f"{argv} ended with status {process.returncode}")
    wall = time.perf_counter() - began
    return Measured(wall=wall, cpu=used.ru_utime + used.ru_stime, memory_mb=memory, resident_mb=resident)


def one_round(python: str, folder: Path, environ: dict[str, str]) -> dict[str, Measured]:
    """Measure everything once with one interpreter."""
    root = folder / "root"
    root.mkdir(exist_ok=True)
    (root / "README.md").write_text("# A root\n")
    (root / "a.py").write_text("def found() -> int:\n    return 1\n")
    found = {
        REFERENCE: start_server([python, "-P", "-c", DIRECT], root, environ),
        HELP: run_to_end([python, "-P", "-m", "lg_orch", "--help"], environ),
        RUN: orchestrator_run(python, root, environ),
    }
    for name in SERVERS:
        found[name] = start_server([python, "-P", "-m", name, "--root", str(root)], root, environ)
    return found


def median(rounds: list[dict[str, Measured]], name: str, field: str) -> float:
    """Return the median of a figure over the rounds."""
    figures: list[float] = [getattr(measured[name], field) for measured in rounds]
    return statistics.median(figures)


def table(ours: list[dict[str, Measured]], others: list[dict[str, Measured]]) -> str:
    """Return the figures as a Markdown table; the ratios are of the figures of one run."""
    fields = ("wall", "cpu", "memory_mb", "resident_mb")
    heads = ["program", "wall s", "x SDK", "CPU s", "tree MiB (PSS)", "own MiB (RSS)"]
    heads += ["wall, ours/other", "CPU", "tree", "own"] if others else []
    lines = [f"| {' | '.join(heads)} |", "|---" * len(heads) + "|"]
    base = median(ours, REFERENCE, "wall")
    for name in (REFERENCE, HELP, RUN, *SERVERS):
        wall, cpu, memory, own = (median(ours, name, field) for field in fields)
        line = f"| {name} | {wall:.2f} | {wall / base:.2f} | {cpu:.2f} | {memory:.0f} | {own:.0f} |"
        if others:
            ratios = (median(ours, name, field) / median(others, name, field) for field in fields)
            line += " " + " | ".join(f"{ratio:.2f}" for ratio in ratios) + " |"
        lines.append(line)
    return "\n".join(lines)


def environment(folder: str) -> dict[str, str]:
    """Return an environment whose state lies in a folder: versions of the store do not meet."""
    homes = {f"XDG_{name}_HOME": f"{folder}/{name.lower()}" for name in ("STATE", "CONFIG", "CACHE", "DATA")}
    return {"PATH": os.environ["PATH"], "HOME": folder} | homes


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="bench.startup.run", description="Measure how long programs take to start.")
    parser.add_argument("--rounds", type=int, default=5, metavar="N", help="rounds to take the median of (default: 5)")
    parser.add_argument("--other", metavar="PYTHON", help="interpreter of a second environment to compare with")
    args = parser.parse_args()
    ours: list[dict[str, Measured]] = []
    others: list[dict[str, Measured]] = []
    with tempfile.TemporaryDirectory() as own, tempfile.TemporaryDirectory() as other:
        for number in range(args.rounds + 1):
            measured = [(ours, one_round(sys.executable, Path(own), environment(own)))]
            if args.other:
                measured.append((others, one_round(args.other, Path(other), environment(other))))
            for kept, figures in measured if number else ():  # the first round only warms up
                kept.append(figures)
    print(f"load of the last minute: {os.getloadavg()[0]:.1f}\n")
    print(table(ours, others))


if __name__ == "__main__":
    main()
