"""The installed commands as processes."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.processes import STACKS, Output, end

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


def lg_gateway(*words: str, cwd: Path, environ: dict[str, str]) -> str:
    """Run a command of the gateway with this environment and no other, and return what it printed."""
    argv = [sys.executable, "-P", "-m", "lg_gateway", *words]
    done = subprocess.run(argv, cwd=cwd, env=environ, capture_output=True, text=True, timeout=TIMEOUT_S, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@dataclass(frozen=True, kw_only=True)
class Served:
    """A program that serves HTTP."""

    url: str
    process: subprocess.Popen[str]
    output: Output


@contextlib.contextmanager
def served(name: str, *args: str, cwd: Path, env: dict[str, str] | None = None) -> Iterator[Served]:
    """Start a program with `--transport http`, yield it, end it."""
    with served_by([program(name), *args, "--transport", "http"], cwd=cwd, env=env) as made:
        yield made


@contextlib.contextmanager
def served_by(command: Sequence[str], *, cwd: Path, env: dict[str, str] | None = None) -> Iterator[Served]:
    """The same of a command that starts one."""
    with subprocess.Popen(
        command, cwd=cwd, env={**os.environ, **STACKS, **(env or {})}, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE,
        text=True,
    ) as process:  # fmt: skip
        if process.stderr is None:
            raise RuntimeError("stderr was asked for as a pipe")
        output = Output(process.stderr)
        try:
            url = output.first(lambda line: line.split()[-1] if line.startswith("listening on ") else None)
            yield Served(url=url, process=process, output=output)
        finally:
            end(process, output)


@contextlib.contextmanager
def serving(name: str, *args: str, cwd: Path, env: dict[str, str] | None = None) -> Iterator[str]:
    """The address of a program that serves HTTP for the length of the block."""
    with served(name, *args, cwd=cwd, env=env) as made:
        yield made.url


def command_line(pid: int) -> Sequence[str]:
    """Return the argv of a process; empty if it is gone."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_text().split("\0")
    except OSError:
        return []
