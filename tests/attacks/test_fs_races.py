"""A process that swaps directories and files for links to the outside while the server works."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import anyio
import pytest

from lg_policy.paths.root import Root
from tests.attacks.fs_fortress import TOKEN, Attacker, Fortress
from tests.fs.helpers import write_tree

pytestmark = pytest.mark.anyio

CALLS = 150

RACER = """
import ctypes, os, sys
one, two = (os.fsencode(name) for name in sys.argv[1:])
libc = ctypes.CDLL(None, use_errno=True)
print("ready", flush=True)
while True:
    if libc.renameat2(-100, one, -100, two, 2):  # RENAME_EXCHANGE: both names exist at every moment
        sys.exit(os.strerror(ctypes.get_errno()))
"""


REPLACER = """
import os, sys
one, two = sys.argv[1:]
text = open(one).read()
print("ready", flush=True)
while True:  # as an editor saves
    with open(two, "w") as file: file.write(text)
    os.replace(two, one)
"""


@contextmanager
def racing(one: Path, two: Path, program: str = RACER) -> Iterator[None]:
    """Let a process exchange two names as quickly as it can."""
    process = subprocess.Popen([sys.executable, "-c", program, str(one), str(two)], stdout=subprocess.PIPE)
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        yield
        assert process.poll() is None, "the racer stopped: the test proves nothing"
    finally:
        process.kill()
        process.wait(timeout=60)
        if process.stdout is not None:
            process.stdout.close()


async def hammer(attacker: Attacker, tool: str, **arguments: object) -> None:
    async def calls() -> None:
        for _ in range(CALLS // 5):
            await attacker.call(tool, **arguments)

    async with anyio.create_task_group() as group:
        for _ in range(5):
            group.start_soon(calls)


@pytest.mark.attack(
    "Races",
    "a process exchanges a directory and a link out, without pause, while files are read, searched and counted",
)
async def test_reading_through_a_directory_that_becomes_a_link_out_never_shows_the_outside(tmp_path: Path) -> None:
    fortress = Fortress(tmp_path)
    write_tree(fortress.root, {"dir/secret.txt": "harmless\n"})
    (fortress.root / "evil").symlink_to("../outside")
    with racing(fortress.root / "dir", fortress.root / "evil"), anyio.fail_after(90):
        async with fortress.attacked() as attacker:
            await hammer(attacker, "read_file", path="dir/secret.txt")
            await hammer(attacker, "search_files", regex="TOKEN", path="dir")
            await hammer(attacker, "list_files", totals=True)


@pytest.mark.attack("Races", "a process exchanges a file and a link out while it is read and searched")
async def test_reading_a_file_that_becomes_a_link_out_never_shows_the_outside(tmp_path: Path) -> None:
    fortress = Fortress(tmp_path)
    write_tree(fortress.root, {"file": "harmless\n"})
    (fortress.root / "evil").symlink_to("../outside/secret.txt")
    with racing(fortress.root / "file", fortress.root / "evil"), anyio.fail_after(90):
        async with fortress.attacked() as attacker:
            await hammer(attacker, "read_file", path="file")
            await hammer(attacker, "search_files", regex="TOKEN")


@pytest.mark.attack(
    "Races",
    "a process exchanges a directory and a link out while files are added, changed and deleted",
)
async def test_writing_through_a_directory_that_becomes_a_link_out_never_writes_there(tmp_path: Path) -> None:
    fortress = Fortress(tmp_path)
    write_tree(fortress.root, {"dir/secret.txt": "harmless\n"})
    (fortress.root / "evil").symlink_to("../outside")
    settings = {"fs": {"durable": False}}
    with racing(fortress.root / "dir", fortress.root / "evil"), anyio.fail_after(90):
        async with fortress.attacked(settings) as attacker:
            for number in range(CALLS):
                await attacker.call(
                    "apply_patch", changes=[{"op": "add", "path": f"dir/new{number}", "content": "mine"}]
                )
                await attacker.call(
                    "apply_patch", changes=[{"op": "update", "path": "dir/secret.txt", "content": "mine"}]
                )
            await attacker.call("apply_patch", changes=[{"op": "delete", "path": "dir/secret.txt"}])
    assert os.listdir(fortress.outside) == ["secret.txt"]


@pytest.mark.attack("Races", "a process exchanges a file and a link to a denied one while it is read")
async def test_a_denied_file_swapped_in_is_not_shown(tmp_path: Path) -> None:
    fortress = Fortress(tmp_path)
    write_tree(fortress.root, {"open": "harmless\n", ".env": f"{TOKEN}\n"})
    (fortress.root / "evil").symlink_to(".env")
    with racing(fortress.root / "open", fortress.root / "evil"), anyio.fail_after(90):
        async with fortress.attacked() as attacker:
            await hammer(attacker, "read_file", path="open")


@pytest.mark.attack(
    "Races", "a link to a denied file that is saved anew without pause, as editors do, while it is read"
)
def test_a_denied_file_that_is_replaced_keeps_its_name_for_the_rules(tmp_path: Path) -> None:
    write_tree(tmp_path, {".env": f"{TOKEN}\n", "kept (deleted)": "a name like any other\n"})
    (tmp_path / "open").symlink_to(".env")
    (tmp_path / "other").symlink_to("kept (deleted)")
    names = set()
    with Root(tmp_path) as root, racing(tmp_path / ".env", tmp_path / "new", REPLACER):
        for _ in range(20_000):
            with root.open_file("open") as file:
                names.add(file.rel)
        with root.open_file("other") as file:
            assert file.rel == "kept (deleted)"
    assert names == {".env"}, "the kernel calls a file that is gone by another name"
