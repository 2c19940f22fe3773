"""`apply_patch`, `revert_patch`, `list_changes`: plan under the root's lock, commit, remember."""

from __future__ import annotations

import hashlib
import json
import logging
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from lg_fs.commit import Commit, Step, missing_directories
from lg_fs.job import Job
from lg_fs.journal import Item, Journal
from lg_fs.patch_model import FileChange
from lg_fs.plan import PlannedFile, Planner
from lg_fs.records import ChangeRecord, FileRecord
from lg_fs.revert import Reverter
from lg_fs.targets import Targets
from lg_fs.undo import Undo
from lg_fs.workspace import Place, Workspace
from lg_policy.config import FsSettings
from lg_policy.errors import InvalidArguments, NotFound

log = logging.getLogger(__name__)


def _nothing(_name: str) -> None:
    """No step hook."""


@dataclass(frozen=True, kw_only=True)
class PatchRequest:
    """A call of `apply_patch`. `arguments` are what a repeat under the same key must have too."""

    changes: Sequence[FileChange]
    expected: Mapping[str, str | None]
    dry_run: bool
    key: str | None
    arguments: Mapping[str, Any]


class Changes:
    """The change sets of all roots. `state` is the directory that holds their journals."""

    def __init__(self, workspace: Workspace, state: Path, *, on_step: Step = _nothing) -> None:
        self._workspace = workspace
        self._settings: FsSettings = workspace.settings
        self._journals = {
            place.root.id: Journal(state / "fs" / place.root.id, workspace.settings) for place in workspace.places
        }
        self._on_step = on_step

    def apply(self, request: PatchRequest, job: Job) -> dict[str, Any]:
        """Apply a patch, or only show what it would do. Raises `LgError`; then nothing was changed."""
        targets = Targets(self._workspace)
        targets.resolve(request.changes[0].path)
        place = targets.place
        journal = self._journals[place.root.id]
        digest = _digest(request.arguments)
        if request.dry_run:
            planned = self._plan(targets, request, job)
            return self._record(place, planned, "patch", None, None, digest).result(dry_run=True)
        with journal.locked(job):
            self._recover(place, journal)
            known = self._answered(journal, request.key, digest)
            if known is not None:
                return known
            planned = self._plan(targets, request, job)
            record = self._record(place, planned, "patch", None, request.key, digest)
            self._commit(place, journal, planned, record, job)
        return record.result()

    def revert(self, change_id: str, *, force: bool, key: str | None, job: Job) -> dict[str, Any]:
        """Take back a change set. Raises `Conflict` naming every file that changed since; then nothing was changed."""
        place, journal, item = self._find(change_id)
        digest = _digest({"change_id": change_id, "force": force})
        with journal.locked(job):
            self._recover(place, journal)
            known = self._answered(journal, key, digest)
            if known is not None:
                return known
            old = self._loaded(journal, item)
            reverter = Reverter(place, journal, self._settings, job)
            planned = reverter.plan(old, item.path, self._reverted_by(journal, item), force=force)
            record = self._record(place, planned, "revert", change_id, key, digest)
            self._commit(place, journal, planned, record, job)
            reverter.remove_directories(old)
        return record.result()

    def recent(self, limit: int) -> list[dict[str, Any]]:
        """Return the newest change sets of all roots, newest first."""
        rows: list[tuple[int, dict[str, Any]]] = []
        for journal in self._journals.values():
            reverted: dict[str, str] = {}
            for item in reversed(journal.changes()[-limit:]):
                record = self._loaded(journal, item)
                if record.reverts:
                    reverted.setdefault(record.reverts, record.change_id)
                rows.append((item.time_ns, record.summary(reverted.get(record.change_id))))
        rows.sort(key=lambda row: -row[0])
        return [summary for _, summary in rows[:limit]]

    def recover(self) -> None:
        """Undo what a killed process left half done, in every root. Called once at start."""
        for place in self._workspace.places:
            journal = self._journals[place.root.id]
            if journal.pending():
                with journal.locked(Job(self._settings.call_timeout_s)):
                    self._recover(place, journal)

    def _plan(self, targets: Targets, request: PatchRequest, job: Job) -> list[PlannedFile]:
        planner = Planner(targets, self._settings, job)
        planned = planner.plan(request.changes)
        planner.check_expected(planned, request.expected)
        return planned

    def _commit(
        self, place: Place, journal: Journal, planned: Sequence[PlannedFile], record: ChangeRecord, job: Job
    ) -> None:
        commit = Commit(place.root, journal, durable=self._settings.durable, job=job, on_step=self._on_step)
        commit.run(planned, record)
        journal.prune()

    def _recover(self, place: Place, journal: Journal) -> None:
        """Undo pending change sets; the lock is held, so their writers are dead."""
        for directory in journal.pending():
            try:
                record = journal.load(directory)
                if record is not None:
                    left = Undo(place.root, journal, durable=self._settings.durable).run(record, directory)
                    log.warning(
                        "undid change %s of a process that died; left alone: %s", record.change_id, left or "none"
                    )
            except ValueError:
                log.exception("journal entry %s is damaged and was dropped", directory.name)
            journal.drop(directory)

    def _answered(self, journal: Journal, key: str | None, digest: str) -> dict[str, Any] | None:
        """The result of the call that was made under this key, if there was one."""
        item = None if key is None else journal.with_key(key)
        if item is None:
            return None
        record = self._loaded(journal, item)
        if record.arguments_digest != digest:
            raise InvalidArguments(
                "this idempotency key was used for a call with other arguments", hint="use a new key for a new call"
            )
        return record.result(replayed=True)

    def _record(
        self,
        place: Place,
        planned: Sequence[PlannedFile],
        kind: str,
        reverts: str | None,
        key: str | None,
        digest: str,
    ) -> ChangeRecord:
        return ChangeRecord(
            change_id=secrets.token_hex(8),
            time=datetime.now(UTC).isoformat(timespec="milliseconds"),
            kind=kind,
            reverts=reverts,
            key=key,
            arguments_digest=digest,
            prefix=place.prefix,
            files=tuple(_file_record(file) for file in planned),
            made_dirs=missing_directories(place.root, planned),
            diff="".join(file.diff.text for file in planned),
        )

    def _find(self, change_id: str) -> tuple[Place, Journal, Item]:
        for place in self._workspace.places:
            journal = self._journals[place.root.id]
            item = journal.find(change_id)
            if item is not None:
                return place, journal, item
        raise NotFound(f"no change set {change_id!r}", hint="list_changes shows those that are kept")

    def _reverted_by(self, journal: Journal, reverted: Item) -> str | None:
        for item in journal.changes():
            if item.time_ns > reverted.time_ns and self._loaded(journal, item).reverts == reverted.change_id:
                return item.change_id
        return None

    def _loaded(self, journal: Journal, item: Item) -> ChangeRecord:
        try:
            record = journal.load(item.path)
        except ValueError as error:
            raise NotFound(f"the journal entry of {item.change_id} is damaged: {error}") from error
        if record is None:
            raise NotFound(f"change set {item.change_id!r} is no longer kept")
        return record


def _file_record(file: PlannedFile) -> FileRecord:
    return FileRecord(
        op=file.op,
        path=file.path,
        to=file.to,
        before_sha256=file.before_sha256,
        after_sha256=file.after_sha256,
        mode=file.mode,
        added=file.diff.added,
        removed=file.diff.removed,
        match=file.match,
    )


def _digest(arguments: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(arguments, sort_keys=True).encode()).hexdigest()
