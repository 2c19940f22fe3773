"""Transactions that need not be on the disk at once: there for others, flushed soon, in a log of bounded size."""

from __future__ import annotations

import sqlite3
import threading
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import anyio
import pytest

from lg_gateway.store.factory import StorePlace, open_store
from lg_gateway.store.interface import Tx
from tests.gateway.ledger.support_ledger import pin
from tests.gateway.rig import until
from tests.gateway.store.support_store import Open, pins

pytestmark = pytest.mark.anyio


@dataclass
class Watching:
    """A guard that notes what it sees."""

    seen: list[str] = field(default_factory=list)

    def before(self, tx: Tx) -> None:
        self.seen.append("before")

    def committing(self, tx: Tx) -> None:
        self.seen.append(f"committing {len(pins(tx))}")

    def after(self) -> None:
        self.seen.append("after")

    def flushing(self, tx: Tx) -> int:
        self.seen.append(f"flushing {len(pins(tx))}")
        return len(pins(tx))

    def flushed(self, seen: int) -> None:
        self.seen.append(f"flushed {seen}")


async def test_what_need_not_be_on_the_disk_is_there_for_others_at_once_and_flushed_soon(opened: Open) -> None:
    guard = Watching()
    store, other = opened(guard, flush_s=3_600), opened()
    await store.write(lambda tx: pin(tx, "one"), durable=False)
    await store.write(lambda tx: pin(tx, "two"), durable=False)
    at_once, seen = other.read_now(pins), list(guard.seen)
    await store.write(lambda tx: pin(tx, "three"))

    assert at_once == ["one", "two"]
    assert seen == ["before", "before"], "nobody says that it is on the disk"
    assert guard.seen == ["before", "before", "before", "committing 3", "after"]
    soon = Watching()
    hurried = opened(soon, flush_s=0.01)
    await hurried.write(lambda tx: pin(tx, "four"), durable=False)
    await until(lambda: "flushed 4" in soon.seen)
    assert soon.seen == ["before", "flushing 4", "flushed 4"]


async def test_a_job_that_is_refused_or_a_store_that_is_busy_is_the_same_without_the_disk(opened: Open) -> None:
    store, holder = opened(flush_s=0.01), opened()
    entered, leave = threading.Event(), threading.Event()

    def hold(tx: Tx) -> None:
        entered.set()
        leave.wait(30)
        pin(tx, "first")

    def refuse(tx: Tx) -> None:
        pin(tx, "undone")
        raise KeyError("own")

    with pytest.raises(KeyError, match="own"):
        await store.write(refuse, durable=False)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(holder.write, hold)
        await until(entered.is_set)
        tasks.start_soon(lambda: store.write(lambda tx: pin(tx, "second"), durable=False))
        await anyio.lowlevel.checkpoint()
        leave.set()
    assert store.read_now(pins) == ["first", "second"]


async def test_what_is_written_while_a_flush_is_due_is_flushed_too(opened: Open) -> None:
    guard = Watching()
    store = opened(guard, flush_s=0.001)
    entered = [threading.Event(), threading.Event()]
    leave = [threading.Event(), threading.Event()]

    def hold(tx: Tx, turn: int) -> None:
        entered[turn].set()
        leave[turn].wait(30)
        pin(tx, f"{turn}")

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(lambda: store.write(lambda tx: hold(tx, 0)))
        await until(entered[0].is_set)
        tasks.start_soon(lambda: store.write(lambda tx: hold(tx, 1), durable=False))
        await anyio.wait_all_tasks_blocked()
        leave[0].set()
        await until(entered[1].is_set)
        tasks.start_soon(lambda: store.write(lambda tx: pin(tx, "last"), durable=False))
        await anyio.wait_all_tasks_blocked()
        leave[1].set()
    await until(lambda: not {"committing 3", "flushed 3"}.isdisjoint(guard.seen))


async def test_a_program_that_has_the_file_open_without_the_lock_is_waited_for(tmp_path: Path) -> None:
    place = StorePlace(path=tmp_path / "store.sqlite", lock_path=tmp_path / "lock")
    store, other = open_store(place, flush_s=0.01), sqlite3.connect(place.path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(lambda: store.write(lambda tx: pin(tx, "one"), durable=False))
        await anyio.wait_all_tasks_blocked()
        other.execute("ROLLBACK")
    found = store.read_now(pins)
    other.close()
    store.close()

    assert found == ["one"]


async def test_many_commits_without_the_disk_leave_a_log_of_bounded_size(tmp_path: Path) -> None:
    place = StorePlace(path=tmp_path / "store.sqlite", lock_path=tmp_path / "lock")
    store = open_store(place, flush_s=0.001)
    for n in range(1_500):
        await store.write(partial(pin, tool=f"{n}" + "x" * 3_000), durable=False)
    size = place.path.with_name("store.sqlite-wal").stat().st_size
    store.close()
    assert size < 20_000_000, "of 40 MB that were written"


async def test_what_comes_at_once_is_committed_together_and_a_refused_job_is_undone_alone(opened: Open) -> None:
    guard = Watching()
    store = opened(guard, flush_s=30)
    names = [f"{n:02}" for n in range(20)]
    outcomes: dict[str, str] = {}

    def work(name: str, tx: Tx) -> str:
        pin(tx, name)
        if name == "07":
            raise KeyError(name)
        return name

    async def write(name: str) -> None:
        try:
            outcomes[name] = await store.write(partial(work, name), durable=False)
        except KeyError as error:
            outcomes[name] = f"refused {error.args[0]}"

    async with anyio.create_task_group() as tasks:
        for name in names:
            tasks.start_soon(write, name)
    others = [name for name in names if name != "07"]
    assert outcomes == {name: name for name in others} | {"07": "refused 07"}
    assert store.read_now(pins) == others
    assert guard.seen.count("before") < len(names)


async def test_what_comes_at_once_waits_for_another_process_as_what_comes_alone(opened: Open) -> None:
    store, holder = opened(flush_s=0.01), opened()
    entered, leave = threading.Event(), threading.Event()

    def hold(_tx: Tx) -> None:
        entered.set()
        leave.wait(30)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(holder.write, hold)
        await until(entered.is_set)
        for n in range(9):
            tasks.start_soon(partial(store.write, partial(pin, tool=f"{n}"), durable=False))
        await anyio.wait_all_tasks_blocked()
        leave.set()
    assert store.read_now(pins) == [f"{n}" for n in range(9)]
