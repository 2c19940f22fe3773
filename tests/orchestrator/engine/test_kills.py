"""SIGKILL at every boundary of a run and inside its calls: no effect twice, nothing lost, the same end.

Real processes, a real gateway with real servers, a model over HTTP whose answers depend on what it is asked alone.
"""

from __future__ import annotations

import json
import os
from dataclasses import replace
from typing import TYPE_CHECKING

import psycopg
import pytest

from lg_orch.agent.graph import NODES
from lg_orch.runs.postgres_lock import PostgresLock
from lg_orch.runs.run_directory import RunLock, all_runs
from lg_policy.state import open_state
from tests.orchestrator.forks import Boundary
from tests.orchestrator.stage import Place

if TYPE_CHECKING:
    from collections.abc import Iterator

MAX_DEATHS = 120
RESULT_OF = {"x": r'x\nend\n>>>>>>> REPLACE\n"}', "note": '"cmd":"note"', "y": r'y\nend\n>>>>>>> REPLACE\n"}'}
"""What the kept result of each effect holds, and that of the look at it before does not."""


@pytest.mark.timeout(600)
def test_a_run_that_is_killed_at_every_boundary_it_comes_to_ends_as_one_that_never_was(place: Place) -> None:
    seen: set[Boundary] = set()
    ended, deaths = place.begin(seen=seen), 0
    while ended.killed:
        deaths += 1
        assert deaths < MAX_DEATHS
        seen |= set(ended.boundaries())
        ended = place.resume(seen=seen)
    # The last death was after the end had been journalled: nothing is left to resume, the report is in the journal.
    assert "has ended (done)" in ended.out
    place.assert_as_if_nothing_had_happened(place.replay())
    visited = {name for kind, name, phase, _ in seen if (kind, phase) == ("node", "end")}
    assert visited >= {name for name, _ in NODES}
    assert deaths > 30


@pytest.mark.parametrize(("effect", "done"), [("x", "x"), ("note", "xx"), ("y", "xxy")])
def test_a_run_killed_between_an_outcome_and_the_first_trace_of_it_makes_no_call_twice(
    place: Place, effect: str, done: str
) -> None:
    """Killed as the effect's result is about to get its place in the result store; the effects are counted."""
    ended = place.begin(rename=("results", RESULT_OF[effect]))
    assert ended.killed
    assert place.log[:1] + place.noted + place.log[1:] == done
    place.assert_as_if_nothing_had_happened(place.to_the_end(ended))


@pytest.mark.parametrize(("when", "noted", "answer"), [("before", "", "--not-done"), ("after", "x", "--done")])
def test_a_run_killed_by_the_very_command_it_runs_asks_what_became_of_it(
    place: Place, when: str, noted: str, answer: str
) -> None:
    assert place.begin(pid_file=place.victim(when)).killed
    place.victim(when).unlink()
    asked = place.resume()
    assert asked.status == 3, asked.out
    assert answer in json.loads(asked.out)["text"]
    assert place.resume().status == 3, "without an answer it goes on asking"
    assert place.noted == noted
    place.assert_as_if_nothing_had_happened(place.resume(answer))


def test_a_lost_call_may_also_end_the_run(place: Place) -> None:
    assert place.begin(pid_file=place.victim("after")).killed
    place.victim("after").unlink()
    assert place.resume().status == 3
    ended = place.resume("--stop")
    assert ended.status == 1
    assert "the user chose to stop" in ended.out
    assert (place.noted, place.log) == ("x", "x")


def test_two_processes_do_not_drive_one_run(place: Place) -> None:
    assert place.begin(seen=set()).killed
    run = next(all_runs(open_state(root=place.root).path))
    lock = RunLock(run)
    refused = place.resume()
    lock.release()
    assert refused.status == 1
    assert "is being driven by another process" in refused.out
    place.assert_as_if_nothing_had_happened(place.resume())


@pytest.fixture
def shared(place: Place, postgres_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Place]:
    """The same place with checkpoints in PostgreSQL, whose address stands in the environment."""
    monkeypatch.setenv("LG_TEST_STORE", postgres_url)
    settings = (place.folder / "settings.toml").read_text()
    (place.folder / "shared.toml").write_text(f'{settings}\n[store]\nurl = "${{LG_TEST_STORE}}"\n')
    yield replace(place, config="shared.toml")


def test_checkpoints_in_postgresql_bring_a_killed_run_to_the_same_end_and_go_with_it(
    shared: Place, postgres_url: str
) -> None:
    assert shared.begin(rename=("results", RESULT_OF["note"])).killed
    ended = shared.to_the_end(shared.resume(rename=("results", RESULT_OF["y"])))
    shared.assert_as_if_nothing_had_happened(ended)
    run_id = json.loads(ended.out)["run_id"]
    assert threads(postgres_url) == {run_id}
    (journal,) = (open_state(root=shared.root).path / "runs" / run_id).glob("journal.jsonl")
    os.utime(journal, (0, 0))
    pruned = shared.forker.run("runs", "prune", *shared.flags(), cwd=shared.root)
    assert run_id in pruned.out
    assert threads(postgres_url) == set()
    assert not journal.parent.exists()


def threads(url: str) -> set[str]:
    with psycopg.connect(url) as connection:
        return {row[0] for row in connection.execute("SELECT DISTINCT thread_id FROM checkpoints")}


def test_the_lock_in_postgresql_keeps_another_machine_from_a_run_until_its_holder_dies(
    shared: Place, postgres_url: str
) -> None:
    assert shared.begin(seen=set()).killed
    run = next(all_runs(open_state(root=shared.root).path))
    elsewhere = PostgresLock(postgres_url, run.run_id)
    refused = shared.resume()
    assert refused.status == 1
    assert "is being driven by another process" in refused.out
    elsewhere.release()
    shared.assert_as_if_nothing_had_happened(shared.resume())


def test_a_postgresql_that_is_not_there_is_said_before_anything_is_begun(
    shared: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LG_TEST_STORE", "postgresql://lg:very-secret@127.0.0.1:1/lg")
    before = [run.run_id for run in all_runs(open_state(root=shared.root).path)]
    refused = shared.begin()
    assert refused.status == 2
    assert "store.url: PostgreSQL cannot be used" in refused.out
    assert "very-secret" not in refused.out
    assert not refused.events
    left = [run for run in all_runs(open_state(root=shared.root).path) if run.run_id not in before]
    assert all(run.journal.exists() for run in left), "nothing half-done remains"
