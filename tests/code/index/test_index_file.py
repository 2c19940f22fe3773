"""The file of the index is lost, damaged, full, held by somebody else, or cannot be written."""

from __future__ import annotations

import contextlib
import os
import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from lg_code.answers.symbols import find_symbol
from lg_code.index.index import Index
from lg_policy.errors import Internal
from tests.code.helpers import index_of, job, settings_of
from tests.fs.helpers import write_tree


def defined(index: Index, name: str) -> list[str]:
    return [symbol["path"] for symbol in find_symbol(index, {"name": name}, job()).structured["symbols"]]


def index_file(state: Path) -> Path:
    (found,) = state.glob("index-*.sqlite3")
    return found


def test_an_index_that_is_removed_under_the_server_is_made_anew_and_read(tmp_path: Path) -> None:
    root, state = tmp_path / "tree", tmp_path / "state"
    write_tree(root, {"a.py": "def first(): pass\n"})
    with index_of(root, state) as index:
        assert defined(index, "first") == ["a.py"]
        for file in state.glob("index-*.sqlite3*"):
            file.unlink()
        write_tree(root, {"b.py": "def second(): pass\n"})
        assert defined(index, "second") == ["b.py"]
        shutil.rmtree(state)
        write_tree(root, {"c.py": "def third(): pass\n"})
        assert defined(index, "third") == ["c.py"]


HARM: dict[str, Callable[[Path], object]] = {
    "empty": lambda file: os.truncate(file, 0),
    "cut short": lambda file: os.truncate(file, 5_000),
    "overwritten": lambda file: file.write_bytes(b"junk" * 5_000),
    "without its log": lambda file: file.with_name(f"{file.name}-wal").unlink(),
    "with another log": lambda file: file.with_name(f"{file.name}-wal").write_bytes(b"x" * 9_000),
    "without its shared memory": lambda file: file.with_name(f"{file.name}-shm").unlink(),
}


@pytest.mark.parametrize("harm", HARM.values(), ids=HARM.keys())
def test_an_index_that_somebody_breaks_while_it_is_open_is_right_again_after_a_few_calls(
    tmp_path: Path, harm: Callable[[Path], object]
) -> None:
    root, state = tmp_path / "tree", tmp_path / "state"
    write_tree(root, {f"m{n}.py": f"def first{n}(): pass\n" for n in range(40)})
    with index_of(root, state) as index:
        assert defined(index, "first7") == ["m7.py"]
        harm(index_file(state))
        for _ in range(4):
            write_tree(root, {"m7.py": "def second(): pass\n"})
            with contextlib.suppress(Internal):
                index.refresh(job())
                defined(index, "second")
        assert index.refresh(job()).complete
        assert defined(index, "second") == ["m7.py"]
        assert defined(index, "first8") == ["m8.py"]


def test_an_index_that_is_no_file_any_more_is_told_with_its_name(tmp_path: Path) -> None:
    root, state = tmp_path / "tree", tmp_path / "state"
    write_tree(root, {"a.py": "def first(): pass\n"})
    with index_of(root, state) as index:
        assert defined(index, "first") == ["a.py"]
        shutil.rmtree(state)
        state.write_text("no directory")
        with pytest.raises(Internal, match="cannot be opened") as caught:
            index.refresh(job())
        assert str(state) in (caught.value.hint or "")
        state.unlink()
        assert defined(index, "first") == ["a.py"]


def test_damage_that_only_a_reader_meets_is_mended_by_the_next_call(tmp_path: Path) -> None:
    root, state = tmp_path / "tree", tmp_path / "state"
    write_tree(root, {f"m{number}.py": f"def fun{number}(): pass\n" * 40 for number in range(40)})
    with index_of(root, state) as index:
        defined(index, "fun7")
    with sqlite3.connect(index_file(state)) as db:
        page = db.execute("SELECT rootpage FROM sqlite_master WHERE name = 'symbols_by_name'").fetchone()[0]
        size = db.execute("PRAGMA page_size").fetchone()[0]
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    db.close()
    with index_file(state).open("r+b") as file:
        file.seek((page - 1) * size)
        file.write(b"\xff" * size)
    with index_of(root, state) as index:
        with pytest.raises(Internal, match="cannot be read"):
            defined(index, "fun7")
        assert defined(index, "fun7") == ["m7.py"] * 20


def test_an_index_that_cannot_be_written_is_kept_for_this_process_alone(tmp_path: Path) -> None:
    root, state = tmp_path / "tree", tmp_path / "state"
    write_tree(root, {"a.py": "def first(): pass\n"})
    with index_of(root, state) as index:
        assert defined(index, "first") == ["a.py"]
    file = index_file(state)
    for other in state.iterdir():
        other.unlink()
    file.mkdir()
    with index_of(root, state) as index:
        assert defined(index, "first") == ["a.py"]


def test_a_server_that_starts_while_another_writes_leaves_the_index_alone(tmp_path: Path) -> None:
    root, state = tmp_path / "tree", tmp_path / "state"
    write_tree(root, {"a.py": "def first(): pass\n"})
    with index_of(root, state) as index:
        assert defined(index, "first") == ["a.py"]
        file = index_file(state)
        before = file.stat().st_ino
        writer = sqlite3.connect(file, isolation_level=None)
        writer.execute("BEGIN IMMEDIATE")
        try:
            with index_of(root, state) as second, second.read() as db:  # it does not wait for the writer
                assert db.execute("SELECT path FROM files").fetchall() == [("a.py",)]
        finally:
            writer.close()
        assert file.stat().st_ino == before


def test_a_full_index_has_room_again_when_files_go(tmp_path: Path) -> None:
    root = tmp_path / "tree"
    write_tree(root, {f"d{number}/f.py": f"def fun{number}(): pass\n" for number in range(9)})
    with index_of(root, settings=settings_of(code={"index_max_files": 4})) as index:
        assert index.refresh(job()).notes()[0].startswith("not complete: 4 files are indexed")
        write_tree(root, {"d0/f.py": "def changed(): pass\n"})
        assert defined(index, "changed") == ["d0/f.py"]
        for number in range(6):
            shutil.rmtree(root / f"d{number}")
        index.refresh(job())
        assert index.refresh(job()).complete
        assert defined(index, "fun8") == ["d8/f.py"]
