"""Names that are nearly right, look like others, or hide characters: a clear answer each."""

from __future__ import annotations

from pathlib import Path

import anyio
import pytest

from lg_policy.tree.look_alikes import invisible, look_alike, skeleton
from tests.fs.helpers import fs_client, read_tree, write_tree

pytestmark = pytest.mark.anyio

CYRILLIC = "\u0441onfig.\u0440\u0443"  # reads "config.py"


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("README.md", "readme.md"),
        ("caf\u00e9", "cafe\u0301"),
        ("stra\u00dfe", "STRASSE"),
        ("config.py", CYRILLIC),
        ("file", "\ufb01le"),
        ("\uff41.py", "a.py"),
    ],
)
def test_names_that_look_alike_have_one_skeleton(one: str, other: str) -> None:
    assert skeleton(one) == skeleton(other)
    assert look_alike(one, ["x", other]) == other
    assert look_alike(one, [one]) is None


def test_joiners_may_stand_in_names_and_what_reorders_or_takes_no_place_may_not() -> None:
    assert invisible("\U0001f469\u200d\U0001f4bb.txt") is None
    assert [invisible(f"a{char}b") for char in "\u200b\u202e\u2066\ufeff\u00ad\U000e0041"] == [
        "U+200B", "U+202E", "U+2066", "U+FEFF", "U+00AD", "U+E0041",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("path", "hint"),
    [
        ("readme.md", "in the root there is 'README.md'"),
        ("src/confg.py", "in src there is 'config.py'"),
        (f"src/{CYRILLIC}", "in src there is 'config.py'"),
        ("SRC/config.py", "in the root there is 'src'"),
        ("source/deep/config.py", ""),
        (".ENw", ""),
    ],
)
async def test_a_name_that_is_not_there_is_answered_with_those_that_may_be_meant(
    tmp_path: Path, path: str, hint: str
) -> None:
    write_tree(tmp_path, {"README.md": "x", "src/config.py": "x", ".env": "SECRET"})
    with anyio.fail_after(60):
        async with fs_client(tmp_path) as fs:
            errors = [
                await fs.fails("read_file", path=path),
                await fs.fails("list_files", path=path),
                await fs.fails("search_files", path=path, regex="x"),
                await fs.fails("apply_patch", changes=[{"path": path, "op": "delete"}]),
            ]
    for error in errors:
        assert error["code"] == "not_found"
        assert hint in error["hint"]
        assert ".env" not in error["hint"]


@pytest.mark.parametrize("path", ["Readme.MD", "SRC/new.py", f"src/{CYRILLIC}", "src/con\ufb01g.py"])
async def test_a_new_name_that_looks_like_one_that_is_there_is_a_conflict(tmp_path: Path, path: str) -> None:
    tree = {"README.md": "x", "src/config.py": "x"}
    write_tree(tmp_path, tree)
    with anyio.fail_after(60):
        async with fs_client(tmp_path) as fs:
            added = await fs.fails("apply_patch", changes=[{"path": path, "op": "add", "content": "y"}])
            moved = await fs.fails(
                "apply_patch", changes=[{"path": "src/config.py", "op": "move", "to": f"x/../{path}"}]
            )
    assert (added["code"], moved["code"]) == ("conflict", "policy_denied")
    assert "looks like" in added["message"]
    assert read_tree(tmp_path) == {name: text.encode() for name, text in tree.items()}


async def test_a_new_name_may_not_hide_characters_and_an_old_one_can_be_read_and_changed(tmp_path: Path) -> None:
    write_tree(tmp_path, {"a\u200b.txt": "x"})
    with anyio.fail_after(60):
        async with fs_client(tmp_path) as fs:
            error = await fs.fails("apply_patch", changes=[{"path": "b\u202e.txt", "op": "add", "content": "y"}])
            await fs.ok("read_file", path="a\u200b.txt")
            await fs.ok("apply_patch", changes=[{"path": "a\u200b.txt", "op": "move", "to": "b.txt"}])
    assert "U+202E, which does not show" in error["message"]
    assert read_tree(tmp_path) == {"b.txt": b"x"}


async def test_a_move_may_change_nothing_but_case(tmp_path: Path) -> None:
    write_tree(tmp_path, {"Readme.md": "x"})
    with anyio.fail_after(60):
        async with fs_client(tmp_path) as fs:
            done = await fs.ok("apply_patch", changes=[{"path": "Readme.md", "op": "move", "to": "README.md"}])
            assert sorted(read_tree(tmp_path)) == ["README.md"]
            await fs.ok("revert_patch", change_id=done["change_id"])
    assert sorted(read_tree(tmp_path)) == ["Readme.md"]
