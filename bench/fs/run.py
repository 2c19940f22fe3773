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
from collections.abc import Awaitable, Callable, Mapping
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
    "list_all": 1,
    "totals": 1,
    "names": 3,
    "content": 3,
    "patch_20": 5,
}

Operation = Callable[[Client, str], Awaitable[None]]
"""Does its work through a client. The text is the state, "0" or "1", that the files to patch are in before."""


@dataclass
class Arm:
    """One server: how it is started and how it does each operation."""

    name: str
    argv: list[str]
    operations: Mapping[str, Operation]
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


async def call(client: Client, tool: str, arguments: dict[str, Any]) -> dict[str, Any]:
    """Call a tool; its structured result. Raises `RuntimeError` for an error result: then the figures mean nothing."""
    result = await client.call_tool(tool, arguments)
    if result.is_error:
        raise RuntimeError(f"{tool} {arguments}: {result}")
    answer = result.structured_content
    return answer if isinstance(answer, dict) else {}


def once(tool: str, **arguments: Any) -> Operation:
    """An operation that is one call."""

    async def operation(client: Client, _state: str) -> None:
        await call(client, tool, arguments)

    return operation


async def list_all(client: Client, _state: str) -> None:
    """Every entry of the tree, page by page."""
    page = await call(client, "list_files", {"recursive": True})
    while page["next_cursor"]:
        page = await call(client, "list_files", {"recursive": True, "cursor": page["next_cursor"]})


async def patch(client: Client, before: str) -> None:
    """Twenty files in one patch."""
    after = "1" if before == "0" else "0"
    body = "".join(f"*** Update File: hot/patch{n}.txt\n@@\n-state {before}\n+state {after}\n" for n in range(20))
    await call(client, "apply_patch", {"patch": f"*** Begin Patch\n{body}*** End Patch\n"})


def ours(tree: Path, state: Path) -> list[Arm]:
    """`lg-fs` with its defaults; and once more for the patch, not synced to disk, as the npm server's are not."""
    argv = [sys.executable, "-P", "-m", "lg_fs", "--root", str(tree), "--state-dir", str(state / "synced")]
    unsynced = state / "unsynced.toml"
    unsynced.write_text("[fs]\ndurable = false\n")
    operations = {
        "read_4k": once("read_file", path="hot/read4k.txt"),
        "read_1m": once("read_file", path="hot/read1m.txt"),
        "list_1000": once("list_files", path="flat"),
        "tree_250": once("list_files", path="pkg010", recursive=True),
        "list_all": list_all,
        "totals": once("list_files", totals=True),
        "names": once("list_files", recursive=True, glob="*needle*"),
        "content": once("search_files", regex="NEEDLE_[0-9a-f]{4}"),
        "patch_20": patch,
    }
    other = [*argv[:-1], str(state / "unsynced"), "--config", str(unsynced)]
    return [
        Arm(name="lg-fs", argv=argv, operations=operations),
        Arm(name="lg-fs, durable = false", argv=other, operations={"patch_20": patch}),
    ]


def npm(tree: Path, command: str) -> Arm:
    """The reference server; it has no content search, no totals, and one edit call for each file."""

    async def edits(client: Client, before: str) -> None:
        after = "1" if before == "0" else "0"
        for n in range(20):
            change = {"oldText": f"state {before}", "newText": f"state {after}"}
            await call(client, "edit_file", {"path": f"{tree}/hot/patch{n}.txt", "edits": [change]})

    return Arm(
        name="npm",
        argv=[*shlex.split(command), str(tree)],
        operations={
            "read_4k": once("read_text_file", path=f"{tree}/hot/read4k.txt"),
            "read_1m": once("read_text_file", path=f"{tree}/hot/read1m.txt"),
            "list_1000": once("list_directory_with_sizes", path=f"{tree}/flat"),
            "tree_250": once("directory_tree", path=f"{tree}/pkg010"),
            "list_all": once("directory_tree", path=str(tree)),
            "names": once("search_files", path=str(tree), pattern="**/*needle*"),
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
    """Time that all threads of the processes spent on a CPU."""
    spent = 0
    for pid in pids:
        for task in Path(f"/proc/{pid}/task").iterdir():
            spent += int((task / "schedstat").read_text().split()[0])
    return spent / 1e6


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
        for name, operation in arm.operations.items():
            if only and name not in only:
                continue
            state = "0"
            for repeat in range(REPEATS[name] + 1):
                used, start = cpu_ms(pids), time.perf_counter()
                await operation(client, state)
                took = (time.perf_counter() - start) * 1e3
                state = "1" if state == "0" else "0"
                if repeat:  # the first call warms up
                    arm.ms.setdefault(name, []).append(took)
                    arm.cpu_ms.setdefault(name, []).append(cpu_ms(pids) - used)
            if name == "patch_20" and state == "1":
                await operation(client, state)
        arm.peak_mb.append(memory_mb(pids)[1])


def ripgrep(binary: str, tree: Path) -> tuple[float, float]:
    """Milliseconds, by the clock and of CPU, of the same content search by `rg -j1`."""
    before, begin = os.times(), time.perf_counter()
    command = [binary, "--no-config", "--hidden", "-j1", "-n", "-e", "NEEDLE_[0-9a-f]{4}", str(tree)]
    subprocess.run(command, capture_output=True, check=True)
    took, after = time.perf_counter() - begin, os.times()
    used = after.children_user + after.children_system - before.children_user - before.children_system
    return took * 1e3, used * 1e3


def percentile(values: list[float], part: float) -> float:
    """A percentile by rank."""
    return sorted(values)[min(len(values) - 1, round(part * (len(values) - 1)))]


def report(arms: list[Arm], rg: list[tuple[float, float]]) -> dict[str, Any]:
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
                    "cpu_ms": round(statistics.mean(arm.cpu_ms[name]), 2),
                    "n": len(values),
                }
                for name, values in arm.ms.items()
            },
        }
    if rg:
        times = [took for took, _ in rg]
        out["rg -j1"] = {
            "p50_ms": round(percentile(times, 0.5), 1),
            "p95_ms": round(percentile(times, 0.95), 1),
            "cpu_ms": round(statistics.mean(used for _, used in rg), 1),
            "n": len(rg),
        }
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
    rg: list[tuple[float, float]] = []
    with tempfile.TemporaryDirectory() as state:
        arms = [*ours(tree, Path(state)), *([npm(tree, args.npm)] if args.npm else [])]
        for number in range(args.rounds):
            for arm in arms if number % 2 == 0 else arms[::-1]:
                await one_round(arm, set(filter(None, args.only.split(","))))
            if args.rg:
                rg += [ripgrep(args.rg, tree) for _ in range(REPEATS["content"])]
    figures = report(arms, rg)
    print(json.dumps(figures, indent=1))
    if args.json:
        args.json.write_text(json.dumps(figures, indent=1) + "\n")


if __name__ == "__main__":
    anyio.run(main)
