"""Which file uses whose names: a graph of files, weighted by how much a use tells."""

from __future__ import annotations

import math
import sqlite3
from array import array
from collections import defaultdict
from dataclasses import dataclass

from lg_code.parsing.facts import CALL, COUNT_SHIFT, DEF, IMPORT, MAX_COUNT
from lg_policy.jobs import Job

MAX_DEFINERS = 12
"""A name that more files define says nothing about which of them is meant."""
_WEAK_KINDS = ("field", "member", "heading", "declaration", "impl", "variable")
_MENTIONED, _CALLED, _IMPORTED = 0.3, 1.0, 3.0
_COMPOUND, _PRIVATE, _SHORT, _INNER = 2.0, 0.2, 0.3, 0.3
_SHORT_NAME, _LONG_NAME = 4, 8
_ROOTS = [math.sqrt(count or 1) for count in range(MAX_COUNT + 1)]


@dataclass(frozen=True, kw_only=True)
class Graph:
    """Files by position; for each the files that it uses, with weights."""

    files: list[int]
    """Ids of the index."""
    paths: list[str]
    starts: array[int]
    """For each file where its edges begin, and at last where they end."""
    targets: array[int]
    """For each edge the position of the file that is used. In arrays, as a large tree has millions."""
    weights: array[float]
    """For each edge its weight; those of one file add up to 1."""
    used: dict[int, float]
    """For the id of each name that is defined: how much other files use it."""


def build_graph(db: sqlite3.Connection, job: Job) -> Graph:
    """Read the graph out of the index, in time that is linear in its size."""
    files: list[int] = []
    paths: list[str] = []
    for number, path in db.execute("SELECT id, path FROM files ORDER BY path"):
        files.append(number)
        paths.append(path)
    place = {number: index for index, number in enumerate(files)}
    definers = _definers(db, place, job)
    weights, telling, outer = _name_weights(db, definers, job)
    known = weights.keys()
    used: dict[int, float] = dict.fromkeys(weights, 0.0)
    starts, targets, shares = array("I"), array("I"), array("f")
    rows = db.execute("SELECT names, kinds FROM files LEFT JOIN file_uses ON file_uses.file = files.id ORDER BY path")
    for name_bytes, kind_bytes in rows:
        job.step(8)
        starts.append(len(targets))
        if name_bytes is None:
            continue
        names, kinds = array("I"), array("H")
        names.frombytes(name_bytes)
        kinds.frombytes(kind_bytes)
        uses = dict(zip(names, kinds, strict=True))
        sums: defaultdict[int, float] = defaultdict(float)
        for name in known & uses.keys():
            use = uses[name]
            if use & DEF:
                continue
            if use & IMPORT and name in outer:
                kind = _IMPORTED
            else:
                kind = _CALLED if use & CALL else _MENTIONED if name in telling else 0.0
            if kind:
                used[name] += kind
                each = weights[name] * kind * _ROOTS[use >> COUNT_SHIFT] / len(definers[name])
                for target in definers[name]:
                    sums[target] += each
        total = sum(sums.values())
        if total > 0:
            targets.extend(sums)
            shares.extend([weight / total for weight in sums.values()])
    starts.append(len(targets))
    return Graph(files=files, paths=paths, starts=starts, targets=targets, weights=shares, used=used)


def _definers(db: sqlite3.Connection, place: dict[int, int], job: Job) -> dict[int, list[int]]:
    """Return for each name the files that define it, where they are few."""
    found: dict[int, list[int]] = {}
    marks = ",".join("?" * len(_WEAK_KINDS))
    rows = db.execute(
        f"SELECT DISTINCT name, file FROM symbols WHERE kind NOT IN ({marks}) ORDER BY name",  # noqa: S608 - only marks
        _WEAK_KINDS,
    )
    for name, file in rows:
        job.step()
        if file in place:
            found.setdefault(name, []).append(place[file])
    return {name: files for name, files in found.items() if len(files) <= MAX_DEFINERS}


def _name_weights(
    db: sqlite3.Connection, definers: dict[int, list[int]], job: Job
) -> tuple[dict[int, float], set[int], set[int]]:
    """Return how much a use of a name tells, names of which even a mention tells something, and those of the top level.

    Compound names tell much, private and short ones little; a simple word in small letters may be anything.
    """
    weights: dict[int, float] = {}
    telling: set[int] = set()
    outer: set[int] = set()
    rows = db.execute(
        "SELECT names.id, names.text, min(symbols.parent) FROM symbols JOIN names ON names.id = symbols.name "
        "GROUP BY symbols.name"
    )
    for number, text, parent in rows:
        job.step()
        if number not in definers:
            continue
        mixed = text != text.lower() and text != text.upper() and len(text) >= _LONG_NAME
        compound = mixed or "_" in text.strip("_")
        if compound or text[:1].isupper():
            telling.add(number)
        if not parent:
            outer.add(number)
        weight = _COMPOUND if compound else 1.0
        weight *= _PRIVATE if text.startswith("_") else 1.0
        weight *= _INNER if parent else 1.0
        weights[number] = weight * (_SHORT if len(text) < _SHORT_NAME else 1.0)
    return weights, telling, outer
