"""A store that is closed while it is read, that was removed while it is open, or that is no file at all."""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path

import psycopg
import pytest

from lg_gateway.store.factory import StorePlace, open_store, read_store
from lg_gateway.store.interface import StoreDown, StoreError, Tx
from lg_gateway.store.sqlite import SqliteStore
from tests.gateway.ledger.support_ledger import pin
from tests.gateway.store.support_store import pins

pytestmark = pytest.mark.anyio


def test_a_server_is_told_that_a_long_read_is_to_end_before_its_connection_is_closed(
    tmp_path: Path, postgres_url: str
) -> None:
    store = open_store(StorePlace(path=tmp_path / "x", url=postgres_url, lock_path=tmp_path / "lock"))
    reads, ended = threading.Event(), list[object]()

    def work(tx: Tx) -> None:
        reads.set()
        tx.execute("SELECT pg_sleep(600)")

    def read() -> None:
        try:
            store.read_now(work)
        except StoreError as error:
            ended.append(error)

    reading = threading.Thread(target=read, daemon=True)
    reading.start()
    assert reads.wait(60)
    while not reading_sleeps(postgres_url):
        time.sleep(0.01)
    store.close()

    reading.join(60)
    assert isinstance(ended[0], StoreDown)
    with pytest.raises(StoreDown, match="closed"):
        store.read_now(pins)


def reading_sleeps(url: str) -> bool:
    with psycopg.connect(url, autocommit=True) as server:
        query = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'SELECT pg_sleep(6%' AND state = 'active'"
        return bool((server.execute(query).fetchone() or (0,))[0])


async def test_nothing_is_written_into_a_store_that_was_removed_or_replaced(tmp_path: Path) -> None:
    path, aside = tmp_path / "store.sqlite", tmp_path / "aside"
    store = SqliteStore(path, flush_s=0.02)
    await store.write(lambda tx: pin(tx, "one"))
    path.rename(aside)
    for durable in (True, False):
        with pytest.raises(StoreDown, match="removed or replaced"):
            await store.write(lambda tx: pin(tx, "two"), durable=durable)
    path.write_bytes(b"")
    with pytest.raises(StoreDown, match="removed or replaced"):
        await store.write(lambda tx: pin(tx, "three"))
    aside.replace(path)
    await store.write(lambda tx: pin(tx, "four"))
    assert store.read_now(pins) == ["four", "one"]
    store.close()


def test_what_is_no_file_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "store.sqlite")
    place = StorePlace(path=tmp_path / "store.sqlite", lock_path=tmp_path / "lock")
    with pytest.raises(StoreDown, match="no regular file"), read_store(place):
        pass
