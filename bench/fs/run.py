"""Compare `lg-fs` with the npm filesystem server and with ripgrep, driven by the same client in the same run.

    python bench/fs/run.py --tree DIR [--files 50000] [--npm "COMMAND"] [--rg PATH] [--rounds 5] [--json FILE]

DIR is made when it does not exist. COMMAND starts the npm server and gets the tree as its last argument.
The arms take turns within each round, in alternating order: compare numbers of one run only.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shlex
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import anyio
from mcp import Client, StdioServerParameters, stdio_client

WORDS = ("alpha", "beta", "return", "import", "class", "def", "self", "value", "index", "buffer", "stream", "node")
EXTENSIONS = ("py", "py", "py", "ts", "ts", "md", "json", "txt")
REPEATS = {
    "read_4k": 60,
    "read_1m": 10,
    "list_1000": 15,
    "tree_250": 10,
    "tree_all": 1,
    "names": 2,
    "content": 2,
    "patch_20": 5,
}


@dataclass
class Arm:
    """One server: how it is started and how it does each operation (tool and arguments, one call after the other)."""

    name: str
    argv: list[str]
    calls: Mapping[str, Callable[[str], list[tuple[str, dict[str, Any]]]]]
    ms: dict[str, list[float]] = field(default_factory=dict)
    cpu_ms: dict[str, list[float]] = field(default_factory=dict)
    start_ms: list[float] = field(default_factory=list)
    idle_mb: list[float] = field(default_factory=list)
    peak_mb: list[float] = field(default_factory=list)


def make_tree(base: Path, files: int) -> None:
    """Write a tree like a large repository's, the same for the same number of files."""
    if (base / ".complete").exists():
        return
    chance = random.Random(7)
    bodies = [
        "\n".join(" ".join(chance.choices(WORDS, k=8)) for _ in range(chance.randrange(10, 80))) for _ in range(300)
    ]
    for number in range(files):
        folder = base / ("flat" if number < 1_000 else f"pkg{number // 250:03d}/sub{number % 5}")
        folder.mkdir(parents=True, exist_ok=True)
        planted = number % 1_000 == 500
        text = chance.choice(bodies) + f"\n# file {number}\n" + ("x = NEEDLE_7f3a\n" if planted else "")
        name = f"{'needle' if planted else 'mod'}_{number:05d}.{EXTENSIONS[number % len(EXTENSIONS)]}"
        (folder / name).write_text(text)
    (base / "hot").mkdir(exist_ok=True)
    line = "the quick brown fox jumps over the lazy dog\n"
    (base / "hot" / "read4k.txt").write_text((line * 100)[:4096])
    (base / "hot" / "read1m.txt").write_text((line * 30_000)[: 1 << 20])
    for number in range(20):
        (base / "hot" / f"patch{number}.txt").write_text("state 0\n" + line * 20)
    (base / ".complete").touch()


def ours(tree: Path, state: str) -> Arm:
    """`lg-fs` with its defaults."""

    def patch(state_before: str) -> list[tuple[str, dict[str, Any]]]:
        after = "1" if state_before == "0" else "0"
        body = "".join(
            f"*** Update File: hot/patch{n}.txt\n@@\n-state {state_before}\n+state {after}\n" for n in range(20)
        )
        return [("apply_patch", {"patch": f"*** Begin Patch\n{body}*** End Patch\n"})]

    return Arm(
        name="lg-fs",
        argv=[sys.executable, "-P", "-m", "lg_fs", "--root", str(tree), "--state-dir", state],
        calls={
            "read_4k": lambda _s: [("read_file", {"path": "hot/read4k.txt"})],
            "read_1m": lambda _s: [("read_file", {"path": "hot/read1m.txt"})],
            "list_1000": lambda _s: [("list_files", {"path": "flat"})],
            "tree_250": lambda _s: [("list_files", {"path": "pkg010", "recursive": True})],
            "tree_all": lambda _s: [("list_files", {"totals": True})],
            "names": lambda _s: [("list_files", {"recursive": True, "glob": "*needle*"})],
            "content": lambda _s: [("search_files", {"regex": "NEEDLE_[0-9a-f]{4}"})],
            "patch_20": patch,
        },
    )


def npm(tree: Path, command: str) -> Arm:
    """The reference server; it has no content search, and one edit call for each file."""

    def edits(before: str) -> list[tuple[str, dict[str, Any]]]:
        after = "1" if before == "0" else "0"
        change = {"oldText": f"state {before}", "newText": f"state {after}"}
        return [("edit_file", {"path": f"{tree}/hot/patch{n}.txt", "edits": [change]}) for n in range(20)]

    return Arm(
        name="npm",
        argv=[*shlex.split(command), str(tree)],
        calls={
            "read_4k": lambda _s: [("read_text_file", {"path": f"{tree}/hot/read4k.txt"})],
            "read_1m": lambda _s: [("read_text_file", {"path": f"{tree}/hot/read1m.txt"})],
            "list_1000": lambda _s: [("list_directory_with_sizes", {"path": f"{tree}/flat"})],
            "tree_250": lambda _s: [("directory_tree", {"path": f"{tree}/pkg010"})],
            "tree_all": lambda _s: [("directory_tree", {"path": str(tree)})],
            "names": lambda _s: [("search_files", {"path": str(tree), "pattern": "**/*needle*"})],
            "patch_20": edits,
        },
    )


def children(pid: int) -> list[int]:
    """The process's descendants."""
    found: list[int] = []
    for task in Path(f"/proc/{pid}/task").iterdir():
        for child in (task / "children").read_text().split():
            found += [int(child), *children(int(child))]
    return found


def memory_mb(pids: list[int]) -> tuple[float, float]:
    """Proportional set size now, and peak resident size, of all the processes."""
    now = peak = 0
    for pid in pids:
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            now += int(line.split()[1]) if line.startswith("Pss:") else 0
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            peak += int(line.split()[1]) if line.startswith("VmHWM:") else 0
    return now / 1024, peak / 1024


def cpu_ms(pids: list[int]) -> float:
    """User and system time of all the processes."""
    ticks = 0
    for pid in pids:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        ticks += int(fields[11]) + int(fields[12])
    return ticks * 1000 / os.sysconf("SC_CLK_TCK")


async def one_round(arm: Arm, only: set[str]) -> None:
    """Start the server, do everything, stop it."""
    before = set(children(os.getpid()))
    begin = time.perf_counter()
    transport = stdio_client(StdioServerParameters(command=arm.argv[0], args=arm.argv[1:], env=dict(os.environ)))
    async with Client(transport, read_timeout_seconds=600) as client:
        await client.list_tools()
        arm.start_ms.append((time.perf_counter() - begin) * 1e3)
        pids = [pid for pid in children(os.getpid()) if pid not in before]
        arm.idle_mb.append(memory_mb(pids)[0])
        for name, calls in arm.calls.items():
            if only and name not in only:
                continue
            state = "0"
            for repeat in range(REPEATS[name] + 1):
                used, start = cpu_ms(pids), time.perf_counter()
                for tool, arguments in calls(state):
                    result = await client.call_tool(tool, arguments)
                    if result.is_error:
                        raise RuntimeError(f"{arm.name} {name}: {result.content}")
                took = (time.perf_counter() - start) * 1e3
                state = "1" if state == "0" else "0"
                if repeat:  # the first call warms up
                    arm.ms.setdefault(name, []).append(took)
                    arm.cpu_ms.setdefault(name, []).append(cpu_ms(pids) - used)
            if name == "patch_20" and state == "1":
                for tool, arguments in calls(state):
                    await client.call_tool(tool, arguments)
        arm.peak_mb.append(memory_mb(pids)[1])


def ripgrep(binary: str, tree: Path) -> float:
    """Milliseconds of the same content search by `rg -j1`."""
    begin = time.perf_counter()
    command = [binary, "--no-config", "--hidden", "-j1", "-n", "-e", "NEEDLE_[0-9a-f]{4}", str(tree)]
    subprocess.run(command, capture_output=True, check=True)
    return (time.perf_counter() - begin) * 1e3


def percentile(values: list[float], part: float) -> float:
    """A percentile by rank."""
    return sorted(values)[min(len(values) - 1, round(part * (len(values) - 1)))]


def report(arms: list[Arm], rg: list[float]) -> dict[str, Any]:
    """All figures, as they are printed and kept."""
    out: dict[str, Any] = {}
    for arm in arms:
        out[arm.name] = {
            "start_ms": round(statistics.median(arm.start_ms)),
            "idle_mb": round(statistics.median(arm.idle_mb), 1),
            "peak_mb": round(max(arm.peak_mb), 1),
            "operations": {
                name: {
                    "p50_ms": round(percentile(values, 0.5), 2),
                    "p95_ms": round(percentile(values, 0.95), 2),
                    "cpu_ms": round(statistics.mean(arm.cpu_ms[name]), 1),
                    "n": len(values),
                }
                for name, values in arm.ms.items()
            },
        }
    if rg:
        out["rg -j1"] = {"content_p50_ms": round(percentile(rg, 0.5), 1), "content_min_ms": round(min(rg), 1)}
    return out


async def main() -> None:
    """Parse the command line and run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tree", type=Path, required=True)
    parser.add_argument("--files", type=int, default=50_000)
    parser.add_argument(
        "--npm", help="for example: node node_modules/@modelcontextprotocol/server-filesystem/dist/index.js"
    )
    parser.add_argument("--rg", default=shutil.which("rg"))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", default="", help="operations, comma-separated")
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    make_tree(args.tree, args.files)
    tree = args.tree.resolve()
    rg: list[float] = []
    with tempfile.TemporaryDirectory() as state:
        arms = [ours(tree, state), *([npm(tree, args.npm)] if args.npm else [])]
        for number in range(args.rounds):
            for arm in arms if number % 2 == 0 else arms[::-1]:
                await one_round(arm, set(filter(None, args.only.split(","))))
            if args.rg:
                rg.append(ripgrep(args.rg, tree))
    figures = report(arms, rg)
    print(json.dumps(figures, indent=1))
    if args.json:
        args.json.write_text(json.dumps(figures, indent=1) + "\n")


if __name__ == "__main__":
    anyio.run(main)
