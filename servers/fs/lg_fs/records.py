"""What is remembered about a change set, and its JSON form in the journal."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

VERSION = 1


@dataclass(frozen=True, kw_only=True)
class FileRecord:
    """One file of a change set. `path` and `to` are relative to the root; a hash is `None` where there is no file."""

    op: str
    path: str
    to: str | None
    before_sha256: str | None
    after_sha256: str | None
    mode: int
    added: int
    removed: int
    match: str | None

    @property
    def target(self) -> str:
        """Where the new content is."""
        return self.to or self.path

    @property
    def keeps_content(self) -> bool:
        """Whether the file is only renamed."""
        return self.op == "move" and self.before_sha256 == self.after_sha256


@dataclass(frozen=True, kw_only=True)
class ChangeRecord:
    """A change set as journalled. `made_dirs` are the directories that it had to make, outermost first."""

    change_id: str
    time: str
    kind: str
    reverts: str | None
    key: str | None
    arguments_digest: str
    prefix: str
    files: tuple[FileRecord, ...]
    made_dirs: tuple[str, ...]
    diff: str

    def as_dict(self) -> dict[str, Any]:
        """Return the JSON form."""
        return {"version": VERSION, **asdict(self)}

    @classmethod
    def from_dict(cls, data: Any) -> ChangeRecord:
        """Read the JSON form. Raises `ValueError` if it is none, or of another version."""
        if not isinstance(data, dict) or data.get("version") != VERSION:
            raise ValueError("not a change record of this version")
        values = {key: value for key, value in data.items() if key != "version"}
        try:
            files = tuple(FileRecord(**file) for file in values.pop("files"))
            return cls(files=files, made_dirs=tuple(values.pop("made_dirs")), **values)
        except (TypeError, KeyError) as error:
            raise ValueError(f"not a change record: {error}") from error

    def summary(self, reverted_by: str | None) -> dict[str, Any]:
        """Return what `list_changes` shows."""
        return {
            "change_id": self.change_id,
            "time": self.time,
            "kind": self.kind,
            "reverts": self.reverts,
            "reverted_by": reverted_by,
            "files": [
                {"path": self.prefix + file.path, "op": file.op, "to": _prefixed(self.prefix, file.to)}
                for file in self.files
            ],
            **_sums(self.files),
        }

    def result(self, *, dry_run: bool = False, replayed: bool = False) -> dict[str, Any]:
        """Return the result of the call that made, or would make, the change."""
        return {
            "change_id": None if dry_run else self.change_id,
            "dry_run": dry_run,
            "replayed": replayed,
            "diff": self.diff,
            "files": [
                {
                    "path": self.prefix + file.path,
                    "op": file.op,
                    "to": _prefixed(self.prefix, file.to),
                    "before_sha256": file.before_sha256,
                    "after_sha256": file.after_sha256,
                    "added": file.added,
                    "removed": file.removed,
                    "match": file.match,
                }
                for file in self.files
            ],
            **_sums(self.files),
        }


def _prefixed(prefix: str, path: str | None) -> str | None:
    return None if path is None else prefix + path


def _sums(files: Sequence[FileRecord]) -> dict[str, int]:
    return {"added": sum(file.added for file in files), "removed": sum(file.removed for file in files)}
