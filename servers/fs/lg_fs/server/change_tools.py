"""The tools that change files, and those that look back: from arguments to a reply."""

from __future__ import annotations

from typing import Any

from lg_fs.changes.service import Changes, PatchRequest, RevertRequest
from lg_fs.job import Workers
from lg_fs.patch.parse import parse_changes, parse_patch
from lg_fs.patch.plan import Expected
from lg_fs.server import render
from lg_policy.config.settings import FsSettings
from lg_policy.errors import TooLarge
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
        self._check_size(arguments)
        request = PatchRequest(
            changes=parse_patch(arguments["patch"]) if "patch" in arguments else parse_changes(arguments["changes"]),
            expected=_expected(arguments),
            dry_run=bool(arguments.get("dry_run", False)),
            key=context.idempotency_key,
            arguments=arguments,
        )
        result = await self._workers.run(lambda job: self._changes.apply(request, job), context.progress)
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
        result = await self._workers.run(lambda job: self._changes.revert(request, job), context.progress)
        return Reply(text=render.change(result), structured=result)

    async def list_changes(self, arguments: Arguments, _context: CallContext) -> Reply:
        """List the newest change sets."""
        limit = int(arguments.get("limit", _DEFAULT_CHANGES))
        found = await self._workers.run(lambda _job: self._changes.recent(limit))
        return Reply(text=render.changes(found), structured={"changes": found})

    def _check_size(self, arguments: Arguments) -> None:
        texts = [arguments.get("patch", ""), *(one.get("content", "") for one in arguments.get("changes", ()))]
        size = sum(len(text.encode("utf-8", "surrogatepass")) for text in texts)
        if size > self._settings.patch_max_bytes:
            raise TooLarge(
                f"the patch has {size} bytes; {self._settings.patch_max_bytes} are allowed",
                hint="split it into several patches",
            )


def _expected(arguments: Arguments) -> Expected:
    return Expected(hashes=arguments.get("expected_sha256", {}), paths=arguments.get("expected_paths"))
