"""Remembers what was put into a client's file: the file as it was, and what was moved out of it.

One folder for each file, below the directory of the user's settings, for the owner only: the file may hold secrets.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from lg_policy.errors import ConfigError
from lg_policy.state import config_home, make_private, replace_file


@dataclass(frozen=True, kw_only=True)
class InstallRecord:
    """What was done to one file."""

    client: str
    path: str
    existed: bool
    after: str
    """The digest of the file as it was left. Nobody has changed it since if it still has that digest."""
    entries: Mapping[str, Any] = field(default_factory=dict)
    """Our entries, by name."""
    moved: Mapping[str, Any] = field(default_factory=dict)
    """The client's own entries that were taken out, by name."""
    settings_path: str = ""
    settings_existed: bool = True
    added: Mapping[str, Any] = field(default_factory=dict)
    """The servers that were added to the settings for them."""
    uses: tuple[str, ...] = ()
    """The names there of all servers that were moved."""
    secrets: tuple[str, ...] = ()
    """The secrets that were kept for them."""


def digest(data: bytes) -> str:
    """Return the digest of a file's content."""
    return hashlib.sha256(data).hexdigest()


class Records:
    """The records of one user."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._home = config_home(environ) / "installed"

    def backup(self, client: str, path: Path) -> Path:
        """Return where the file is kept as it was."""
        return self._folder(client, path) / "before"

    def find(self, client: str, path: Path) -> tuple[InstallRecord, bytes | None] | None:
        """Return what was done to a file, and the file as it was. `None` where nothing was."""
        folder = self._folder(client, path)
        record = _read(folder / "record.json")
        if record is None:
            return None
        try:
            return record, (folder / "before").read_bytes() if record.existed else None
        except OSError as error:
            raise ConfigError(f"cannot read the backup {folder / 'before'}: {error}") from error

    def keep(self, record: InstallRecord, before: bytes | None) -> None:
        """Remember what is about to be done to a file."""
        folder = self._folder(record.client, Path(record.path))
        try:
            written = json.dumps(asdict(record), indent=1).encode()
        except (TypeError, ValueError, RecursionError) as error:
            hint = "install without --move, or write it as text"
            raise ConfigError(
                f"{record.path}: a server has a value, such as a date, that is no JSON", hint=hint
            ) from error
        make_private(folder)
        if before is not None:
            replace_file(folder / "before", before)
        replace_file(folder / "record.json", written)

    def forget(self, client: str, path: Path) -> None:
        """Forget a file that is as it was."""
        folder = self._folder(client, path)
        for name in ("record.json", "before"):
            (folder / name).unlink(missing_ok=True)
        if folder.exists():
            folder.rmdir()

    def all(self) -> Iterator[InstallRecord]:
        """Yield the record of each file."""
        for path in sorted(self._home.glob("*/record.json")):
            record = _read(path)
            if record is not None:
                yield record

    def _folder(self, client: str, path: Path) -> Path:
        return self._home / f"{client}-{digest(str(path).encode('utf-8', 'surrogateescape'))[:12]}"


def _read(path: Path) -> InstallRecord | None:
    try:
        values = json.loads(path.read_bytes())
        lists = {name: tuple(values.get(name, ())) for name in ("uses", "secrets")}
        return InstallRecord(**{**values, **lists})
    except FileNotFoundError:
        return None
    except (OSError, ValueError, TypeError) as error:
        raise ConfigError(f"cannot read {path}: {error}", hint="remove it; --remove then edits the file") from error
