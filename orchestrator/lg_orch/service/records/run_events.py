"""Reads the events and files of runs, wherever they are kept."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, Protocol

from pydantic import ValidationError

from lg_orch.contracts.events import Event
from lg_orch.recording.journal import read_journal
from lg_orch.runs.run_directory import RunDir
from lg_policy.errors import NotFound

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from lg_orch.service.records.rows import RunRow

FILE_NAME = re.compile(r"(results|questions)/[0-9a-f]{24,64}\.json|branch\.(patch|bundle)")
BRANCH_PATCH, BRANCH_BUNDLE = "branch.patch", "branch.bundle"
"""What a run changed in its clone."""
MOST_BYTES = 4_000_000
"""Of a journal, read at once by one follower."""


class Follower(Protocol):
    """Reads what is added to a run's events."""

    def read(self) -> list[Event]:
        """Return the events since the last call, or since the event that it began after."""
        ...


class RunEvents(Protocol):
    """The events and files of all runs."""

    def all(self, row: RunRow) -> list[Event]:
        """Return a run's events so far; none before a worker has begun it."""
        ...

    def follow(self, row: RunRow, after: int) -> Follower:
        """Return a reader of the events after the one with that number."""
        ...

    def last(self, row: RunRow) -> int:
        """Return the number of the newest event; 0 where there is none."""
        ...

    def file_or_none(self, row: RunRow, name: str) -> bytes | None:
        """Return a file beside the run's journal, if there is one."""
        ...


class RunFiles:
    """Events and files in the state directory of the run's repository."""

    def __init__(self, state: Callable[[str], Path]) -> None:
        self._state = state

    def directory(self, row: RunRow) -> RunDir:
        """Return the run's directory."""
        return RunDir(path=self._state(row.root) / "runs" / row.run_id, run_id=row.run_id)

    def all(self, row: RunRow) -> list[Event]:
        """Return a run's events so far."""
        try:
            return read_journal(self.directory(row).journal)
        except NotFound:
            return []

    def follow(self, row: RunRow, after: int) -> Follower:
        """Return a reader of the events after the one with that number."""
        return _FileFollower(self.directory(row).journal, after)

    def last(self, row: RunRow) -> int:
        """Return the number of the newest event."""
        events = self.all(row)
        return events[-1].seq if events else 0

    def file_or_none(self, row: RunRow, name: str) -> bytes | None:
        """Return a file of the run, if there is one."""
        if not FILE_NAME.fullmatch(name):
            return None
        try:
            return (self.directory(row).path / name).read_bytes()
        except FileNotFoundError:
            return None


class _FileFollower:
    def __init__(self, path: Path, after: int) -> None:
        self._path = path
        self._after = after
        self._offset = 0

    def read(self) -> list[Event]:
        try:
            descriptor = os.open(self._path, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return []
        try:
            data = os.pread(descriptor, MOST_BYTES, self._offset)
            while b"\n" not in data and len(more := os.pread(descriptor, MOST_BYTES, self._offset + len(data))) > 0:
                data += more
        finally:
            os.close(descriptor)
        whole = data[: data.rfind(b"\n") + 1]
        self._offset += len(whole)
        found = [event for line in whole.splitlines() if (event := _event(line)) is not None]
        return [event for event in found if event.seq > self._after]


def _event(line: bytes) -> Event | None:
    try:
        return Event.model_validate_json(line)
    except ValidationError:
        return None
