"""The index: what it holds after files change, after a crash, and with several processes."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from lg_code.index.index import Index
from lg_code.index.rows import files, files_using, name_id, symbols_of
from lg_code.parsing.facts import CALL, DEF, unpacked
from lg_code.search.terms import SearchTerms
from lg_policy.config.settings import Settings
from tests.code.helpers import index_of, job
from tests.fs.helpers import write_tree


def held(index: Index) -> dict[str, list[str]]:
    """Every file of the index with the names that it defines."""
    with index.read() as db:
        return {file.path: [symbol.name for symbol in symbols_of(db, file.id)] for file in list(files(db))}


def test_files_that_come_change_and_go_are_noticed_by_the_next_call(tmp_path: Path) -> None:
    root = tmp_path / "tree"
    write_tree(root, {"a.py": "def one(): pass\n", "b/c.py": "def two(): pass\n", "gone.py": "def three(): pass\n"})
    with index_of(root) as index:
        assert index.refresh(job()).complete
        assert held(index) == {"a.py": ["one"], "b/c.py": ["two"], "gone.py": ["three"]}
        write_tree(root, {"a.py": "def ONE(): pass\n", "b/d.py": "one()\n"})
        (root / "gone.py").unlink()
        (root / "b/c.py").rename(root / "b/e.py")
        assert index.refresh(job()).complete
        assert held(index) == {"a.py": ["ONE"], "b/d.py": [], "b/e.py": ["two"]}


def test_a_change_that_leaves_size_and_time_as_they_were_is_noticed(tmp_path: Path) -> None:
    root = tmp_path / "tree"
    write_tree(root, {"a.py": "def one(): pass\n"})
    os.utime(root / "a.py", ns=(10**18, 10**18))
    with index_of(root) as index:
        index.refresh(job())
        write_tree(root, {"a.py": "def two(): pass\n"})
        os.utime(root / "a.py", ns=(10**18, 10**18))
        index.refresh(job())
        assert held(index) == {"a.py": ["two"]}


def test_uses_of_a_name_are_found_with_how_it_is_used(tmp_path: Path) -> None:
    root = tmp_path / "tree"
    many = {f"m{number}.py": f"import x{number}\nvalue_{number} = run({number})\n" for number in range(60)}
    write_tree(root, {**many, "run.py": "def run(n): pass\n"})
    with index_of(root) as index:
        index.refresh(job())
        with index.read() as db:
            number = name_id(db, "run")
            assert number is not None
            uses = {unpacked(use)[0] for _, use in files_using(db, number)}
            assert len(files_using(db, number)) == 61
            assert uses == {CALL, DEF}
            assert len(files_using(db, name_id(db, "value_7") or 0)) == 1


def test_what_the_rules_hide_and_what_git_ignores_is_not_in_the_index(tmp_path: Path) -> None:
    root = tmp_path / "tree"
    write_tree(
        root,
        {
            ".gitignore": "build/\n",
            "build/out.py": "def generated(): pass\n",
            ".env": "TOKEN=secret_name\n",
            "secrets/key.py": "def hidden(): pass\n",
            "a.py": "def shown(): pass\n",
        },
    )
    settings = Settings.model_validate({"policy": {"read_deny": [".env", "secrets/"]}})
    with index_of(root, settings=settings) as index:
        index.refresh(job())
        assert held(index).keys() == {".gitignore", "a.py"}
        with index.read() as db:
            assert name_id(db, "hidden") is None
            assert name_id(db, "secret_name") is None


def test_other_rules_have_another_index(tmp_path: Path) -> None:
    root = tmp_path / "tree"
    write_tree(root, {"a.py": "def shown(): pass\n", "b.py": "def later_hidden(): pass\n"})
    with index_of(root) as index:
        index.refresh(job())
        assert "b.py" in held(index)
    with index_of(root, settings=Settings.model_validate({"policy": {"read_deny": ["b.py"]}})) as index:
        assert held(index) == {}
        index.refresh(job())
        with index.read() as db:
            assert name_id(db, "later_hidden") is None


def test_a_damaged_index_is_made_anew(tmp_path: Path) -> None:
    root = tmp_path / "tree"
    write_tree(root, {"a.py": "def one(): pass\n"})
    with index_of(root) as index:
        index.refresh(job())
    (found,) = (tmp_path / "code-state").glob("index-*.sqlite3")
    found.write_bytes(b"this is no database" * 1_000)
    with index_of(root) as index:
        assert index.refresh(job()).complete
        assert held(index) == {"a.py": ["one"]}


PROGRAM = """
import sys
from pathlib import Path
from tests.code.helpers import index_of, job
with index_of(Path(sys.argv[1])) as index:
    print("begun", flush=True)
    index.refresh(job())
    print("done", flush=True)
"""


def program(root: Path) -> subprocess.Popen[str]:
    here = Path(__file__).resolve().parents[3]
    return subprocess.Popen(
        [sys.executable, "-c", PROGRAM, str(root)], cwd=here, stdout=subprocess.PIPE, text=True, env=dict(os.environ)
    )


def test_a_process_that_is_killed_leaves_an_index_that_is_whole(tmp_path: Path) -> None:
    root = tmp_path / "tree"
    write_tree(root, {f"d{n % 7}/m{n}.py": f"def f{n}():\n    return g{n}()\n" for n in range(400)})
    with program(root) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "begun\n"
        process.send_signal(signal.SIGKILL)
    with index_of(root) as index:
        assert index.refresh(job()).complete
        assert held(index) == {f"d{n % 7}/m{n}.py": [f"f{n}"] for n in range(400)}
        with index.read() as db:
            assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)


def test_two_processes_share_one_index(tmp_path: Path) -> None:
    root = tmp_path / "tree"
    write_tree(root, {f"m{n}.py": f"def f{n}(): pass\n" for n in range(300)})
    with program(root) as first, program(root) as second:
        assert first.wait(120) == 0
        assert second.wait(120) == 0
    with index_of(root) as index:
        assert held(index) == {f"m{n}.py": [f"f{n}"] for n in range(300)}


def test_an_index_that_is_full_says_so_and_answers_with_what_it_has(tmp_path: Path) -> None:
    root = tmp_path / "tree"
    write_tree(root, {f"d{n}/m.py": f"def f{n}(): pass\n" for n in range(20)})
    with index_of(root, settings=Settings.model_validate({"code": {"index_max_files": 5}})) as index:
        coverage = index.refresh(job())
        assert not coverage.complete
        assert "index_max_files is 5" in coverage.notes()[0]
        assert 0 < coverage.files < 20


def test_a_call_that_waits_no_longer_says_what_is_missing_and_the_pass_goes_on(tmp_path: Path) -> None:
    root = tmp_path / "tree"
    write_tree(root, {f"m{n}.py": f"def f{n}(): pass\n" for n in range(300)})
    with index_of(root) as index:
        coverage = index.refresh(job(), wait_s=0)
        assert not coverage.complete
        assert "still being made" in coverage.notes()[0]
        assert index.refresh(job()).complete
        assert len(held(index)) == 300


class FaultyOnce(SearchTerms):
    """A part of the index with a fault: the first file that it stores ends the pass."""

    fails = True

    def store(self, db: sqlite3.Connection, file_id: int, path: str, prepared: Any) -> None:
        if self.fails:
            self.fails = False
            raise TypeError("a fault of the program")
        super().store(db, file_id, path, prepared)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_after_a_fault_in_a_pass_the_next_call_brings_the_index_up_to_date(tmp_path: Path) -> None:
    root = tmp_path / "tree"
    write_tree(root, {"a.py": "def one(): pass\n"})
    with index_of(root, part=FaultyOnce()) as index:
        told = index.refresh(job())
        assert not told.complete
        assert "log" in told.notes()[0]
        assert index.refresh(job()).complete
        assert held(index) == {"a.py": ["one"]}


def test_names_of_an_index_that_is_there_keep_their_ids_and_new_ones_get_their_own(tmp_path: Path) -> None:
    root = tmp_path / "tree"
    write_tree(root, {"a.py": "def one(): two()\n"})
    with index_of(root) as index:
        index.refresh(job())
    write_tree(root, {"b.py": "def three(): one()\n", "c.py": "def four(): three()\n"})
    with index_of(root) as index:
        index.refresh(job())
        assert held(index) == {"a.py": ["one"], "b.py": ["three"], "c.py": ["four"]}
        with index.read() as db:
            wanted = {name: len(files_using(db, name_id(db, name) or 0)) for name in ("one", "two", "three", "four")}
        assert wanted == {"one": 2, "two": 1, "three": 2, "four": 1}
