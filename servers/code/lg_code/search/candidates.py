"""Ranks files by the tables alone: words of pieces, words of paths, names of definitions.

A file's score is the sum of: its best piece by BM25, how many of the best pieces are in it, how much of the query its
path says, how much of the query its definitions say, and whether it defines a name of the query.
"""

from __future__ import annotations

import heapq
import json
import math
import sqlite3
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice

from lg_code.search.chunks import CHUNK_BITS
from lg_code.search.paths import weight
from lg_code.search.query import Query
from lg_code.search.terms import LEVELS, defined, level
from lg_code.search.words import path_words, words
from lg_policy.jobs import Job

MOST_ROWS = 60_000
"""Rows of one word that are read. A word with more says little about a file."""
RANKED_FILES = 300
"""Files whose paths are looked at, the best by their pieces."""
BEST_PIECES = 50
LOOKED_AT_PIECES = 2_000
"""Pieces that make files candidates."""
BEST, MANY, PATH, DEFINED, NAME, WHOLE_PATH = 1.0, 0.4, 1.0, 0.2, 2.0, 1.5
SAME_AS_FILE = 1.5
"""A definition of a name counts this much more in a file that is called like it."""
_SATURATION = 1.5
_SHORTEST_PREFIX = 3
_MOST_DEFINITIONS = 400
_CACHED_PATHS = 4_000
_SAMPLED = 8
"""Every so many pieces, one score is compared with others."""


@dataclass(frozen=True, kw_only=True)
class RankedFile:
    """A file that the tables say fits, and its best piece."""

    path: str
    digest: bytes
    score: float
    piece: int


class Lists:
    """The rows of each term, out of the FTS5 table; terms are made of letters, digits and `_`, so none is syntax."""

    def __init__(self, db: sqlite3.Connection, job: Job) -> None:
        self._db = db
        self._job = job

    def rows(self, term: str) -> list[int]:
        """Return the pieces that hold a term."""
        self._job.check_time()
        found = self._db.execute(
            "SELECT json_group_array(rowid) FROM (SELECT rowid FROM search_terms WHERE search_terms MATCH ? LIMIT ?)",
            (f'"{term}"', MOST_ROWS),
        ).fetchone()[0]
        rows: list[int] = json.loads(found)
        return rows


def rank(db: sqlite3.Connection, query: Query, within: Sequence[str], job: Job) -> list[RankedFile]:
    """Return the files that fit, the best first; `within` are directories or files, none of them means all."""
    lists = Lists(db, job)
    found = {word: [lists.rows(level(word, least)) for least, _ in LEVELS] for word in query.words}
    pieces = max(1, db.execute("SELECT chunks FROM search_size").fetchone()[0])
    rarity: dict[str, float] = {}
    for word, levels in found.items():
        rows = sum(map(len, levels))
        rarity[word] = math.log(1 + max(0.5, pieces - rows + 0.5) / (rows + 0.5))
    scores = _piece_scores(found, rarity)
    definers = _definers(db, query)
    if within:
        kept = _docs_within(db, within)
        scores = {piece: score for piece, score in scores.items() if piece >> CHUNK_BITS in kept}
        definers = {doc: name for doc, name in definers.items() if doc in kept}
    return _files(db, query, scores, definers, _defined_share(lists, rarity), rarity)


def _piece_scores(found: Mapping[str, list[list[int]]], rarity: Mapping[str, float]) -> dict[int, float]:
    scores: dict[int, float] = defaultdict(float)
    for word, levels in found.items():
        for (_, count), pieces in zip(LEVELS, levels, strict=True):
            gain = rarity[word] * count * (_SATURATION + 1) / (count + _SATURATION)
            for piece in pieces:
                scores[piece] += gain
    return scores


def _defined_share(lists: Lists, rarity: Mapping[str, float]) -> dict[int, float]:
    """Return for each document how much of the query stands in the names that it defines."""
    whole = sum(rarity.values()) or 1.0
    shares: dict[int, float] = defaultdict(float)
    for word, rare in rarity.items():
        for doc in {piece >> CHUNK_BITS for piece in lists.rows(defined(word))}:
            shares[doc] += rare / whole
    return shares


def _definers(db: sqlite3.Connection, query: Query) -> dict[int, str]:
    found: dict[int, str] = {}
    for name in query.names:
        for (doc,) in db.execute(
            "SELECT DISTINCT doc FROM names JOIN symbols ON symbols.name = names.id "
            "JOIN search_docs ON search_docs.file = symbols.file AND live = 1 WHERE names.text = ? LIMIT ?",
            (name, _MOST_DEFINITIONS),
        ):
            found.setdefault(doc, name)
    return found


def _docs_within(db: sqlite3.Connection, within: Sequence[str]) -> set[int]:
    docs: set[int] = set()
    for path in within:
        below = path.rstrip("/")
        condition = "1" if below in ("", ".") else "(path = :path OR (path > :path || '/' AND path < :path || '0'))"
        statement = f"SELECT doc FROM search_docs JOIN files ON id = file WHERE live = 1 AND {condition}"  # noqa: S608 - one of two constants
        docs.update(row[0] for row in db.execute(statement, {"path": below}))
    return docs


def _files(
    db: sqlite3.Connection,
    query: Query,
    scores: Mapping[int, float],
    definers: Mapping[int, str],
    shares: Mapping[int, float],
    rarity: Mapping[str, float],
) -> list[RankedFile]:
    scores = _best_pieces(scores)
    best: dict[int, float] = {}
    where: dict[int, int] = {}
    for piece, score in scores.items():
        doc = piece >> CHUNK_BITS
        if score > best.get(doc, 0.0):
            best[doc], where[doc] = score, piece
    many: dict[int, float] = defaultdict(float)
    for piece in heapq.nlargest(BEST_PIECES, scores, key=scores.__getitem__):
        many[piece >> CHUNK_BITS] += scores[piece]
    top, most = max(best.values(), default=1.0), max(many.values(), default=1.0)
    fits = {doc: BEST * score / top + MANY * many.get(doc, 0.0) / most for doc, score in best.items()}
    docs = {*heapq.nlargest(RANKED_FILES, fits, key=lambda doc: fits[doc] + shares.get(doc, 0.0)), *definers}
    candidates: list[RankedFile] = []
    for doc, path, digest in _live(db, docs):
        score = fits.get(doc, 0.0) + DEFINED * shares.get(doc, 0.0) + _path_score(path, query.words, rarity)
        if doc in definers:
            score += NAME * (SAME_AS_FILE if path_words(path)[0] == frozenset(words(definers[doc])) else 1.0)
        score *= weight(path, tests=query.about_tests, docs=query.about_docs)
        piece = where.get(doc, 0) & ((1 << CHUNK_BITS) - 1)
        candidates.append(RankedFile(path=path, digest=digest, score=score, piece=piece))
    return sorted(candidates, key=lambda candidate: (-candidate.score, candidate.path))


def _best_pieces(scores: Mapping[int, float]) -> Mapping[int, float]:
    """Return those of the best score, about so many: a common word alone is in many times as many."""
    if len(scores) <= LOOKED_AT_PIECES:
        return scores
    some = sorted(islice(scores.values(), 0, None, _SAMPLED))
    least = some[-min(len(some), LOOKED_AT_PIECES // _SAMPLED)]
    return {piece: score for piece, score in scores.items() if score >= least}


def _live(db: sqlite3.Connection, docs: set[int]) -> list[tuple[int, str, bytes]]:
    marks = json.dumps(sorted(docs))
    return db.execute(
        "SELECT doc, files.path, digest FROM json_each(?) JOIN search_docs ON doc = value AND live = 1 "
        "JOIN files ON files.id = file",
        (marks,),
    ).fetchall()


def _path_score(path: str, wanted: Sequence[str], rarity: Mapping[str, float]) -> float:
    """Return what the path says of the query: how many of its words, and how much of the name is one of them."""
    if not wanted:
        return 0.0
    stems, both = _words_of_path(path)
    said = sum(1 for word in wanted if both.says(word))
    of_query = sum(rarity[word] for word in wanted if word in stems) / (sum(rarity.values()) or 1.0)
    of_name = len(stems.intersection(wanted)) / len(stems) if stems else 0.0
    return PATH * said / len(wanted) + WHOLE_PATH * of_name * math.sqrt(of_query)


class _PathWords:
    """The words of a path, ready to be compared with many queries: one call asks about hundreds of paths."""

    def __init__(self, said: frozenset[str]) -> None:
        self._said = said
        self._long = tuple(word for word in said if len(word) >= _SHORTEST_PREFIX)
        self._listed = "".join(f"\n{word}" for word in self._long)

    def says(self, word: str) -> bool:
        """Return whether a word is one of them, begins with one of them, or is the beginning of one."""
        if word in self._said:
            return True
        return len(word) >= _SHORTEST_PREFIX and (word.startswith(self._long) or f"\n{word}" in self._listed)


@lru_cache(maxsize=_CACHED_PATHS)
def _words_of_path(path: str) -> tuple[frozenset[str], _PathWords]:
    stems, directory = path_words(path)
    return stems, _PathWords(stems | directory)
