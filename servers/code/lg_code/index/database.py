"""The SQLite file of the index: its tables, its connections, and when it is made anew."""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import queue
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from lg_code.index.parts import IndexPart
from lg_code.parsing.languages import LANGUAGES
from lg_policy.errors import Internal

log = logging.getLogger(__name__)

FORMAT = 2
"""Counts up when the tables or what is read out of files change: older indexes are then made anew."""
KEPT = 3
"""Indexes that are kept in one state directory: one for each set of roots and rules."""
_BUSY_S = 30
_KEEP_WAIT_S = 0.2
_MAGIC = b"SQLite format 3\0"
_CACHE_KB = 16_384
_WRITER_CACHE_KB = 65_536
"""What a pass writes again and again stays in memory; the connection is closed after it."""
_READERS = 8
_WASTE = 0.5
_Identity = tuple[int, int] | None
_TABLES = """
CREATE TABLE IF NOT EXISTS meta(key TEXT PRIMARY KEY, value) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS files(
    id INTEGER PRIMARY KEY, path TEXT NOT NULL UNIQUE, digest BLOB NOT NULL, stamp TEXT NOT NULL, size INTEGER NOT NULL,
    language TEXT NOT NULL, reader TEXT NOT NULL, lines INTEGER NOT NULL, problem TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS names(id INTEGER PRIMARY KEY, text TEXT NOT NULL UNIQUE);
CREATE TABLE IF NOT EXISTS symbols(
    id INTEGER PRIMARY KEY, file INTEGER NOT NULL, name INTEGER NOT NULL, kind TEXT NOT NULL, parent TEXT NOT NULL,
    start_line INTEGER NOT NULL, end_line INTEGER NOT NULL, start_byte INTEGER NOT NULL, end_byte INTEGER NOT NULL
);
CREATE INDEX IF NOT EXISTS symbols_by_file ON symbols(file);
CREATE INDEX IF NOT EXISTS symbols_by_name ON symbols(name);
CREATE TABLE IF NOT EXISTS file_uses(file INTEGER PRIMARY KEY, names BLOB NOT NULL, kinds BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS imports(
    file INTEGER NOT NULL, module TEXT NOT NULL, PRIMARY KEY(file, module)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS computed(
    name TEXT NOT NULL, part TEXT NOT NULL, generation INTEGER NOT NULL, value BLOB NOT NULL, PRIMARY KEY(name, part)
);
CREATE TABLE IF NOT EXISTS failed(digest BLOB PRIMARY KEY, problem TEXT NOT NULL) WITHOUT ROWID;
"""


class Database:
    """One index file. Readers get connections of their own; the one writer is the indexer."""

    def __init__(self, path: Path, parts: Sequence[IndexPart] = ()) -> None:
        self.path = path
        self.parts = tuple(parts)
        self._readers: queue.SimpleQueue[tuple[sqlite3.Connection, _Identity]] = queue.SimpleQueue()
        self.damaged = False
        """Whether a reader found damage, which a pass need not meet."""
        self._make()

    def _make(self) -> None:
        """Make the tables. Raises `sqlite3.Error` and `OSError` where no file can be written."""
        try:
            self.writer().close()
        except sqlite3.OperationalError as error:
            if "locked" not in str(error):
                raise
            log.info("another server writes the index: %s", error)
        except sqlite3.DatabaseError as error:
            log.warning("the index %s cannot be used and is made anew: %s", self.path, error)
            self.remove_files()
            self.writer().close()

    def remove_files(self) -> None:
        """Remove the index from the disk. Who has it open keeps what it has."""
        for end in ("", "-wal", "-shm"):
            self.path.with_name(self.path.name + end).unlink(missing_ok=True)
        self.damaged = False
        self.close()

    def writer(self) -> sqlite3.Connection:
        """Return a connection that may write. Raises `sqlite3.DatabaseError` for a file that is no index."""
        db = self._connect()
        try:
            db.execute("PRAGMA journal_mode=WAL")
            db.execute("PRAGMA synchronous=NORMAL")
            db.execute(f"PRAGMA cache_size=-{_WRITER_CACHE_KB}")
            db.executescript(_TABLES)
            for part in self.parts:
                part.create(db)
        except BaseException:
            db.close()
            raise
        return db

    def _connect(self, timeout_s: float = _BUSY_S) -> sqlite3.Connection:
        db = sqlite3.connect(self.path, timeout=timeout_s, isolation_level=None, check_same_thread=False)
        try:
            db.execute(f"PRAGMA cache_size=-{_CACHE_KB}")
        except BaseException:
            db.close()  # else it lives as long as the error, and keeps what is wrong from being mended
            raise
        return db

    @contextlib.contextmanager
    def read(self) -> Iterator[sqlite3.Connection]:
        """Give a connection that reads one state of the index, whatever is written meanwhile.

        Raises `Internal` when the file is damaged; it is then made anew by the next pass.
        """
        try:
            db, identity = self._reader()
        except sqlite3.Error as error:
            hint = f"is {str(self.path)!a} a file that can be written? If you remove it, it is made anew"
            raise Internal(f"the index cannot be opened: {error}", hint=hint) from error
        try:
            db.execute("PRAGMA query_only=1")
            db.execute("BEGIN")
            yield db
            db.execute("COMMIT")
        except sqlite3.DatabaseError as error:
            db.close()
            self.damaged = not isinstance(error, sqlite3.OperationalError) or "no such table" in str(error)
            raise Internal(f"the index cannot be read: {error}", hint="call again; it is made anew") from error
        except BaseException:
            with contextlib.suppress(sqlite3.Error):
                db.execute("ROLLBACK")
            self._give_back(db, identity)
            raise
        self._give_back(db, identity)

    def _reader(self) -> tuple[sqlite3.Connection, _Identity]:
        """Return a connection to the file that is there now: a person or another server may have removed the last."""
        now = self.identity()
        while True:
            try:
                db, identity = self._readers.get_nowait()
            except queue.Empty:
                return self._connect(), now
            if identity == now:
                return db, identity
            db.close()

    def identity(self) -> _Identity:
        """Return what tells the file from another one under its name; `None` if there is none."""
        try:
            status = self.path.stat()
        except OSError:
            return None
        return status.st_dev, status.st_ino

    def is_foreign(self) -> bool:
        """Return whether the file is none of SQLite's, as after a full disk. SQLite itself may then wait for ever."""
        try:
            with self.path.open("rb") as file:
                return file.read(len(_MAGIC)) != _MAGIC
        except OSError:
            return False

    def _give_back(self, db: sqlite3.Connection, identity: _Identity) -> None:
        if self._readers.qsize() < _READERS and not db.in_transaction:
            self._readers.put((db, identity))
        else:
            db.close()

    def size(self, db: sqlite3.Connection) -> int:
        """Return the bytes that the index takes, without what is free for new rows."""
        pages, free, page = (
            int(db.execute(f"PRAGMA {name}").fetchone()[0]) for name in ("page_count", "freelist_count", "page_size")
        )
        return (pages - free) * page

    def keep(self, name: str, generation: int, parts: Mapping[str, bytes]) -> None:
        """Store what was computed from a generation of the index. Where somebody else writes, it is not stored."""
        if self.identity() is None:
            return
        rows = [(name, part, generation, value) for part, value in parts.items()]
        try:
            with contextlib.closing(self._connect(timeout_s=_KEEP_WAIT_S)) as db:
                db.execute("BEGIN IMMEDIATE")
                db.execute("DELETE FROM computed WHERE name = ?", (name,))
                db.executemany("INSERT INTO computed VALUES(?,?,?,?)", rows)
                db.execute("COMMIT")
        except sqlite3.Error as error:
            log.info("%s of the index are not stored: %s", name, error)

    def is_mostly_waste(self, most_bytes: int) -> bool:
        """Return whether it has no room left, and half of a part's rows are of no file any more."""
        with self.read() as db:
            return self.size(db) > most_bytes and any(part.waste(db) > _WASTE for part in self.parts)

    def close(self) -> None:
        """Close the connections that nobody uses."""
        while True:
            try:
                self._readers.get_nowait()[0].close()
            except queue.Empty:
                return


def index_path(directory: Path, what: Sequence[str], parts: Sequence[IndexPart]) -> Path:
    """Return the file of the index for roots and rules, `what` in words, and remove all but the newest others.

    Another rule makes another index, so that a name that is hidden now is in none that is read.
    """
    grammars = sorted({language.module.replace("_", "-") for language in LANGUAGES})
    told = [FORMAT, list(what), [(part.name, part.version) for part in parts], [_version(name) for name in grammars]]
    digest = hashlib.sha256(json.dumps(told).encode()).hexdigest()[:20]
    path = directory / f"index-{digest}.sqlite3"
    others = [found for found in directory.glob("index-*.sqlite3") if found != path]
    for old in sorted(others, key=_age, reverse=True)[KEPT - 1 :]:
        for end in ("", "-wal", "-shm"):
            old.with_name(old.name + end).unlink(missing_ok=True)
    return path


def _version(name: str) -> str:
    try:
        return f"{name} {version(name)}"
    except PackageNotFoundError:
        return name


def _age(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0
