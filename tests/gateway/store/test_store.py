"""What every store must do: one suite, run on SQLite and on PostgreSQL."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import threading
from pathlib import Path

import anyio
import psycopg
import pytest

from lg_gateway.store.factory import StorePlace, open_store, read_store
from lg_gateway.store.interface import StoreDown, StoreError, StoreTooNew, Tx
from lg_gateway.store.schema import MIGRATIONS
from lg_gateway.store.sqlite import SqliteStore
from lg_policy.errors import ConfigError
from tests.gateway.ledger.support_ledger import pin
from tests.gateway.rig import until
from tests.gateway.store.support_store import Open, pins

pytestmark = pytest.mark.anyio
ROOT = Path(__file__).parents[3]


async def test_what_was_written_is_read_in_this_store_another_and_a_read_only_look(
    opened: Open, place: StorePlace
) -> None:
    store = opened()
    await store.write(lambda tx: pin(tx, "one"))

    assert await store.read(pins) == ["one"]
    assert opened().read_now(pins) == ["one"]
    with read_store(place) as tx:
        assert pins(tx) == ["one"]


@pytest.mark.parametrize(("follow", "seen"), [(True, ["later"]), (False, [])])
async def test_a_reader_sees_one_state_or_follows_what_is_written(
    opened: Open, place: StorePlace, follow: bool, seen: list[str]
) -> None:
    store = opened()
    with read_store(place, follow=follow) as tx:
        before = pins(tx)
        await store.write(lambda tx: pin(tx, "later"))
        assert (before, pins(tx)) == ([], seen)


async def test_a_reader_cannot_write(opened: Open, place: StorePlace) -> None:
    opened()
    with read_store(place) as tx, pytest.raises(StoreError):
        pin(tx, "one")


async def test_a_write_returns_what_its_work_returns(opened: Open) -> None:
    def add(tx: Tx, n: int) -> int:
        pin(tx, f"{n:02}")
        return len(pins(tx))

    store, counts = opened(), []
    async with anyio.create_task_group() as tasks:

        async def one(n: int) -> None:
            counts.append(await store.write(lambda tx: add(tx, n)))

        for n in range(40):
            tasks.start_soon(one, n)

    assert sorted(counts) == list(range(1, 41))


async def test_a_job_that_fails_undoes_its_own_changes_only(opened: Open) -> None:
    store = opened()

    def fails(tx: Tx) -> None:
        pin(tx, "never")
        raise ValueError("changed my mind")

    async def refused() -> None:
        with pytest.raises(ValueError, match="changed my mind"):
            await store.write(fails)

    async with anyio.create_task_group() as tasks:
        for n in range(10):
            tasks.start_soon(store.write, lambda tx, n=n: pin(tx, str(n)))
            tasks.start_soon(refused)

    assert store.read_now(pins) == [str(n) for n in range(10)]


async def test_a_refused_statement_is_its_job_s_own_failure(opened: Open) -> None:
    store = opened()
    await store.write(lambda tx: pin(tx, "one"))
    failures: list[StoreError] = []

    async def again() -> None:
        with pytest.raises(StoreError) as caught:
            await store.write(lambda tx: pin(tx, "one"))
        failures.append(caught.value)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(again)
        tasks.start_soon(store.write, lambda tx: pin(tx, "two"))

    assert store.read_now(pins) == ["one", "two"]
    assert not isinstance(failures[0], StoreDown)


async def test_a_caller_that_went_away_leaves_its_transaction_standing(opened: Open) -> None:
    store = opened()
    with anyio.CancelScope() as scope:
        scope.cancel()
        await store.write(lambda tx: pin(tx, "one"))
    await store.write(lambda tx: pin(tx, "two"))

    assert store.read_now(pins) == ["one", "two"]


async def test_a_closed_store_refuses_instead_of_waiting(opened: Open) -> None:
    store = opened()
    store.close()
    with anyio.fail_after(60), pytest.raises(StoreDown, match="closed"):
        await store.write(lambda tx: pin(tx, "one"))


class Watchful:
    """A guard that notes what it sees and refuses on demand."""

    def __init__(self) -> None:
        self.seen: list[object] = []
        self.refuse = False

    def before(self, tx: Tx) -> None:
        if self.refuse:
            raise StoreDown("not now")
        self.seen.append(pins(tx))

    def committing(self, tx: Tx) -> None:
        self.seen.append(pins(tx))

    def after(self) -> None:
        self.seen.append("durable")

    def flushing(self, tx: Tx) -> list[str]:
        return pins(tx)

    def flushed(self, seen: list[str]) -> None:
        self.seen.append(seen)


async def test_a_guard_sees_each_commit_before_and_after_and_can_refuse_it(opened: Open) -> None:
    guard = Watchful()
    store = opened(guard)
    await store.write(lambda tx: pin(tx, "one"))
    guard.refuse = True
    with pytest.raises(StoreDown, match="not now"):
        await store.write(lambda tx: pin(tx, "two"))

    assert guard.seen == [[], ["one"], "durable"]
    assert store.read_now(pins) == ["one"]


async def test_text_of_any_kind_comes_back_as_it_went_in(opened: Open) -> None:
    store, text = opened(), "ä 漢 🙂 \u202e \\ ' \" % ? {real} \n\t"
    await store.write(lambda tx: pin(tx, text))

    assert store.read_now(pins) == [text]


async def test_numbers_of_64_bits_and_times_keep_their_value(opened: Open) -> None:
    store, epoch, seen = opened(), 2**62, 1795627000.123456
    await store.write(
        lambda tx: tx.execute("INSERT INTO runs (scope, epoch, seen) VALUES (?, ?, ?)", ("s", epoch, seen))
    )

    assert store.read_now(lambda tx: tx.execute("SELECT epoch, seen FROM runs")) == [(epoch, seen)]


async def test_a_store_of_a_newer_version_is_refused_and_left_as_it_is(opened: Open, place: StorePlace) -> None:
    opened().close()
    newer = len(MIGRATIONS) + 1
    if place.url is None:
        with sqlite3.connect(place.path) as file:
            file.execute(f"PRAGMA user_version = {newer}")
        file.close()
    else:
        with psycopg.connect(place.url) as server:
            server.execute("INSERT INTO lg_schema (version) VALUES (%s)", (newer,))

    with pytest.raises(StoreTooNew, match=f"newer version of lg-gateway wrote it \\(schema {newer}"):
        opened()
    with pytest.raises(StoreTooNew), read_store(place):
        pass


async def test_a_reader_brings_an_older_store_up_to_date(opened: Open, place: StorePlace) -> None:
    if place.url is None:
        place.path.touch()
    with read_store(place) as tx:
        assert pins(tx) == []


def test_a_file_of_the_first_version_keeps_its_records_and_questions(tmp_path: Path) -> None:
    file = sqlite3.connect(tmp_path / "old.sqlite")
    for step in MIGRATIONS[:5]:
        file.executescript(step.sqlite)
    file.execute(
        """INSERT INTO ledger (seq, hash, mac, record) VALUES (1, 'h', 'm', '{"request_id":"r","run_id":null}')"""
    )
    file.execute("PRAGMA user_version = 5")
    file.commit()
    file.close()

    with read_store(StorePlace(path=tmp_path / "old.sqlite", lock_path=tmp_path / "lock")) as tx:
        assert tx.execute("SELECT seq, hash, mac, request_id, run_id FROM ledger") == [(1, "h", "m", "r", None)]


async def test_a_writer_that_holds_its_turn_too_long_makes_others_fail_in_bounded_time(
    opened: Open, tmp_path: Path, store_url: str | None
) -> None:
    store = opened(busy_s=0.5)
    other = StorePlace(path=tmp_path / "store.sqlite", url=store_url, lock_path=tmp_path / "another machine.lock")
    holder = open_store(other)
    entered, leave = anyio.Event(), threading.Event()

    def stand_still(tx: Tx) -> None:
        anyio.from_thread.run_sync(entered.set, token=token)
        leave.wait(30)
        pin(tx, "slow")

    token = anyio.lowlevel.current_token()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(holder.write, stand_still)
        await entered.wait()
        with anyio.fail_after(60), pytest.raises(StoreDown):
            await store.write(lambda tx: pin(tx, "impatient"))
        leave.set()
    await store.write(lambda tx: pin(tx, "next"))
    holder.close()

    assert store.read_now(pins) == ["next", "slow"]


WRITER = """
import sys, anyio, pathlib
from lg_gateway.store.factory import StorePlace, open_store
from tests.gateway.ledger.support_ledger import pin
path, url, lock, who = sys.argv[1:]
place = StorePlace(path=pathlib.Path(path), url=url or None, lock_path=pathlib.Path(lock))
store = open_store(place, flush_s=3_600.0)
async def main():
    n = 0
    while True:
        await store.write(lambda tx: pin(tx, f"{who}-{n:06}"), durable=who == "durable")
        print(n, flush=True)
        n += 1
anyio.run(main)
"""


@pytest.mark.parametrize("who", ["durable", "written"])
async def test_what_a_killed_process_was_told_is_written_is_there(opened: Open, place: StorePlace, who: str) -> None:
    store = opened()
    command = [sys.executable, "-c", WRITER, str(place.path), place.url or "", str(place.lock_path), who]
    writer = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE)
    await until(lambda: len(store.read_now(pins)) >= 30)
    os.kill(writer.pid, signal.SIGKILL)
    told = writer.communicate()[0].decode().splitlines()
    await store.write(lambda tx: pin(tx, "x: another can write at once"))

    assert store.read_now(pins)[: len(told)] == [f"{who}-{n:06}" for n in range(len(told))]


def test_an_unknown_address_and_a_missing_variable_are_named(tmp_path: Path) -> None:
    from lg_gateway.store.factory import store_url as read_setting

    assert read_setting("sqlite", {}) is None
    assert read_setting("${PG}", {"PG": "postgresql://db/lg"}) == "postgresql://db/lg"
    with pytest.raises(ConfigError, match="PG"):
        read_setting("${PG}", {})
    with pytest.raises(ConfigError, match="not an address"):
        read_setting("mysql://db/lg", {})


def test_a_server_that_is_not_there_is_named_without_its_password(tmp_path: Path) -> None:
    url = f"postgresql://me:hunter2@/lg?host={tmp_path}&password=hunter2"
    place = StorePlace(path=tmp_path / "x", url=url, lock_path=tmp_path / "lock")
    with pytest.raises(StoreDown) as caught:
        open_store(place, busy_s=1)

    assert "postgresql://me@/lg" in str(caught.value)
    assert "hunter2" not in f"{caught.value} {place.shown}"


def test_a_missing_driver_is_named_with_the_way_to_get_it(tmp_path: Path) -> None:
    code = (
        "import sys; sys.modules['psycopg'] = None\n"
        "from pathlib import Path\n"
        "from lg_gateway.store.factory import StorePlace, open_store\n"
        "here = Path(sys.argv[1])\n"
        "open_store(StorePlace(path=here / 'x', url='postgresql://db/lg', lock_path=here / 'lock'))\n"
    )
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, timeout=60)

    assert "ConfigError: store.url is a PostgreSQL address, and psycopg is not installed" in done.stderr


def backend(tx: Tx) -> int:
    return int(tx.execute("SELECT pg_backend_pid()")[0][0])


def cut(url: str, *backends: int) -> None:
    with psycopg.connect(url, autocommit=True) as server:
        for pid in backends:
            server.execute("SELECT pg_terminate_backend(%s, 10000)", (pid,))


async def test_connections_that_were_lost_between_transactions_are_made_anew(tmp_path: Path, postgres_url: str) -> None:
    store = open_store(StorePlace(path=tmp_path / "x", url=postgres_url, lock_path=tmp_path / "lock"))
    await store.write(lambda tx: pin(tx, "one"))
    before = store.read_now(pins)
    cut(postgres_url, await store.write(backend), store.read_now(backend))
    await store.write(lambda tx: pin(tx, "two"))
    after = store.read_now(pins)
    store.close()

    assert (before, after) == (["one"], ["one", "two"])


async def test_a_connection_that_is_lost_inside_a_transaction_is_a_failure_and_writes_nothing(
    tmp_path: Path, postgres_url: str
) -> None:
    store = open_store(StorePlace(path=tmp_path / "x", url=postgres_url, lock_path=tmp_path / "lock"))

    def cut_off(tx: Tx) -> None:
        pin(tx, "never")
        cut(postgres_url, backend(tx))

    with pytest.raises(StoreDown):
        await store.write(cut_off)
    await store.write(lambda tx: pin(tx, "next"))
    found = store.read_now(pins)
    store.close()

    assert found == ["next"]


def test_a_store_is_closed_when_the_read_of_another_thread_has_ended(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "store.sqlite")
    closing = threading.Thread(target=store.close)

    def work(tx: Tx) -> list[tuple[object, ...]]:
        closing.start()
        closing.join(0.2)  # long enough for a close that waits for nobody
        return tx.execute("SELECT 1")

    assert store.read_now(work) == [(1,)]
    closing.join()
    with pytest.raises(StoreDown):
        store.read_now(lambda tx: tx.execute("SELECT 1"))
