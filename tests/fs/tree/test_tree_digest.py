"""The digest of a tree in `list_files(totals=true)`: what changes it, what does not, and when there is none."""

from __future__ import annotations

import hashlib
import os
import shutil
from typing import TYPE_CHECKING, Any

import pytest

from tests.fs.helpers import fs_client, write_tree

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.fs.helpers import FsClient

pytestmark = pytest.mark.anyio

LARGE = b"\x89PNG\0" + bytes(600_000)
TREE: dict[str, str | bytes] = {
    "a.py": "x = 1\n", "run.sh": "#!/bin/sh\n", "b/c.txt": "c\n", "b/d/e.txt": "", "b-x.txt": "x\n", "logo.png": LARGE,
    "ä/ö.txt": "u\n", ".gitignore": "*.log\n", "noise.log": "1\n", ".env": "KEY=1\n", "node_modules/m/index.js": "1\n",
}  # fmt: skip


def made(folder: Path) -> Path:
    folder.mkdir()
    write_tree(folder, TREE)
    (folder / "run.sh").chmod(0o755)
    (folder / "link").symlink_to("a.py")
    return folder


async def totals(fs: FsClient, **arguments: Any) -> dict[str, Any]:
    found: dict[str, Any] = (await fs.ok("list_files", totals=True, **arguments))["totals"]
    return found


def same_size_and_time(path: Path) -> None:
    status = path.stat()
    path.write_bytes(path.read_bytes()[:-1] + b"\1")
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


def relink(root: Path) -> None:
    (root / "link").unlink()
    (root / "link").symlink_to("b/c.txt")


def filled(root: Path) -> None:
    target = os.readlink(root / "link")
    (root / "link").unlink()
    (root / "link").write_text(target)


SEEN: dict[str, Callable[[Path], object]] = {
    "a content of the same size and time": lambda root: same_size_and_time(root / "a.py"),
    "the end of a large binary file": lambda root: same_size_and_time(root / "logo.png"),
    "a new empty file": lambda root: (root / "b" / "new").touch(),
    "a name": lambda root: (root / "b" / "c.txt").rename(root / "b" / "C.txt"),
    "a place": lambda root: (root / "b" / "C.txt").rename(root / "ä" / "C.txt"),
    "a file gone": lambda root: (root / "b-x.txt").unlink(),
    "a right to execute": lambda root: (root / "run.sh").chmod(0o644),
    "where a link leads": relink,
    "a link that becomes a file with its target's name as content": filled,
    "what is ignored": lambda root: (root / ".gitignore").write_text(""),
}
NOT_SEEN: dict[str, Callable[[Path], object]] = {
    "an ignored file": lambda root: (root / "noise.log").write_text("2\n"),
    "a hidden file": lambda root: (root / ".env").write_text("KEY=2\n"),
    "what tools made": lambda root: (root / "node_modules" / "m" / "index.js").write_text("2\n"),
    "an empty directory": lambda root: (root / "empty").mkdir(),
    "times": lambda root: os.utime(root / "a.py", (1, 1)),
    "other rights": lambda root: (root / "a.py").chmod(0o600),
}


async def test_every_change_that_a_tool_could_see_changes_the_digest_and_no_other(tmp_path: Path) -> None:
    root = made(tmp_path / "repo")
    async with fs_client(root) as fs:
        before = (await totals(fs))["digest"]
        for what, change in NOT_SEEN.items():
            change(root)
            assert (await totals(fs))["digest"] == before, what
        seen = {before}
        for what, change in SEEN.items():
            change(root)
            seen.add(now := (await totals(fs))["digest"])
            assert now != before, what
            before = now
    assert len(seen) == 1 + len(SEEN)


async def test_the_digest_is_what_its_definition_says_wherever_the_tree_lies(tmp_path: Path) -> None:
    root = made(tmp_path / "repo")
    async with fs_client(root) as fs:
        found = await totals(fs)
    assert (found["digest"], found["digest_missing"]) == (defined(root), None)
    copy = tmp_path / "elsewhere"
    copy.mkdir()
    for path in sorted(root.iterdir(), reverse=True):
        # In another order, so that the file system lists it in another one.
        shutil.copytree(path, copy / path.name) if path.is_dir() else shutil.copy2(
            path, copy / path.name, follow_symlinks=False
        )
    async with fs_client(copy) as fs:
        assert (await totals(fs))["digest"] == found["digest"]
        assert (await totals(fs, glob="*.py"))["digest"] != found["digest"], "only of what is counted"


async def test_there_is_no_digest_of_a_part(tmp_path: Path) -> None:
    root = made(tmp_path / "repo")
    (root / "two.png").write_bytes(LARGE)
    async with fs_client(root, settings={"fs": {"digest_max_mb": 1, "walk_max_entries": 4}}) as fs:
        found = await totals(fs)
    assert found["digest"] is None
    assert found["digest_missing"] == found["partial"] != ""
    write_tree(root, {f"{number}.png": LARGE for number in range(4)})
    async with fs_client(root, settings={"fs": {"digest_max_mb": 1}}) as fs:
        found = await totals(fs)
    assert (found["digest"], found["partial"]) == (None, None)
    assert "digest_max_mb" in found["digest_missing"]
    assert found["binary_files"] == 6, "the counts are whole"


def defined(root: Path) -> str:
    """The definition in `lg_fs.tree.tree_digest`, followed for `TREE` without looking at how it is done."""
    whole = hashlib.sha256(b"lg-tree-1\0")
    for directory in ("", "b", "b/d", "ä"):
        records = b"".join(record for _, record in sorted(_records(root / directory)))
        whole.update(directory.encode() + b"\0" + hashlib.sha256(records).digest())
    return whole.hexdigest()


def _records(directory: Path) -> Iterator[tuple[str, bytes]]:
    for path in directory.iterdir():
        name = path.name.encode()
        if path.is_symlink():
            yield path.name, b"l" + name + b"\0" + hashlib.sha256(os.readlink(path).encode()).digest()
        elif path.is_file() and path.name not in (".env", "noise.log"):
            kind = b"x" if path.stat().st_mode & 0o100 else b"f"
            yield path.name, kind + name + b"\0" + hashlib.sha256(path.read_bytes()).digest()
