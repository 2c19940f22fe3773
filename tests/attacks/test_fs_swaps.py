"""Swaps at the worst possible moment: exactly between the look at a name and its use."""

from __future__ import annotations

import fcntl
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from lg_fs.changes.service import Changes, PatchRequest, RevertRequest
from lg_fs.patch.parse import parse_changes, parse_patch
from lg_fs.search.search import Search
from lg_fs.tree.listing import ListRequest, list_entries
from lg_policy.config.settings import FsSettings, PolicySettings
from lg_policy.errors import Conflict, LgError
from lg_policy.jobs import Job
from lg_policy.paths.file_rules import FileRules
from lg_policy.paths.root import Root
from lg_policy.tree.workspace import Workspace
from tests.attacks.fs_fortress import TOKEN, Fortress
from tests.fs.helpers import read_tree, search_request, write_tree
from tests.fs.programs import WAIT_S

METHODS = ("openat2", "dir_fd")


class SwappingJob(Job):
    """Does something once, at the first check of the work."""

    def __init__(self, swap: Callable[[], None]) -> None:
        super().__init__()
        self._swap: Callable[[], None] | None = swap

    def check(self) -> None:
        if self._swap is not None:
            swap, self._swap = self._swap, None
            swap()
        super().check()

    def tick(self) -> None:
        self.check()


def swap(one: Path, two: Path) -> Callable[[], None]:
    def exchange() -> None:
        one.rename(one.with_name("aside"))
        two.rename(one)

    return exchange


def workspace(root: Root) -> Workspace:
    return Workspace([root], FileRules.from_settings(PolicySettings()), FsSettings())


def search(root: Root, job: Job) -> list[str]:
    request = search_request("TOKEN|harmless", include_ignored=True)
    found = Search(workspace(root), request, job).run()
    return [match["text"] for file in found.files for match in file.matches]


@pytest.mark.attack("Races", "a directory replaced by a link out exactly between the look and the use")
@pytest.mark.parametrize("method", METHODS)
def test_a_directory_swapped_between_listing_and_opening_is_not_entered(tmp_path: Path, method: str) -> None:
    fortress = Fortress(tmp_path)
    write_tree(fortress.root, {"dir/secret.txt": "harmless\n"})
    (fortress.root / "evil").symlink_to("../outside")
    with Root(fortress.root) as root:
        root.method = method
        # The first check comes after the root was listed and before its subdirectories are opened.
        assert search(root, SwappingJob(swap(fortress.root / "dir", fortress.root / "evil"))) == []
        assert search(root, Job()) == ["harmless"]
        (fortress.root / "dir").rename(fortress.root / "evil")
        (fortress.root / "aside").rename(fortress.root / "dir")
        request = ListRequest(path="", recursive=True, globs=None, limit=99, cursor=None, include_ignored=True, raw={})
        job = SwappingJob(swap(fortress.root / "dir", fortress.root / "evil"))
        listed = [entry["path"] for entry in list_entries(workspace(root), request, job).entries]
        assert "dir/secret.txt" not in listed


@pytest.mark.attack("Races", "a file replaced by a link out exactly between the look and the use")
@pytest.mark.parametrize("method", METHODS)
def test_a_file_swapped_between_listing_and_opening_is_not_read(tmp_path: Path, method: str) -> None:
    fortress = Fortress(tmp_path)
    write_tree(fortress.root, {"file": "harmless\n"})
    (fortress.root / "src").rename(tmp_path / "gone")
    (fortress.root / "evil").symlink_to("../outside/secret.txt")
    with Root(fortress.root) as root:
        root.method = method
        assert search(root, SwappingJob(swap(fortress.root / "file", fortress.root / "evil"))) == []


def patched(root: Root, state: Path, step: str, act: Callable[[], None], change: dict[str, Any]) -> None:
    """Apply a change and let `act` happen just before one of its steps."""

    def on_step(name: str) -> None:
        if name == step:
            act()

    changes = Changes(workspace(root), state, on_step=on_step)
    request = PatchRequest(changes=parse_changes([change]), dry_run=False, key=None, arguments={})
    with pytest.raises(LgError):
        changes.apply(request, Job())


@pytest.mark.attack("Races", "a directory replaced by a link out at each step of a patch")
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("step", ["begin", "stage 0", "change 0"])
def test_a_directory_swapped_while_a_patch_is_applied_is_not_written_through(
    tmp_path: Path, method: str, step: str
) -> None:
    fortress = Fortress(tmp_path)
    write_tree(fortress.root, {"dir/secret.txt": "harmless\n"})
    (fortress.root / "evil").symlink_to("../outside")
    with Root(fortress.root) as root:
        root.method = method
        act = swap(fortress.root / "dir", fortress.root / "evil")
        change = {"op": "update", "path": "dir/secret.txt", "content": "mine\n"}
        patched(root, tmp_path / "state", step, act, change)
    assert fortress.surroundings()["outside/secret.txt"] == f"{TOKEN}\n".encode()
    assert sorted(path.name for path in fortress.outside.iterdir()) == ["secret.txt"]
    assert (fortress.root / "aside" / "secret.txt").read_bytes() == b"harmless\n"


@pytest.mark.attack("Races", "another program's edit between planning and writing")
@pytest.mark.parametrize("step", ["begin", "stage 0"])
def test_a_file_that_someone_else_writes_while_a_patch_is_prepared_keeps_that(tmp_path: Path, step: str) -> None:
    fortress = Fortress(tmp_path)

    def edit() -> None:
        (fortress.root / "inside.txt").write_text("somebody else's\n")

    with Root(fortress.root) as root:
        patched(root, tmp_path / "state", step, edit, {"op": "update", "path": "inside.txt", "content": "mine\n"})
    assert read_tree(fortress.root) == {"inside.txt": b"somebody else's\n", "src/a.py": b"x = 1\n"}
    assert list((tmp_path / "state").glob("fs/*/pending/*")) == []


@pytest.mark.attack("Races", "another program's new file in the place of an added one")
def test_a_file_that_someone_else_creates_meanwhile_is_not_replaced(tmp_path: Path) -> None:
    fortress = Fortress(tmp_path)

    def create() -> None:
        (fortress.root / "new").write_text("mine\n")

    with Root(fortress.root) as root:
        patched(root, tmp_path / "state", "change 0", create, {"op": "add", "path": "new", "content": "mine\n"})
    # Even with the very content of the patch it is theirs and stays.
    assert (fortress.root / "new").read_bytes() == b"mine\n"
    assert not [name for name in read_tree(fortress.root) if ".lg-" in name]


def replaced_at(root: Path, step: str) -> Callable[[str], None]:
    """A step of a patch before which the root is moved away and another directory put into its place."""

    def on_step(name: str) -> None:
        if name == step:
            root.rename(root.with_name("before"))
            write_tree(root, {"a": "theirs\n", "b": "theirs\n", "sub/c": "theirs\n"})

    return on_step


@pytest.mark.attack("Races", "the root replaced by another directory at each step of a patch")
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("step", ["begin", "make sub2", "stage 0", "change 0", "change 1", "between", "finish"])
def test_a_root_replaced_while_a_patch_is_applied_leaves_both_trees_as_they_were(
    tmp_path: Path, method: str, step: str
) -> None:
    base = tmp_path / "root"
    ours = {"a": "ours\n", "b": "ours\n", "sub/c": "ours\n"}
    write_tree(base, ours)
    changes = parse_patch(
        "*** Begin Patch\n*** Update File: a\n@@\n-ours\n+new\n*** Delete File: b\n"
        "*** Update File: sub/c\n*** Move to: sub2/d\n@@\n-ours\n+new\n*** Add File: sub2/e\n+new\n*** End Patch\n"
    )
    with Root(base) as root:
        root.method = method
        service = Changes(workspace(root), tmp_path / "state", on_step=replaced_at(base, step))
        with pytest.raises(Conflict, match="was replaced by another since the server started"):
            service.apply(PatchRequest(changes=changes, dry_run=False, key=None, arguments={}), Job())
    assert not list((tmp_path / "state").glob("fs/*/*/*"))
    assert read_tree(tmp_path / "before") == {name: text.encode() for name, text in ours.items()}
    assert read_tree(base) == {"a": b"theirs\n", "b": b"theirs\n", "sub/c": b"theirs\n"}
    assert not (tmp_path / "before" / "sub2").exists()


@pytest.mark.attack("Races", "the root replaced while a reverting call waits for its turn")
def test_a_root_replaced_while_a_call_waits_for_the_lock_is_not_recovered_or_reverted(tmp_path: Path) -> None:
    base = tmp_path / "root"
    write_tree(base, {"a": "1\n"})
    with Root(base) as root:
        changes = Changes(workspace(root), tmp_path / "state")
        request = PatchRequest(
            changes=parse_changes([{"op": "update", "path": "a", "content": "2\n"}]),
            dry_run=False,
            key=None,
            arguments={},
        )
        change_id = changes.apply(request, Job())["change_id"]
        (journal,) = (tmp_path / "state" / "fs").iterdir()
        with open(journal / "lock", "rb") as lock, ThreadPoolExecutor(1) as pool:
            fcntl.flock(lock, fcntl.LOCK_EX)
            waiting = threading.Event()

            def replace_it() -> None:
                replaced_at(base, "")("")
                waiting.set()

            reverting = pool.submit(changes.revert, RevertRequest(change_id=change_id), SwappingJob(replace_it))
            assert waiting.wait(WAIT_S)
            fcntl.flock(lock, fcntl.LOCK_UN)
            with pytest.raises(Conflict, match="was replaced by another"):
                reverting.result(WAIT_S)
    assert (tmp_path / "before" / "a").read_bytes() == b"2\n"
    assert (base / "a").read_bytes() == b"theirs\n"


@pytest.mark.attack("Races", "a directory replaced by another one with the same files between two steps of a patch")
@pytest.mark.parametrize("step", ["change 0", "change 1"])
def test_a_directory_replaced_between_two_steps_is_not_changed(tmp_path: Path, step: str) -> None:
    base = tmp_path / "root"
    write_tree(base, {"d/a": "1\n", "d/b": "1\n"})
    write_tree(tmp_path, {"other/a": "1\n", "other/b": "1\n"})

    def on_step(name: str) -> None:
        if name == step:
            (base / "d").rename(tmp_path / "aside")
            (tmp_path / "other").rename(base / "d")

    with Root(base) as root:
        service = Changes(workspace(root), tmp_path / "state", on_step=on_step)
        parsed = parse_changes([{"op": "delete", "path": "d/a"}, {"op": "delete", "path": "d/b"}])
        with pytest.raises(Conflict, match="was replaced by another while the patch was applied"):
            service.apply(PatchRequest(changes=parsed, dry_run=False, key=None, arguments={}), Job())
    assert read_tree(base)["d/b"] == b"1\n"
    assert read_tree(base)["d/a"] == b"1\n"
