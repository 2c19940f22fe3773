"""More attacks on `root = "rw"`: what is listed, what is recorded, and places that change while changes are kept."""

from __future__ import annotations

import ctypes
import os
import shutil
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from lg_policy.errors import Conflict
from tests.attacks.writable_root import ran, root, tree, writing

pytestmark = pytest.mark.anyio
__all__ = ["root"]


@pytest.mark.attack("Writable root", "directories without files, and modes of directories that were there before")
async def test_new_directories_are_listed_and_so_is_a_mode_that_is_not_kept(root: Path, tmp_path: Path) -> None:
    (root / "old").mkdir(mode=0o755)
    (root / "touched").mkdir(mode=0o755)
    code = (
        "import os\nos.makedirs('a/b'); os.makedirs('c/d'); open('c/d/f', 'w')\n"
        "os.chmod('old', 0o777); open('touched/f', 'w')"
    )
    with writing(root, tmp_path) as executor:
        outcome = await ran(executor, code)
    assert outcome.changed_paths == (
        "a/b/",
        "c/d/f",
        "old (not kept: the mode of a directory that was there before)",
        "touched/f",
    )
    assert stat.S_IMODE((root / "old").stat().st_mode) == 0o755


@pytest.mark.attack("Writable root", "a record of interrupted changes that is damaged, or that names places outside")
@pytest.mark.parametrize(
    "record",
    [
        "{broken",
        "[]",
        '{"staging": ".lg-exec-../../x", "steps": []}',
        '{"staging": ".lg-exec-x", "steps": [["unlink", "../outside", 0]]}',
        '{"staging": ".lg-exec-x", "steps": [["put", "/outside", 0]]}',
        '{"staging": ".lg-exec-x", "steps": [["unlink"]]}',
        '{"staging": ".lg-exec-x", "steps": [], "made": {"x": 1}}',
    ],
)
async def test_a_record_that_cannot_be_right_stops_changes_and_says_which_file_it_is(
    root: Path, tmp_path: Path, clean_environment: Path, record: str
) -> None:
    with writing(root, tmp_path) as executor:
        await ran(executor, "open('first', 'w')")
        (tmp_path / "outside").write_text("outside")
        (state,) = clean_environment.glob("state/lg/*/exec/*")
        (state / "begun.json").write_text(record)
        with pytest.raises(Conflict, match=r"begun\.json") as refused:
            await ran(executor, "open('second', 'w')")
        assert "remove that file" in refused.value.hint
        (state / "begun.json").unlink()
        assert (await ran(executor, "open('third', 'w')")).changed_paths == ("third",)
    assert (tmp_path / "outside").read_text() == "outside"


@pytest.mark.attack("Writable root", "several names of one file, all removed or all replaced by one command")
@pytest.mark.parametrize(
    "code",
    [
        "import os\nos.unlink('a'); os.unlink('b')",
        "import os\nfor n in 'ab':\n    os.unlink(n); open(n, 'w').write('new')",
        "import os, shutil\nshutil.rmtree('d'); os.unlink('a')",
        "import os\nos.unlink('a'); os.symlink('nowhere', 'b2'); os.replace('b2', 'b'); open('d/c', 'w').write('x')",
    ],
)
async def test_a_command_may_change_several_names_of_one_file(root: Path, tmp_path: Path, code: str) -> None:
    (root / "d").mkdir()
    (root / "a").write_text("old")
    for name in ("b", "d/c"):
        (root / name).hardlink_to(root / "a")
    expected = tmp_path / "expected"
    shutil.copytree(root, expected)
    subprocess.run([sys.executable, "-c", code], cwd=expected, check=True)
    with writing(root, tmp_path) as executor:
        outcome = await ran(executor, code)
    assert outcome.finished.not_kept is None
    assert tree(root) == tree(expected)


@pytest.mark.attack("Writable root", "directories that are swapped for links to the outside while changes are kept")
async def test_nothing_outside_is_written_through_a_link_that_appears_meanwhile(root: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    for place in (root / "d" / "e", outside / "e"):
        place.mkdir(parents=True)
        (place / "old").write_text("old")
    (root / "l").symlink_to(outside)
    ended = threading.Event()
    swapping = threading.Thread(target=_swap, args=(root / "d", root / "l", ended))
    swapping.start()
    told = ""
    try:
        with writing(root, tmp_path) as executor:
            for number in range(12):
                code = (
                    "import os\nfor place in ('d/e', 'l/e'):\n    try:\n"
                    f"        for n in range(20): open(f'{{place}}/{number}-{{n}}', 'w').write('x')\n"
                    "        os.remove(place + '/old')\n    except OSError as error: print(error)"
                )
                outcome = await ran(executor, code)
                assert outcome.finished.exit_code == 0
                assert outcome.finished.not_kept is None or outcome.finished.not_kept.code == "conflict"
                told += outcome.finished.not_kept.message if outcome.finished.not_kept else ""
    finally:
        ended.set()
        swapping.join()
    assert tree(outside) == {b"e": 0o755, b"e/old": b"old"}
    left = [name for name in os.listdir(root) if name.startswith(".lg")]
    assert not left or "not everything could be undone" in told


def _swap(one: Path, other: Path, ended: threading.Event) -> None:
    """Exchange two names again and again."""
    exchange = ctypes.CDLL(None).renameat2
    while not ended.is_set():
        exchange(-100, os.fsencode(one), -100, os.fsencode(other), 2)
