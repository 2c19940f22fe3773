"""The search's part of the index: an FTS5 table without content, one row for each piece of a file.

A word that stands often in a piece is stored with a level behind it, and once more with a mark where a definition has
it in its name, so that the table needs no positions and no columns. Rows are never deleted: a changed file gets a
new document number, and what belongs to no live document is left out when it is found.
"""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Iterable, Mapping
from itertools import islice
from typing import Any

from lg_code.parsing.facts import Facts
from lg_code.search.chunks import CHUNK_BITS, MOST_CHUNKS, cut
from lg_code.search.words import WordCounter, path_words, words

LEVELS = ((1, 1), (2, 2), (3, 3), (5, 5), (9, 9))
"""How often a word stands in a piece, at least, and as how often that counts.

The table has the word once, with the highest level that it reaches.
"""
IN_PATH = 2
"""A word of the file's name counts as if it stood this often in each of its pieces."""
MOST_TERMS = 2_000
"""Different words of one piece."""
_TOP = LEVELS[-1][0]
_ENDS = ["", "", *(f"_{max(least for least, _ in LEVELS if least <= count)}" for count in range(2, _TOP + 1))]
_COUNTER = WordCounter()
_GATHERED_BYTES = 16 << 20
"""What FTS5 gathers in memory before it writes: sixteen times its own default, so that it merges less."""
_TABLES = f"""
CREATE VIRTUAL TABLE IF NOT EXISTS search_terms
    USING fts5(terms, content='', detail=none, columnsize=0, tokenize="ascii tokenchars '_'");
CREATE TABLE IF NOT EXISTS search_docs(
    doc INTEGER PRIMARY KEY, file INTEGER NOT NULL, mark BLOB NOT NULL, chunks INTEGER NOT NULL, live INTEGER NOT NULL
);
CREATE INDEX IF NOT EXISTS search_docs_by_file ON search_docs(file, mark);
CREATE TABLE IF NOT EXISTS search_size(id INTEGER PRIMARY KEY CHECK(id = 1), chunks INTEGER NOT NULL);
INSERT OR IGNORE INTO search_size VALUES(1, 0);
INSERT INTO search_terms(search_terms, rank) VALUES('hashsize', {_GATHERED_BYTES});
"""


def level(word: str, least: int) -> str:
    """Return the term of a word that stands so often in a piece: at least `least` times, and not the next level."""
    return word if least == 1 else f"{word}_{least}"


def defined(word: str) -> str:
    """Return the term of a word in the name of a definition."""
    return f"{word}_d"


def prepare(path: str, text: bytes, facts: Facts) -> list[str]:
    """Return the terms of each piece of a file, separated by spaces. Runs in the parser's process."""
    stems, _ = path_words(path)
    names: dict[int, set[str]] = {}
    for symbol in facts.symbols:
        names.setdefault(symbol.start_byte, set()).update(words(symbol.name))
    starts = sorted(names)
    prepared: list[str] = []
    place = 0
    for chunk in cut(text, facts.symbols):
        counted = _COUNTER.count(text[chunk.start : chunk.end])
        for stem in stems:
            counted[stem] = counted.get(stem, 0) + IN_PATH
        defines: set[str] = set()
        while place < len(starts) and starts[place] < chunk.end:
            defines |= names[starts[place]]
            place += 1
        prepared.append(_terms(counted, defines))
    return prepared


def _terms(counted: Mapping[str, int], defines: Iterable[str]) -> str:
    ends, top = _ENDS, _TOP
    terms = [
        word if count == 1 else word + ends[count if count < top else top]
        for word, count in islice(counted.items(), MOST_TERMS)
    ]
    return " ".join([*terms, *map(defined, defines)])


class SearchTerms:
    """An `IndexPart`: it changes with the file's own rows."""

    name = "search"
    version = 2
    prepare = "lg_code.search.terms:prepare"

    def create(self, db: sqlite3.Connection) -> None:
        """Make the tables, where they are missing."""
        made = db.execute("SELECT 1 FROM sqlite_master WHERE name = 'search_size'").fetchone()
        if made is None or db.execute("SELECT 1 FROM search_size").fetchone() is None:
            db.executescript(_TABLES)  # which waits for whoever writes

    def store(self, db: sqlite3.Connection, file_id: int, path: str, prepared: Any) -> None:  # noqa: ARG002 - the terms have its words
        """Store the pieces of a file. A text that the file had before is found again, not stored twice."""
        if not isinstance(prepared, list) or not all(isinstance(terms, str) for terms in prepared):
            raise ValueError("malformed terms")
        pieces = prepared[:MOST_CHUNKS]
        mark = hashlib.blake2b("\n".join(pieces).encode("utf-8", "replace"), digest_size=12).digest()
        self.remove(db, file_id)
        again = db.execute("UPDATE search_docs SET live = 1 WHERE file = ? AND mark = ?", (file_id, mark))
        if again.rowcount:
            return
        doc = db.execute(
            "INSERT INTO search_docs(file, mark, chunks, live) VALUES(?, ?, ?, 1)", (file_id, mark, len(pieces))
        ).lastrowid
        if doc is None:
            raise sqlite3.DatabaseError("no document number")
        rows = [(doc << CHUNK_BITS | number, terms) for number, terms in enumerate(pieces)]
        db.executemany("INSERT INTO search_terms(rowid, terms) VALUES(?, ?)", rows)
        db.execute("UPDATE search_size SET chunks = chunks + ?", (len(pieces),))

    def waste(self, db: sqlite3.Connection) -> float:
        """Return which share of the pieces is of no live document."""
        query = "SELECT total(chunks * (1 - live)) / max(1, total(chunks)) FROM search_docs"
        return float(db.execute(query).fetchone()[0])

    def remove(self, db: sqlite3.Connection, file_id: int) -> None:
        """Leave a file out of what is found."""
        db.execute("UPDATE search_docs SET live = 0 WHERE file = ? AND live = 1", (file_id,))
