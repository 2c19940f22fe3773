"""Writes and reads the event journal: one JSON object per line, on disk before the run continues.

Replay and traces read nothing else.
"""

from __future__ import annotations

import logging
import os
from typing import TYPE_CHECKING

from pydantic import ValidationError

from lg_orch.contracts.events import Event
from lg_policy.errors import Conflict, NotFound

if TYPE_CHECKING:
    from pathlib import Path

log = logging.getLogger(__name__)


class Journal:
    """Appends events to one file; only the process that holds the run's lock has one open.

    A torn last line, left by a crash, is cut off first: whatever follows it would not be read.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._fd = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        kept = path.read_bytes()
        if kept and not kept.endswith(b"\n"):
            os.ftruncate(self._fd, kept.rfind(b"\n") + 1)

    def append(self, event: Event) -> None:
        """Write one event and wait until it is on disk. Raises `OSError` when it cannot be kept."""
        line = event.model_dump_json().encode() + b"\n"
        while line:
            line = line[os.write(self._fd, line) :]
        os.fsync(self._fd)

    def close(self) -> None:
        """Close the file; further appends fail."""
        os.close(self._fd)


def read_journal(path: Path) -> list[Event]:
    """Return the events of a journal in order. A torn last line, left by a crash, ends it.

    So does any other line that cannot be read, with a warning: it was not written by a run.
    Raises `NotFound` when there is no such journal.
    """
    events, damaged = _read(path)
    if damaged:
        log.warning("%s is damaged at line %d: what follows is not read", path, damaged)
    return events


def whole_journal(path: Path) -> list[Event]:
    """Return the same events for code that acts on them.

    Raises `Conflict` when the journal is damaged: what follows the damage would count as never done.
    """
    events, damaged = _read(path)
    if damaged:
        run_id = path.parent.name
        raise Conflict(
            f"the journal of run {run_id} is damaged at line {damaged}, and the rest cannot be read: {path}",
            hint=f"`lg-orch runs show {run_id}` shows what can be read; nothing was done",
        )
    return events


def _read(path: Path) -> tuple[list[Event], int]:
    """The events up to the first line that cannot be read, and its number, 0 unless lines follow it."""
    try:
        lines = path.read_bytes().split(b"\n")
    except FileNotFoundError as error:
        raise NotFound(
            f"run {path.parent.name} has no journal: it was killed before it wrote anything",
            hint="start it again; `lg-orch runs prune --all` removes what is left of it",
        ) from error
    events: list[Event] = []
    for number, line in enumerate(lines, start=1):
        if not line:
            continue
        try:
            events.append(Event.model_validate_json(line))
        except ValidationError:
            return events, number if any(lines[number:]) else 0
    return events, 0
