"""Attacks on `root = "rw"`: a command's changes are kept as a whole or not at all, and its result is never lost."""

from __future__ import annotations

import errno
import fcntl
import os
import stat
import subprocess
from collections.abc import Callable
from pathlib import Path

import anyio
import pytest

from lg_exec.server.executor import Outcome, Request
from tests.attacks.writable_root import RW, ran, root, tree, writing
from tests.exec.helpers import py, sandboxed, settings
from tests.heartbeat import called_in_this_thread
from tests.support import require

pytestmark = pytest.mark.anyio
__all__ = ["root"]

RO = {**RW, "root": "ro"}


@pytest.mark.attack("Writable root", "names that are not UTF-8, hold a newline, or are 255 bytes long")
@pytest.mark.parametrize(
    ("name", "listed"),
    [(b"\xff\xfe.txt", r"\xff\xfe.txt"), (b"a\nb", r"a\nb"), (b"n" * 255, "n" * 255), ("ä".encode() * 127, "ä" * 127)],
)
async def test_any_name_is_kept_with_its_content_and_the_result(
    root: Path, tmp_path: Path, name: bytes, listed: str
) -> None:
    (root / os.fsdecode(name)).write_text("old")
    code = (
        f"import os\nname = {name!r}\nopen(name, 'a').write(' new')\nos.mkdir(b'd\\xfe\\n')\n"
        "open(b'd\\xfe\\n/' + name, 'w').write('inner'); print('said'); raise SystemExit(3)"
    )
    with writing(root, tmp_path) as executor:
        outcome = await ran(executor, code)
    assert outcome.finished.exit_code == 3
    assert outcome.as_json()["stdout"] == "said\n"
    assert tree(root)[name] == b"old new"
    assert tree(root)[b"d\xfe\n/" + name] == b"inner"
    assert outcome.changed_paths is not None
    assert set(outcome.changed_paths) == {listed, rf"d\xfe\n/{listed}"}


@pytest.mark.attack("Writable root", "a directory replaced by a file, a file by a directory, links by both")
async def test_what_was_replaced_by_another_kind_is_kept(root: Path, tmp_path: Path) -> None:
    (root / "dir" / "deep").mkdir(parents=True)
    (root / "dir" / "deep" / "x").write_text("x")
    (root / "file").write_text("file")
    (root / "link").symlink_to("file")
    code = (
        "import os, shutil\nshutil.rmtree('dir'); open('dir', 'w').write('now a file')\n"
        "os.remove('file'); os.mkdir('file'); open('file/in', 'w').write('in')\n"
        "os.remove('link'); os.mkdir('link'); os.symlink('../dir', 'link/up')"
    )
    with writing(root, tmp_path) as executor:
        outcome = await ran(executor, code)
    assert outcome.finished.not_kept is None
    found = tree(root)
    assert found[b"dir"] == b"now a file"
    assert found[b"file/in"] == b"in"
    assert found[b"link/up"] == b"../dir"


def edit(root: Path) -> None:
    (root / "shared").write_text("by a human")


def remove(root: Path) -> None:
    (root / "shared").unlink()


def make(root: Path) -> None:
    (root / "made").write_text("by a human")


def make_in_a_removed_directory(root: Path) -> None:
    (root / "gone" / "new").write_text("by a human")


def put_a_link_in_place_of_a_directory(root: Path) -> None:
    (root / "gone" / "old").unlink()
    (root / "gone").rmdir()
    (root / "gone").symlink_to("/etc")


HUMANS = [edit, remove, make, make_in_a_removed_directory, put_a_link_in_place_of_a_directory]


@pytest.mark.attack("Writable root", "a file that somebody else edits, removes, makes or links while the command runs")
@pytest.mark.parametrize("human", HUMANS, ids=lambda human: human.__name__)
async def test_what_somebody_else_changed_meanwhile_is_never_overwritten(
    root: Path, tmp_path: Path, human: Callable[[Path], None]
) -> None:
    for name in (".git/x", "first", "shared", "gone/old"):
        (root / name).parent.mkdir(exist_ok=True)
        (root / name).write_text(name)
    code = (
        "import os, shutil, time\n"
        "for name in ('first', 'shared', 'made'): open(name, 'a').write(' by the command')\n"
        "shutil.rmtree('gone'); open('written', 'w')\n"
        "while not os.path.exists('.git/go'): time.sleep(0.02)\n"
        "print('done')"
    )
    changed: dict[bytes, object] = {}
    with writing(root, tmp_path) as executor, anyio.fail_after(60):
        outcomes: list[Outcome] = []

        async def run() -> None:
            outcomes.append(await py(executor, code))

        async with anyio.create_task_group() as group:
            group.start_soon(run)
            while not list((tmp_path / "s").glob("upper-*/new/written")):
                await anyio.sleep(0.02)
            human(root)
            (root / ".git" / "go").touch()  # the protected directory is the root's own inside, not a copy
            changed = tree(root)
    outcome = outcomes[0]
    assert outcome.as_json()["stdout"] == "done\n"
    assert outcome.finished.exit_code == 0
    assert outcome.finished.not_kept is not None
    assert outcome.finished.not_kept.code == "conflict"
    assert outcome.changed_paths is not None
    assert outcome.changed_paths
    assert all("(not kept: all or nothing)" in name for name in outcome.changed_paths)
    assert tree(root) == changed


@pytest.mark.attack("Writable root", "changes that do not fit on the disk, a root that has become read-only")
@pytest.mark.parametrize("ending", ["full", "read-only"])
async def test_a_disk_that_takes_no_more_loses_neither_result_nor_old_content(
    root: Path, tmp_path: Path, ending: str
) -> None:
    require(os.geteuid() == 0, "mounting needs root")
    require(subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "x", root], check=False).returncode == 0, "mounts")
    try:
        (root / "kept").write_text("kept")
        (root / ".git").mkdir()
        code = (
            "import os, time\nos.remove('kept'); open('small', 'w').write('x')\n"
            "open('large', 'wb').write(bytes(8 << 20)); print('said', flush=True)\n"
            + ("" if ending == "full" else "while not os.path.exists('.git/go'): time.sleep(0.02)\n")
            + "raise SystemExit(4)"
        )
        before = tree(root)
        outcomes: list[Outcome] = []
        with writing(root, tmp_path) as executor, anyio.fail_after(60):

            async def run() -> None:
                outcomes.append(await py(executor, code))

            async with anyio.create_task_group() as group:
                group.start_soon(run)
                if ending == "read-only":
                    while not list((tmp_path / "s").glob("upper-*/new/large")):
                        await anyio.sleep(0.02)
                    (root / ".git" / "go").touch()
                    before = tree(root)
                    subprocess.run(["mount", "-o", "remount,ro", root], check=True)
        assert tree(root) == before
        assert outcomes[0].finished.exit_code == 4
        assert outcomes[0].as_json()["stdout"] == "said\n"
        assert outcomes[0].finished.not_kept is not None
    finally:
        subprocess.run(["umount", "-l", root], check=True)


@pytest.mark.attack("Writable root", "sparse files and floods of empty files above `disk_mb`")
@pytest.mark.parametrize(
    "code",
    [
        "for n in range(40):\n    with open(f's{n}', 'wb') as file: file.truncate(1 << 20)",
        "for n in range(10_000): open(f'e{n}', 'w').close()",
        "import os\nfor n in range(10_000): os.mkdir(f'd{n}')",
    ],
    ids=["sparse", "empty files", "directories"],
)
async def test_the_disk_limit_counts_holes_and_empty_files(root: Path, tmp_path: Path, code: str) -> None:
    with writing(root, tmp_path, disk_mb=16) as executor:
        outcome = await ran(executor, code)
    assert outcome.finished.limit_hit == "disk"
    assert tree(root) == {}


@pytest.mark.attack("Writable root", "a sparse file within the limit")
async def test_holes_stay_holes(root: Path, tmp_path: Path) -> None:
    code = (
        "with open('s', 'wb') as file:\n    file.write(b'a'); file.seek(8 << 20); file.write(b'z'); "
        "file.truncate(16 << 20)"
    )
    with writing(root, tmp_path) as executor:
        outcome = await ran(executor, code)
    assert outcome.changed_paths == ("s",)
    assert (root / "s").stat().st_size == 16 << 20
    assert (root / "s").stat().st_blocks * 512 < 1 << 20
    data = (root / "s").read_bytes()
    assert (data[0], data[8 << 20]) == (ord("a"), ord("z"))
    assert data.count(0) == len(data) - 2


@pytest.mark.attack(
    "Writable root", "thousands of files at once, and a directory that is deeper than names may be long"
)
async def test_many_and_deep_changes_keep_the_loop_free(root: Path, tmp_path: Path) -> None:
    for number in range(3_000):
        (root / f"old{number}").write_text("old")
    code = (
        "import os\nfor n in range(3_000):\n    os.remove(f'old{n}')\n    open(f'new{n}', 'w').write('x')\n"
        "print('done')"
    )
    with writing(root, tmp_path) as executor, anyio.fail_after(60), called_in_this_thread() as by_the_loop:
        kept = await py(executor, code)
    assert kept.changed_paths is not None
    assert kept.finished.not_kept is None
    assert len(list(root.iterdir())) == 3_000
    assert not [name for name in {code.co_filename for code in by_the_loop} if "/lg_exec/write_back/" in name]


@pytest.mark.attack("Writable root", "directories inside each other, deeper than names may be long")
@pytest.mark.parametrize(("depth", "ending"), [(100, "kept"), (300, "not kept"), (1_500, "stopped")])
async def test_a_deep_tree_is_kept_or_refused_and_always_removed(
    root: Path, tmp_path: Path, depth: int, ending: str
) -> None:
    code = (
        f"import os\nfor n in range({depth}):\n    os.mkdir('abcdef'); os.chdir('abcdef')\n"
        "open('f', 'w'); print('deep')"
    )
    with writing(root, tmp_path) as executor:
        outcome = await ran(executor, code)
    if ending == "kept":
        assert outcome.finished.not_kept is None
        assert len(tree(root)) == depth + 1
        return
    assert tree(root) == {}
    if ending == "not kept":
        assert outcome.as_json()["stdout"] == "deep\n"
        assert outcome.finished.not_kept is not None
    else:
        assert outcome.finished.limit_hit == "disk"
    assert list((tmp_path / "s").glob("upper-*")) == []


@pytest.mark.attack("Writable root", "a lock on the root, taken by a command that sees it read-only")
async def test_a_command_cannot_lock_out_those_who_change_the_root(root: Path, tmp_path: Path) -> None:
    (root / ".git").mkdir()
    holding = (
        "import fcntl, os, time\nfd = os.open('.', os.O_RDONLY)\nfcntl.flock(fd, fcntl.LOCK_EX)\n"
        "while not os.path.exists('.git/go'): time.sleep(0.02)"
    )
    commands = {"py": RW, "lock": RO}
    with sandboxed(root, tmp_path / "s", settings(commands=commands)) as executor, anyio.fail_after(60):
        async with anyio.create_task_group() as group:
            group.start_soon(executor.execute, Request(cmd="lock", args=("-c", holding)))
            while _lockable(root):
                await anyio.sleep(0.02)
            outcome = await py(executor, "open('new', 'w').write('x')")
            (root / ".git" / "go").touch()
    assert outcome.changed_paths == ("new",)
    assert (root / "new").read_text() == "x"


def _lockable(path: Path) -> bool:
    fd = os.open(path, os.O_RDONLY)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        assert error.errno == errno.EWOULDBLOCK
        return False
    finally:
        os.close(fd)
    return True


@pytest.mark.attack("Writable root", "files and directories that the command has closed to itself")
async def test_unreadable_files_are_kept_with_their_mode(root: Path, tmp_path: Path) -> None:
    code = (
        "import os\nos.mkdir('d'); open('d/f', 'w').write('f'); open('s', 'w').write('s')\n"
        "os.chmod('d/f', 0); os.chmod('d', 0); os.chmod('s', 0o4755)"
    )
    with writing(root, tmp_path) as executor:
        outcome = await ran(executor, code)
    assert outcome.changed_paths == ("d/f", "s")
    (root / "d").chmod(0o700)
    assert stat.S_IMODE((root / "d" / "f").stat().st_mode) == 0
    assert stat.S_IMODE((root / "s").stat().st_mode) == 0o755
