"""Who has a run: claims, signs of life, takeovers, what a human says meanwhile. The same on both stores."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from lg_orch.contracts.errors import RunLost
from lg_orch.contracts.events import Event
from lg_orch.runs.run_directory import RunDir, fresh_run_id
from lg_orch.service.records.lease_table import Lease, LeaseTable
from lg_orch.service.records.postgres import PostgresDatabase, Presence, is_dead
from lg_orch.service.records.rows import NewRun
from lg_orch.service.records.sqlite import SqliteDatabase
from lg_orch.service.records.stored_events import LeasedRun, StoredEvents
from lg_orch.service.work.shared_places import SharedPlaces
from lg_policy.errors import Conflict, LimitExceeded

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from lg_orch.service.records.interface import Database
    from lg_orch.service.records.rows import RunRow


LOCK_S = 60.0


@pytest.fixture
def database(store_url: str | None, tmp_path: Path) -> Iterator[Database]:
    made: Database = PostgresDatabase(store_url) if store_url else SqliteDatabase(tmp_path / "service.db")
    yield made
    made.close()


@pytest.fixture
def leases(database: Database) -> LeaseTable:
    return LeaseTable(database, lease_s=1_000, max_attempts=2)


def over(leases: LeaseTable) -> LeaseTable:
    """The same rows, where every lease is over at once."""
    return LeaseTable(leases.database, lease_s=-1, max_attempts=2)


def create(leases: LeaseTable, repository: str = "/a", *, priority: int = 0) -> str:
    new = NewRun(
        run_id=fresh_run_id(), request="x", repository=repository, root=repository, root_id=repository,
        created_by="ann", priority=priority,
    )  # fmt: skip
    return leases.runs.create(new, max_queued=100)[0].run_id


def claimed(leases: LeaseTable, worker: str = "w1") -> tuple[Lease, RunRow]:
    found = leases.claim(worker)
    assert found is not None
    return found


def test_a_repository_has_one_run_at_a_time_and_the_higher_priority_comes_first(leases: LeaseTable) -> None:
    first, second, other = create(leases), create(leases, priority=1), create(leases, "/b")
    assert claimed(leases)[0].run_id == second
    assert claimed(leases)[0].run_id == other
    assert leases.claim("w1") is None, "the repository of the first one is taken"
    leases.report(claimed_again(leases, second), "done", {"status": "done"})
    assert claimed(leases)[0].run_id == first


def claimed_again(leases: LeaseTable, run_id: str) -> Lease:
    row = leases.runs.get(run_id)
    return Lease(run_id=run_id, owner=str(row.owner), epoch=row.epoch)


def test_workers_that_look_at_once_never_get_the_same_run_or_repository(leases: LeaseTable) -> None:
    made = [create(leases, f"/{number % 4}") for number in range(12)]
    with ThreadPoolExecutor(6) as pool:
        found = [lease for lease in pool.map(lambda number: leases.claim(f"w{number}"), range(12)) if lease is not None]
    assert len(found) == 4
    assert len({row.root_id for _, row in found}) == 4
    assert {lease.run_id for lease, _ in found} <= set(made)


def test_a_worker_whose_lease_is_over_loses_the_run_and_can_write_nothing_more(leases: LeaseTable) -> None:
    run_id = create(leases)
    old, _ = claimed(over(leases), "stopped")
    assert leases.take_from_lost() == [run_id]
    new, row = claimed(leases, "awake")
    assert (new.run_id, new.epoch > old.epoch, row.state) == (run_id, True, "running")
    with pytest.raises(RunLost):
        leases.renew(old)
    with pytest.raises(RunLost):
        leases.report(old, "done", {})
    with pytest.raises(RunLost):
        leases.undone(old, {})
    with pytest.raises(RunLost):
        leases.place(old, "/x", "/x")
    leases.put_back(old, delay_s=0)
    assert leases.runs.get(run_id).owner == "awake"


def test_a_run_that_loses_too_many_workers_has_failed_and_says_so(leases: LeaseTable) -> None:
    run_id = create(leases)
    for _ in range(2):
        claimed(over(leases))
        leases.take_from_lost()
    row = leases.runs.get(run_id)
    assert (row.state, row.work, leases.claim("w")) == ("failed", None, None)
    assert "2 workers were lost" in str(row.report)


def test_a_run_that_hears_something_while_it_is_driven_is_asked_to_stop_and_goes_on_with_it(leases: LeaseTable) -> None:
    run_id = create(leases)
    lease, _ = claimed(leases)
    leases.runs.say(run_id, "say", {"text": "use a dict"}, "ann")
    assert (leases.asked(lease), leases.renew(lease)) == ("soon", "soon")
    assert leases.report(lease, "interrupted", {"status": "interrupted"}) == "queued"
    assert [each.body for each in leases.runs.said(run_id)] == [{"text": "use a dict", "denies": False}]
    lease, _ = claimed(leases)
    leases.runs.heard([each.id for each in leases.runs.said(run_id)])
    assert leases.report(lease, "done", {"status": "done"}) == "done"


def test_what_comes_just_before_a_run_reads_what_was_said_does_not_stop_it_for_good(leases: LeaseTable) -> None:
    run_id = create(leases)
    lease, _ = claimed(leases)
    leases.runs.say(run_id, "say", {"text": "use a dict"}, "ann")
    leases.runs.heard([each.id for each in leases.runs.said(run_id)])
    assert leases.report(lease, "interrupted", {"status": "interrupted"}) == "queued"


def test_a_cancelled_run_ends_at_once_or_with_its_worker(leases: LeaseTable) -> None:
    waiting, driven = create(leases, "/a"), create(leases, "/b")
    assert leases.runs.cancel(waiting).state == "cancelled"
    lease, _ = claimed(leases)
    assert (lease.run_id, leases.runs.cancel(driven).state, leases.asked(lease)) == (driven, "running", "cancel")
    assert leases.report(lease, "interrupted", {"status": "interrupted"}) == "cancelled"
    with pytest.raises(Conflict, match="cancelled"):
        leases.runs.cancel(driven)


def test_a_run_that_reached_its_end_keeps_it_although_it_was_cancelled_meanwhile(leases: LeaseTable) -> None:
    run_id = create(leases)
    lease, _ = claimed(leases)
    leases.runs.cancel(run_id)
    assert leases.report(lease, "done", {"status": "done"}) == "done"


def test_nobody_says_anything_to_a_run_whose_changes_are_being_taken_back(leases: LeaseTable) -> None:
    run_id = create(leases)
    leases.report(claimed(leases)[0], "waiting", {"status": "waiting"})
    leases.runs.undo(run_id, {"to": 0}, "ann")
    with pytest.raises(Conflict, match="taken back"):
        leases.runs.say(run_id, "say", {"text": "x"}, "ann")
    lease, row = claimed(leases)
    assert (row.work, row.state) == ("undo", "waiting")
    leases.undone(lease, {"state": "done"})
    assert leases.runs.get(run_id).undo == {"state": "done"}


def waiting_for_a_lock(database: PostgresDatabase) -> None:
    """Return when a transaction of another connection waits for a row."""
    deadline = time.monotonic() + LOCK_S
    while not database.once("SELECT 1 FROM pg_locks WHERE NOT granted"):
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_a_cancel_that_comes_while_a_worker_claims_the_run_reaches_the_worker(postgres_url: str) -> None:
    database = PostgresDatabase(postgres_url)
    leases = LeaseTable(database, lease_s=1_000, max_attempts=9)
    run_id = create(leases)
    with ThreadPoolExecutor(1) as pool:
        with database.transaction() as tx:
            tx.execute("UPDATE lg_runs SET owner = 'w', epoch = 1, state = 'running' WHERE run_id = ?", (run_id,))
            cancelled = pool.submit(leases.runs.cancel, run_id)
            waiting_for_a_lock(database)
        assert (cancelled.result(LOCK_S).state, cancelled.result().stop) == ("running", "cancel")
    database.close()


def test_a_run_that_is_cancelled_while_a_worker_looks_for_one_is_not_begun(postgres_url: str) -> None:
    database = PostgresDatabase(postgres_url)
    leases = LeaseTable(database, lease_s=1_000, max_attempts=9)
    run_id = create(leases)
    with ThreadPoolExecutor(1) as pool:
        with database.transaction() as tx:
            tx.execute("UPDATE lg_runs SET state = 'cancelled', work = NULL WHERE run_id = ?", (run_id,))
            claimed_now = pool.submit(leases.claim, "w")
            waiting_for_a_lock(database)
        assert claimed_now.result(LOCK_S) is None
    assert leases.runs.get(run_id).owner is None
    database.close()


def test_of_two_people_who_undo_a_run_at_once_the_second_is_told(postgres_url: str) -> None:
    database = PostgresDatabase(postgres_url)
    leases = LeaseTable(database, lease_s=1_000, max_attempts=9)
    run_id = create(leases)
    leases.report(claimed(leases)[0], "done", {"status": "done"})
    with ThreadPoolExecutor(1) as pool:
        with database.transaction() as tx:
            tx.execute("UPDATE lg_runs SET work = 'undo' WHERE run_id = ?", (run_id,))
            second = pool.submit(leases.runs.undo, run_id, {"to": 0}, "bob")
            waiting_for_a_lock(database)
        with pytest.raises(Conflict):
            second.result(LOCK_S)
    database.close()


def test_a_run_that_its_worker_gives_back_late_has_not_failed_by_its_lost_workers(postgres_url: str) -> None:
    database = PostgresDatabase(postgres_url)
    late = LeaseTable(database, lease_s=-1, max_attempts=1)
    run_id = create(late)
    lease, _ = claimed(late)
    with database.transaction() as tx:
        tx.execute("UPDATE lg_runs SET lease_until = lease_until WHERE run_id = ?", (run_id,))
        assert late.take_from_lost() == [], "its worker writes at this moment"
    late.report(lease, "done", {"status": "done"})
    assert (late.take_from_lost(), late.runs.get(run_id).state) == ([], "done")
    database.close()


def test_guidance_denies_what_a_run_asks_now_and_nothing_that_it_asks_later(leases: LeaseTable) -> None:
    run_id = create(leases)
    lease, _ = claimed(leases)
    leases.runs.say(run_id, "say", {"text": "use a dict"}, "ann")
    assert [each.body["denies"] for each in leases.runs.said(run_id)] == [False]
    leases.report(lease, "waiting", {"status": "waiting"})
    again, _ = claimed(leases)
    leases.runs.heard([each.id for each in leases.runs.said(run_id)])
    leases.report(again, "waiting", {"status": "waiting"})
    leases.runs.say(run_id, "say", {"text": "no"}, "ann")
    assert [each.body["denies"] for each in leases.runs.said(run_id)] == [True]


def test_too_many_waiting_runs_are_refused(leases: LeaseTable) -> None:
    create(leases)
    new = NewRun(run_id=fresh_run_id(), request="x", repository="/a", root="/a", root_id="/a", created_by="ann")
    with pytest.raises(LimitExceeded):
        leases.runs.create(new, max_queued=1)


def test_events_of_a_worker_that_lost_its_run_are_refused_by_the_write_itself(
    postgres_url: str, tmp_path: Path
) -> None:
    database = PostgresDatabase(postgres_url)
    leases = LeaseTable(database, lease_s=1_000, max_attempts=9)
    run_id = create(leases)
    old, row = claimed(over(leases), "stopped")
    late = LeasedRun(database, old, RunDir(path=tmp_path, run_id=run_id))
    event = Event(seq=1, time="2026-01-01T00:00:00.000+00:00", kind="thought", name="a", phase="note", data={"x": "\0"})
    late.append(event)
    late.keep("0" * 64, b"{}")
    leases.take_from_lost()
    claimed(leases, "awake")
    with pytest.raises(RunLost):
        late.append(event.model_copy(update={"seq": 2}))
    with pytest.raises(RunLost):
        late.keep("1" * 64, b"{}")
    stored = StoredEvents(database)
    assert [kept.seq for kept in stored.all(row)] == [1]
    assert stored.file_or_none(row, "results/" + "0" * 64 + ".json") == b"{}"
    assert stored.last(row) == 1
    follower = stored.follow(row, 0)
    assert ([kept.seq for kept in follower.read()], follower.read()) == ([1], [])
    late.close()
    database.close()


def test_a_worker_whose_process_has_ended_is_noticed_before_its_lease_is_over(postgres_url: str) -> None:
    database = PostgresDatabase(postgres_url)
    leases = LeaseTable(database, lease_s=1_000, max_attempts=9, silent_s=-1, is_dead=is_dead)
    run_id = create(leases)
    presence = Presence(postgres_url, "w1")
    claimed(leases, "w1")
    presence.renew()
    assert leases.take_from_lost() == []
    presence.release()
    assert leases.take_from_lost() == [run_id]
    database.close()


def test_a_worker_that_slept_keeps_its_own_runs(leases: LeaseTable) -> None:
    run_id = create(leases)
    lease, _ = claimed(over(leases))
    assert leases.take_from_lost([lease]) == [], "whatever the clock says, this worker lives"
    leases.renew(lease)
    assert leases.runs.get(run_id).epoch == lease.epoch


def test_a_lost_worker_is_found_after_the_clock_was_set_back(leases: LeaseTable) -> None:
    run_id = create(leases)
    claimed(LeaseTable(leases.database, lease_s=100_000, max_attempts=2))
    now = LeaseTable(leases.database, lease_s=20, max_attempts=2, silent_s=5, is_dead=lambda _tx, _worker: True)
    assert now.take_from_lost() == [run_id]


def test_guidance_of_a_fork_is_there_as_soon_as_the_fork_is(leases: LeaseTable) -> None:
    new = NewRun(
        run_id=fresh_run_id(), request="x", repository="/a", root="/a", root_id="/a", created_by="ann",
        guidance="use a dict",
    )  # fmt: skip
    row, _ = leases.runs.create(new, max_queued=100)
    assert [said.body["text"] for said in leases.runs.said(row.run_id)] == ["use a dict"]


def test_a_run_is_not_cancelled_while_its_changes_are_taken_back(leases: LeaseTable) -> None:
    run_id = create(leases)
    lease, _ = claimed(leases)
    leases.report(lease, "waiting", {"status": "waiting"})
    leases.runs.undo(run_id, {"to": 0}, "ann")
    with pytest.raises(Conflict, match="taken back"):
        leases.runs.cancel(run_id)
    assert leases.runs.get(run_id).work == "undo", "the undo is not lost"


def test_a_worker_that_claims_a_run_again_has_a_copy_of_its_own(postgres_url: str, tmp_path: Path) -> None:
    database = PostgresDatabase(postgres_url)
    leases = LeaseTable(database, lease_s=1_000, max_attempts=3)
    create(leases)
    first, _ = claimed(over(leases))
    places = SharedPlaces(database, tmp_path)
    lost = places.open(first, tmp_path, postgres_url)
    assert leases.take_from_lost() == [first.run_id]
    again, _ = claimed(leases)
    taken_up = places.open(again, tmp_path, postgres_url)
    lost.close()  # the worker finds out only now that it had lost the run
    assert taken_up.run.results.is_dir()
    taken_up.close()
    database.close()
