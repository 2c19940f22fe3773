"""Opens the store of LangGraph checkpoints: one SQLite file in the run's directory, or PostgreSQL by URL.

Both are LangGraph's own savers. Values are plain JSON (`state` sees to that) and nothing but LangGraph's own types is
ever reconstructed from a checkpoint; a checkpoint is on disk before the next step begins.
"""

from __future__ import annotations

import os
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Protocol

from lg_orch.contracts.errors import StoreGone
from lg_policy.errors import ConfigError
from lg_policy.install_hints import extra_command

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence
    from pathlib import Path

    from langgraph.checkpoint.base import BaseCheckpointSaver

SQLITE = "sqlite"
SETUP_LOCK = 6_077_251_104
POSTGRES = ("postgresql://", "postgres://")


class SaverFence(Protocol):
    """Refuses the writes of a worker whose run another one has taken over."""

    async def check(self, connection: Any) -> None:
        """Raise `RunLost`, or hold the run until the transaction of `connection` ends."""
        ...


def is_postgres(url: str) -> bool:
    """Tell whether checkpoints live in PostgreSQL. Raises `ConfigError` for an address of any other kind."""
    if url == SQLITE:
        return False
    if not url.startswith(POSTGRES):
        raise ConfigError(f"store.url {url.partition('://')[0]!r} is not known", hint="use sqlite or postgresql://…")
    return True


@asynccontextmanager
async def open_saver(url: str, path: Path, fence: SaverFence | None = None) -> AsyncIterator[BaseCheckpointSaver[Any]]:
    """Open the store that `url` (`store.url`) names; `path` is the run's own file where it is SQLite.

    With `fence`, which needs PostgreSQL, each write is checked in its own transaction.

    Raises `ConfigError` when PostgreSQL is named and cannot be used, `StoreGone` when it is lost within the block.
    """
    if is_postgres(url):
        async with _postgres(url, fence) as saver:
            yield saver
        return
    import aiosqlite
    from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver

    async with aiosqlite.connect(path) as connection:
        os.chmod(path, 0o600)
        await connection.execute("PRAGMA synchronous = FULL")
        yield AsyncSqliteSaver(connection, serde=_serializer())


def forget(url: str, run_ids: Sequence[str]) -> None:
    """Remove the checkpoints of runs from PostgreSQL; where they are SQLite they go with the run's directory.

    Raises `ConfigError` when the server cannot be used.
    """
    if not run_ids or not is_postgres(url):
        return
    import anyio

    async def remove() -> None:
        async with _postgres(url) as saver:
            for run_id in run_ids:
                await saver.adelete_thread(run_id)

    anyio.run(remove)


@asynccontextmanager
async def _postgres(url: str, fence: SaverFence | None = None) -> AsyncIterator[BaseCheckpointSaver[Any]]:
    try:
        import psycopg
        from langgraph.checkpoint.postgres.aio import AsyncPostgresSaver
    except ModuleNotFoundError as error:
        raise ConfigError(
            f"store.url is PostgreSQL and {error.name} is not installed", hint=extra_command("orch-postgres")
        ) from error
    try:
        opening = AsyncPostgresSaver.from_conn_string(url, serde=_serializer())
        saver = await opening.__aenter__()
    except psycopg.Error as error:
        raise ConfigError(f"store.url: PostgreSQL cannot be used: {str(error).strip()}") from error
    try:
        await _set_up(saver)
        yield _fenced(saver, fence) if fence is not None else saver
    except psycopg.Error as error:
        raise StoreGone(
            f"store.url: the connection to PostgreSQL was lost during the run: {str(error).strip()}",
            hint="`lg-orch resume` continues once it is back",
        ) from error
    finally:
        await opening.__aexit__(None, None, None)


async def _set_up(saver: Any) -> None:
    """Make the saver's tables where they are missing; two that do so at once would get into each other's way."""
    await saver.conn.execute(f"SELECT pg_advisory_lock({SETUP_LOCK})")
    try:
        await saver.setup()
    finally:
        await saver.conn.execute(f"SELECT pg_advisory_unlock({SETUP_LOCK})")


def _fenced(saver: Any, fence: SaverFence) -> Any:
    """The saver with a check before each write, in the transaction of the write."""
    import asyncio

    turn = asyncio.Lock()
    put, put_writes = saver.aput, saver.aput_writes

    async def aput(*args: Any, **named: Any) -> Any:
        async with turn, saver.conn.transaction():
            await fence.check(saver.conn)
            return await put(*args, **named)

    async def aput_writes(*args: Any, **named: Any) -> Any:
        async with turn, saver.conn.transaction():
            await fence.check(saver.conn)
            return await put_writes(*args, **named)

    saver.aput, saver.aput_writes = aput, aput_writes
    return saver


def _serializer() -> Any:
    """LangGraph's serializer without its leave to import and build whatever class a checkpoint names."""
    from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer

    return JsonPlusSerializer(allowed_msgpack_modules=None)
