"""From a name in a call to the definitions that it may mean, as the files are now."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Sequence
from typing import NamedTuple

from lg_code.index.current import CurrentFile
from lg_code.index.index import Index
from lg_code.index.places import Below, lies_below
from lg_code.index.rows import files_using, name_id
from lg_code.parsing.facts import Symbol
from lg_policy.errors import InvalidArguments
from lg_policy.jobs import Job
from lg_policy.tree.similarity import closest

_SEPARATORS = re.compile(r"::|->|[.#\\/]")
_ESCAPED = str.maketrans({"%": "\\%", "_": "\\_", "\\": "\\\\"})
_MAX_ROWS = 5_000
_LESS = ("declaration", "impl", "field", "member", "variable", "heading")
_TESTS = re.compile(r"(^|/)(tests?|specs?|__tests__|testing)/|(^|/)test_|_test\.|\.(test|spec)\.|(^|/)conftest\.py$")
_NEAR = 5
_MAX_NEAR_NAMES = 20_000


class Asked(NamedTuple):
    """A name as a call gives it: the last part, and what must be around it."""

    name: str
    around: tuple[str, ...]


class FoundSymbol(NamedTuple):
    """A definition in a file as it is now."""

    file: CurrentFile
    symbol: Symbol


class Lookup(NamedTuple):
    """What was found. `match`: exact, ignoring case, or part of the name. `total` counts what is not looked at too."""

    found: list[FoundSymbol]
    match: str
    total: int


def asked(name: str) -> Asked:
    """Split `Class.method`, `module::function` or `Class#method`. Raises `InvalidArguments` for what is no name."""
    plain = name.strip().removesuffix("()")
    if not plain.isprintable() or not any(character.isalnum() or character == "_" for character in plain):
        raise InvalidArguments(f"{name[:80]!a} is no name", hint="give a name such as total, or Cart.total")
    parts = [part for part in _SEPARATORS.split(plain) if part]
    if len(parts) < 2:
        return Asked(plain, ())
    return Asked(parts[-1], tuple(parts[:-1]))


def is_test_path(path: str) -> bool:
    """Return whether a file is one of tests, by the names that the languages' tools look for."""
    stem = path.rpartition("/")[2].partition(".")[0]
    return _TESTS.search(path.lower()) is not None or stem.endswith(("Test", "Tests", "Spec", "IT"))


def find(index: Index, wanted: Asked, place: Below, kind: str | None, limit: int, job: Job) -> Lookup:
    """Return the definitions of a name, best first: exact ones, else those that differ in case, else parts."""
    for match, condition, value in (
        ("exact", "names.text = ?", wanted.name),
        ("ignoring case", "names.text = ? COLLATE NOCASE", wanted.name),
        ("part", "names.text LIKE ? ESCAPE '\\'", f"%{wanted.name.translate(_ESCAPED)}%"),
    ):
        with index.read() as db:
            rows = _rows(db, condition, value, kind)
        rows = [row for row in rows if lies_below(row[0], place) and _is_around(wanted, row[2], row[0])]
        rows.sort(key=_preference)
        found = _now(index, rows, kind, limit, job)
        if found:
            return Lookup(found, match, max(len(rows), len(found)))
    return Lookup([], "exact", 0)


def _rows(db: sqlite3.Connection, condition: str, value: str, kind: str | None) -> list[tuple[str, str, str, str, int]]:
    query = (  # the condition is one of three texts of this module
        "SELECT files.path, names.text, symbols.parent, symbols.kind, symbols.start_line FROM names "  # noqa: S608 - as said
        "JOIN symbols ON symbols.name = names.id JOIN files ON files.id = symbols.file "
        f"WHERE {condition} AND (? IS NULL OR symbols.kind = ?) LIMIT {_MAX_ROWS}"
    )
    return db.execute(query, (value, kind, kind)).fetchall()


def _preference(row: tuple[str, str, str, str, int]) -> tuple[object, ...]:
    path, name, parent, kind, line = row
    return (kind in _LESS, is_test_path(path), len(name), parent.count(".") + bool(parent), path.count("/"), path, line)


def _is_around(wanted: Asked, parent: str, path: str) -> bool:
    """Return whether what was asked for around a name is around it: in its parents, or in the path of its file."""
    if not wanted.around:
        return True
    around = [*_SEPARATORS.split(path.rpartition(".")[0]), *filter(None, parent.split("."))]
    place = len(around)
    for part in reversed(wanted.around):
        while place > 0 and around[place - 1] != part:
            place -= 1
        if place == 0:
            return False
        place -= 1
    return True


def _now(
    index: Index, rows: Sequence[tuple[str, str, str, str, int]], kind: str | None, limit: int, job: Job
) -> list[FoundSymbol]:
    """Look up the definitions in the files as they are now; those that are gone are left out."""
    files: dict[str, CurrentFile | None] = {}
    taken: set[tuple[str, int]] = set()
    found: list[FoundSymbol] = []
    for path, name, parent, row_kind, line in rows:
        if len(found) >= limit or job.late():
            break
        if path not in files:
            files[path] = index.current(path, job)
        file = files[path]
        if file is None:
            continue
        same = [s for s in file.symbols if s.name == name and s.parent == parent and s.kind == row_kind]
        same.sort(key=lambda symbol: abs(symbol.start_line - line))
        for symbol in same:
            if (path, symbol.start_byte) not in taken and kind in (None, symbol.kind):
                taken.add((path, symbol.start_byte))
                found.append(FoundSymbol(file, symbol))
                break
    return found


def why_nothing(index: Index, wanted: Asked, job: Job) -> list[str]:
    """Return what is known about a name that nothing here defines."""
    said = [f"nothing indexed defines {wanted.name!r}"]
    with index.read() as db:
        number = name_id(db, wanted.name)
        using = files_using(db, number) if number is not None else []
        rows = db.execute(
            "SELECT DISTINCT names.text FROM names JOIN symbols ON symbols.name = names.id "  # noqa: S608 - a number
            f"WHERE abs(length(names.text) - ?) <= 3 LIMIT {_MAX_NEAR_NAMES}",
            (len(wanted.name),),
        ).fetchall()
    job.check_time()
    if using:
        said.append(f"{len(using)} files use the name; references lists them")
    near = closest(wanted.name, [row[0] for row in rows], count=_NEAR, cutoff=0.5)
    if near:
        said.append(f"similar: {', '.join(near)}")
    return said
