"""A process that dies while it applies a patch leaves the old tree or the new one, never a mixture."""

from __future__ import annotations

import random
import signal
import time
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import Any

import pytest

from lg_fs.changes.service import RevertRequest
from lg_policy.jobs import Job
from lg_policy.paths.root import Root
from tests.fs.changes.crasher import NEW, OLD, Bomb, apply_and_die, apply_for_ever, changes, killed, request, started
from tests.fs.helpers import read_tree, write_tree

WAIT_S = 60
WANTED_HITS = 12
MOST_ROUNDS = 40


def encoded(tree: dict[str, str]) -> dict[str, bytes]:
    return {name: text.encode() for name, text in tree.items()}


def directories(base: Path) -> set[str]:
    return {str(path.relative_to(base)) for path in base.rglob("*") if path.is_dir()}


def killed_before(step: int, root: Path, state: Path) -> bool:
    """Apply the patch in a process that dies just before an irreversible step; false if there are fewer steps."""
    return killed(apply_and_die, str(root), str(state), step)


def recover(root: Path, state: Path) -> None:
    with Root(root) as opened:
        changes(opened, state, Bomb(None)).recover()


def assert_old_or_new(root: Path) -> str:
    tree = read_tree(root)
    if tree == encoded(OLD):
        assert directories(root) == {"sub"}
        return "old"
    assert tree == encoded(NEW)
    assert directories(root) == {"sub", "new", "new/deep", "moved"}
    return "new"


def apply_again(root: Path, state: Path) -> dict[str, Any]:
    with Root(root) as opened:
        return changes(opened, state, Bomb(None)).apply(request("key"), Job(60))


def test_killed_before_any_step_the_next_start_makes_it_whole_and_a_repeat_is_right(tmp_path: Path) -> None:
    states: list[str] = []
    step = 0
    while True:
        root, state = tmp_path / f"root{step}", tmp_path / f"state{step}"
        write_tree(root, OLD)
        if not killed_before(step, root, state):
            break
        recover(root, state)
        found = assert_old_or_new(root)
        states.append(found)
        assert list(state.glob("fs/*/pending/*")) == []
        # A repeat under the same key is answered if the change was done, and done if it was not.
        assert apply_again(root, state)["replayed"] is (found == "new")
        assert assert_old_or_new(root) == "new"
        step += 1
    assert step > 15
    assert set(states) == {"old", "new"}


def test_killed_at_random_times_every_file_is_whole_each_time(tmp_path: Path) -> None:
    root, state = tmp_path / "root", tmp_path / "state"
    write_tree(root, OLD)
    chance = random.Random(7)
    hits = 0
    for _ in range(MOST_ROUNDS):
        process = started(apply_for_ever, str(root), str(state))
        # Some die while they prepare, some once the change is on record; most of them soon after that.
        begun = chance.choice(("fs/*/pending/*", "fs/*/pending/*/record.json"))
        kill_at_work(process, state, begun, int(40 * chance.random() ** 3))
        hits += len(list(state.glob("fs/*/pending/*/record.json")))
        recover(root, state)
        if assert_old_or_new(root) == "new":
            revert_last(root, state)
        assert assert_old_or_new(root) == "old"
        if hits == WANTED_HITS:
            return
    assert hits > 0, "no round hit a change in the middle: the test proves nothing"


def kill_at_work(process: ForkServerProcess, state: Path, begun: str, delay: int) -> None:
    """Kill a process that is in the middle of a change, some looks at the disk after a file showed that it began."""
    deadline = time.monotonic() + WAIT_S
    try:
        while not list(state.glob(begun)):
            assert process.is_alive()
            assert time.monotonic() < deadline
        for _ in range(delay):
            list(state.glob(begun))
    finally:
        process.kill()
        process.join(WAIT_S)
    assert process.exitcode == -signal.SIGKILL


def revert_last(root: Path, state: Path) -> None:
    with Root(root) as opened:
        service = changes(opened, state, Bomb(None))
        last = service.recent(1, Job())[0]
        service.revert(RevertRequest(change_id=last["change_id"]), Job(60))


def test_undoing_that_is_itself_killed_can_be_repeated(tmp_path: Path) -> None:
    root, state = tmp_path / "root", tmp_path / "state"
    write_tree(root, OLD)
    assert killed_before(14, root, state)
    pending = list(state.glob("fs/*/pending/*"))
    assert len(pending) == 1
    recover(root, state)
    assert assert_old_or_new(root) == "old"


def test_a_foreign_change_after_the_crash_is_left_alone(tmp_path: Path) -> None:
    root, state = tmp_path / "root", tmp_path / "state"
    write_tree(root, OLD)
    step = 0
    while (root / "d").exists():  # die after d was moved to d2
        assert killed_before(step, root, state)
        if (root / "d").exists():
            recover(root, state)
        step += 1
    (root / "a").write_text("somebody else's\n")
    recover(root, state)
    assert read_tree(root) == encoded({**OLD, "a": "somebody else's\n"})


@pytest.mark.parametrize("text", ["{", '{"version": 99}'])
def test_a_damaged_journal_entry_does_not_stop_later_changes(tmp_path: Path, text: str) -> None:
    root, state = tmp_path / "root", tmp_path / "state"
    write_tree(root, OLD)
    assert killed_before(5, root, state)
    (record,) = state.glob("fs/*/pending/*/record.json")
    record.write_text(text)
    recover(root, state)
    apply_again(root, state)
    assert {name: data for name, data in read_tree(root).items() if ".lg-" not in name} == encoded(NEW)
