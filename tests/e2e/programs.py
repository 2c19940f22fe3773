"""The installed commands as processes."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

TIMEOUT_S = 120
"""Upper bound of one program in these tests; a loaded machine is slow, a hang is forever."""


def program(name: str) -> str:
    """Return the path of an installed command, beside the interpreter that runs the tests."""
    path = Path(sys.executable).parent / name
    if not path.exists():
        raise FileNotFoundError(f"{path}: install the distribution first (scripts/dev.sh does)")
    return str(path)


def run(name: str, *args: str, cwd: Path, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """Run a command to its end and return status and output."""
    return subprocess.run(
        [program(name), *args],
        cwd=cwd,
        env={**os.environ, **(env or {})},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )


@contextlib.contextmanager
def serving(name: str, *args: str, cwd: Path, env: dict[str, str] | None = None) -> Iterator[str]:
    """Start a program with `--transport http`, yield its address, end it."""
    command = [program(name), *args, "--transport", "http"]
    with subprocess.Popen(
        command, cwd=cwd, env={**os.environ, **(env or {})}, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    ) as process:
        if process.stderr is None:
            raise RuntimeError("stderr was asked for as a pipe")
        try:
            seen: list[str] = []
            for line in process.stderr:
                seen.append(line)
                if line.startswith("listening on "):
                    break
            else:
                raise RuntimeError(f"{name} ended before it listened: {''.join(seen)}")
            yield seen[-1].split()[-1]
        finally:
            process.terminate()
            process.wait(timeout=TIMEOUT_S)


def descendants(pid: int) -> Iterator[int]:
    """Yield every process below `pid`."""
    with contextlib.suppress(OSError):
        for task in os.listdir(f"/proc/{pid}/task"):
            for child in Path(f"/proc/{pid}/task/{task}/children").read_text().split():
                yield int(child)
                yield from descendants(int(child))


def command_line(pid: int) -> Sequence[str]:
    """Return the argv of a process; empty if it is gone."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_text().split("\0")
    except OSError:
        return []
