"""Which tests belong to a file or a name: by what they import, call and are called."""

from __future__ import annotations

import posixpath
import sqlite3
from array import array
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from lg_code.answers.answer import Answer, with_notes
from lg_code.answers.lookup import asked, find, is_test_path, why_nothing
from lg_code.answers.references import enclosing, sites_in
from lg_code.index.index import Index
from lg_code.index.rows import files_using, name_id
from lg_code.parsing.facts import CALL, IMPORT, MENTION, Symbol
from lg_policy.errors import InvalidArguments, NotFound
from lg_policy.jobs import Job

_DEFAULT = 30
_NAMED, _IMPORTED, _CALLED, _MENTIONED, _INSIDE = 6.0, 5.0, 3.0, 0.5, 7.0
_MAX_DEFINERS = 3
_FUNCTIONS = 20
_SCOPED = ("class", "function", "method", "struct", "enum", "trait", "interface", "type", "constant", "macro")
_ENOUGH = 1.0


@dataclass(kw_only=True)
class Tests:
    """A file of tests and why it belongs to what was asked for."""

    path: str
    score: float = 0.0
    reasons: list[str] = field(default_factory=list)
    functions: list[str] = field(default_factory=list)

    def add(self, score: float, reason: str) -> None:
        """Note one reason."""
        self.score += score
        if len(self.reasons) < 4:
            self.reasons.append(reason)


def tests_for(index: Index, arguments: dict[str, Any], job: Job) -> Answer:
    """Answer `tests_for`. Raises `InvalidArguments` unless a path or a symbol is given."""
    path, symbol = arguments.get("path"), arguments.get("symbol")
    if (path is None) == (symbol is None):
        raise InvalidArguments("give either path or symbol", hint='{"path": "src/a.py"} or {"symbol": "Class.method"}')
    notes = index.refresh(job).notes()
    limit = min(int(arguments.get("limit") or _DEFAULT), index.settings.max_results)
    if path is not None:
        found = _for_file(index, path, job)
        about = path
    else:
        found = _for_symbol(index, str(symbol), notes, job)
        about = str(symbol)
    found = sorted((item for item in found if item.score >= _ENOUGH), key=lambda item: (-item.score, item.path))
    if not found:
        notes.insert(0, f"no tests are known for {about}: none is named after it, imports it or calls it")
    if len(found) > limit:
        notes.append(f"{len(found) - limit} more files of tests; raise limit")
    shown = found[:limit]
    lines = [
        f"{item.path} ({'; '.join(item.reasons)})" + (f"\n    {', '.join(item.functions)}" if item.functions else "")
        for item in shown
    ]
    tests = [{"path": item.path, "reasons": item.reasons, "functions": item.functions} for item in shown]
    structured = {"tests": tests, "total": len(found), "notes": notes}
    return Answer(text=with_notes(lines or ["(none)"], notes), structured=structured)


def _for_file(index: Index, given: str, job: Job) -> list[Tests]:
    file = index.named(given, job)
    path = file.path
    names = {symbol.name for symbol in file.symbols if symbol.kind in _SCOPED and not symbol.name.startswith("__")}
    found: dict[str, Tests] = {}
    inside = [symbol.name for symbol in file.symbols if _is_test(symbol)]
    if inside and not is_test_path(path):
        found[path] = Tests(path=path, score=_INSIDE, reasons=["tests in the file itself"])
        found[path].functions = inside[:_FUNCTIONS]
    with index.read() as db:
        own = _own_names(db, names)
        for number, test in db.execute("SELECT id, path FROM files").fetchall():
            job.step()
            if test == path or not is_test_path(test):
                continue
            item = Tests(path=test)
            if _is_named_after(test, path):
                item.add(_NAMED, "named after it")
            _by_imports(db, item, number, path)
            _by_names(db, item, number, own)
            found[test] = item
    return list(found.values())


def _is_test(symbol: Symbol) -> bool:
    inner = symbol.parent.split(".")
    return symbol.kind in ("function", "method") and (
        "tests" in inner or "test" in inner or symbol.name.startswith("test_")
    )


def _own_names(db: sqlite3.Connection, names: set[str]) -> dict[int, str]:
    """Return the names that few other files define: a use of one of them means this file."""
    own: dict[int, str] = {}
    for name in sorted(names):
        number = name_id(db, name)
        if number is None:
            continue
        definers = db.execute("SELECT count(DISTINCT file) FROM symbols WHERE name = ?", (number,)).fetchone()[0]
        if definers <= _MAX_DEFINERS:
            own[number] = name
    return own


def _stem(path: str) -> str:
    stem = posixpath.splitext(path)[0]
    for index in ("/__init__", "/index", "/mod", "/lib", "/main"):
        stem = stem.removesuffix(index)
    return stem


def _is_named_after(test: str, path: str) -> bool:
    name = posixpath.basename(test).partition(".")[0].lower()
    target = posixpath.basename(_stem(path)).partition(".")[0].lower()
    for word in ("test_", "tests_", "spec_"):
        name = name.removeprefix(word)
    for word in ("_test", "_tests", "_spec", "test", "tests", "spec"):
        name = name.removesuffix(word)
    return bool(name) and name == target


def _by_imports(db: sqlite3.Connection, item: Tests, file: int, path: str) -> None:
    target = _stem(path)
    for (module,) in db.execute("SELECT module FROM imports WHERE file = ?", (file,)):
        if _means(module, item.path, target):
            item.add(_IMPORTED, f"imports {module}")
            return


def _means(module: str, importing: str, target: str) -> bool:
    """Return whether an imported module is the target, a path without its suffix."""
    folder = posixpath.dirname(importing)
    if module.startswith(("./", "../")):
        return _stem(posixpath.normpath(posixpath.join(folder, module))) == target
    if module.startswith("."):
        dots = len(module) - len(module.lstrip("."))
        for _ in range(dots - 1):
            folder = posixpath.dirname(folder)
        return posixpath.join(folder, module[dots:].replace(".", "/")).strip("/") in (target, f"{target}/")
    written = module.replace("::", "/").replace("\\", "/").replace(".", "/") if "/" not in module else _stem(module)
    return (
        (written.count("/") > 0 and (f"/{target}").endswith(f"/{written}"))
        or written == target
        or ("/" not in written and posixpath.basename(target) == written and target.count("/") <= 1)
    )


def _by_names(db: sqlite3.Connection, item: Tests, file: int, own: dict[int, str]) -> None:
    row = db.execute("SELECT names, kinds FROM file_uses WHERE file = ?", (file,)).fetchone()
    if row is None:
        return
    names, kinds = array("I"), array("H")
    names.frombytes(row[0])
    kinds.frombytes(row[1])
    called: list[str] = []
    mentioned: list[str] = []
    for name, use in zip(names, kinds, strict=True):
        if name in own and use & (CALL | IMPORT):
            called.append(own[name])
        elif name in own and use & MENTION:
            mentioned.append(own[name])
    if called:
        item.add(_CALLED + 0.2 * min(len(called), 10), f"uses {_some(called)}")
    if mentioned:
        item.add(_MENTIONED * min(len(mentioned), 4), f"mentions {_some(mentioned)}")


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return ", ".join(names[:3]) + more


def _for_symbol(index: Index, given: str, notes: list[str], job: Job) -> list[Tests]:
    wanted = asked(given)
    lookup = find(index, wanted, None, None, 1, job)
    if not lookup.found or lookup.match == "part":
        raise NotFound("; ".join(why_nothing(index, wanted, job)), hint="find_symbol finds parts of names")
    name = lookup.found[0].symbol.name
    found: list[Tests] = []
    with index.read() as db:
        number = name_id(db, name)
        rows = files_using(db, number) if number is not None else []
        paths = {file: db.execute("SELECT path FROM files WHERE id = ?", (file,)).fetchone()[0] for file, _ in rows}
    for file, _ in rows:
        if not is_test_path(paths[file]) and paths[file] != lookup.found[0].file.path:
            continue
        if job.late():
            notes.append("the time was over; further files of tests use the name")
            break
        item = _using_tests(index, paths[file], name, job)
        if item is not None:
            found.append(item)
    return found


def _using_tests(index: Index, path: str, name: str, job: Job) -> Tests | None:
    """Return the tests in one file that use a name."""
    file = index.current(path, job)
    if file is None:
        return None
    item = Tests(path=path)
    own = not is_test_path(path)
    scopes: dict[str, None] = {}
    called = 0
    for site in sites_in(index, file, name):
        scope = enclosing(file.symbols, site.start_byte)
        if own and (scope is None or not _is_test(scope)):
            continue
        called += site.kind in (CALL, IMPORT)
        if site.kind & (CALL | MENTION | IMPORT):
            item.score += _CALLED if site.kind != MENTION else _MENTIONED if site.within else _ENOUGH
            if scope is not None and scope.kind in ("function", "method"):
                scopes[scope.qualified] = None
    if item.score:
        item.reasons.append("calls it" if called else "mentions it")
        item.functions = list(scopes)[:_FUNCTIONS]
    return item
