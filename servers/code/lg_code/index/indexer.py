"""Keeps the index up to date: a pass over the tree finds what changed, parsers read it, a transaction stores it.

A thread makes the passes. A call asks for one and waits for it, as long as it may; the pass goes on after that.
"""

from __future__ import annotations

import contextlib
import logging
import sqlite3
import threading
import time
from collections.abc import Callable
from pathlib import Path

from lg_code.index.coverage import Coverage
from lg_code.index.database import Database
from lg_code.index.passes import IndexPass, PassResult
from lg_code.parsing.pool import Parsers
from lg_code.watching.changes import Changes
from lg_code.watching.tree_watch import TreeWatch
from lg_policy.config.settings import CodeSettings
from lg_policy.errors import LgError
from lg_policy.jobs import Job, StoppedError
from lg_policy.state import make_private, try_file_lock
from lg_policy.tree.workspace import Workspace

log = logging.getLogger(__name__)

_QUICK_S = 1.0
"""A pass that takes no more CPU time than this is made for every call."""
_PAUSE = 10
"""After a slower one, this many times its length pass before the next."""
_FEW = 50
_LOOK_AGAIN_S = 60.0
"""Seconds after which a call looks at the whole tree all the same; more where that takes more than a hundredth."""
_LOOK_AGAIN = 100
_AGAIN_S = 2
"""A call waits no longer for a pass that an earlier call waited for in vain."""
_POLL_S = 0.05
_PASS_S = 3_600


class Indexer:
    """Owns the thread that writes the index."""

    def __init__(
        self,
        workspace: Workspace,
        database: Database,
        parsers: Parsers,
        settings: CodeSettings,
        afterwards: Callable[[Job], None] | None = None,
    ) -> None:
        self._workspace = workspace
        self._database = database
        self._parsers = parsers
        self._settings = settings
        self._most_bytes = settings.index_max_mb << 20
        self._watch = TreeWatch(workspace.places, settings.watch_max_directories)
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None
        self._job = Job(_PASS_S)
        self._afterwards = afterwards
        self._idle = Job()
        self._begun = self._done = 0
        self._wanted = 0
        self._missed = -1
        self._ended_at = 0.0
        self._looked_at = 0.0
        self._identity: tuple[int, int] | None = None
        self._counts: tuple[int, int, list[str]] | None = None
        self._took = 0.0
        self._result = PassResult()
        self._running: IndexPass | None = None
        self._closed = False

    def refresh(self, job: Job, *, wait_s: float | None = None) -> Coverage:
        """Bring the index up to date, as far as the time allows. Raises `StoppedError` if the caller left."""
        wait_s = self._settings.index_wait_s if wait_s is None else wait_s
        end = time.monotonic() + min(wait_s, (job.deadline.remaining() or wait_s) * 0.7)
        with self._changed:
            if self._is_current():
                return self._coverage(seconds_old=0.0)
            age = time.monotonic() - self._ended_at
            there = self._database.identity() is not None and not self._database.damaged
            slow = self._took > _QUICK_S and age < self._took * _PAUSE and self._watch.needs_everything()
            if there and self._done and self._result.complete and slow:
                return self._coverage(seconds_old=age)
            if self._begun > self._done and self._begun == self._missed:
                end = min(end, time.monotonic() + _AGAIN_S)
            self._idle.stop()
            self._wanted = self._begun + 1
            wanted = self._wanted
            self._start()
            self._changed.notify_all()
            while self._done < wanted:
                left = end - time.monotonic()
                if left <= 0 or self._closed:
                    self._missed = self._begun
                    break
                self._changed.wait(min(left, _POLL_S))
                job.check()
            return self._coverage(seconds_old=0.0, whole=self._done >= wanted)

    def _coverage(self, *, seconds_old: float, whole: bool = True) -> Coverage:
        result = self._result
        running = self._running
        stopped, pending = result.stopped, 0
        if not whole:
            stopped = "the index is still being made; call again later for the rest"
            pending = running.pending() if running is not None else 0
        if self._counts is None or not whole:
            with self._database.read() as db:
                self._counts = _counts(db)
        count, by_lines, named = self._counts
        return Coverage(
            files=count,
            pending=pending,
            complete=whole and result.complete,
            stopped=stopped,
            seconds_old=seconds_old,
            hidden=result.hidden,
            by_lines=by_lines,
            failed=named,
        )

    def _start(self) -> None:
        if self._thread is None and not self._closed:
            self._thread = threading.Thread(target=self._run, name="lg-code-index", daemon=True)
            self._thread.start()

    def _run(self) -> None:
        while True:
            with self._changed:
                while self._wanted <= self._begun and not self._closed:
                    self._changed.wait()
                if self._closed:
                    return
                self._begun += 1
                number = self._begun
                self._idle = Job(_PASS_S)
            began, looked_at = time.thread_time(), time.monotonic()
            result = PassResult(complete=False, stopped="the index cannot be brought up to date: see the server's log")
            ended = False
            try:
                changes = self._watch.take()
                result = self._pass(changes)
                ended = True
            finally:
                # A fault of the program ends this thread. The calls that wait are told, and the next starts another.
                with self._changed:
                    if not changes.everything:
                        result.hidden = self._result.hidden
                    self._result, self._done, self._running = result, number, None
                    self._ended_at = time.monotonic()
                    self._counts = None
                    if not result.complete:
                        self._watch.lost()
                    if changes.everything:
                        self._looked_at = looked_at
                        if result.changed < _FEW:  # how long it takes to find that nothing changed
                            self._took = time.thread_time() - began
                    if not ended:
                        self._thread = None
                    self._changed.notify_all()
            if result.complete and result.changed:
                self._prepare()

    def _prepare(self) -> None:
        """Compute what a later call wants, until a call waits for a pass."""
        if self._afterwards is None:
            return
        try:
            self._afterwards(self._idle)
        except StoppedError:
            return
        except LgError as error:
            log.info("nothing is prepared for the next call: %s", error.text())

    def _is_current(self) -> bool:
        """Return whether the index holds the tree as it is now. What happens to the tree meanwhile is told."""
        if self._begun > self._done or not self._result.complete or self._closed or self._database.damaged:
            return False
        there = self._identity is not None and self._database.identity() == self._identity
        if not there or time.monotonic() - self._looked_at > max(_LOOK_AGAIN_S, self._took * _LOOK_AGAIN):
            self._watch.lost()
            return False
        return self._watch.is_quiet()

    def _pass(self, changes: Changes) -> PassResult:
        self._job = Job(_PASS_S)
        try:
            make_private(self._database.path.parent)  # again, if somebody removed it
            with hold(self._database.path.with_suffix(".lock"), self._job.check_time):
                self._renew()
                if self._identity is None or self._database.identity() != self._identity:
                    changes.everything = True
                self._running = IndexPass(
                    self._workspace, self._database, self._parsers, self._watch, self._settings, self._job
                )
                result = self._running.run(changes)
                self._identity = self._database.identity()
                return result
        except StoppedError:
            return PassResult(complete=False, stopped="the server is ending")
        except LgError as error:
            return PassResult(complete=False, stopped=error.text())
        except sqlite3.OperationalError as error:  # no room, or locked for too long: what is there stays
            log.warning("the index cannot be written: %s", error)
            self._database.close()  # a connection may hold on to a file beside the index that somebody removed
            return PassResult(complete=False, stopped=f"the index cannot be written: {error}")
        except sqlite3.DatabaseError as error:
            log.warning("the index is damaged and is made anew: %s", error)
            self._database.remove_files()
            return PassResult(complete=False, stopped=f"the index was damaged ({error}) and is made anew; call again")
        except OSError as error:
            log.warning("the tree cannot be read: %s", error)
            return PassResult(complete=False, stopped=f"the tree cannot be read: {error.strerror or error}")
        except (ValueError, RuntimeError) as error:  # what no row can hold; the next call tries again
            log.warning("the index cannot be brought up to date", exc_info=error)
            return PassResult(complete=False, stopped=f"the index cannot be brought up to date: {error}"[:300])

    def _renew(self) -> None:
        """Remove an index that a reader found damaged, or that is full of what is gone: the pass makes it anew."""
        whole = self._done and self._result.complete
        if self._database.damaged or self._database.is_foreign():
            log.warning("the index is damaged and is made anew")
        elif whole or self._database.identity() is None or not self._database.is_mostly_waste(self._most_bytes):
            return
        self._database.remove_files()

    def close(self) -> None:
        """End the thread. What was not committed is read again next time."""
        with self._changed:
            self._closed = True
            self._job.stop()
            self._idle.stop()
            self._changed.notify_all()
        if self._thread is not None:
            self._thread.join(10)
        self._watch.close()


def _counts(db: sqlite3.Connection) -> tuple[int, int, list[str]]:
    """Return how many files there are, how many of those with a grammar were read without it, and some of these."""
    count = int(db.execute("SELECT count(*) FROM files").fetchone()[0])
    broken = "FROM files WHERE problem <> '' AND reader = 'lines'"
    by_lines = int(db.execute(f"SELECT count(*) {broken}").fetchone()[0])
    return count, by_lines, [row[0] for row in db.execute(f"SELECT path {broken} ORDER BY path LIMIT 5")]


def hold(path: Path, check: Callable[[], None]) -> contextlib.ExitStack:
    """Take the lock of the index between processes; `check` is called while another one has it."""
    while True:
        held = try_file_lock(path)
        if held is not None:
            return held
        check()
        time.sleep(_POLL_S)
