"""A place for a store, and stores that are opened there: on SQLite and on PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from lg_gateway.store.factory import StorePlace, open_store
from lg_gateway.store.interface import Guard, Store
from tests.gateway.store.support_store import Open


@pytest.fixture
def place(tmp_path: Path, store_url: str | None) -> StorePlace:
    return StorePlace(path=tmp_path / "store.sqlite", url=store_url, lock_path=tmp_path / "head.lock")


@pytest.fixture
def opened(place: StorePlace) -> Iterator[Open]:
    stores: list[Store] = []

    def open_one(guard: Guard | None = None, busy_s: float = 10, flush_s: float = 0.0) -> Store:
        stores.append(open_store(place, guard=guard, busy_s=busy_s, flush_s=flush_s))
        return stores[-1]

    yield open_one
    for store in stores:
        store.close()
