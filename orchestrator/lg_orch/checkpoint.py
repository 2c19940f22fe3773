"""LangGraph checkpoints of one run in one SQLite file of its directory: on disk before the next step begins.

Each channel is stored once per version, so that a step costs what it changed. Values are plain JSON (`state` sees to
that); nothing is pickled.
"""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING, Any

from langgraph.checkpoint.base import (
    WRITES_IDX_MAP,
    BaseCheckpointSaver,
    CheckpointTuple,
    get_checkpoint_id,
    get_checkpoint_metadata,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator, Sequence
    from pathlib import Path

    from langchain_core.runnables import RunnableConfig
    from langgraph.checkpoint.base import ChannelVersions, Checkpoint, CheckpointMetadata

_SCHEMA = """
CREATE TABLE IF NOT EXISTS checkpoints (ns TEXT, id TEXT, parent TEXT, kind TEXT, data BLOB, meta_kind TEXT, meta BLOB,
    PRIMARY KEY (ns, id)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS blobs (ns TEXT, channel TEXT, version INTEGER, kind TEXT, data BLOB,
    PRIMARY KEY (ns, channel, version)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS writes (ns TEXT, id TEXT, task TEXT, idx INTEGER, channel TEXT, kind TEXT, data BLOB,
    path TEXT, PRIMARY KEY (ns, id, task, idx)) WITHOUT ROWID;
"""

_KEEP_WRITE = "INSERT OR IGNORE INTO writes VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
_REPLACE_WRITE = "INSERT OR REPLACE INTO writes VALUES (?, ?, ?, ?, ?, ?, ?, ?)"


class RunSaver(BaseCheckpointSaver[int]):
    """Saves and finds the checkpoints of one run; its file holds no other thread. Raises `sqlite3.Error`."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self._db = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
        self._db.execute("PRAGMA journal_mode = WAL")
        self._db.execute("PRAGMA synchronous = FULL")
        self._db.executescript(_SCHEMA)
        path.chmod(0o600)

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    def put(
        self,
        config: RunnableConfig,
        checkpoint: Checkpoint,
        metadata: CheckpointMetadata,
        new_versions: ChannelVersions,
    ) -> RunnableConfig:
        """Keep a checkpoint and the channels that changed in it, in one transaction."""
        ns = _namespace(config)
        values = checkpoint["channel_values"]
        bare: dict[str, Any] = {key: value for key, value in checkpoint.items() if key != "channel_values"}
        changed = [
            (ns, channel, version, *self.serde.dumps_typed(values[channel]))
            for channel, version in new_versions.items()
            if channel in values
        ]
        row = (ns, checkpoint["id"], get_checkpoint_id(config), *self.serde.dumps_typed(bare))
        described = self.serde.dumps_typed(get_checkpoint_metadata(config, metadata))
        with self._db:
            self._db.execute("BEGIN IMMEDIATE")
            self._db.executemany("INSERT OR REPLACE INTO blobs VALUES (?, ?, ?, ?, ?)", changed)
            self._db.execute("INSERT OR REPLACE INTO checkpoints VALUES (?, ?, ?, ?, ?, ?, ?)", (*row, *described))
        return _config(config, checkpoint["id"])

    def put_writes(
        self, config: RunnableConfig, writes: Sequence[tuple[str, Any]], task_id: str, task_path: str = ""
    ) -> None:
        """Keep what a task wrote; interrupts and errors replace earlier ones of their kind."""
        ns, checkpoint_id = _namespace(config), get_checkpoint_id(config)
        with self._db:
            self._db.execute("BEGIN IMMEDIATE")
            for number, (channel, value) in enumerate(writes):
                index = WRITES_IDX_MAP.get(channel, number)
                row = (ns, checkpoint_id, task_id, index, channel, *self.serde.dumps_typed(value), task_path)
                self._db.execute(_REPLACE_WRITE if index < 0 else _KEEP_WRITE, row)

    def get_tuple(self, config: RunnableConfig) -> CheckpointTuple | None:
        """Return the checkpoint that `config` names, else the newest."""
        ns, wanted = _namespace(config), get_checkpoint_id(config)
        row = self._db.execute(
            "SELECT id, parent, kind, data, meta_kind, meta FROM checkpoints WHERE ns = ? AND (? IS NULL OR id = ?) "
            "ORDER BY id DESC LIMIT 1",
            (ns, wanted, wanted),
        ).fetchone()
        return None if row is None else self._tuple(config, ns, row)

    def list(
        self,
        config: RunnableConfig | None,
        *,
        filter: dict[str, Any] | None = None,  # noqa: A002  # the base class named it
        before: RunnableConfig | None = None,
        limit: int | None = None,
    ) -> Iterator[CheckpointTuple]:
        """Yield the checkpoints, the newest first."""
        base: RunnableConfig = config or {"configurable": {"thread_id": ""}}
        ns, end = _namespace(base), get_checkpoint_id(before) if before else None
        rows = self._db.execute(
            "SELECT id, parent, kind, data, meta_kind, meta FROM checkpoints WHERE ns = ? AND (? IS NULL OR id < ?) "
            "ORDER BY id DESC",
            (ns, end, end),
        ).fetchall()
        found = 0
        for row in rows:
            item = self._tuple(base, ns, row)
            described: dict[str, Any] = dict(item.metadata)
            if filter and any(described.get(key) != value for key, value in filter.items()):
                continue
            yield item
            found += 1
            if limit is not None and found >= limit:
                return

    def _tuple(self, config: RunnableConfig, ns: str, row: tuple[Any, ...]) -> CheckpointTuple:
        checkpoint_id, parent, kind, data, meta_kind, meta = row
        checkpoint: Checkpoint = self.serde.loads_typed((kind, data))
        values = {}
        for channel, version in checkpoint["channel_versions"].items():
            blob = self._db.execute(
                "SELECT kind, data FROM blobs WHERE ns = ? AND channel = ? AND version = ?", (ns, channel, version)
            ).fetchone()
            if blob is not None:
                values[channel] = self.serde.loads_typed(blob)
        writes = self._db.execute(
            "SELECT task, channel, kind, data FROM writes WHERE ns = ? AND id = ? ORDER BY task, idx",
            (ns, checkpoint_id),
        ).fetchall()
        return CheckpointTuple(
            config=_config(config, checkpoint_id),
            checkpoint={**checkpoint, "channel_values": values},
            metadata=self.serde.loads_typed((meta_kind, meta)),
            parent_config=_config(config, parent) if parent else None,
            pending_writes=[(task, channel, self.serde.loads_typed((k, d))) for task, channel, k, d in writes],
        )

    async def aput(
        self,
        config: RunnableConfig,
        checkpoint: Checkpoint,
        metadata: CheckpointMetadata,
        new_versions: ChannelVersions,
    ) -> RunnableConfig:
        """As `put`; a commit takes milliseconds, less than a thread's hop."""
        return self.put(config, checkpoint, metadata, new_versions)

    async def aput_writes(
        self, config: RunnableConfig, writes: Sequence[tuple[str, Any]], task_id: str, task_path: str = ""
    ) -> None:
        """As `put_writes`."""
        self.put_writes(config, writes, task_id, task_path)

    async def aget_tuple(self, config: RunnableConfig) -> CheckpointTuple | None:
        """As `get_tuple`."""
        return self.get_tuple(config)

    async def alist(
        self,
        config: RunnableConfig | None,
        *,
        filter: dict[str, Any] | None = None,  # noqa: A002  # the base class named it
        before: RunnableConfig | None = None,
        limit: int | None = None,
    ) -> AsyncIterator[CheckpointTuple]:
        """As `list`."""
        for item in self.list(config, filter=filter, before=before, limit=limit):
            yield item


def _namespace(config: RunnableConfig) -> str:
    return str(config["configurable"].get("checkpoint_ns", ""))


def _config(config: RunnableConfig, checkpoint_id: str) -> RunnableConfig:
    place = config["configurable"]
    return {
        "configurable": {
            "thread_id": place["thread_id"],
            "checkpoint_ns": place.get("checkpoint_ns", ""),
            "checkpoint_id": checkpoint_id,
        }
    }
