"""The power is cut while a command works on runs that are over: given again, it does what it would have done."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from lg_orch.runs.run_directory import all_runs
from lg_policy.state import open_state
from tests.orchestrator.engine.support_power_cuts import assert_as_if_nothing_had_happened, assert_the_ledger_is_whole
from tests.orchestrator.stage import EVERYTHING, Place
from tests.orchestrator.stopping import after, before

if TYPE_CHECKING:
    from tests.orchestrator.forks import Ended
    from tests.orchestrator.stopping import Stop

pytestmark = pytest.mark.timeout(600)
REVERT = ("name='fs__revert_patch'", "approval_id='ap-")


@pytest.fixture
def own(place: Place) -> Place:
    return replace(place, own=True)


def run_ids(place: Place) -> list[str]:
    return [run.run_id for run in all_runs(open_state(root=place.root).path)]


def cut(place: Place, *argv: str, at: Stop) -> Ended:
    """The command, with the power cut at a place."""
    ended = place.forker.run(*argv, *place.flags(), cwd=place.root, own=True, places=[at])
    assert ended.at == [at["name"]], ended.out
    return ended


def again(place: Place, *argv: str) -> Ended:
    return place.forker.run(*argv, *place.flags(), cwd=place.root, own=True)


def test_an_undo_that_is_cut_off_is_given_again_until_all_is_taken_back(own: Place) -> None:
    assert own.begin(request=EVERYTHING).status == 0
    for at in (
        after("lg_gateway.calls.recorder:LedgerRecorder.begun", *REVERT),
        after("lg_fs.changes.commit:Commit._change"),
        before("lg_gateway.calls.recorder:LedgerRecorder.ended", *REVERT),
    ):
        cut(own, "undo", "last", "--yes", at=at)
    undone = again(own, "undo", "last", "--yes")
    assert undone.status == 0, undone.out
    assert [(own.root / name).read_text() for name in ("log.txt", "more.txt")] == ["begin\nend\n"] * 2
    assert "nothing to undo" in again(own, "undo", "last", "--yes").out
    assert_the_ledger_is_whole(own)


def test_a_fork_that_is_cut_off_leaves_the_run_as_it_is_and_is_made_again(own: Place) -> None:
    assert own.begin(request=EVERYTHING).status == 0
    first = run_ids(own)[0]
    own.reset()
    for at in (
        before("lg_orch.runs.forking:_link_results"),
        after("lg_orch.runs.forking:_link_results"),
        after("lg_orch.runs.forking:fork"),
    ):
        cut(own, "fork", first, "--at", "5", "--yes", "--json", at=at)
        half = run_ids(own)[0]
        assert half != first
        refused = again(own, "resume", half)
        assert "was killed before it wrote anything" in refused.out
    forked = own.driven("fork", first, "--at", "5")
    assert forked.status == 0, forked.out
    assert_as_if_nothing_had_happened(own)
    assert own.forker.run("replay", first, "--repo-root", str(own.root), cwd=own.root).status == 0


def test_a_run_whose_removal_is_cut_off_is_removed_by_the_next_command(own: Place) -> None:
    assert own.begin(request=EVERYTHING).status == 0
    run = next(all_runs(open_state(root=own.root).path))
    os.utime(run.journal, (0, 0))
    prune = ("runs", "prune")
    for at in (before("os:unlink", f"{run.run_id}/checkpoints.db"), before("os:unlink", f"{run.run_id}/journal")):
        cut(own, *prune, at=at)
        for command in (("runs", "list"), ("runs", "show", run.run_id), ("replay", run.run_id), ("approvals",)):
            assert again(own, *command).status == 0
    assert f"removed {run.run_id}" in again(own, *prune).out
    assert not run.path.exists()


def test_trust_that_is_cut_off_is_given_or_not(own: Place) -> None:
    (own.root / ".lg.toml").write_text("[budgets]\nmax_loops = 2\n")
    try:
        cut(own, "trust", at=before("os:replace", "trust.json"))
        assert "not trusted" in again(own, "trust", "--show").out
        cut(own, "trust", at=after("os:replace", "trust.json"))
        assert "not trusted" not in again(own, "trust", "--show").out
        assert again(own, "trust", "--forget").status == 0
    finally:
        (own.root / ".lg.toml").unlink()
