"""Ranks in the file of the index, so that the first map after a start need not compute them."""

from __future__ import annotations

import sqlite3
from array import array
from collections.abc import Mapping
from typing import Any, NamedTuple

from lg_code.ranking.graph import Graph

NAME = "ranks"
_TYPES = {"files": "I", "starts": "I", "targets": "I", "weights": "f", "names": "I", "used": "d", "ranks": "d"}


class StoredRanks(NamedTuple):
    """A graph with its ranks, and the generation of the index that they are of."""

    generation: int
    graph: Graph
    ranks: list[float]


def as_blobs(graph: Graph, ranks: list[float]) -> dict[str, bytes]:
    """Return what to store, by name."""
    columns: dict[str, Any] = {
        "files": graph.files,
        "starts": graph.starts,
        "targets": graph.targets,
        "weights": graph.weights,
        "names": graph.used.keys(),
        "used": graph.used.values(),
        "ranks": ranks,
    }
    return {name: array(kind, columns[name]).tobytes() for name, kind in _TYPES.items()}


def load(db: sqlite3.Connection) -> StoredRanks | None:
    """Return what was stored; `None` if there is nothing, or nothing that fits together."""
    rows = db.execute("SELECT part, generation, value FROM computed WHERE name = ?", (NAME,)).fetchall()
    generations = {generation for _, generation, _ in rows}
    if {part for part, _, _ in rows} != _TYPES.keys() or len(generations) != 1:
        return None
    try:
        columns = {part: _column(_TYPES[part], value) for part, _, value in rows}
    except (TypeError, ValueError):
        return None
    if not _fit(columns):
        return None
    paths = dict(db.execute("SELECT id, path FROM files"))
    graph = Graph(
        files=list(columns["files"]),
        paths=[paths.get(file, "") for file in columns["files"]],  # a file that is gone defines nothing
        starts=columns["starts"],
        targets=columns["targets"],
        weights=columns["weights"],
        used=dict(zip(columns["names"], columns["used"], strict=True)),
    )
    return StoredRanks(generations.pop(), graph, list(columns["ranks"]))


def _column(kind: str, value: bytes) -> array[Any]:
    column: array[Any] = array(kind)
    column.frombytes(value)
    return column


def _fit(columns: Mapping[str, array[Any]]) -> bool:
    count, edges, starts = len(columns["files"]), len(columns["targets"]), columns["starts"]
    return (
        len(starts) == count + 1
        and starts[-1] == edges == len(columns["weights"])
        and max(starts) == edges
        and (not edges or max(columns["targets"]) < count)
        and len(columns["ranks"]) == count
        and len(columns["names"]) == len(columns["used"])
    )
