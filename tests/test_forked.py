"""A program that starts by a fork is one as any other: what it gets and what it leaves behind."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import anyio
import pytest

from tests.forked import Program, by_fork


def report() -> int:
    open_ones = sorted(int(name) for name in os.listdir("/proc/self/fd"))
    print(os.getcwd(), os.environ.get("GIVEN"), os.environ.get("HOME"), os.getsid(0) == os.getpid(), open_ones[:3])
    print(sys.stdin.read().upper(), flush=True)
    print("to the other", file=sys.stderr)
    raise SystemExit(7)


def chosen(words: list[str]) -> Program | None:
    return report if words == ["a program"] else None


def start(tmp_path: Path, given: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["a program"], cwd=tmp_path, env={"GIVEN": "x=y"}, input=given, capture_output=True, text=True,
        start_new_session=True, timeout=60,
    )  # fmt: skip


def test_it_has_the_directory_environment_session_and_pipes_that_were_asked_for_and_its_own_end(tmp_path: Path) -> None:
    with by_fork(chosen):
        done = start(tmp_path, "text")
    assert done.stdout == f"{tmp_path} x=y None True [0, 1, 2]\nTEXT\n"
    assert (done.returncode, done.stderr) == (7, "to the other\n")


@pytest.mark.anyio
async def test_it_is_started_from_inside_an_event_loop_and_ends_by_a_signal() -> None:
    def forever() -> int:
        anyio.run(anyio.sleep_forever)
        return 0

    with by_fork(lambda words: forever if words == ["forever"] else None):
        async with await anyio.open_process(["forever"]) as process:
            process.terminate()
            assert await process.wait() == -15


def test_every_other_command_starts_as_always(tmp_path: Path) -> None:
    with by_fork(chosen):
        done = subprocess.run([sys.executable, "-c", "print('as always')"], capture_output=True, text=True, timeout=60)
    assert done.stdout == "as always\n"
    with pytest.raises(FileNotFoundError):
        start(tmp_path, "")
