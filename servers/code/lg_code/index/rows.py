"""Writes the rows of files, and reads them back as facts."""

from __future__ import annotations

import json
import sqlite3
from array import array
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from typing import Any

from lg_code.index.parts import IndexPart
from lg_code.parsing.facts import Facts, Reader, Symbol

_MAX_CACHED_NAMES = 400_000


@dataclass(frozen=True, kw_only=True)
class FileRow:
    """A file of the index, without its symbols."""

    id: int
    path: str
    digest: bytes
    size: int
    language: str
    reader: Reader
    lines: int
    problem: str


@dataclass(frozen=True, kw_only=True)
class NewFile:
    """A file as it was read: what it holds, and by what it is known to be unchanged."""

    path: str
    digest: bytes
    stamp: str
    size: int
    facts: Facts
    prepared: Mapping[str, Any]


class RowWriter:
    """Writes into one connection. The caller begins and ends the transactions."""

    def __init__(self, db: sqlite3.Connection, parts: Sequence[IndexPart]) -> None:
        self._db = db
        self._parts = parts
        self._names: dict[str, int] = {}
        last = db.execute("SELECT max(id) FROM names").fetchone()[0]
        self._next_name = 1 + (last or 0)
        self._knows_all = last is None
        """Whether a name that is not remembered is new: so it is while an index is first made."""

    def store(self, new: NewFile) -> int:
        """Store a file instead of what was there under its path; return its id."""
        facts = new.facts
        row = (new.digest, new.stamp, new.size, facts.language, facts.reader, facts.lines, facts.problem, new.path)
        known = self._db.execute("SELECT id FROM files WHERE path = ?", (new.path,)).fetchone()
        if known is None:
            cursor = self._db.execute(
                "INSERT INTO files(digest, stamp, size, language, reader, lines, problem, path) "
                "VALUES(?,?,?,?,?,?,?,?)",
                row,
            )
            file = int(cursor.lastrowid or 0)
        else:
            file = int(known[0])
            self._remove_rows(file)
            self._db.execute(
                "UPDATE files SET digest=?, stamp=?, size=?, language=?, reader=?, lines=?, problem=? WHERE path=?", row
            )
        self._insert(file, facts)
        for part in self._parts:
            if part.prepare in new.prepared:
                part.store(self._db, file, new.path, new.prepared[part.prepare])
            else:
                part.remove(self._db, file)
        return file

    def _insert(self, file: int, facts: Facts) -> None:
        uses = facts.uses
        self._learn(uses, [symbol[0] for symbol in facts.symbols])
        known = self._names
        self._db.executemany(
            "INSERT INTO symbols(file, name, kind, parent, start_line, end_line, start_byte, end_byte) "
            "VALUES(?,?,?,?,?,?,?,?)",
            [(file, known[symbol[0]], *symbol[1:]) for symbol in facts.symbols],
        )
        names, kinds = array("I", map(known.__getitem__, uses)), array("H", uses.values())
        self._db.execute("INSERT INTO file_uses VALUES(?,?,?)", (file, names.tobytes(), kinds.tobytes()))
        self._db.executemany("INSERT OR IGNORE INTO imports VALUES(?,?)", [(file, name) for name in facts.imports])

    def _learn(self, uses: Iterable[str], defined: Iterable[str]) -> None:
        """Find the ids of names, and store those that are new: a few statements for all names of a file."""
        known = self._names
        if len(known) > _MAX_CACHED_NAMES:
            known.clear()
            self._knows_all = False
        missing = sorted({*uses, *defined}.difference(known))  # in order, the index of texts takes them faster
        if missing and not self._knows_all:
            wanted = json.dumps(missing)
            query = "SELECT text, names.id FROM json_each(?) JOIN names ON names.text = json_each.value"
            known.update(self._db.execute(query, (wanted,)))
            missing = [text for text in missing if text not in known]
        if missing:
            rows = list(zip(count(self._next_name), missing, strict=False))
            self._db.executemany("INSERT INTO names(id, text) VALUES(?,?)", rows)
            self._next_name += len(rows)
            known.update((text, number) for number, text in rows)

    def touch(self, path: str, stamp: str) -> None:
        """Note that a file is the same as before, with another stamp."""
        self._db.execute("UPDATE files SET stamp = ? WHERE path = ?", (stamp, path))

    def remove(self, file: int) -> None:
        """Remove a file."""
        self._remove_rows(file)
        for part in self._parts:
            part.remove(self._db, file)
        self._db.execute("DELETE FROM files WHERE id = ?", (file,))

    def _remove_rows(self, file: int) -> None:
        for table in ("symbols", "file_uses", "imports"):
            self._db.execute(f"DELETE FROM {table} WHERE file = ?", (file,))  # noqa: S608 - the names are those above

    def failed(self, digest: bytes, problem: str) -> None:
        """Note that a text ends the parser: it is not given to one again."""
        self._db.execute("INSERT OR REPLACE INTO failed VALUES(?,?)", (digest, problem))

    def changed(self, files: int) -> None:
        """Add to the generation how many files changed: what was computed from the index is out of date."""
        self._db.execute(
            "INSERT INTO meta VALUES('generation', ?) ON CONFLICT(key) DO UPDATE SET value = value + excluded.value",
            (files,),
        )


_FILE = "SELECT id, path, digest, size, language, reader, lines, problem FROM files"


def _row(row: tuple[Any, ...]) -> FileRow:
    number, path, digest, size, language, reader, lines, problem = row
    return FileRow(
        id=number,
        path=path,
        digest=digest,
        size=size,
        language=language,
        reader=reader,
        lines=lines,
        problem=problem,
    )


def file_by_path(db: sqlite3.Connection, path: str) -> FileRow | None:
    """Return a file of the index."""
    row = db.execute(f"{_FILE} WHERE path = ?", (path,)).fetchone()
    return None if row is None else _row(row)


def files(db: sqlite3.Connection) -> Iterable[FileRow]:
    """Return all files of the index."""
    return (_row(row) for row in db.execute(_FILE))


def symbols_of(db: sqlite3.Connection, file: int) -> list[Symbol]:
    """Return the symbols of a file, in order."""
    rows = db.execute(
        "SELECT names.text, kind, parent, start_line, end_line, start_byte, end_byte FROM symbols "
        "JOIN names ON names.id = symbols.name WHERE file = ? ORDER BY symbols.id",
        (file,),
    )
    return [Symbol(*row) for row in rows]


def uses_of(db: sqlite3.Connection, file: int) -> tuple[array[int], array[int]]:
    """Return the ids of the names that a file uses, and how."""
    names, kinds = array("I"), array("H")
    row = db.execute("SELECT names, kinds FROM file_uses WHERE file = ?", (file,)).fetchone()
    if row is not None:
        names.frombytes(row[0])
        kinds.frombytes(row[1])
    return names, kinds


def name_id(db: sqlite3.Connection, text: str) -> int | None:
    """Return the id of a name; `None` for one that no file uses."""
    row = db.execute("SELECT id FROM names WHERE text = ?", (text,)).fetchone()
    return None if row is None else int(row[0])


def files_using(db: sqlite3.Connection, name: int) -> list[tuple[int, int]]:
    """Return the files that use a name, and how (kinds and count)."""
    wanted = array("I", [name]).tobytes()
    found: list[tuple[int, int]] = []
    for file, names, kinds in db.execute("SELECT file, names, kinds FROM file_uses WHERE instr(names, ?)", (wanted,)):
        place = names.find(wanted)
        while place >= 0 and place % 4:  # the end of one id and the beginning of the next
            place = names.find(wanted, place + 1)
        if place >= 0:
            found.append((file, int.from_bytes(kinds[place // 2 : place // 2 + 2], _ORDER)))
    return found


_ORDER: Any = "little" if array("H", [1]).tobytes()[0] else "big"


def generation(db: sqlite3.Connection) -> int:
    """Return how many changes of files the index has seen: it differs when the index does."""
    row = db.execute("SELECT value FROM meta WHERE key = 'generation'").fetchone()
    return 0 if row is None else int(row[0])
