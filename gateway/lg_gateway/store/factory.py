"""Opens the store that `store.url` names, and returns its id."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qsl, urlencode, urlsplit

from lg_gateway.store.interface import BUSY_S, Guard, Store, StoreTooOld, Tx
from lg_policy.config.loading import expand_env
from lg_policy.errors import ConfigError

POSTGRES = ("postgresql://", "postgres://")
_NAMING = ("dbname", "host", "hostaddr", "options", "port")


@dataclass(frozen=True, kw_only=True)
class StorePlace:
    """Where the store is: the file `path`, or the PostgreSQL server at `url`. `lock_path` is beside its signed head."""

    path: Path
    url: str | None = None
    lock_path: Path

    @property
    def shown(self) -> str:
        """What to call it in a message: no password in it."""
        if self.url is None:
            return str(self.path)
        from lg_gateway.store.postgres import without_password

        return without_password(self.url)

    def exists(self) -> bool:
        """Whether there may be something to read. A server is asked by reading."""
        return self.url is not None or self.path.exists()


def store_url(setting: str, environ: Mapping[str, str]) -> str | None:
    """Read `store.url`: `None` for a file, else an address. Raises `ConfigError` for anything else."""
    url = expand_env(setting, environ, "store.url")
    if url == "sqlite":
        return None
    if not url.startswith(POSTGRES):
        raise ConfigError(
            "store.url is not an address that the gateway knows",
            hint="write `sqlite` or postgresql://USER@HOST/DATABASE",
        )
    return url


def server_id(url: str) -> str:
    """Return 16 hex digits for a server's database and schema, the same for other users and passwords."""
    parts = urlsplit(url)
    chosen = sorted((name, value) for name, value in parse_qsl(parts.query) if name in _NAMING)
    where = f"{parts.netloc.rpartition('@')[2]}{parts.path}?{urlencode(chosen)}"
    return hashlib.sha256(where.encode()).hexdigest()[:16]


def open_store(place: StorePlace, *, guard: Guard | None = None, busy_s: float = BUSY_S, flush_s: float = 0.0) -> Store:
    """Open the store for writing, made and migrated if need be. Raises `StoreError`, `ConfigError`.

    `flush_s`: how long a transaction that need not be durable may be without being on the disk; 0: all are durable.
    """
    if place.url is None:
        from lg_gateway.store.sqlite import SqliteStore

        return SqliteStore(place.path, guard=guard, busy_s=busy_s, flush_s=flush_s)
    from lg_gateway.store.postgres import PostgresStore

    return PostgresStore(place.url, lock_path=place.lock_path, guard=guard, busy_s=busy_s, flush_s=flush_s)


@contextmanager
def read_store(place: StorePlace, *, follow: bool = False) -> Iterator[Tx]:
    """Open an existing store for reading only, for commands while a gateway may be running. Raises `StoreError`.

    A store of an older version is migrated first. With `follow` each statement sees the newest state;
    otherwise all of them see the same.
    """
    with ExitStack() as stack:
        try:
            tx = stack.enter_context(_reading(place))
        except StoreTooOld:
            open_store(place).close()
            tx = stack.enter_context(_reading(place))
        if not follow:
            tx.execute("BEGIN" if place.url is None else "BEGIN ISOLATION LEVEL REPEATABLE READ")
        yield tx


def _reading(place: StorePlace) -> AbstractContextManager[Tx]:
    if place.url is None:
        from lg_gateway.store.sqlite import read_sqlite

        return read_sqlite(place.path)
    from lg_gateway.store.postgres import read_postgres

    return read_postgres(place.url)
