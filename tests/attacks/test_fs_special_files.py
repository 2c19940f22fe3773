"""Things that look like files and are not, and files made to exhaust the server."""

from __future__ import annotations

import contextlib
import os
import resource
import socket
import stat
from pathlib import Path

import anyio
import pytest

from tests.attacks.fs_fortress import Attacker, Fortress

pytestmark = pytest.mark.anyio

PEAK_GROWTH_KIB = 250 * 1024


def make_device(path: Path) -> bool:
    """Make a device like /dev/zero, as far as this user may."""
    with contextlib.suppress(PermissionError):
        os.mknod(path, stat.S_IFCHR | 0o666, os.makedev(1, 5))
        return True
    return False


async def read(attacker: Attacker, path: str) -> None:
    await attacker.refused("read_file", path=path)


@pytest.mark.attack(
    "Special files",
    "ten FIFOs at once (more than there are threads), a socket, a device, a link to one, a directory, the empty name",
)
async def test_pipes_sockets_and_devices_are_refused_at_once_and_block_nothing(tmp_path: Path) -> None:
    fortress = Fortress(tmp_path)
    for number in range(10):
        os.mkfifo(fortress.root / f"pipe{number}")
    (fortress.root / "null").symlink_to("/dev/null")
    devices = [name for name in ("zero",) if make_device(fortress.root / name)]
    here = os.getcwd()
    listener = socket.socket(socket.AF_UNIX)
    try:
        os.chdir(fortress.root)  # the path of a socket is short
        listener.bind("sock")
    finally:
        os.chdir(here)
    with listener, anyio.fail_after(60):
        async with fortress.attacked() as attacker, anyio.create_task_group() as group:
            for number in range(10):  # more than there are threads: a blocked one would stop everything
                group.start_soon(read, attacker, f"pipe{number}")
            for name in ("sock", "null", "src", "", *devices):
                await attacker.refused("read_file", path=name)
            await attacker.refused("apply_patch", changes=[{"op": "update", "path": "pipe1", "content": "x"}])
            await attacker.refused("apply_patch", changes=[{"op": "add", "path": "pipe1", "content": "x"}])
            await attacker.call("search_files", regex="x", include_ignored=True)
            await attacker.call("list_files", totals=True)


@pytest.mark.attack("Exhaustion", "a sparse file of 8 GiB read, searched, counted and deleted")
async def test_a_sparse_giant_is_refused_without_being_read(tmp_path: Path) -> None:
    fortress = Fortress(tmp_path)
    with open(fortress.root / "giant", "wb") as file:
        file.truncate(8 << 30)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with anyio.fail_after(60):
        async with fortress.attacked() as attacker:
            await attacker.refused("read_file", path="giant")
            await attacker.call("search_files", regex="x")
            await attacker.call("list_files", totals=True)
            await attacker.refused("apply_patch", changes=[{"op": "delete", "path": "giant"}])
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < PEAK_GROWTH_KIB


@pytest.mark.attack("Exhaustion", "a text file of 512 MB, read near its end and searched")
async def test_a_large_text_file_is_read_in_constant_memory(tmp_path: Path) -> None:
    fortress = Fortress(tmp_path)
    head = b"0123456789abcde\n" * 65_536
    with open(fortress.root / "large.txt", "wb") as file:
        file.write(head)
        file.seek((512 << 20) - 20)  # a hole between: half a gigabyte to read, a megabyte on the disk
        file.write(b"\nnearly last\nlast\n")
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with anyio.fail_after(150):
        async with fortress.attacked({"fs": {"call_timeout_s": 140}}) as attacker:
            answer = await attacker.call("read_file", path="large.txt", start_line=65_538, line_count=2)
            searched = await attacker.call("search_files", regex="x", path="large.txt")
    assert answer["files"][0]["total_lines"] == 65_536 + 3
    assert answer["files"][0]["text"] == "nearly last\nlast\n"
    assert searched["skipped"]["too_large"] == 1
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100 * 1024


@pytest.mark.attack("Exhaustion", "a file that is one line of 20 MB")
async def test_one_endless_line_is_cut(tmp_path: Path) -> None:
    fortress = Fortress(tmp_path)
    (fortress.root / "line").write_bytes(b"x" * 20_000_000)
    with anyio.fail_after(60):
        async with fortress.attacked() as attacker:
            answer = await attacker.call("read_file", path="line")
    assert answer["files"][0]["truncated"]
    assert len(answer["files"][0]["text"]) <= 1_000_000


@pytest.mark.attack("Special files", "a sparse file of 1 TiB that begins as text")
async def test_a_sparse_file_is_no_text_and_costs_only_itself(tmp_path: Path) -> None:
    fortress = Fortress(tmp_path)
    with open(fortress.root / "sparse", "wb") as sparse:
        sparse.write(b"text\n" * 3_000)
        sparse.truncate(1 << 40)
    with anyio.fail_after(60):
        async with fortress.attacked(settings={"fs": {"call_timeout_s": 60}}) as attacker:
            answer = await attacker.call("read_file", path="sparse")
            totals = await attacker.call("list_files", totals=True)
    assert "a sparse file, 1099511627776 bytes" in answer["error"]["message"]
    assert totals["partial"] is None
    assert (totals["totals"]["files"], totals["totals"]["binary_files"]) == (3, 1)
