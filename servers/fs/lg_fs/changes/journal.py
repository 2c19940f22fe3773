"""The journal of change sets, outside the root and out of the agent's reach.

::

    lock                                   held while a change set is planned and applied, between processes too
    pending/<name>/record.json, before     begun: undone by the next holder of the lock, if its writer died
    changes/<name>/record.json, before     done; `before` holds the old contents, one after the other

A change set is done when its directory is renamed from `pending` to `changes`: one atomic step. `<name>` is
`<time in ns>.<change id>.<hash of the idempotency key, or ->`, so that listing the directory answers most questions.

A change set that touches several roots has a part in the journal of each. It is done when its first part is; the others
name that one, so recovery knows whether pending parts must be finished or undone.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import shutil
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lg_fs.changes.durable import sync_all
from lg_fs.changes.records import ChangeRecord
from lg_fs.job import Job
from lg_policy.config.settings import FsSettings
from lg_policy.errors import ConfigError, Conflict
from lg_policy.state import make_private

_RECORD = "record.json"
_BEFORE = "before"
_POLL_S = 0.01


@dataclass(frozen=True, kw_only=True)
class Item:
    """A change set's directory, and the facts in its name."""

    path: Path
    time_ns: int
    change_id: str
    key_hash: str

    def load(self) -> ChangeRecord | None:
        """Read the record; `None` if it is gone. Raises `ValueError` if it is damaged."""
        return load_record(self.path)


class Journal:
    """The change sets of one root."""

    def __init__(self, base: Path, settings: FsSettings) -> None:
        self.base = base
        self._pending = base / "pending"
        self._changes = base / "changes"
        self._settings = settings
        self._last: tuple[str, Any] = ("", {})
        self._opened = False

    def _open(self) -> None:
        """Make the directories that are missing. Raises `ConfigError`."""
        for directory in (self.base, self._pending, self._changes):
            make_private(directory)
        self._opened = True

    @contextlib.contextmanager
    def locked(self, job: Job) -> Iterator[None]:
        """Hold the root's lock, which excludes other threads and processes.

        Raises `CallTimeout` if it stays taken, and `Conflict` if the journal cannot be written.
        """
        try:
            if not self._opened or not self._changes.is_dir():  # somebody may have removed it meanwhile
                self._open()
            descriptor = os.open(self.base / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise unwritable(error) from error
        except ConfigError as error:
            raise Conflict(f"nothing can be changed: {error.message}", hint=error.hint) from error
        try:
            wait_for_lock(descriptor, job)
            yield
        finally:
            os.close(descriptor)

    def begin(self, record: ChangeRecord, blobs: Mapping[int, bytes]) -> Path:
        """Record a change set before it is applied, with the contents needed to undo it.

        Raises `Conflict` if the journal cannot be written.
        """
        try:
            return self._begin(record, blobs)
        except OSError as error:
            raise unwritable(error) from error

    def _begin(self, record: ChangeRecord, blobs: Mapping[int, bytes]) -> Path:
        directory = self._pending / f"{time.time_ns():020d}.{record.change_id}.{key_hash(record.key)}"
        directory.mkdir(mode=0o700)
        places: dict[str, tuple[int, int]] = {}
        start = 0
        for number, data in blobs.items():
            places[str(number)] = (start, len(data))
            start += len(data)
        text = json.dumps({"record": record.as_dict(), "before": places}).encode()
        self._write({directory / _BEFORE: b"".join(blobs.values()), directory / "record.new": text})
        # The record comes last: a directory without one means that nothing was touched yet.
        os.rename(directory / "record.new", directory / _RECORD)
        self._sync(directory, self._pending)
        return directory

    def finish(self, directory: Path) -> None:
        """Mark a begun change set as done."""
        os.rename(directory, self._changes / directory.name)
        self._sync(self._changes)

    def done_elsewhere(self, record: ChangeRecord) -> bool:
        """Return whether a pending part belongs to a change set whose first part, in another journal, is done."""
        if not record.members or record.members[0][1] == str(self.base):
            return False
        with contextlib.suppress(FileNotFoundError):
            first = Path(record.members[0][1]) / "changes"
            return any(item.change_id == record.change_id for item in _items(first))
        return False

    def drop(self, directory: Path) -> None:
        """Forget a begun change set that was undone."""
        shutil.rmtree(directory)

    def pending(self) -> list[Path]:
        """Return the change sets that were begun and neither finished nor undone."""
        return [item.path for item in _items(self._pending)]

    def blob(self, directory: Path, number: int) -> bytes:
        """Return the old content of file `number`. Raises `OSError`; `ValueError` if the entry is damaged."""
        try:
            start, size = self._places(directory)[str(number)]
        except (KeyError, TypeError) as error:
            raise ValueError(f"not a journal entry: {error}") from error
        with open(directory / _BEFORE, "rb") as file:
            file.seek(start)
            data = file.read(size)
        if len(data) != size:
            raise ValueError("the old content in the journal is cut short")
        return data

    def _places(self, directory: Path) -> Any:
        """Return where the old contents of an entry lie. The last entry read is remembered, because it is large."""
        name, places = self._last
        if name != directory.name:
            places = _entry(directory)["before"]
            self._last = (directory.name, places)
        return places

    def changes(self) -> list[Item]:
        """Return finished change sets, oldest first."""
        return _items(self._changes)

    def find(self, change_id: str) -> Item | None:
        """Return the change set with that id."""
        return next((item for item in self.changes() if item.change_id == change_id), None)

    def with_key(self, key: str) -> Item | None:
        """Return the change set that was made under an idempotency key."""
        wanted = key_hash(key)
        return next((item for item in reversed(self.changes()) if item.key_hash == wanted), None)

    def prune(self) -> None:
        """Remove the oldest change sets beyond the limits of number, age and size. The newest always stays."""
        items = self.changes()
        oldest_ns = time.time_ns() - int(self._settings.journal_days * 86_400 * 1e9)
        excess = len(items) - self._settings.journal_max_changes
        sizes = [_size(item.path) for item in items]
        total = sum(sizes)
        for number, item in enumerate(items[:-1]):
            if number >= excess and item.time_ns >= oldest_ns and total <= self._settings.journal_max_bytes:
                break
            self._finish_other_parts(item)
            shutil.rmtree(item.path)
            total -= sizes[number]

    def _finish_other_parts(self, item: Item) -> None:
        """Finish the other parts before the first is removed, or they would look undone."""
        try:
            record = item.load()
        except ValueError:
            return  # damaged: it speaks for nobody
        if record is None or not record.members or record.members[0][1] != str(self.base):
            return
        for _, base in record.members[1:]:
            with contextlib.suppress(FileNotFoundError):
                for part in _items(Path(base) / "pending"):
                    if part.change_id == item.change_id:
                        os.rename(part.path, Path(base) / "changes" / part.path.name)

    def _write(self, contents: Mapping[Path, bytes]) -> None:
        with contextlib.ExitStack() as stack:
            written: list[int] = []
            for path, data in contents.items():
                descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
                file = stack.enter_context(os.fdopen(descriptor, "wb"))
                file.write(data)
                file.flush()
                written.append(descriptor)
            if self._settings.durable:
                sync_all(written)

    def _sync(self, *directories: Path) -> None:
        """Make renames and removals in directories durable."""
        if not self._settings.durable:
            return
        with contextlib.ExitStack() as stack:
            descriptors: list[int] = []
            for directory in directories:
                descriptors.append(os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC))
                stack.callback(os.close, descriptors[-1])
            sync_all(descriptors)


def unwritable(error: OSError) -> Conflict:
    """Return the error for a journal that cannot be written."""
    return Conflict(
        f"nothing was changed, because the journal of changes cannot be written: {error.strerror or error}",
        hint="make room in the state directory and make it writable",
    )


def load_record(directory: Path) -> ChangeRecord | None:
    """Read the record in a journal entry; `None` if there is none. Raises `ValueError` if it is damaged."""
    try:
        return ChangeRecord.from_dict(_entry(directory)["record"])
    except FileNotFoundError:
        return None
    except (KeyError, TypeError) as error:
        raise ValueError(f"not a journal entry: {error}") from error


def _entry(directory: Path) -> Any:
    return json.loads((directory / _RECORD).read_bytes())


def key_hash(key: str | None) -> str:
    """Return the part of a directory name that stands for an idempotency key."""
    return "-" if key is None else hashlib.sha256(key.encode()).hexdigest()[:32]


def wait_for_lock(descriptor: int, job: Job) -> None:
    """Lock a file or directory against other holders. Raises `CallTimeout`, and `OSError` where that cannot be done."""
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            job.check_time()
            job.wait(_POLL_S)
        else:
            return


def _items(directory: Path) -> list[Item]:
    items: list[Item] = []
    try:
        names = sorted(os.listdir(directory))
    except (FileNotFoundError, NotADirectoryError):
        return []  # nothing was changed yet
    except OSError as error:
        raise Conflict(
            f"the journal of changes cannot be read: {error.strerror or error}",
            hint="make the state directory readable",
        ) from error
    for name in names:
        parts = name.split(".")
        if len(parts) == 3 and parts[0].isdigit():
            items.append(Item(path=directory / name, time_ns=int(parts[0]), change_id=parts[1], key_hash=parts[2]))
    return items


def _size(directory: Path) -> int:
    with os.scandir(directory) as scan:
        return sum(entry.stat().st_size for entry in scan)
