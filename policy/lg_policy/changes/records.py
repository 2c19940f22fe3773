"""The record of a change set, and its JSON form in the journal."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
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
    mode_after: int | None = None
    """The permission bits after the change, where it changed them: `mode` are the old ones, if there was a file."""
    link_before: bool = False
    """Whether the old content is the target of a symbolic link."""
    link_after: bool = False

    @property
    def target(self) -> str:
        """Return the path of the new content."""
        return self.to or self.path

    @property
    def state_before(self) -> str | None:
        """Return what tells the old file apart: its hash, and whether it is a link. `None` if there was none."""
        return state(self.before_sha256, link=self.link_before)

    @property
    def state_after(self) -> str | None:
        """Return what tells the new file apart."""
        return state(self.after_sha256, link=self.link_after)

    @property
    def keeps_content(self) -> bool:
        """Return whether the file is only renamed."""
        return self.op == "move" and self.before_sha256 == self.after_sha256


@dataclass(frozen=True, kw_only=True)
class ChangeRecord:
    """The part of a change set that lies below one root, as journalled: nearly always the whole.

    `made_dirs` are the directories that it had to make, outermost first, and `removed_dirs` those that it removed,
    innermost first. `members` are the roots of a change set that touches several, each as id and journal directory; it
    is done when the first one's part is. `order` says the places of this part's files among all.
    """

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
    members: tuple[tuple[str, str], ...] = ()
    order: tuple[int, ...] = ()
    removed_dirs: tuple[str, ...] = ()

    def place_of(self, number: int) -> int:
        """Return the position of this part's file `number` in the whole change set."""
        return self.order[number] if self.order else number

    def as_dict(self) -> dict[str, Any]:
        """Return the JSON form."""
        data = {"version": VERSION, **asdict(replace(self, files=())), "files": [_brief(file) for file in self.files]}
        if not self.removed_dirs:
            del data["removed_dirs"]  # as versions write it that know of no such thing
        return data

    @classmethod
    def from_dict(cls, data: Any) -> ChangeRecord:
        """Read the JSON form. Raises `ValueError` if it is malformed or of another version."""
        if not isinstance(data, dict) or data.get("version") != VERSION:
            raise ValueError("not a change record of this version")
        values = {key: value for key, value in data.items() if key != "version"}
        try:
            files = tuple(FileRecord(**file) for file in values.pop("files"))
            members = tuple((str(name), str(path)) for name, path in values.pop("members", ()))
            order = tuple(int(place) for place in values.pop("order", ()))
            made, removed = (tuple(map(str, values.pop(name, ()))) for name in ("made_dirs", "removed_dirs"))
            return cls(files=files, made_dirs=made, removed_dirs=removed, members=members, order=order, **values)
        except (TypeError, KeyError) as error:
            raise ValueError(f"not a change record: {error}") from error


def state(sha256: str | None, *, link: bool) -> str | None:
    """Return what tells a file from others: its hash, marked if it is that of a link's target."""
    return f"link {sha256}" if link and sha256 is not None else sha256


def _brief(file: FileRecord) -> dict[str, Any]:
    """Return the JSON form without what most files do not have."""
    data = asdict(file)
    for name in ("mode_after", "link_before", "link_after"):
        if data[name] is None or data[name] is False:
            del data[name]
    return data


Parts = Sequence[ChangeRecord]
"""The parts of one change set, at least one."""


def summary(parts: Parts, reverted_by: str | None) -> dict[str, Any]:
    """Return what `list_changes` shows of a change set."""
    first, files = parts[0], _in_order(parts)
    return {
        "change_id": first.change_id,
        "time": first.time,
        "kind": first.kind,
        "reverts": first.reverts,
        "reverted_by": reverted_by,
        "files": [
            {"path": prefix + file.path, "op": file.op, "to": _prefixed(prefix, file.to)} for prefix, file in files
        ],
        **_sums(files),
    }


def result(parts: Parts, *, dry_run: bool = False, replayed: bool = False) -> dict[str, Any]:
    """Return the result of the call that made, or would make, the change set."""
    files = _in_order(parts)
    return {
        "change_id": None if dry_run else parts[0].change_id,
        "dry_run": dry_run,
        "replayed": replayed,
        "diff": "".join(part.diff for part in sorted(parts, key=lambda part: part.order[:1])),
        "files": [
            {
                "path": prefix + file.path,
                "op": file.op,
                "to": _prefixed(prefix, file.to),
                "before_sha256": file.before_sha256,
                "after_sha256": file.after_sha256,
                "added": file.added,
                "removed": file.removed,
                "match": file.match,
            }
            for prefix, file in files
        ],
        **_sums(files),
    }


Files = list[tuple[str, FileRecord]]


def _in_order(parts: Parts) -> Files:
    """Return the files of all parts in the order of the patch, each with the prefix of its root."""
    placed = [(part.place_of(n), part.prefix, file) for part in parts for n, file in enumerate(part.files)]
    return [(prefix, file) for _, prefix, file in sorted(placed, key=lambda entry: entry[0])]


def _prefixed(prefix: str, path: str | None) -> str | None:
    return None if path is None else prefix + path


def _sums(files: Files) -> dict[str, int]:
    return {"added": sum(file.added for _, file in files), "removed": sum(file.removed for _, file in files)}
