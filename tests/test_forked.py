"""A program that starts by a fork is one as any other: what it gets and what it leaves behind."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import anyio
import pytest

from tests.fork_server import ForkServer
from tests.forked import Program, by_fork
from tests.gateway.commands.terminals import on_terminal
from tests.support import require

ROOT = Path(__file__).resolve().parent.parent


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


@pytest.fixture
def server(fork_server: ForkServer | None) -> ForkServer:
    require(fork_server is not None, "Linux on a machine whose system calls are known")
    assert fork_server is not None
    return fork_server


def test_a_fork_of_the_server_is_such_a_program_too_and_a_child_of_who_asked_for_it(
    tmp_path: Path, server: ForkServer
) -> None:
    with by_fork(chosen, server):
        done = start(tmp_path, "text")
    assert done.stdout == f"{tmp_path} x=y None True [0, 1, 2]\nTEXT\n"
    assert (done.returncode, done.stderr) == (7, "to the other\n")


def show_itself() -> int:
    arguments = Path("/proc/self/cmdline").read_bytes().split(b"\0")[:-1]
    print(os.getppid(), arguments, sys.orig_argv, os.getpgid(0) == os.getpgid(os.getppid()), flush=True)
    return 0


def test_a_fork_of_the_server_is_seen_by_its_own_command_in_the_group_of_who_asked(server: ForkServer) -> None:
    with by_fork(lambda words: show_itself if words[0] == "shown" else None, server):
        done = subprocess.run(["shown", "-x"], capture_output=True, text=True, timeout=60)
    assert done.stdout == f"{os.getpid()} [b'shown', b'-x'] ['shown', '-x'] True\n"


def ask_the_terminal() -> int:
    descriptor = os.open("/dev/tty", os.O_RDWR)
    os.write(descriptor, f"{os.ctermid()} {os.tcgetpgrp(0) == os.getpid()} {sys.stdin.readline()}".encode())
    return 0


@pytest.mark.parametrize("by", ["server", "start"])
def test_a_program_on_a_terminal_belongs_to_it_however_it_starts(by: str, server: ForkServer) -> None:
    command = (sys.executable, __file__)
    fork = by_fork(lambda words: ask_the_terminal if by == "server" and words == list(command) else None, server)
    with fork, on_terminal(*command, env={**os.environ, "PYTHONPATH": str(ROOT)}) as screen:
        screen.type("typed\n")
        assert "/dev/tty True typed" in screen.wait("True typed")
        assert screen.end() == 0


if __name__ == "__main__":
    sys.exit(ask_the_terminal())
