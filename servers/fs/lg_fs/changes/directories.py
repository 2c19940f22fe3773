"""Which directories a change set makes and removes, and in which ones new contents are staged."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace

from lg_fs.patch.plan import PlannedFile
from lg_policy.changes.records import ChangeRecord
from lg_policy.errors import LgError
from lg_policy.paths.root import Root


def missing_directories(root: Root, planned: Sequence[PlannedFile]) -> tuple[str, ...]:
    """Return the directories that new files need and that do not exist, outermost first."""
    missing: dict[str, None] = {}
    for file in planned:
        if file.after is None or (file.op != "add" and file.to is None):
            continue
        parts = (file.to or file.path).split("/")[:-1]
        is_missing = False
        for depth in range(1, len(parts) + 1):
            name = "/".join(parts[:depth])
            if name in missing:
                is_missing = True
                continue
            if not is_missing:
                with suppress(LgError):
                    root.open_dir(name, follow=False).close()
                    continue
            is_missing = True
            missing[name] = None
    return tuple(missing)


def with_directories(
    records: Sequence[ChangeRecord], reverted: Sequence[ChangeRecord], roots: Sequence[Root]
) -> list[ChangeRecord]:
    """Return the records of a revert with the directories that the reverted change set made and removed."""
    return [_with_directories(*parts) for parts in zip(records, reverted, roots, strict=True)]


def _with_directories(record: ChangeRecord, reverted: ChangeRecord, root: Root) -> ChangeRecord:
    made = dict.fromkeys(record.made_dirs)
    for name in reversed(reverted.removed_dirs):
        try:
            root.open_dir(name, follow=False).close()
        except LgError:
            made[name] = None
    outermost_first = tuple(sorted(made, key=lambda name: name.count("/")))
    return replace(record, made_dirs=outermost_first, removed_dirs=tuple(reversed(reverted.made_dirs)))


def blocked(record: ChangeRecord) -> set[str]:
    """Return the directories that can be made only once the change set has removed a file of that name."""
    return set(record.made_dirs) & {file.path for file in record.files if file.op == "delete"}


def staged_in(record: ChangeRecord, rel: str) -> str:
    """Return the directory in which the new content of a file waits: its own, or the nearest one that can be there."""
    directory = rel.rpartition("/")[0]
    for name in sorted(blocked(record), key=len):
        if directory == name or directory.startswith(f"{name}/"):
            return name.rpartition("/")[0]
    return directory
