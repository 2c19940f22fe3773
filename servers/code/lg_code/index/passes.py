"""One pass over the tree: what is new, changed or gone since the index was written."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import stat
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, NamedTuple

from lg_code.index.database import Database
from lg_code.index.rows import NewFile, RowWriter
from lg_code.index.sources import Source, exact_stamp, source_of
from lg_code.parsing.facts import Facts
from lg_code.parsing.pool import ParserDied, Parsers
from lg_code.watching.changes import Changes
from lg_code.watching.tree_watch import TreeWatch
from lg_policy.config.settings import CodeSettings
from lg_policy.errors import InvalidArguments, LgError, NotFound, PolicyDenied
from lg_policy.jobs import Job
from lg_policy.paths.root import Opened
from lg_policy.tree.walk import DirEntry, Folder, Walk, open_regular
from lg_policy.tree.workspace import Located, ServedRoot, WalkArgs, Workspace, walking

_BATCH = 1_000
"""Files in one transaction."""
_BATCH_BYTES = 8_000_000
_AHEAD = 8
"""Files that are read for each parser before it is free."""
_DRAIN_EVERY = 256
"""Files that are read before the events of that are taken out of the kernel's queue."""
_KNOWN = "SELECT path, id, stamp, digest FROM files"


@dataclass(kw_only=True)
class PassResult:
    """What a pass found."""

    complete: bool = True
    stopped: str = ""
    hidden: int = 0
    changed: int = 0


class Known(NamedTuple):
    """What the index has of a file."""

    path: str
    id: int
    stamp: str
    digest: bytes


class IndexPass:
    """Walks, compares, has files parsed, and stores what is new."""

    def __init__(
        self,
        workspace: Workspace,
        database: Database,
        parsers: Parsers,
        watch: TreeWatch,
        settings: CodeSettings,
        job: Job,
    ) -> None:
        self._workspace = workspace
        self._database = database
        self._parsers = parsers
        self._watch = watch
        self._settings = settings
        self._job = job
        self._waiting: deque[tuple[Source, Future[NewFile]]] = deque()
        self._bytes = 0
        self._stored = 0
        self._looked = 0
        self._total: int | None = None
        self._too_large = False
        self._result = PassResult()

    def pending(self) -> int:
        """Return how many files were read and wait for a parser."""
        return len(self._waiting)

    def run(self, changes: Changes) -> PassResult:
        """Look at what may have changed. What is committed stays.

        Raises `StoppedError`, `LgError`, `sqlite3.Error` and `OSError`.
        """
        with contextlib.closing(self._database.writer()) as db:
            self._db = db
            self._rows = RowWriter(db, self._database.parts)
            self._failed: dict[bytes, str] = dict(db.execute("SELECT digest, problem FROM failed"))
            self._pool = ThreadPoolExecutor(self._parsers.limits.processes, thread_name_prefix="lg-code-parse")
            try:
                db.execute("BEGIN IMMEDIATE")
                if changes.everything:
                    self._everything()
                else:
                    self._some(changes)
                self._store_until(0)
                self._commit()
            except BaseException:
                with contextlib.suppress(sqlite3.Error):
                    db.execute("ROLLBACK")
                raise
            finally:
                self._pool.shutdown(wait=False, cancel_futures=True)
        return self._result

    def _everything(self) -> None:
        known = {row[0]: Known._make(row) for row in self._db.execute(_KNOWN)}
        seen: set[str] = set()
        whole = True
        for number, place in enumerate(self._workspace.places):
            place.check_identity()
            walk = self._place(number, place, known, seen)
            self._result.hidden += walk.result.hidden
            stopped = walk.result.stopped
            if stopped is not None:
                whole = False
                self._is_not_complete(stopped)
        if whole:
            self._remove(known[path] for path in known.keys() - seen)
            self._watch.looked_at_everything()

    def _place(self, number: int, place: ServedRoot, known_files: Mapping[str, Known], seen: set[str]) -> Walk:
        located, args = self._workspace.top(place), WalkArgs(entered=partial(self._watch.enter, number))
        with walking(located, args, self._workspace.settings, self._job) as walk:
            for folder in walk:
                # Most files are as they were: they cost one `stat` and no call of a method.
                for entry in folder.entries:
                    if entry.kind == "file":
                        path = place.prefix + entry.path
                        seen.add(path)
                        known = known_files.get(path)
                        if known is None or not self._is_unchanged(number, known, entry):
                            self._look(number, path, known, entry, folder)
                self._end_folder()
        return walk

    def _end_folder(self) -> None:
        self._job.check()
        self._too_large = self._stored > 0 and self._database.size(self._db) > self._settings.index_max_mb << 20

    def _some(self, changes: Changes) -> None:
        """Look at the names that may have changed, whatever stamp they have."""
        for (number, folder), names in changes.in_order():
            place = self._workspace.places[number]
            place.check_identity()
            left, folders = set(names), []
            with contextlib.suppress(NotFound, InvalidArguments, PolicyDenied):  # gone, a link now, or hidden
                for found in self._walk(number, place, folder, recursive=False):
                    for entry in found.entries:
                        if entry.name in names and entry.kind == "file":
                            left.discard(entry.name)
                            self._remove(self._known_below(place.prefix + entry.path))
                            (known,) = self._known_at(place.prefix + entry.path) or (None,)
                            self._look(number, place.prefix + entry.path, known, entry, found)
                        elif entry.name in names and entry.kind == "dir":
                            left.discard(entry.name)
                            folders.append(entry.path)
                    self._end_folder()
            above = f"{folder}/" if folder else ""
            for path in [place.prefix + above + name for name in left]:
                self._remove([*self._known_at(path), *self._known_below(path)])
            for path in folders:
                self._folder(number, place, path)
            self._watch.looked_below({(number, path) for path in (*folders, *(above + name for name in left))})

    def _folder(self, number: int, place: ServedRoot, path: str) -> None:
        """Look at a directory that came, moved, or has other rules now, and all that is below it."""
        self._remove(self._known_at(place.prefix + path))
        known = {item.path: item for item in self._known_below(place.prefix + path)}
        with contextlib.suppress(NotFound, InvalidArguments, PolicyDenied):
            for found in self._walk(number, place, path, recursive=True):
                for entry in found.entries:
                    if entry.kind == "file":
                        name = place.prefix + entry.path
                        self._look(number, name, known.pop(name, None), entry, found)
                self._end_folder()
        if self._result.complete:
            self._remove(known.values())

    def _walk(self, number: int, place: ServedRoot, path: str, *, recursive: bool) -> Iterator[Folder]:
        args = WalkArgs(recursive=recursive, chosen=False, entered=partial(self._watch.enter, number))
        with walking(Located(place=place, rel=path), args, self._workspace.settings, self._job) as walk:
            yield from walk
        if walk.result.stopped is not None:
            self._is_not_complete(walk.result.stopped)

    def _known_at(self, path: str) -> list[Known]:
        return [Known._make(row) for row in self._db.execute(f"{_KNOWN} WHERE path = ?", (path,))]

    def _known_below(self, path: str) -> list[Known]:
        rows = self._db.execute(f"{_KNOWN} WHERE path >= ? AND path < ?", (f"{path}/", f"{path}0"))  # "0" follows "/"
        return [Known._make(row) for row in rows]

    def _remove(self, gone: Iterable[Known]) -> None:
        for known in gone:
            self._job.step()
            self._rows.remove(known.id)
            self._note_change()

    def _is_full(self) -> bool:
        """Return whether no file is added. Those in the index are kept up to date, so that what goes makes room."""
        settings = self._settings
        if self._total is None:
            self._total = int(self._db.execute("SELECT count(*) FROM files").fetchone()[0])
        if self._total >= settings.index_max_files:
            self._is_not_complete(f"the index is full: index_max_files is {settings.index_max_files}")
        elif self._too_large:
            self._is_not_complete(f"the index is full: index_max_mb is {settings.index_max_mb}")
        else:
            return False
        return True

    def _is_not_complete(self, why: str) -> None:
        self._result.complete = False
        self._result.stopped = self._result.stopped or why

    def _look(self, number: int, path: str, known: Known | None, entry: DirEntry, folder: Folder) -> None:
        """Read a file that is new or may have changed."""
        self._job.step()
        self._looked += 1
        if self._looked % _DRAIN_EVERY == 0:
            self._watch.drain()
        if known is None and self._is_full():
            return
        try:
            source = self._read(number, entry, folder.fd, path)
        except (OSError, LgError):
            source = None  # gone, closed to us, or with names outside of the root
        if source is None:
            if known is not None:
                self._rows.remove(known.id)
                self._note_change()
            return
        if known is not None and source.digest == known.digest:
            if source.stamp:
                self._rows.touch(path, source.stamp)
            return
        if known is None and self._total is not None:
            self._total += 1
        self._parse(source)

    def _read(self, number: int, entry: DirEntry, folder_fd: int, path: str) -> Source | None:
        fd = open_regular(entry.name, folder_fd)
        opened = Opened(fd=fd, rel=entry.path, stat=os.fstat(fd))
        with opened:
            if not stat.S_ISREG(opened.stat.st_mode):
                return None
            if opened.stat.st_nlink > 1:
                self._watch.doubt(number, entry.path)
            self._workspace.refuse_hard_link(opened)
            return source_of(path, fd, self._settings, self._job)

    def _parse(self, source: Source) -> None:
        self._waiting.append((source, self._pool.submit(self._facts, source)))
        self._bytes += len(source.text)
        ahead = _AHEAD * self._parsers.limits.processes
        while len(self._waiting) > ahead or (self._bytes > _BATCH_BYTES and len(self._waiting) > 1):
            self._store_until(len(self._waiting) - 1)

    def _facts(self, source: Source) -> NewFile:
        """Have a text parsed. Runs in a thread of the pool."""
        request = source.request
        facts = Facts(language="", reader="none", lines=0, problem=source.problem)
        prepared: Mapping[str, Any] = {}
        if request is not None:
            failed = self._failed.get(source.digest)
            if failed is not None and request.reader == "grammar":
                request = replace(request, reader="lines", problem=failed)
            try:
                facts, prepared = self._parsers.facts(request)
            except ParserDied as error:
                facts = Facts(language=request.language, reader="none", lines=0, problem=str(error)[:300])
        return NewFile(
            path=source.path, digest=source.digest, stamp=source.stamp, size=source.size, facts=facts, prepared=prepared
        )

    def _store_until(self, left: int) -> None:
        """Store what the parsers answered, in order, until so many files wait."""
        while len(self._waiting) > left:
            source, future = self._waiting.popleft()
            while True:
                self._job.check()
                try:
                    new = future.result(0.2)
                    break
                except TimeoutError:
                    continue
            self._bytes -= len(source.text)
            self._rows.store(new)
            died = new.facts.problem and source.request is not None and source.request.reader == "grammar"
            if died and new.facts.reader != "grammar":
                self._rows.failed(source.digest, new.facts.problem)
            self._note_change()

    def _note_change(self) -> None:
        self._stored += 1
        if self._stored % _BATCH == 0:
            self._commit()
            self._db.execute("BEGIN IMMEDIATE")

    def _commit(self) -> None:
        if self._stored > self._result.changed:
            self._rows.changed(self._stored - self._result.changed)
            self._result.changed = self._stored
        self._db.execute("COMMIT")

    def _is_unchanged(self, number: int, known: Known, entry: DirEntry) -> bool:
        """Return whether a file has the stamp that was kept.

        None was kept while another change could leave the same.
        """
        try:
            status = entry.dirent.stat(follow_symlinks=False)
        except OSError:
            return False  # gone, or closed to us
        if status.st_nlink > 1:
            self._watch.doubt(number, entry.path)
        return known.stamp == exact_stamp(status)
