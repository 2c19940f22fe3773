"""Names that are not UTF-8, that hold line breaks, or that lead to such: nothing is fatal, and rules hold."""

from __future__ import annotations

import os
from pathlib import Path

import anyio
import pytest

from tests.attacks.fs_fortress import TOKEN, Fortress
from tests.fs.helpers import fs_client, write_tree

pytestmark = pytest.mark.anyio

ODD = [b"caf\xe9", b"line\nbreak", b"tab\there", b"\xff\xfe", b"\xed\xa0\x80", b"esc\x1b[2J"]


def plant(directory: Path, name: bytes, content: str) -> None:
    path = os.fsencode(directory) + b"/" + name
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "wb") as file:
        file.write(content.encode())


@pytest.mark.attack("Names", "files and directories that are not UTF-8, or hold line breaks and escapes")
@pytest.mark.parametrize("name", ODD, ids=ascii)
async def test_an_odd_name_below_the_root_disturbs_no_tool(tmp_path: Path, name: bytes) -> None:
    fortress = Fortress(tmp_path)
    plant(fortress.root, name, "x\n")
    plant(fortress.root, b"dir" + name + b"/" + name, "x\n")
    os.symlink(b"dir" + name, os.fsencode(fortress.root) + b"/link")
    os.symlink(b"dir" + name + b"/" + name, os.fsencode(fortress.root) + b"/file-link")
    with anyio.fail_after(60):
        async with fortress.attacked() as attacker:
            listed = await attacker.call("list_files", recursive=True)
            assert [e["path"] for e in listed["entries"] if e["type"] == "file"] == ["inside.txt", "src/a.py"]
            assert (await attacker.call("list_files", path="link"))["entries"] == []
            assert (await attacker.call("list_files", totals=True))["totals"]["files"] == 2
            assert (await attacker.call("list_files", path="link", totals=True))["totals"]["files"] == 0
            assert (await attacker.call("search_files", regex="inside"))["files_matched"] == 1
            assert (await attacker.call("search_files", regex="x", path="link"))["files"] == []
            (read,) = (await attacker.call("read_file", path="file-link"))["files"]
            assert read["text"] == "x\n"
            assert read["path"].isprintable()
            missing = await attacker.call("read_file", path="inside.tx")
            assert "'inside.txt'" in missing["error"]["hint"]
            below = await attacker.call("read_file", path="link/none")
            assert below["error"]["code"] == "not_found"
            done = await attacker.call("apply_patch", changes=[{"path": "link/new", "op": "add", "content": "1\n"}])
            assert "error" not in done or done["error"]["code"] in ("invalid_arguments", "policy_denied")
            await attacker.call("apply_patch", changes=[{"path": "file-link", "op": "update", "content": "y\n"}])
            await attacker.call("list_changes")


@pytest.mark.attack("Names", "denied files below directories with a line break in their name, through a link")
@pytest.mark.parametrize("name", [b"a\nb", b"caf\xe9", b"\n", b"x\n.env"], ids=ascii)
async def test_denied_names_stay_denied_below_an_odd_directory(tmp_path: Path, name: bytes) -> None:
    fortress = Fortress(tmp_path)
    plant(fortress.root, name + b"/.env", TOKEN)
    plant(fortress.root, name + b"/sub/key.pem", TOKEN)
    plant(fortress.root, name + b"/open.txt", "open\n")
    os.symlink(name, os.fsencode(fortress.root) + b"/link")
    with anyio.fail_after(60):
        async with fortress.attacked() as attacker:
            for path in ("link/.env", "link/sub/key.pem"):
                assert await attacker.refused("read_file", path=path) == "policy_denied"
                assert await attacker.refused("search_files", path=path, regex=".") == "policy_denied"
                assert (
                    await attacker.refused("apply_patch", changes=[{"path": path, "op": "delete"}]) == "policy_denied"
                )
            await attacker.call("search_files", path="link", regex="TOKEN", include_ignored=True)
            listed = await attacker.call("list_files", path="link", recursive=True)
            assert not [e for e in listed["entries"] if e["path"].endswith((".env", "key.pem"))]
            assert [e for e in listed["entries"] if e["path"].endswith("open.txt")]


@pytest.mark.attack("Names", "ignore files and globs below a directory with a line break in its name")
async def test_ignore_files_and_globs_hold_below_a_name_with_a_line_break(tmp_path: Path) -> None:
    fortress = Fortress(tmp_path)
    for name in (b".gitignore", b"a.log", b"b.txt", b"c.log"):
        plant(fortress.root, b"a\nb/" + name, "*.log\n")
    os.symlink(b"a\nb", os.fsencode(fortress.root) + b"/link")
    with anyio.fail_after(60):
        async with fortress.attacked() as attacker:
            listed = await attacker.call("list_files", path="link")
            assert [e["path"] for e in listed["entries"]] == ["a\\nb/.gitignore", "a\\nb/b.txt"]
            chosen = await attacker.call("list_files", path="link", glob="*.txt")
            assert [e["path"] for e in chosen["entries"]] == ["a\\nb/b.txt"]


@pytest.mark.attack("Names", "a root whose own name is not UTF-8, alone and beside another")
async def test_a_root_with_an_odd_name_is_served(tmp_path: Path) -> None:
    odd = Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9"))
    other = tmp_path / "other"
    write_tree(odd, {"a.txt": "1\n"})
    write_tree(other, {"b.txt": "2\n"})
    with anyio.fail_after(60):
        async with fs_client(odd) as fs:
            assert (await fs.client.list_tools()).tools[0].meta is not None
            await fs.ok("apply_patch", changes=[{"path": "a.txt", "op": "update", "content": "3\n"}])
            assert (await fs.ok("read_file", path="a.txt"))["files"][0]["text"] == "3\n"
            assert (await fs.fails("read_file", path="none"))["code"] == "not_found"
        async with fs_client(odd, other) as fs:
            paths = [e["path"] for e in (await fs.ok("list_files", recursive=True))["entries"]]
            assert paths == ["caf\\xe9/a.txt", "other/b.txt"]
            assert (await fs.ok("read_file", path=paths[0]))["files"][0]["text"] == "3\n"
            assert (await fs.ok("list_changes"))["changes"][0]["files"][0]["path"] == "a.txt"
