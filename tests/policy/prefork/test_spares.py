"""A program that a spare process has become ends, prints and is random as one that was started from nothing."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from lg_policy.prefork.becoming import READ_BY_THE_INTERPRETER, Order
from tests.support import require


@pytest.fixture(autouse=True)
def _on_linux() -> None:
    require(sys.platform == "linux", "spare processes are made on Linux only")


WITHIN_S = 60
PARENT = """
import json, subprocess, sys
import anyio
from lg_policy.prefork.process import open_forked
from lg_policy.prefork.spares import fork_spares

async def run(argv):
    process = await open_forked(argv, env={}, cwd="/")
    if process is None:
        return None
    text = b"".join([part async for part in process.stdout])
    errors = b"".join([part async for part in process.stderr])
    return [await process.wait(), text.decode(), errors.decode().splitlines()[-1:]]

fork_spares([0, 0])
words = json.loads(sys.argv[1])
print(json.dumps([anyio.run(run, [sys.executable, "-P", "-m", *words]) for _ in range(2)]))
"""


def forked(words: list[str]) -> list[list[object]]:
    """What two forks of one process print, with their exit status: they become the same program one after the other."""
    done = subprocess.run(
        [sys.executable, "-P", "-c", PARENT, json.dumps(words)],
        capture_output=True, text=True, timeout=WITHIN_S, check=True, env={}, stdin=subprocess.DEVNULL,
    )  # fmt: skip
    found: list[list[object]] = json.loads(done.stdout)
    return found


@pytest.mark.parametrize(
    "words",
    [
        ["calendar", "2026", "1"],
        ["json.tool", "/nonexistent"],
        ["json.tool", "--help"],
        ["no_such_module"],
        ["compileall", "-q", "/nonexistent"],
    ],
)
def test_a_fork_ends_with_the_output_and_status_of_a_program(words: list[str]) -> None:
    program = subprocess.run(
        [sys.executable, "-P", "-m", *words], capture_output=True, text=True, timeout=WITHIN_S, env={}, cwd="/",
        stdin=subprocess.DEVNULL,
    )  # fmt: skip
    first, second = forked(words)
    assert first == second
    status, text, errors = first
    assert (status, text) == (program.returncode, program.stdout)
    last = program.stderr.splitlines()[-1:]
    assert errors == last or words == ["no_such_module"]


def test_two_forks_of_one_process_draw_other_random_numbers() -> None:
    first, second = forked(["random"])
    assert first[0] == second[0] == 0
    assert [line for line in str(first[1]).splitlines() if "avg" in line] != [
        line for line in str(second[1]).splitlines() if "avg" in line
    ]


def test_spares_end_with_their_parent() -> None:
    script = (
        "from lg_policy.prefork.spares import _waiting, fork_spares\nimport time\n"
        "fork_spares([1, 0])\nprint(*[spare.pid for spare in _waiting], flush=True)\ntime.sleep(600)"
    )
    with subprocess.Popen([sys.executable, "-P", "-c", script], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        pids = [int(word) for word in parent.stdout.readline().split()]
        assert len(pids) == 2
        assert all(os.path.exists(f"/proc/{pid}") for pid in pids)
        parent.kill()
    until = time.monotonic() + WITHIN_S
    while any(running(pid) for pid in pids) and time.monotonic() < until:
        time.sleep(0.01)
    assert not any(running(pid) for pid in pids)


def test_a_spare_that_does_not_answer_in_time_never_becomes_the_program() -> None:
    script = (
        "import os, sys\nfrom lg_policy.prefork import spares\nfrom lg_policy.prefork.becoming import Order\n"
        "spares.ANSWER_S = 0.2\nspares.fork_spares([0])\nspare = spares.take_spare()\nos.kill(spare.pid, 19)\n"
        "order = Order(argv=(sys.executable, '-P', '-m', 'this'), env={}, cwd='/')\n"
        "try:\n    spare.become(order, (0, 1, 2))\nexcept OSError as error:\n    print(type(error).__name__)\n"
        "try:\n    os.kill(spare.pid, 18)\nexcept ProcessLookupError:\n    print('ended')\n"
    )
    done = subprocess.run(
        [sys.executable, "-P", "-c", script], capture_output=True, text=True, timeout=WITHIN_S, check=True, env={}
    )
    assert done.stdout.split() == ["TimeoutError", "ended"]


@pytest.mark.parametrize(
    ("given", "fits"),
    [
        ({}, True),
        ({"TOKEN": "x", "PYTHONUNBUFFERED": "1"}, True),
        ({"PYTHONOPTIMIZE": "2"}, False),
        ({"PYTHONPATH": "/opt/lib"}, False),
        ({"LD_PRELOAD": "/opt/lib.so"}, False),
        ({"MALLOC_ARENA_MAX": "1"}, False),
        ({"LC_CTYPE": "C"}, False),
        ({"LANG": "xx_XX.UTF-8"}, False),
    ],
)
def test_a_program_with_variables_that_work_only_at_a_start_is_started_from_nothing(
    given: dict[str, str], *, fits: bool
) -> None:
    inherited = {name: os.environ[name] for name in ("LANG", "LC_ALL") if name in os.environ}
    read = {name: value for name, value in os.environ.items() if name.startswith(READ_BY_THE_INTERPRETER)}
    read.pop("LC_CTYPE", None)
    order = Order(argv=(sys.executable, "-P", "-m", "this"), env=read | inherited | given, cwd="/")
    assert order.fits() is fits


def running(pid: int) -> bool:
    """Whether a process runs; one that has ended and that nobody waited for does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
