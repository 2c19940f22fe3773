"""Runs `apply_patch`, `revert_patch` and `list_changes`: plans under the root's lock, commits, records."""

from __future__ import annotations

import hashlib
import json
import logging
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from lg_fs.changes.commit import Commit, Step, commit_all
from lg_fs.changes.directories import missing_directories, with_directories
from lg_fs.changes.locks import holding
from lg_fs.changes.revert_plan import Reverter, plan_inverse
from lg_fs.changes.rollback import Undo
from lg_fs.patch.model import FileChange
from lg_fs.patch.parse import joined
from lg_fs.patch.plan import Expected, PlannedFile, Planner
from lg_fs.patch.targets import Targets
from lg_policy.changes.interrupted import Begun, recover
from lg_policy.changes.journal import Item, Journal, load_record
from lg_policy.changes.records import ChangeRecord, FileRecord, result, summary
from lg_policy.config.settings import FsSettings
from lg_policy.errors import Conflict, InvalidArguments, NotFound
from lg_policy.jobs import Job
from lg_policy.tree.workspace import ServedRoot, Workspace

log = logging.getLogger(__name__)

RECOVER_S = 10.0
"""Seconds that undoing interrupted changes may delay the start; after that, the next change tries again."""


def _nothing(_name: str) -> None:
    """Do nothing at a step."""


@dataclass(frozen=True, kw_only=True)
class PatchRequest:
    """A call of `apply_patch`. A repeat under the same key must have the same `arguments`."""

    changes: Sequence[FileChange]
    expected: Expected = field(default_factory=Expected)
    dry_run: bool
    key: str | None
    arguments: Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class RevertRequest:
    """A call of `revert_patch`."""

    change_id: str
    force: bool = False
    expected: Expected = field(default_factory=Expected)
    dry_run: bool = False
    key: str | None = None


@dataclass(frozen=True, kw_only=True)
class Label:
    """Identifies a change set: its kind, the change set that it reverts, and the call that made it."""

    kind: str
    reverts: str | None
    key: str | None
    digest: str


class Changes:
    """The change sets of all roots. `state` is the directory that holds their journals."""

    def __init__(self, workspace: Workspace, state: Path, *, on_step: Step = _nothing) -> None:
        self._workspace = workspace
        self._settings: FsSettings = workspace.settings
        self._journals = {
            place.root.id: Journal(state / "fs" / place.root.id, workspace.settings) for place in workspace.places
        }
        self._records_of_commands = {root: state / "exec" / root for root in self._journals}
        self._on_step = on_step

    def apply(self, request: PatchRequest, job: Job) -> dict[str, Any]:
        """Apply a patch, or only show what it would do. If it raises `LgError`, nothing was changed."""
        targets = Targets(self._workspace)
        if any(change.longer for change in request.changes):
            request = replace(request, changes=joined(targets.with_longer_names(request.changes)))
        label = Label(kind="patch", reverts=None, key=request.key, digest=_digest(request.arguments))
        if request.dry_run:
            return result(self._records(self._plan(targets, request, job), label), dry_run=True)
        places = targets.places(request.changes)
        with holding(places, self._journals, job):
            self._recover(places)
            known = self._answered(label)
            if known is not None:
                return known
            planned = self._plan(targets, request, job)
            records = self._records(planned, label)
            self._commit(planned, records, job)
        return result(records)

    def revert(self, request: RevertRequest, job: Job) -> dict[str, Any]:
        """Revert a change set, or only show what that would do.

        Raises `Conflict`, which names every file that changed since; then nothing was reverted.
        """
        places = [place for place, _ in self._parts_of(request.change_id)]
        for place in places:
            place.check_identity()
        digest = _digest({"change_id": request.change_id, "force": request.force})
        label = Label(kind="revert", reverts=request.change_id, key=request.key, digest=digest)
        with holding(places, self._journals, job):
            self._recover(places)
            known = self._answered(label) if not request.dry_run else None
            if known is not None:
                return known
            parts = self._parts_of(request.change_id)
            if [place for place, _ in parts] != places:
                raise Conflict(
                    f"a part of change set {request.change_id} was removed from its journal meanwhile",
                    hint="list_changes shows what is kept",
                )
            reverters = [Reverter(place, self._journal(place), self._settings, job) for place in places]
            old = [self._loaded(item) for _, item in parts]
            self._refuse_partial(old, places)
            whole = list(zip(reverters, old, (item.path for _, item in parts), strict=True))
            planned = plan_inverse(whole, self._reverted_by(parts, job), self._settings, force=request.force)
            Planner(Targets(self._workspace), self._settings, job).check_expected(planned, request.expected)
            records = with_directories(self._records(planned, label), old, [place.root for place in places])
            if request.dry_run:
                return result(records, dry_run=True)
            self._commit(planned, records, job)
        return result(records)

    def recent(self, limit: int, job: Job) -> list[dict[str, Any]]:
        """Return the newest change sets of all roots, newest first. Files that may not be read are left out."""
        sets: dict[str, list[ChangeRecord]] = {}
        times: dict[str, int] = {}
        for journal in self._journals.values():
            for item in journal.changes()[-limit:]:
                job.check_time()
                sets.setdefault(item.change_id, []).append(self._visible(self._loaded(item)))
                times[item.change_id] = max(item.time_ns, times.get(item.change_id, 0))
        newest = sorted(sets, key=lambda change_id: -times[change_id])
        reverted: dict[str, str] = {}
        for change_id in newest:
            reverted.setdefault(sets[change_id][0].reverts or "", change_id)
        return [summary(sets[change_id], reverted.get(change_id)) for change_id in newest[:limit]]

    def recover(self) -> None:
        """Undo what a killed process left unfinished, in every root. Called once at start.

        Raises `LgError` if that cannot be done now, or if another process is changing the root for long.
        """
        places = [place for place in self._workspace.places if self._journal(place).pending() or self._begun(place)]
        places.sort(key=lambda place: place.root.id)
        with holding(places, self._journals, Job(min(RECOVER_S, self._settings.call_timeout_s))):
            self._recover(places)

    def _plan(self, targets: Targets, request: PatchRequest, job: Job) -> list[PlannedFile]:
        planner = Planner(targets, self._settings, job)
        planned = planner.plan(request.changes)
        planner.check_expected(planned, request.expected)
        return planned

    def _commit(self, planned: Sequence[PlannedFile], records: Sequence[ChangeRecord], job: Job) -> None:
        parts = _by_root(planned)
        durable = self._settings.durable
        commits = [
            Commit(
                files[0].place,
                self._journal(files[0].place),
                files,
                record,
                durable=durable,
                job=job,
                on_step=self._on_step,
            )
            for files, record in zip(parts, records, strict=True)
        ]
        commit_all(commits, job, self._on_step)
        for files in parts:
            try:
                self._journal(files[0].place).prune()
            except OSError:
                log.exception("old change sets could not be removed; the next change tries again")

    def _recover(self, places: Sequence[ServedRoot]) -> None:
        """Undo, or finish, pending change sets; the locks are held, so their writers are dead.

        Raises `Conflict` if the system prevents it, or if a root is another one than the journal speaks of.
        """
        for place in places:
            place.check_identity()
            journal = self._journal(place)
            root = place.root
            try:
                recover(root.fd, str(root.path), self._records_of_commands[root.id], journal)
                for directory in journal.pending():
                    self._recover_one(place, journal, directory)
            except OSError as error:
                raise Conflict(
                    f"a change that was interrupted cannot be undone yet: {error.strerror or error}",
                    hint="nothing is changed until it is: make the root and the state directory writable",
                ) from error

    def _begun(self, place: ServedRoot) -> bool:
        """Return whether changes of a command were interrupted."""
        return Begun.read(self._records_of_commands[place.root.id]) is not None

    def _recover_one(self, place: ServedRoot, journal: Journal, directory: Path) -> None:
        try:
            if self._finished(place, journal, directory):
                return
        except ValueError:
            log.exception("journal entry %s is damaged and was dropped", directory.name)
        journal.drop(directory)

    def _finished(self, place: ServedRoot, journal: Journal, directory: Path) -> bool:
        """Finish or undo the part of a change set below one root; return whether it is kept, as done."""
        record = load_record(directory)
        if record is None:
            return False
        if journal.done_elsewhere(record):
            journal.finish(directory)
            return True
        left = Undo(place.root, journal, durable=self._settings.durable).run(record, directory)
        log.warning("undid change %s of a process that died; left alone: %s", record.change_id, left or "none")
        return False

    def _answered(self, label: Label) -> dict[str, Any] | None:
        """Return the result of the call that was made under this key, if there was one."""
        if label.key is None:
            return None
        found = [item for journal in self._journals.values() if (item := journal.with_key(label.key)) is not None]
        if not found:
            return None
        newest = max(found, key=lambda item: item.time_ns)
        parts = [self._loaded(item) for item in found if item.change_id == newest.change_id]
        if parts[0].arguments_digest != label.digest:
            raise InvalidArguments(
                "this idempotency key was used for a call with other arguments", hint="use a new key for a new call"
            )
        return result(parts, replayed=True)

    def _visible(self, record: ChangeRecord) -> ChangeRecord:
        """Return the record without the files that the rules hide now."""
        rules = self._workspace.places[0].rules
        files = tuple(
            file
            for file in record.files
            if all(rules.may_read(name) for name in (file.path, file.to) if name is not None)
        )
        return record if len(files) == len(record.files) else replace(record, files=files, order=())

    def _records(self, planned: Sequence[PlannedFile], label: Label) -> list[ChangeRecord]:
        """Return what the journals will hold: a record for each root that the change set touches."""
        change_id, time = secrets.token_hex(8), datetime.now(UTC).isoformat(timespec="milliseconds")
        parts = _by_root(planned)
        several = len(parts) > 1
        roots = [files[0].place.root.id for files in parts]
        places = {id(file): number for number, file in enumerate(planned)}
        return [
            ChangeRecord(
                change_id=change_id,
                time=time,
                kind=label.kind,
                reverts=label.reverts,
                key=label.key,
                arguments_digest=label.digest,
                prefix=files[0].place.prefix,
                files=tuple(_file_record(file) for file in files),
                made_dirs=missing_directories(files[0].place.root, files),
                diff="".join(file.diff.text for file in files),
                members=tuple((root, str(self._journals[root].base)) for root in roots) if several else (),
                order=tuple(places[id(file)] for file in files) if several else (),
            )
            for files in parts
        ]

    def _journal(self, place: ServedRoot) -> Journal:
        return self._journals[place.root.id]

    def _parts_of(self, change_id: str) -> list[tuple[ServedRoot, Item]]:
        """Return where the parts of a change set are kept, in the order of locking."""
        places = sorted(self._workspace.places, key=lambda place: place.root.id)
        found = [(place, item) for place in places if (item := self._journal(place).find(change_id)) is not None]
        if not found:
            raise NotFound(f"no change set {change_id!r}", hint="list_changes shows those that are kept")
        return found

    def _refuse_partial(self, records: Sequence[ChangeRecord], places: Sequence[ServedRoot]) -> None:
        present = {place.root.id for place in places}
        missing = [base for root, base in records[0].members if root not in present]
        if missing:
            raise Conflict(
                f"change set {records[0].change_id} also changed files below a root that this server does not serve, "
                "or whose journal no longer has it",
                hint="revert it through a server of all its roots",
            )

    def _reverted_by(self, parts: Sequence[tuple[ServedRoot, Item]], job: Job) -> str | None:
        place, reverted = parts[0]
        for item in self._journal(place).changes():
            job.check_time()
            if item.time_ns > reverted.time_ns and self._loaded(item).reverts == reverted.change_id:
                return item.change_id
        return None

    def _loaded(self, item: Item) -> ChangeRecord:
        try:
            record = item.load()
        except ValueError as error:
            raise NotFound(
                f"the journal entry of {item.change_id} is damaged: {error}", hint="undo the change by a patch"
            ) from error
        if record is None:
            raise NotFound(f"change set {item.change_id!r} is no longer kept", hint="undo the change by a patch")
        return record


def _by_root(planned: Sequence[PlannedFile]) -> list[list[PlannedFile]]:
    """Return the files of each root that is touched, in the order of locking."""
    parts: dict[str, list[PlannedFile]] = {}
    for file in planned:
        parts.setdefault(file.place.root.id, []).append(file)
    return [parts[root] for root in sorted(parts)]


def _file_record(file: PlannedFile) -> FileRecord:
    chmod = file.mode_before is not None and file.mode_before != file.mode
    return FileRecord(
        op=file.op,
        path=file.path,
        to=file.to,
        before_sha256=file.before_sha256,
        after_sha256=file.after_sha256,
        mode=file.mode if file.mode_before is None else file.mode_before,
        added=file.diff.added,
        removed=file.diff.removed,
        match=file.match,
        mode_after=file.mode if chmod else None,
        link_before=file.link_before,
        link_after=file.link_after,
    )


def _digest(arguments: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(arguments, sort_keys=True).encode()).hexdigest()
