"""The index as the tools see it: brought up to date, read, and checked against the files."""

from __future__ import annotations

import contextlib
import json
import logging
import sqlite3
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from lg_code.index.coverage import Coverage
from lg_code.index.current import CurrentFile, CurrentFiles
from lg_code.index.database import Database, index_path
from lg_code.index.indexer import Indexer
from lg_code.index.parts import IndexPart
from lg_code.parsing.pool import ParserLimits, Parsers
from lg_policy.config.settings import CodeSettings, PolicySettings
from lg_policy.errors import ConfigError, Internal
from lg_policy.jobs import Job
from lg_policy.state import make_private
from lg_policy.tree.workspace import Workspace

log = logging.getLogger(__name__)


class Index:
    """One index, opened. `close` ends its thread and its processes."""

    def __init__(
        self,
        workspace: Workspace,
        directory: Path,
        settings: CodeSettings,
        what: Sequence[str],
        parts: Sequence[IndexPart],
        afterwards: Callable[[Index, Job], None] | None = None,
    ) -> None:
        """`afterwards` computes what later calls want. It runs when a pass has ended, and may be stopped."""
        self.workspace = workspace
        self._afterwards = afterwards
        self.settings = settings
        self._stack = contextlib.ExitStack()
        try:
            self._open(self._usable(directory), what, parts)
        except BaseException:
            self._stack.close()
            raise

    def _open(self, directory: Path, what: Sequence[str], parts: Sequence[IndexPart]) -> None:
        settings = self.settings
        limits = ParserLimits(
            processes=settings.parser_processes,
            cpu_s=settings.parser_cpu_s,
            memory_mb=settings.parser_memory_mb,
            idle_s=settings.parser_idle_s,
        )
        # Answers have a process of their own: they do not wait behind the files of a pass.
        self.parsers = Parsers(replace(limits, processes=1))
        self._stack.callback(self.parsers.close)
        passing = Parsers(limits, [part.prepare for part in parts])
        self._stack.callback(passing.close)
        self._database = self._made(directory, what, parts)
        self._stack.callback(self._database.close)
        afterwards = None if self._afterwards is None else partial(self._afterwards, self)
        self._indexer = Indexer(self.workspace, self._database, passing, settings, afterwards)
        self._stack.callback(self._indexer.close)
        self._current = CurrentFiles(self.workspace, self._database, self.parsers, settings)

    def _usable(self, directory: Path) -> Path:
        """Return the directory of the index; one for this process alone where the other cannot be written."""
        try:
            make_private(directory)
            return directory
        except ConfigError as error:
            log.warning("the index is not kept: %s", error.message)
            return self._temporary()

    def _temporary(self) -> Path:
        return Path(self._stack.enter_context(tempfile.TemporaryDirectory(prefix="lg-code-")))

    def _made(self, directory: Path, what: Sequence[str], parts: Sequence[IndexPart]) -> Database:
        """Return the index in a directory, or one for this process alone where that cannot be written."""
        try:
            return Database(index_path(directory, what, parts), parts)
        except (OSError, sqlite3.Error) as error:
            log.warning("the index is not kept, as %s cannot be written: %s", directory, error)
        try:
            return Database(index_path(self._temporary(), what, parts), parts)
        except (OSError, sqlite3.Error) as error:
            hint = f"make room on the disk of {tempfile.gettempdir()}, or of {directory}"
            raise Internal(f"the index cannot be written: {error}", hint=hint) from error

    def refresh(self, job: Job, *, wait_s: float | None = None) -> Coverage:
        """Bring the index up to date, as far as the time allows, and say what is missing."""
        return self._indexer.refresh(job, wait_s=wait_s)

    def read(self) -> contextlib.AbstractContextManager[sqlite3.Connection]:
        """Give a connection that reads one state of the index."""
        return self._database.read()

    def keep(self, name: str, generation: int, parts: Mapping[str, bytes]) -> None:
        """Store what was computed from a generation of the index, for the next process."""
        self._database.keep(name, generation, parts)

    def current(self, path: str, job: Job) -> CurrentFile | None:
        """Return a file of an answer as it is now; `None` if it is gone, may not be read, or is no text."""
        return self._current.get(path, job)

    def named(self, path: str, job: Job) -> CurrentFile:
        """Return a file that a call names, as it is now. Raises `LgError` that says why it cannot be read."""
        return self._current.read(path, job)

    def close(self) -> None:
        """End the thread and the processes."""
        self._stack.close()


def what_is_indexed(workspace: Workspace, policy: PolicySettings, extra_deny: Sequence[str]) -> list[str]:
    """Return in words which files are in the index: the roots, and the rules of reading."""
    roots = [f"{place.prefix}{place.root.path}" for place in workspace.places]
    rules = [*policy.read_allow, "-", *policy.read_deny, "-", *extra_deny, workspace.settings.hard_links]
    return [json.dumps(roots), json.dumps(rules)]
