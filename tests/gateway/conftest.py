"""Stores to test with: a file of its own and a PostgreSQL schema of its own for each test."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests import postgres


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[str]:
    with postgres.server() as url:
        yield url


@pytest.fixture
def postgres_url(postgres_server: str) -> Iterator[str]:
    """The address of an empty schema."""
    with postgres.schema(postgres_server) as url:
        yield url


@pytest.fixture(params=["sqlite", "postgres"])
def store_url(request: pytest.FixtureRequest) -> str | None:
    """What `StorePlace.url` takes, once for each kind of store."""
    return str(request.getfixturevalue("postgres_url")) if request.param == "postgres" else None
