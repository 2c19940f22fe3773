"""The tools that change files, take changes back and list them: from arguments to a reply."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from lg_fs.changes.service import Changes, PatchRequest, RevertRequest
from lg_fs.patch.parse import parse_changes, parse_patch
from lg_fs.patch.plan import Expected
from lg_fs.server import render
from lg_policy.config.settings import FsSettings
from lg_policy.errors import InvalidArguments, TooLarge
from lg_policy.jobs import Job, Workers
from lg_policy.wire.tool_server import CallContext, Reply

Arguments = dict[str, Any]
_DEFAULT_CHANGES = 20


class Editing:
    """`apply_patch`, `revert_patch` and `list_changes`."""

    def __init__(self, changes: Changes, workers: Workers, settings: FsSettings) -> None:
        self._changes = changes
        self._workers = workers
        self._settings = settings

    async def apply_patch(self, arguments: Arguments, context: CallContext) -> Reply:
        """Apply a patch, or show what it would do."""
        key = context.idempotency_key
        return await self._workers.run(lambda job: self._apply(arguments, key, job), context.progress)

    def _apply(self, arguments: Arguments, key: str | None, job: Job) -> Reply:
        patch, changes = arguments.get("patch"), arguments.get("changes")
        if (patch is None) == (not changes):
            raise InvalidArguments(
                "apply_patch needs patch or changes" + (", and not both" if changes else ""),
                hint="pass either `patch` (a string) or `changes` (a list of whole files)",
            )
        self._check_size(patch or "", changes or ())
        request = PatchRequest(
            changes=parse_changes(changes or ()) if patch is None else parse_patch(patch, job.check_time),
            expected=_expected(arguments),
            dry_run=bool(arguments.get("dry_run", False)),
            key=key,
            arguments=arguments,
        )
        result = self._changes.apply(request, job)
        return Reply(text=render.change(result), structured=result)

    async def revert_patch(self, arguments: Arguments, context: CallContext) -> Reply:
        """Take back a change set, or show what that would do."""
        request = RevertRequest(
            change_id=arguments["change_id"],
            force=bool(arguments.get("force", False)),
            expected=_expected(arguments),
            dry_run=bool(arguments.get("dry_run", False)),
            key=context.idempotency_key,
        )
        return await self._workers.run(lambda job: self._revert(request, job), context.progress)

    def _revert(self, request: RevertRequest, job: Job) -> Reply:
        result = self._changes.revert(request, job)
        return Reply(text=render.change(result), structured=result)

    async def list_changes(self, arguments: Arguments, _context: CallContext) -> Reply:
        """List the newest change sets."""
        limit = int(arguments.get("limit") or _DEFAULT_CHANGES)
        return await self._workers.run(lambda job: self._recent(limit, job))

    def _recent(self, limit: int, job: Job) -> Reply:
        found = self._changes.recent(limit, job)
        return Reply(text=render.changes(found), structured={"changes": found})

    def _check_size(self, patch: str, changes: Sequence[Mapping[str, Any]]) -> None:
        texts = [patch, *(change.get("content") or "" for change in changes)]
        size = sum(len(text.encode("utf-8", "surrogatepass")) for text in texts)
        if size > self._settings.patch_max_bytes:
            raise TooLarge(
                f"the patch has {size} bytes; {self._settings.patch_max_bytes} are allowed",
                hint="split it into several patches",
            )


def _expected(arguments: Arguments) -> Expected:
    return Expected(hashes=arguments.get("expected_sha256") or {}, paths=arguments.get("expected_paths"))
