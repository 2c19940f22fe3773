"""The index after every kind of change, asked at once: by the kernel's events where there are some, and without."""

from __future__ import annotations

import mmap
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from lg_code.index.index import Index
from lg_code.index.rows import files, symbols_of
from lg_code.search.terms import SearchTerms
from lg_code.watching.mounts import Mount, MountTable, mounts_of, why_not_seen
from lg_code.watching.tree_watch import TreeWatch
from lg_policy.config.settings import Settings
from lg_policy.paths.file_rules import FileRules
from lg_policy.paths.root import Root
from lg_policy.tree.workspace import Workspace
from tests.code.helpers import index_of, job
from tests.fs.helpers import write_tree
from tests.support import require

TREE = {
    "a.py": "def one(): pass\n",
    "pkg/b.py": "def two(): pass\n",
    "pkg/deep/c.py": "def three(): pass\n",
    "other/d.py": "def four(): pass\n",
    "other/deep/e.py": "def five(): pass\n",
}


def defined(index: Index) -> set[str]:
    with index.read() as db:
        return {f"{file.path}:{symbol.name}" for file in list(files(db)) for symbol in symbols_of(db, file.id)}


def on_disk(root: Path) -> set[str]:
    """What a look without an index finds: regular files that no `.gitignore` hides."""
    found: set[str] = set()
    for path in root.rglob("*.py"):
        hidden = any((above / ".gitignore").exists() for above in path.parents if above.is_relative_to(root))
        if (
            path.is_file()
            and not path.is_symlink()
            and not any(above.is_symlink() for above in path.parents)
            and not hidden
        ):
            name = path.read_text().split("(")[0].removeprefix("def ")
            found.add(f"{path.relative_to(root)}:{name}")
    return found


def edit(root: Path) -> None:
    (root / "a.py").write_text("def changed(): pass\n")


def edit_back_in_time(root: Path) -> None:
    status = (root / "a.py").stat()
    (root / "a.py").write_text("def ONE(): pass\n")
    os.utime(root / "a.py", ns=(status.st_atime_ns, status.st_mtime_ns))


def append(root: Path) -> None:
    (root / "pkg/new.py").write_text("def appended(): pass\n")


def replace_by_rename(root: Path) -> None:
    (root / "pkg/.tmp").write_text("def saved(): pass\n")
    (root / "pkg/.tmp").rename(root / "pkg/b.py")


def rename(root: Path) -> None:
    (root / "a.py").rename(root / "other/z.py")


def delete(root: Path) -> None:
    (root / "pkg/deep/c.py").unlink()


def delete_directory(root: Path) -> None:
    shutil.rmtree(root / "pkg")


def new_directories(root: Path) -> None:
    write_tree(root, {"new/er/est/f.py": "def six(): pass\n"})


def move_directory(root: Path) -> None:
    (root / "pkg").rename(root / "other/pkg")
    (root / "other/pkg/deep/c.py").write_text("def moved(): pass\n")


def swap_directories(root: Path) -> None:
    (root / "pkg").rename(root / "aside")
    (root / "other").rename(root / "pkg")
    (root / "aside").rename(root / "other")


def move_directory_out_and_another_in(root: Path) -> None:
    (root / "pkg").rename(root.parent / "out")
    write_tree(root.parent / "in", {"x.py": "def seven(): pass\n", "deep/y.py": "def eight(): pass\n"})
    (root.parent / "in").rename(root / "pkg")
    (root.parent / "out/b.py").write_text("def outside(): pass\n")


def file_becomes_directory(root: Path) -> None:
    (root / "a.py").unlink()
    write_tree(root, {"a.py/g.py": "def nine(): pass\n"})


def directory_becomes_file(root: Path) -> None:
    shutil.rmtree(root / "pkg")
    (root / "pkg").write_text("text")


def directory_becomes_link(root: Path) -> None:
    (root / "pkg").rename(root.parent / "away")
    (root / "pkg").symlink_to(root.parent / "away")


def file_becomes_link(root: Path) -> None:
    (root / "a.py").unlink()
    (root / "a.py").symlink_to(root / "pkg/b.py")


def ignore_a_directory(root: Path) -> None:
    (root / "pkg/.gitignore").write_text("*\n")


def swap_in_one_step(root: Path) -> None:
    """`rename` with `RENAME_EXCHANGE`, by the program `mv` where it can do that."""
    done = subprocess.run(["mv", "--exchange", "-T", root / "pkg", root / "other"], capture_output=True, check=False)
    if done.returncode:
        swap_directories(root)


def check_out_another_branch(root: Path) -> None:
    git = ["git", "-c", "user.name=x", "-c", "user.email=x@example.com", "-C", str(root)]
    write_tree(root, {"only_main.py": "def main(): pass\n"})
    for words in (["init", "-q"], ["add", "."], ["commit", "-qm", "main"], ["checkout", "-qb", "side"]):
        subprocess.run([*git, *words], check=True)
    (root / "only_main.py").unlink()
    write_tree(root, {"side/h.py": "def side(): pass\n", "a.py": "def of_side(): pass\n"})
    for words in (["add", "-A"], ["commit", "-qm", "side"], ["checkout", "-q", "-"]):
        subprocess.run([*git, *words], check=True)


def write_through_a_mapping(root: Path) -> None:
    with open(root / "a.py", "r+b") as file, mmap.mmap(file.fileno(), 0) as mapped:
        mapped[4:7] = b"ONE"


CHANGES: list[Callable[[Path], None]] = [
    edit, edit_back_in_time, append, replace_by_rename, rename, delete, delete_directory, new_directories,
    move_directory, swap_directories, move_directory_out_and_another_in, file_becomes_directory,
    directory_becomes_file, directory_becomes_link, file_becomes_link, ignore_a_directory,
    swap_in_one_step, check_out_another_branch, write_through_a_mapping,
]  # fmt: skip


@pytest.fixture(scope="module", params=[30_000, 0], ids=["watched", "looked at"])
def settings(request: pytest.FixtureRequest) -> Settings:
    return Settings.model_validate({"code": {"watch_max_directories": request.param}})


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory, settings: Settings) -> Iterator[tuple[Path, Index]]:
    """One index for all changes: the tree is laid anew before each, which is one more change to notice."""
    root = tmp_path_factory.mktemp("watched") / "tree"
    write_tree(root, TREE)
    with index_of(root, settings=settings) as index:
        assert index.refresh(job()).complete
        yield root, index


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.__name__)
def test_an_answer_right_after_a_change_is_about_the_tree_as_it_is(
    shared: tuple[Path, Index], change: Callable[[Path], None]
) -> None:
    root, index = shared
    for left in root.iterdir():
        shutil.rmtree(left) if left.is_dir() and not left.is_symlink() else left.unlink()
    for outside in ("out", "away", "in"):
        shutil.rmtree(root.parent / outside, ignore_errors=True)
    write_tree(root, TREE)
    assert index.refresh(job()).complete
    assert defined(index) == on_disk(root)
    change(root)
    assert index.refresh(job()).complete
    assert defined(index) == on_disk(root)
    (root / "last.py").write_text("def last(): pass\n")
    assert index.refresh(job()).complete
    assert defined(index) == on_disk(root)


@pytest.mark.parametrize("name", [".gitignore", "CACHEDIR.TAG"])
def test_what_changes_below_a_directory_that_was_left_out_stays_out(shared: tuple[Path, Index], name: str) -> None:
    root, index = shared
    shutil.rmtree(root / "made", ignore_errors=True)
    write_tree(root, {"made/by/tool.py": "def kept(): pass\n"})
    assert index.refresh(job()).complete
    assert "made/by/tool.py:kept" in defined(index)
    (root / "made" / name).write_text("by/\n")
    assert index.refresh(job()).complete
    (root / "made/by/tool.py").write_text("def kept(): pass\ndef again(): pass\n")
    assert index.refresh(job()).complete
    assert not [item for item in defined(index) if item.startswith("made/")]


def test_a_file_that_is_written_through_a_mapping_that_stays_is_read_again_for_each_question(tmp_path: Path) -> None:
    require(sys.platform == "linux", "only the events of Linux tell which files are open")
    root = tmp_path / "tree"
    write_tree(root, {"mapped.py": "def first(): pass\n"})
    with index_of(root) as index:
        index.refresh(job())
        with open(root / "mapped.py", "r+b") as file:
            mapped = mmap.mmap(file.fileno(), 0)
        with mapped:
            for name in (b"secnd", b"third", b"forth"):
                mapped[4:9] = name
                index.refresh(job())
                assert defined(index) == {f"mapped.py:{name.decode()}"}
                (root / "mapped.py").read_bytes()


def test_a_file_that_is_written_through_another_name_is_noticed(shared: tuple[Path, Index]) -> None:
    root, index = shared
    write_tree(root, {"twin.py": "def twin(): pass\n"})
    outside = root.parent / "twin.py"
    outside.unlink(missing_ok=True)
    os.link(root / "twin.py", outside)
    (root / "twin.py").touch()
    index.refresh(job())
    outside.write_text("def renamed(): pass\n")
    index.refresh(job())
    assert "twin.py:renamed" in defined(index)


def test_an_ignore_file_that_is_written_through_another_name_is_noticed(shared: tuple[Path, Index]) -> None:
    root, index = shared
    (root / "pkg/.gitignore").write_text("b.py\n")
    os.link(root / "pkg/.gitignore", root / "rules.txt")
    index.refresh(job())
    assert "pkg/b.py:two" not in defined(index)
    (root / "rules.txt").write_text("c.py\n")
    index.refresh(job())
    assert {"pkg/b.py:two", "pkg/deep/c.py:three"} & defined(index) == {"pkg/b.py:two"}


def test_more_changes_than_the_kernel_keeps_are_noticed(shared: tuple[Path, Index]) -> None:
    root, index = shared
    write_tree(root, {"flood/x.py": "def x(): pass\n", "flood/y.py": "def y(): pass\n"})
    index.refresh(job())
    names = [root / "flood/x.py", root / "flood/y.py"]
    for _ in range(9_000):
        for name in names:
            os.utime(name)
    names[0].write_text("def flooded(): pass\n")
    assert index.refresh(job()).complete
    assert "flood/x.py:flooded" in defined(index)


def test_a_root_that_was_replaced_is_told_at_once(tmp_path: Path) -> None:
    root = tmp_path / "tree"
    write_tree(root, TREE)
    with index_of(root) as index:
        assert index.refresh(job()).complete
        root.rename(tmp_path / "old")
        write_tree(root, {"a.py": "def new(): pass\n"})
        assert "replaced" in index.refresh(job()).notes()[0]


def test_an_index_that_was_removed_is_made_anew_though_nothing_changed_in_the_tree(tmp_path: Path) -> None:
    root = tmp_path / "tree"
    write_tree(root, TREE)
    with index_of(root) as index:
        assert index.refresh(job()).complete
        shutil.rmtree(tmp_path / "code-state")
        assert index.refresh(job()).complete
        assert defined(index) == on_disk(root)


def test_directories_of_two_roots_that_overlap_are_both_kept_up_to_date(tmp_path: Path) -> None:
    root = tmp_path / "tree"
    write_tree(root, TREE)
    with Root(root) as outer, Root(root / "pkg") as inner:
        settings = Settings()
        workspace = Workspace([outer, inner], FileRules.from_settings(settings.policy), settings.fs)
        index = Index(workspace, tmp_path / "state", settings.code, ["both"], (SearchTerms(),))
        try:
            assert index.refresh(job()).complete
            (root / "pkg/b.py").write_text("def both(): pass\n")
            assert index.refresh(job()).complete
            assert {"tree/pkg/b.py:both", "pkg/b.py:both"} <= defined(index)
        finally:
            index.close()


@pytest.fixture
def watch(tmp_path: Path) -> Iterator[tuple[TreeWatch, Path]]:
    """A watch of one directory, looked at once."""
    root = tmp_path / "tree"
    root.mkdir()
    with Root(root) as opened:
        settings = Settings()
        workspace = Workspace([opened], FileRules.from_settings(settings.policy), settings.fs)
        made = TreeWatch(workspace.places, 3)
        assert made.take().everything
        made.enter(0, opened.fd, "")
        made.looked_at_everything()
        require(not made.off, f"this system cannot watch {root}: {made.off}")
        yield made, root
        made.close()


def test_only_the_name_that_changed_is_to_be_looked_at_again(watch: tuple[TreeWatch, Path]) -> None:
    made, root = watch
    assert made.is_quiet()
    (root / "x").write_text("x")
    assert not made.is_quiet()
    changes = made.take()
    assert not changes.everything
    assert changes.in_order() == [((0, ""), {"x"})]
    assert made.is_quiet()
    (root / "x").read_text()
    assert made.is_quiet()


def test_a_tree_with_more_directories_than_the_limit_is_not_watched(watch: tuple[TreeWatch, Path]) -> None:
    made, root = watch
    for number in range(4):
        (root / f"d{number}").mkdir()
        descriptor = os.open(root / f"d{number}", os.O_RDONLY)
        made.enter(0, descriptor, f"d{number}")
        os.close(descriptor)
    assert "watch_max_directories" in made.off
    assert not made.is_quiet()
    assert made.take().everything


def test_a_look_that_failed_is_made_again_at_the_whole_tree(watch: tuple[TreeWatch, Path]) -> None:
    made, _ = watch
    made.lost()
    assert not made.is_quiet()
    assert made.take().everything


def test_a_program_that_writes_without_end_does_not_hold_up_a_question(watch: tuple[TreeWatch, Path]) -> None:
    made, root = watch
    program = "import sys\nwhile True:\n    for name in 'ab': open(sys.argv[1] + name, 'w').close()"
    with subprocess.Popen([sys.executable, "-c", program, f"{root}/"]) as writer:
        try:
            for _ in range(50):
                made.is_quiet()
                made.take()
        finally:
            writer.kill()


def test_the_mount_of_a_directory_is_found_and_judged(tmp_path: Path) -> None:
    require(sys.platform == "linux", "other systems have no such table")
    table, descriptor = MountTable(), os.open(tmp_path, os.O_RDONLY)
    try:
        assert len(mounts_of(table, descriptor)) == 1
        assert not table.has_changed()
    finally:
        os.close(descriptor)
        table.close()


@pytest.mark.parametrize("kind", ["nfs4", "fuse.sshfs", "9p", "virtiofs", "overlay", "cifs", "unheard-of"])
def test_a_file_system_that_others_may_write_to_is_not_believed(kind: str, tmp_path: Path) -> None:
    local = Mount(1, str(tmp_path), "ext4")
    assert not why_not_seen([local])
    assert kind in why_not_seen([local, Mount(2, str(tmp_path / "below"), kind)])
    assert why_not_seen([])


def test_a_file_that_is_mounted_over_one_of_the_tree_is_not_believed(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert "a file that is mounted" in why_not_seen([Mount(1, str(tmp_path / "file"), "ext4")])
