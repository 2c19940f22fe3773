"""Changes that are made as one: what a failure, a killed server and a second writer leave behind."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from lg_exec.process.container import ChangeSet
from lg_exec.process.worker_thread import StoppedError, Work
from lg_exec.write_back.carrier import Carrier, StateFiles
from lg_exec.write_back.names import shown
from lg_exec.write_back.snapshot import Snapshot
from lg_exec.write_back.transaction import Ground, Transaction
from lg_policy.changes.interrupted import Step, recover
from lg_policy.changes.journal import Journal
from lg_policy.changes.open_names import Place
from lg_policy.changes.removal import remove_tree
from lg_policy.config.settings import FsSettings, Settings
from lg_policy.errors import Conflict
from lg_policy.paths.file_rules import FileRules
from lg_policy.paths.root import Root
from tests.support import require


@pytest.fixture
def root(tmp_path: Path) -> Iterator[Root]:
    require(os.name == "posix", "descriptors of directories")
    (tmp_path / "root" / "d").mkdir(parents=True)
    (tmp_path / "state").mkdir()
    for name in ("a", "b", "d/c"):
        (tmp_path / "root" / name).write_text(f"old {name}")
    with Root(tmp_path / "root") as opened:
        yield opened


STEPS = [
    Step(kind="unlink", rel="a"),
    Step(kind="unlink", rel="d/c"),
    Step(kind="rmdir", rel="d"),
    Step(kind="mkdir", rel="n", mode=0o755),
    Step(kind="put", rel="b"),
    Step(kind="put", rel="d"),
    Step(kind="put", rel="n/new"),
]


def contents(path: Path) -> dict[str, str]:
    return {str(found.relative_to(path)): found.read_text() if found.is_file() else "/" for found in path.rglob("*")}


def upper(tmp_path: Path) -> str:
    place = tmp_path / "upper"
    (place / "n").mkdir(parents=True)
    for name in ("b", "d", "n/new"):
        (place / name).write_text(f"new {name}")
    return str(place)


OLD = {"a": "old a", "b": "old b", "d": "/", "d/c": "old d/c"}
NEW = {"b": "new b", "d": "new d", "n": "/", "n/new": "new n/new"}


def ground(root: Root, tmp_path: Path) -> Ground:
    journal = Journal(tmp_path / "journal", FsSettings())
    journal.open()
    return Ground(root_fd=root.fd, root=str(root.path), state=tmp_path / "state", journal=journal)


def recovered(root: Root, tmp_path: Path) -> None:
    recover(root.fd, str(root.path), tmp_path / "state", ground(root, tmp_path).journal)


class Dying(Transaction):
    """Is killed before a step, without any clean-up. The last two are telling the journal, and having told it."""

    def __init__(self, place: Ground, before: int) -> None:
        super().__init__(place)
        self._left = before

    def _do(self, number: int, step: Step, at: Place, there: bool) -> None:
        if number == self._left:
            os._exit(9)
        super()._do(number, step, at, there)

    def _finish(self, changes: ChangeSet) -> None:
        if self._left == len(STEPS):
            os._exit(9)
        super()._finish(changes)
        os._exit(9)


@pytest.mark.parametrize("before", range(len(STEPS) + 2))
def test_a_server_killed_at_any_step_has_changed_all_or_nothing(root: Root, tmp_path: Path, before: int) -> None:
    place = upper(tmp_path)
    snapshot = Snapshot(root.fd, (), Work())
    pid = os.fork()
    if pid == 0:
        try:
            dying = Dying(ground(root, tmp_path), before)
            dying.stage(STEPS, place, Work())
            dying.commit(STEPS, snapshot, Work())
        finally:
            os._exit(9)
    os.waitpid(pid, 0)
    wanted, kept = (NEW, 1) if before > len(STEPS) else (OLD, 0)
    for _ in range(2):  # the second time nothing is left to do
        recovered(root, tmp_path)
        assert contents(root.path) == wanted
        assert len(ground(root, tmp_path).journal.changes()) == kept
        assert list((tmp_path / "journal" / "pending").iterdir()) == []


def test_all_steps_together_are_what_the_command_did(root: Root, tmp_path: Path) -> None:
    transaction = Transaction(ground(root, tmp_path))
    transaction.stage(STEPS, upper(tmp_path), Work())
    transaction.commit(STEPS, Snapshot(root.fd, (), Work()), Work())
    transaction.close()
    assert contents(root.path) == NEW
    assert list((tmp_path / "state").iterdir()) == []


@pytest.mark.parametrize("taken", ["n/new", "d"])
def test_a_name_taken_in_the_last_moment_undoes_everything(root: Root, tmp_path: Path, taken: str) -> None:
    """The check has passed; then somebody makes the file that a later step wants to make."""

    class Late(Transaction):
        def _do(self, number: int, step: Step, at: Place, there: bool) -> None:
            if step.rel == taken and step.kind == "put":
                (root.path / taken).write_text("somebody's")
            super()._do(number, step, at, there)

    transaction = Late(ground(root, tmp_path))
    transaction.stage(STEPS, upper(tmp_path), Work())
    with pytest.raises((Conflict, OSError)):
        transaction.commit(STEPS, Snapshot(root.fd, (), Work()), Work())
    transaction.close()
    left = contents(root.path)
    assert "somebody's" in left.values()
    assert {"old a", "old b"} <= set(left.values())


def carrier(root: Root, tmp_path: Path) -> Carrier:
    state = tmp_path / "state"
    files = StateFiles(directory=state, locks=[state / "lock"], journal=ground(root, tmp_path).journal)
    return Carrier(root, FileRules.from_settings(Settings().policy), lambda: files)


def test_a_cancelled_call_gives_up_waiting_for_the_lock(root: Root, tmp_path: Path) -> None:
    own = carrier(root, tmp_path)
    snapshot = own.begin((), Work())
    holder = os.open(tmp_path / "state" / "lock", os.O_RDWR)
    try:
        fcntl.flock(holder, fcntl.LOCK_EX)
        stopped = Work()
        stopped.stop()
        with pytest.raises(StoppedError):
            own.apply(upper(tmp_path), snapshot, stopped)
        late = own.apply(str(tmp_path / "upper"), snapshot, Work(0.05, "keeping"))
    finally:
        os.close(holder)
    assert late.problem is not None
    assert late.problem.code == "timeout"
    assert contents(root.path) == OLD


def test_names_are_shown_on_one_line_and_told_apart() -> None:
    names = ["plain ä", os.fsdecode(b"\xff"), "a\nb", "\x1b[31m", "\u202e", "a\\nb"]
    assert [shown(name) for name in names[:2]] == ["plain ä", r"\xff"]
    assert all("\n" not in shown(name) and "\x1b" not in shown(name) and shown(name).isprintable() for name in names)


def test_a_tree_deeper_than_names_may_be_long_is_removed(tmp_path: Path) -> None:
    require(os.name == "posix", "descriptors of directories")
    base = tmp_path / "deep"
    base.mkdir()
    at = os.open(base, os.O_RDONLY)
    for number in range(1_200):
        os.mkdir("abcdefgh", dir_fd=at)
        inner = os.open("abcdefgh", os.O_RDONLY, dir_fd=at)
        if number % 100 == 0:
            os.chmod("abcdefgh", 0, dir_fd=at)
        os.close(at)
        at = inner
    os.close(at)
    remove_tree(str(base))
    assert not base.exists()
