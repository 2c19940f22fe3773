"""Plans the inverse of a change set."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from lg_fs.changes.links import link_at
from lg_fs.patch.diff import file_diff
from lg_fs.patch.plan import FileIdentity, PlannedFile, sha256
from lg_policy.changes.journal import Journal
from lg_policy.changes.records import ChangeRecord, FileRecord
from lg_policy.config.settings import FsSettings
from lg_policy.errors import Conflict, InvalidArguments, NotFound, PolicyDenied
from lg_policy.jobs import Job
from lg_policy.tree.workspace import ServedRoot

_CHUNK = 1 << 20
_LINK_MODE = 0o777


Part = tuple["Reverter", ChangeRecord, Path]
"""One root's part of a change set: its reverter, its record and its directory in the journal."""


def plan_inverse(
    parts: Sequence[Part], reverted_by: str | None, settings: FsSettings, *, force: bool
) -> list[PlannedFile]:
    """Plan the inverse of a whole change set.

    Raises `Conflict` if it was reverted already or files changed since (unless `force`, which a setting must allow),
    and `PolicyDenied` if a file may no longer be written.
    """
    if force and not settings.allow_force_revert:
        raise PolicyDenied(
            "force is not allowed by the server's settings", hint="[fs] allow_force_revert = true allows it"
        )
    if reverted_by is not None:
        raise Conflict(
            f"change set {parts[0][1].change_id} was already reverted by {reverted_by}",
            hint=f"revert {reverted_by} to have it back",
        )
    planned: list[PlannedFile] = []
    changed: list[str] = []
    for reverter, record, directory in parts:
        files, others = reverter.plan(record, directory, force=force)
        planned += files
        changed += others
    if changed:
        raise Conflict(
            f"changed since: {', '.join(sorted(changed))}; nothing was reverted",
            hint="make a patch that puts back what you want",
        )
    return planned


class Reverter:
    """Plans the inverse of change sets of one root."""

    def __init__(self, place: ServedRoot, journal: Journal, settings: FsSettings, job: Job) -> None:
        self._place = place
        self._journal = journal
        self._settings = settings
        self._job = job

    def plan(self, record: ChangeRecord, directory: Path, *, force: bool) -> tuple[list[PlannedFile], list[str]]:
        """Return the files to restore, and the names of those that are not as the change set left them.

        Raises `PolicyDenied` if a file may no longer be written.
        """
        planned: list[PlannedFile] = []
        changed: list[str] = []
        for number, file in reversed(list(enumerate(record.files))):
            self._job.check_time()
            self._check_rules(file)
            inverse = self._inverse(record, directory, number, file, force=force)
            if inverse is None:
                changed.append(self._place.prefix + file.target)
            else:
                planned.append(inverse)
        return planned, changed

    def _check_rules(self, file: FileRecord) -> None:
        for rel in {file.path, file.target}:
            if not self._place.rules.may_write(rel):
                raise PolicyDenied(
                    f"{rel!r} may not be written: {self._place.rules.why_not_write(rel)}",
                    hint="[policy] write_deny and write_allow in the server's settings decide what may be written",
                )

    def _inverse(
        self, record: ChangeRecord, directory: Path, number: int, file: FileRecord, *, force: bool
    ) -> PlannedFile | None:
        """Return the inverse for one file; `None` if it is not as the change set left it."""
        now = self._current(file.target)
        if file.op == "delete":
            if now is not None and not (now.other and _replaced(record, file.path)):
                return None
            return self._planned("add", file, self._old(directory, number, file), None)
        if now is None or now.other or now.link != file.link_after:
            return None
        if sha256(now.data) != file.after_sha256 and not force:
            return None
        if file.op == "add":
            return self._planned("delete", file, None, now)
        if file.op == "move" and self._current(file.path) is not None:
            return None
        old = now.data if file.keeps_content else self._old(directory, number, file)
        return self._planned(file.op, file, old, now)

    def _old(self, directory: Path, number: int, file: FileRecord) -> bytes:
        try:
            data = self._journal.blob(directory, number)
        except (OSError, ValueError) as error:
            raise NotFound(
                f"the old content of {file.path!r} is no longer in the journal: {error}",
                hint="nothing was reverted; undo the change by a patch",
            ) from error
        if sha256(data) != file.before_sha256:
            raise Conflict(
                f"the old content of {file.path!r} in the journal is damaged",
                hint="nothing was reverted; undo the change by a patch",
            )
        return data

    def _planned(self, op: str, file: FileRecord, after: bytes | None, now: _Current | None) -> PlannedFile:
        path, to = (file.target, file.path) if op == "move" else (file.path, None)
        prefix = self._place.prefix
        before = None if now is None else now.data
        link_before, link_after = now is not None and now.link, after is not None and file.link_before
        mode = now.mode if now is not None and after is None else file.mode
        return PlannedFile(
            place=self._place,
            op=op,
            path=path,
            to=to,
            before=before,
            after=after,
            mode=mode,
            identity=None if now is None else now.identity,
            match=None,
            diff=file_diff(
                None if before is None else prefix + path,
                None if after is None else prefix + (to or path),
                before,
                after,
                mode=mode,
                links=(link_before, link_after),
                check=self._job.check_time,
            ),
            mode_before=None if now is None else now.mode,
            link_before=link_before,
            link_after=link_after,
        )

    def _current(self, rel: str) -> _Current | None:
        """Return what is there now; `None` for nothing."""
        try:
            with self._place.root.open_file(rel, follow=False) as file:
                several = file.stat.st_nlink > 1 and self._settings.hard_links == "refuse"
                if several or file.stat.st_size > self._settings.patch_max_file_bytes:
                    return _Current(other=True)  # no change set leaves a file so
                parts: list[bytes] = []
                while chunk := os.read(file.fd, _CHUNK):
                    self._job.check_time()
                    parts.append(chunk)
                mode = file.stat.st_mode & 0o7777
                return _Current(data=b"".join(parts), identity=FileIdentity.of(file.stat), mode=mode)
        except NotFound:
            return None
        except (PolicyDenied, InvalidArguments):
            return self._link(rel)

    def _link(self, rel: str) -> _Current:
        """Return the link that is there; something else if there is none."""
        found = link_at(self._place.root, rel)
        if found is None:
            return _Current(other=True)
        return _Current(data=found.target, identity=FileIdentity.of(found.status), mode=_LINK_MODE, link=True)


@dataclass(frozen=True, kw_only=True)
class _Current:
    """What has a name now: a file, a link with its target as `data`, or something `other`, as a directory."""

    data: bytes = b""
    identity: FileIdentity | None = None
    mode: int = 0
    link: bool = False
    other: bool = False


def _replaced(record: ChangeRecord, rel: str) -> bool:
    """Return whether the change set itself put a directory in a file's place, or a file in that of one above it."""
    added = {file.path for file in record.files if file.op == "add"}
    return rel in record.made_dirs or any(rel.startswith(f"{name}/") for name in added)
