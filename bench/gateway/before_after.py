"""What changed since another version: `python -m bench.gateway.before_after CLONE` prints one table, in a few minutes.

CLONE is a clone of the version before. Both versions run with the packages of this environment, side by side and with a
direct connection and a bare relay, in interleaved rounds.
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

import anyio

from bench.gateway.run import Measured, measured
from bench.gateway.targets import Target, code_of, config, ours, targets
from bench.growth.gateways import lists
from bench.machine import machine

SERVERS = 20
READ, EFFECT = "everything on", "everything on, an effect"
BEFORE = "before: "
Value = Callable[[dict[str, Measured], str], float]


def made(place: Path, front: str, clone: Path, url: str | None) -> list[Target]:
    """Return the targets of both versions."""
    now = [target for target in targets(place, front, [], url) if target.name != "everything off"]
    files = {READ: config(place, everything=True, url=url), EFFECT: place / "effects.toml"}
    # Files of their own: the processes of the two versions are told apart by their command lines.
    files = {name: Path(shutil.copy(path, path.with_name(f"before-{path.name}"))) for name, path in files.items()}
    before = [(ours(place, front, f"{READ} {BEFORE}{name}", path, clone), name) for name, path in files.items()]
    tools = {READ: "peek", EFFECT: "echo"}
    return now + [_named(target, BEFORE + name, tools[name]) for target, name in before]


def _named(target: Target, name: str, tool: str) -> Target:
    return Target(
        name=name,
        front=target.front,
        command=target.command,
        environment=target.environment,
        token=target.token,
        tool=tool,
    )


def to_direct(at_once: int, seen: dict[str, Measured], name: str) -> float:
    """Return the time of a call, as a ratio to a direct one."""
    return seen[name].p50(at_once) / seen["direct"].p50(at_once)


def rate_to_direct(seen: dict[str, Measured], name: str) -> float:
    """Return calls a second at 32, as a ratio to a direct connection."""
    return seen[name].rate(32) / seen["direct"].rate(32)


def cpu(at_once: int, seen: dict[str, Measured], name: str) -> float:
    """Return the milliseconds of CPU that a call takes."""
    return seen[name].cpu(at_once)


def cpu_to_bare(at_once: int, seen: dict[str, Measured], name: str) -> float:
    """Return the CPU of a call, as a ratio to that of a bare relay."""
    return seen[name].cpu(at_once) / seen["bare SDK"].cpu(at_once)


def started(seen: dict[str, Measured], name: str) -> float:
    """Return the seconds to a first list."""
    return seen[name].started_s


def memory(seen: dict[str, Measured], name: str) -> float:
    """Return the resident memory in megabytes."""
    return seen[name].memory_mb or 0.0


ROWS: tuple[tuple[str, str, str, Value, str], ...] = (
    ("stdio", READ, "stdio: p50 of a read ÷ direct", partial(to_direct, 1), "≤ 1.6"),
    ("stdio", EFFECT, "stdio: p50 of an effect ÷ direct", partial(to_direct, 1), "≤ 1.6 and one fsync"),
    ("stdio", READ, "stdio: CPU ms of a read", partial(cpu, 1), "≤ 1.2"),
    ("stdio", READ, "stdio: CPU ÷ bare SDK", partial(cpu_to_bare, 1), ""),
    ("stdio", READ, "stdio: CPU ÷ bare SDK, 32 at once", partial(cpu_to_bare, 32), ""),
    ("stdio", READ, "stdio: calls/s at 32 ÷ direct", rate_to_direct, "≥ 0.9"),
    ("http-http", READ, "HTTP: p50 of a read ÷ direct", partial(to_direct, 1), "≤ 1.9"),
    ("http-http", READ, "HTTP: CPU ms of a read", partial(cpu, 1), "≤ 3"),
    ("http-http", READ, "HTTP: CPU ÷ bare SDK", partial(cpu_to_bare, 1), ""),
    ("http-http", READ, "HTTP: calls/s at 32 ÷ direct", rate_to_direct, "≥ 0.6"),
    ("stdio", READ, "start to the first list, s", started, "direct + 0.2"),
    ("stdio", READ, "RSS MB", memory, "≤ 60"),
)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="bench.gateway.before_after", description=__doc__)
    parser.add_argument("clone", type=Path, help="a clone of the version before")
    parser.add_argument("--calls", type=int, default=192, help="calls of each target in each round")
    parser.add_argument("--rounds", type=int, default=4)
    args = parser.parse_args()
    clone: Path = args.clone.resolve()
    seen: dict[str, dict[str, Measured]] = {}
    for ways in ("stdio", "http-http"):
        with tempfile.TemporaryDirectory() as folder:
            made_for = partial(made, Path(folder), ways.partition("-")[0], clone)
            seen[ways] = anyio.run(measured, made_for, ways, args.rounds, args.calls)
    listed = {}
    for name, code in (("before", code_of(clone)), ("now", None)):
        with tempfile.TemporaryDirectory() as folder:
            listed[name] = anyio.run(lists, Path(folder), SERVERS, code)[3]
    print(f"{machine()}\n\n{args.rounds} rounds of {args.calls} calls; start and memory of the direct server: ", end="")
    print(
        f"{seen['stdio']['direct'].started_s:.1f} s\n\n| | before | now | now ÷ before | aim |\n|---|---|---|---|---|"
    )
    rows: list[tuple[str, float, float, str]] = []
    for ways, name, what, of, aim in ROWS:
        rows.append((what, of(seen[ways], BEFORE + name), of(seen[ways], name), aim))
    rows.append(
        (f"tools/list of {SERVERS} servers ÷ all directly", float(listed["before"]), float(listed["now"]), "≤ 0.2")
    )
    for what, before, now, aim in rows:
        print(f"| {what} | {before:.2f} | {now:.2f} | {now / before:.2f} | {aim} |")


if __name__ == "__main__":
    main()
