"""One patch over several roots: all of it or nothing, also when its writer is killed between the roots."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path
from typing import Any

import anyio
import pytest

from lg_fs.changes.service import Changes
from lg_policy.config.settings import FsSettings, PolicySettings
from lg_policy.errors import Conflict, LgError
from lg_policy.jobs import Job
from lg_policy.paths.file_rules import FileRules
from lg_policy.paths.root import Root
from lg_policy.state import root_lock
from lg_policy.tree.workspace import Workspace
from tests.fs.changes import crasher
from tests.fs.helpers import fs_client, read_tree, write_tree

OLD = {"one/a": b"1\n", "one/c": b"3\n", "two/b": b"2\n", "two/d": b"4\n"}
NEW = {"one/a": b"eins\n", "one/new/e": b"5\n", "two/b": b"zwei\n", "two/moved": b"4\n"}
PATCH = """\
*** Begin Patch
*** Update File: two/b
@@
-2
+zwei
*** Update File: one/a
@@
-1
+eins
*** Add File: one/new/e
+5
*** Delete File: one/c
*** Update File: two/d
*** Move to: two/moved
*** End Patch
"""

RECOVERERS = ([("one", "two")], [("one",), ("two",)], [("two",), ("one",)])
"""Servers of both roots, or of one, in the order in which they start after the crash."""


def tree(base: Path) -> dict[str, bytes]:
    return {name: data for name, data in read_tree(base).items() if name.startswith(("one/", "two/"))}


@pytest.mark.anyio
async def test_a_patch_over_two_roots_is_one_change_set_and_is_reverted_as_one(tmp_path: Path) -> None:
    write_tree(tmp_path, OLD)
    with anyio.fail_after(60):
        async with fs_client(tmp_path / "one", tmp_path / "two") as fs:
            shown = await fs.ok("apply_patch", patch=PATCH, dry_run=True)
            assert tree(tmp_path) == OLD
            done = await fs.ok(
                "apply_patch", patch=PATCH, expected_sha256={"one/a": shown["files"][1]["before_sha256"]}
            )
            assert tree(tmp_path) == NEW
            listed = (await fs.ok("list_changes"))["changes"]
            async with fs_client(tmp_path / "one") as other:
                partial = await other.fails("revert_patch", change_id=done["change_id"])
            await fs.ok("revert_patch", change_id=done["change_id"])
    assert [(file["op"], file["path"], file["to"]) for file in done["files"]] == [
        ("update", "two/b", None),
        ("update", "one/a", None),
        ("add", "one/new/e", None),
        ("delete", "one/c", None),
        ("move", "two/d", "two/moved"),
    ]
    assert shown["files"] == done["files"]
    assert [(change["change_id"], len(change["files"])) for change in listed] == [(done["change_id"], 5)]
    assert partial["code"] == "conflict"
    assert "below a root that this server does not serve" in partial["message"]
    assert tree(tmp_path) == OLD


@pytest.mark.anyio
async def test_what_fails_below_one_root_changes_nothing_below_the_other(tmp_path: Path) -> None:
    write_tree(tmp_path, OLD)
    good = {"path": "one/a", "op": "update", "content": "x"}
    bad: list[dict[str, Any]] = [
        {"path": "two/b", "op": "add", "content": "x"},
        {"path": "two/.git/hooks/x", "op": "add", "content": "x"},
        {"path": "three/b", "op": "delete"},
        {"path": "one/c", "op": "move", "to": "two/c"},
    ]
    with anyio.fail_after(60):
        async with fs_client(tmp_path / "one", tmp_path / "two") as fs:
            errors = [await fs.fails("apply_patch", changes=[good, change]) for change in bad]
            seen = await fs.fails("apply_patch", changes=[good], expected_sha256={"two/b": "0" * 64})
    assert [error["code"] for error in errors] == ["conflict", "policy_denied", "not_found", "invalid_arguments"]
    assert "one/c" in errors[3]["message"]
    assert "add it there and delete it here" in errors[3]["hint"]
    assert seen["code"] == "conflict"
    assert tree(tmp_path) == OLD


@pytest.mark.anyio
async def test_a_key_answers_for_all_roots(tmp_path: Path) -> None:
    write_tree(tmp_path, OLD)
    with anyio.fail_after(60):
        async with fs_client(tmp_path / "one", tmp_path / "two") as fs:
            first = (await fs.with_key("k", "apply_patch", patch=PATCH)).structured_content
            again = (await fs.with_key("k", "apply_patch", patch=PATCH)).structured_content
            other = await fs.with_key("k", "apply_patch", changes=[{"path": "two/b", "op": "delete"}])
    assert first is not None
    assert again == {**first, "replayed": True}
    assert other.is_error
    assert tree(tmp_path) == NEW


def recover(base: Path, *names: str) -> None:
    with Root(base / names[0]) as one, Root(base / names[-1]) as two:
        crasher.changes([one, two] if len(names) > 1 else [one], base / "state").recover()


@pytest.mark.parametrize("fatal", range(4))
def test_a_failure_while_the_second_root_is_changed_undoes_the_first(tmp_path: Path, fatal: int) -> None:
    write_tree(tmp_path, OLD)
    changes_made = 0

    def on_step(name: str) -> None:
        nonlocal changes_made
        if name.startswith("change"):
            changes_made += 1
            if changes_made == fatal + 2:
                raise Conflict("no further")

    with Root(tmp_path / "one") as one, Root(tmp_path / "two") as two, pytest.raises(LgError, match="no further"):
        workspace = Workspace([one, two], FileRules.from_settings(PolicySettings()), FsSettings(durable=False))
        Changes(workspace, tmp_path / "state", on_step=on_step).apply(crasher.request(patch=PATCH), Job(60))
    assert tree(tmp_path) == OLD
    assert not (tmp_path / "one" / "new").exists()
    assert list((tmp_path / "state").glob("fs/*/pending/*")) == []


def test_killed_at_any_step_both_roots_are_old_or_both_new_whoever_recovers_first(tmp_path: Path) -> None:
    outcomes: list[str] = []
    for fuse in range(100):
        base = tmp_path / str(fuse)
        write_tree(base, OLD)
        places = [str(base / name) for name in ("one", "two", "state")]
        if not crasher.killed(crasher.apply_to_two_and_die, *places, PATCH, fuse):
            break
        for names in RECOVERERS[fuse % len(RECOVERERS)]:
            recover(base, *names)
        after = tree(base)
        assert after in (OLD, NEW), (fuse, after)
        assert (base / "one" / "new").exists() == (after == NEW)
        assert list((base / "state").glob("fs/*/pending/*")) == []
        outcomes.append("new" if after == NEW else "old")
    assert outcomes == sorted(outcomes, reverse=True)
    assert {"old", "new"} == set(outcomes)


@pytest.mark.anyio
async def test_servers_that_keep_their_journals_apart_still_take_turns_on_one_root(tmp_path: Path) -> None:
    write_tree(tmp_path / "root", {"f": "".join(f"line {n}\n" for n in range(20))})
    with Root(tmp_path / "root") as one, Root(tmp_path / "root") as two:
        servers = [crasher.changes(root, tmp_path / f"state{n}") for n, root in enumerate((one, two))]

        def edit(number: int) -> None:
            patch = f"*** Begin Patch\n*** Update File: f\n@@\n-line {number}\n+LINE {number}\n*** End Patch\n"
            servers[number % 2].apply(crasher.request(patch=patch), Job(60))

        with anyio.fail_after(60):
            async with anyio.create_task_group() as group:
                for number in range(20):
                    group.start_soon(anyio.to_thread.run_sync, edit, number)
    assert (tmp_path / "root" / "f").read_text() == "".join(f"LINE {n}\n" for n in range(20))


@pytest.mark.anyio
async def test_a_root_that_another_server_holds_for_too_long_is_a_timeout(tmp_path: Path) -> None:
    write_tree(tmp_path, {"f": "1\n"})
    lock = root_lock(tmp_path)
    assert lock is not None
    holder = os.open(lock, os.O_RDWR | os.O_CREAT)
    try:
        fcntl.flock(holder, fcntl.LOCK_EX)
        with anyio.fail_after(60):
            async with fs_client(tmp_path, settings={"fs": {"call_timeout_s": 0.2}}) as fs:
                error = await fs.fails("apply_patch", changes=[{"path": "f", "op": "delete"}])
    finally:
        os.close(holder)
    assert error["code"] == "timeout"
    assert read_tree(tmp_path) == {"f": b"1\n"}


@pytest.mark.anyio
async def test_a_lock_on_the_root_directory_stops_nobody(tmp_path: Path) -> None:
    """A sandboxed command that sees the root read-only can take that lock."""
    write_tree(tmp_path, {"f": "1\n"})
    holder = os.open(tmp_path, os.O_RDONLY)
    try:
        fcntl.flock(holder, fcntl.LOCK_EX)
        with anyio.fail_after(60):
            async with fs_client(tmp_path, settings={"fs": {"call_timeout_s": 60}}) as fs:
                await fs.call("apply_patch", changes=[{"path": "f", "op": "delete"}])
    finally:
        os.close(holder)
    assert read_tree(tmp_path) == {}


@pytest.mark.anyio
async def test_a_heading_that_is_the_name_of_a_file_means_that_file_and_not_its_last_word(tmp_path: Path) -> None:
    block = "<<<<<<< SEARCH\n1\n=======\none\n>>>>>>> REPLACE\n"
    for names in (["first draft.md"], ["first draft.md", "draft.md"], ["draft.md"]):
        base = tmp_path / str(len(list(tmp_path.iterdir())))
        write_tree(base, dict.fromkeys(names, "1\n"))
        with Root(base) as root:
            changes = crasher.changes(root, tmp_path / "state")
            for heading in ("first draft.md", "Update first draft.md:"):
                (base / names[0]).write_text("1\n")
                changes.apply(crasher.request(patch=f"{heading}\n{block}"), Job(60))
                assert [(base / name).read_text() for name in names] == ["one\n", "1\n"][: len(names)]
        text = f"first draft.md\n{block}\nThen draft.md:\n{block.replace('one', 'two')}"
        named = {(change.path, change.longer[-1:]) for change in crasher.request(patch=text).changes}
        assert named == {("draft.md", ("first draft.md",)), ("draft.md", ("Then draft.md",))}


def test_a_name_that_means_a_file_below_another_root_is_changed_while_that_root_is_locked(tmp_path: Path) -> None:
    write_tree(tmp_path, {"one/a": "1\n", "two/b": "2\n"})
    held: list[bool] = []
    lock = root_lock(tmp_path / "two")
    assert lock is not None

    def on_step(_name: str) -> None:
        with open(lock, "w") as other:
            try:
                fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                held.append(True)
            else:
                held.append(False)

    patch = "*** Begin Patch\n*** Update File: two\\b\n@@\n-2\n+zwei\n*** End Patch\n"
    with Root(tmp_path / "one") as one, Root(tmp_path / "two") as two:
        workspace = Workspace([one, two], FileRules.from_settings(PolicySettings()), FsSettings(durable=False))
        Changes(workspace, tmp_path / "state", on_step=on_step).apply(crasher.request(patch=patch), Job(60))
    assert (tmp_path / "two" / "b").read_text() == "zwei\n"
    assert held
    assert all(held)
