"""Swaps at the worst possible moment: exactly between the look at a name and its use."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lg_fs.changes.service import Changes, PatchRequest
from lg_fs.job import Job
from lg_fs.patch.parse import parse_changes
from lg_fs.search.search import Search
from lg_fs.tree.listing import ListRequest, list_entries
from lg_fs.tree.workspace import Workspace
from lg_policy.config.settings import FsSettings, PolicySettings
from lg_policy.errors import LgError
from lg_policy.paths.globs import FileRules
from lg_policy.paths.root import Root
from tests.attacks.fs_fortress import TOKEN, Fortress
from tests.fs.helpers import read_tree, search_request, write_tree

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
