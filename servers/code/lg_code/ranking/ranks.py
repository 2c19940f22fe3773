"""Ranks of the files of an index, kept until the index changes."""

from __future__ import annotations

import contextlib
import sqlite3
import threading
from array import array
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace

from lg_code.index.index import Index
from lg_code.index.rows import generation
from lg_code.ranking.graph import Graph, build_graph
from lg_code.ranking.page_rank import page_rank
from lg_code.ranking.stored_ranks import NAME, as_blobs, load
from lg_policy.errors import CallTimeout
from lg_policy.jobs import Job

_POLL_S = 0.05
_FEW = 20
_PART = 0.01
"""As long as no more of the files changed, the ranks of the others stay as they are."""
_NEW = 0.15
"""The rank of a file that came since, as a part of the average."""


@dataclass(frozen=True, kw_only=True)
class Ranked:
    """The graph of one state of the index, with the plain ranks by position."""

    generation: int
    graph: Graph
    ranks: list[float]


_EMPTY = Graph(files=[], paths=[], starts=array("I", [0]), targets=array("I"), weights=array("f"), used={})
_NOTHING = Ranked(generation=0, graph=_EMPTY, ranks=[])
Keep = Callable[[str, int, Mapping[str, bytes]], None]
"""Stores parts under a name, for a generation of the index."""


class Ranks:
    """Computes ranks once for each state of the index."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._computing = threading.Lock()
        self._last: Ranked | None = None

    def of(self, db: sqlite3.Connection, job: Job, keep: Keep) -> Ranked:
        """Return the ranks of what a connection reads. Where the time does not allow it, older ones, or none."""
        wanted = generation(db)
        known = self._known(db, wanted)
        if known is not None:
            return known
        half = job.part(0.5)
        try:
            with self._turn(half):
                return self._known(db, wanted) or self._made(db, wanted, half, keep)
        except CallTimeout:
            job.check()
            return _with_new_files(self._last or _NOTHING, db)

    def prepare(self, index: Index, job: Job) -> None:
        """Compute the ranks, so that the first map need not do it. Raises `StoppedError` and `LgError`."""
        with index.read() as db:
            self.of(db, job, index.keep)

    @contextlib.contextmanager
    def _turn(self, job: Job) -> Iterator[None]:
        """Wait until nobody else computes them. Raises `StoppedError` and `CallTimeout`."""
        while not self._computing.acquire(timeout=_POLL_S):
            job.check_time()
        try:
            yield
        finally:
            self._computing.release()

    def _known(self, db: sqlite3.Connection, wanted: int) -> Ranked | None:
        """Return what was computed, if it is of this state of the index or near enough."""
        with self._lock:
            last = self._last
        if last is None:
            last = self._stored(db)
        if last is None or last.generation == wanted:
            return last
        near = 0 < wanted - last.generation <= max(_FEW, len(last.ranks) * _PART)
        return _with_new_files(last, db) if near else None

    def _made(self, db: sqlite3.Connection, wanted: int, job: Job, keep: Keep) -> Ranked:
        graph = build_graph(db, job)
        made = Ranked(generation=wanted, graph=graph, ranks=page_rank(graph, job))
        with self._lock:
            self._last = made
        keep(NAME, wanted, as_blobs(graph, made.ranks))
        return made

    def _stored(self, db: sqlite3.Connection) -> Ranked | None:
        """Return what an earlier process computed."""
        stored = load(db)
        if stored is None:
            return None
        made = Ranked(generation=stored.generation, graph=stored.graph, ranks=stored.ranks)
        with self._lock:
            self._last = made
        return made


def _with_new_files(last: Ranked, db: sqlite3.Connection) -> Ranked:
    """Return the ranks of an older state, with the files that came since. Those that went are noticed when told."""
    graph = last.graph
    known = set(graph.files)
    new = [row for row in db.execute("SELECT id, path FROM files") if row[0] not in known]
    if not new:
        return last
    made = replace(
        graph,
        files=[*graph.files, *(row[0] for row in new)],
        paths=[*graph.paths, *(row[1] for row in new)],
        starts=graph.starts + graph.starts[-1:] * len(new),
    )
    return replace(last, graph=made, ranks=[*last.ranks, *([_NEW / (len(known) or 1)] * len(new))])
