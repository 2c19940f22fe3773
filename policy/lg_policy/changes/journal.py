"""The journal of change sets, outside the root and out of the agent's reach. `lg-fs` and `lg-exec` write it.

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
import hashlib
import json
import os
import shutil
import sys
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Protocol

from lg_policy.changes.durable import sync_all, sync_directories
from lg_policy.changes.records import ChangeRecord
from lg_policy.config.settings import FsSettings
from lg_policy.errors import ConfigError, Conflict
from lg_policy.state import make_private

if sys.platform != "win32":  # nothing is journalled there
    import fcntl

_RECORD = "record.json"
_BEFORE = "before"
_POLL_S = 0.01


class Patience(Protocol):
    """What a caller that waits for a lock brings along."""

    def wait(self, seconds: float) -> None:
        """Pause. Raises when the caller went away or its time is over."""


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

    @property
    def durable(self) -> bool:
        """Return whether a change must be on the disk before it is reported."""
        return self._settings.durable

    @property
    def settings(self) -> FsSettings:
        """Return the limits."""
        return self._settings

    def open(self) -> None:
        """Make the directories that are missing. Raises `ConfigError`."""
        for directory in (self.base, self._pending, self._changes):
            make_private(directory)
        self._opened = True

    @contextlib.contextmanager
    def locked(self, patience: Patience) -> Iterator[None]:
        """Hold the root's lock, which excludes other threads and processes.

        Raises `CallTimeout` if it stays taken, and `Conflict` if the journal cannot be written.
        """
        try:
            if not self._opened or not self._changes.is_dir():  # somebody may have removed it meanwhile
                self.open()
            descriptor = os.open(self.base / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise unwritable(error) from error
        except ConfigError as error:
            raise Conflict(f"nothing can be changed: {error.message}", hint=error.hint) from error
        try:
            wait_for_lock(descriptor, patience)
            yield
        finally:
            os.close(descriptor)

    def begin(self, record: ChangeRecord, blobs: Mapping[int, bytes]) -> Path:
        """Record a change set before it is applied, with the contents needed to undo it.

        Raises `Conflict` if the journal cannot be written.
        """
        try:
            with self.entry(record.change_id, record.key) as entry:
                for number, data in blobs.items():
                    entry.keep(number, (data,))
                entry.seal(record)
                return entry.directory
        except OSError as error:
            raise unwritable(error) from error

    @contextlib.contextmanager
    def entry(self, change_id: str, key: str | None = None) -> Iterator[Entry]:
        """Make an entry whose contents are kept one by one; it counts once it is sealed. An error drops it.

        Raises `OSError`.
        """
        directory = self._pending / f"{time.time_ns():020d}.{change_id}.{key_hash(key)}"
        directory.mkdir(mode=0o700)
        try:
            with open(directory / _BEFORE, "xb", opener=_private) as file:
                yield Entry(directory, file, durable=self._settings.durable)
        except BaseException:
            shutil.rmtree(directory, ignore_errors=True)
            raise

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

    def drop_begun(self, change_id: str) -> None:
        """Forget a begun change set by its id, if there is one."""
        for item in _items(self._pending):
            if item.change_id == change_id:
                self.drop(item.path)

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

    def _sync(self, *directories: Path) -> None:
        if self._settings.durable:
            sync_directories(directories)


class Entry:
    """A change set on its way into the journal."""

    def __init__(self, directory: Path, file: BinaryIO, *, durable: bool) -> None:
        self.directory = directory
        self._file = file
        self._durable = durable
        self._places: dict[str, tuple[int, int]] = {}

    def keep(self, number: int, content: Iterable[bytes]) -> None:
        """Keep the old content of file `number`. Raises `OSError`."""
        start = self._file.tell()
        for chunk in content:
            self._file.write(chunk)
        self._places[str(number)] = (start, self._file.tell() - start)

    def seal(self, record: ChangeRecord) -> None:
        """Write the record; only now the change set has begun. Raises `OSError`."""
        self._file.flush()
        text = json.dumps({"record": record.as_dict(), "before": self._places}).encode()
        with open(self.directory / "record.new", "xb", opener=_private) as file:
            file.write(text)
            file.flush()
            if self._durable:
                sync_all([file.fileno(), self._file.fileno()])
        # The record comes last: a directory without one means that nothing was touched yet.
        os.rename(self.directory / "record.new", self.directory / _RECORD)
        if self._durable:
            sync_directories([self.directory, self.directory.parent])


def _private(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_CLOEXEC, 0o600)


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


def wait_for_lock(descriptor: int, patience: Patience) -> None:
    """Lock a file or directory against other holders. Raises `CallTimeout`, and `OSError` where that cannot be done."""
    while sys.platform != "win32":
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            patience.wait(_POLL_S)
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
