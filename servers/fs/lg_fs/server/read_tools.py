"""The tools that read: from arguments to a reply. The work is done in worker threads."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from typing import Any

from lg_fs.reading.read import FileText, Window, read_text, with_numbers
from lg_fs.search.regex import compile_regex, is_joinable, unmatched_hint
from lg_fs.search.search import Search, SearchRequest, SearchResult
from lg_fs.server import render
from lg_fs.tree.listing import Listing, ListRequest, count_totals, list_entries
from lg_fs.tree.totals import Totals
from lg_policy.config.settings import FsSettings
from lg_policy.errors import CallTimeout, InvalidArguments, LgError
from lg_policy.jobs import Job, Workers
from lg_policy.tree.names import shown
from lg_policy.tree.workspace import Workspace
from lg_policy.wire.tool_server import CallContext, Reply

Arguments = dict[str, Any]
_SMALL = 1 << 16
_AT_ONCE_S = 0.05


class Lookups:
    """`read_file`, `list_files` and `search_files`."""

    def __init__(self, workspace: Workspace, workers: Workers, settings: FsSettings) -> None:
        self._workspace = workspace
        self._workers = workers
        self._settings = settings

    async def read_file(self, arguments: Arguments, context: CallContext) -> Reply:
        """Read one file, or several, each with its own success or failure."""
        path, paths = arguments.get("path"), arguments.get("paths")
        numbers = bool(arguments.get("line_numbers", False))
        if path is not None and not paths:
            file = self._read_small(path, arguments)
            if file is not None:
                return _file_reply(file, numbers)
            return await self._workers.run(lambda job: _file_reply(self._read(path, arguments, None, job), numbers))
        if path is not None or not paths:
            raise InvalidArguments(
                "read_file needs path or paths" + (", and not both" if path is not None else ""),
                hint='pass path="src/a.py" for one file, paths=["src/a.py", "src/b.py"] for several',
            )
        return await self._workers.run(lambda job: self._read_many(paths, arguments, numbers, job), context.progress)

    async def list_files(self, arguments: Arguments, context: CallContext) -> Reply:
        """List entries, or count totals."""
        request = ListRequest(
            path=arguments.get("path") or "",
            recursive=bool(arguments.get("recursive", False)),
            globs=arguments.get("glob"),
            limit=int(arguments.get("limit") or self._settings.list_max_entries),
            cursor=arguments.get("cursor") or None,
            include_ignored=bool(arguments.get("include_ignored", False)),
            raw=arguments,
        )
        if arguments.get("totals", False):
            return await self._workers.run(
                lambda job: _totals_reply(count_totals(self._workspace, request, job)), context.progress
            )
        return await self._workers.run(
            lambda job: _listing_reply(list_entries(self._workspace, request, job)), context.progress
        )

    async def search_files(self, arguments: Arguments, context: CallContext) -> Reply:
        """Search file contents."""
        return await self._workers.run(lambda job: self._search(arguments, job), context.progress)

    def _search(self, arguments: Arguments, job: Job) -> Reply:
        multiline = bool(arguments.get("multiline", False))
        request = SearchRequest(
            regex=compile_regex(
                arguments["regex"],
                case_sensitive=bool(arguments.get("case_sensitive", True)),
                multiline=multiline,
            ),
            joinable=is_joinable(arguments["regex"]),
            path=arguments.get("path") or "",
            globs=arguments.get("glob"),
            output=arguments.get("output") or "matches",
            context_lines=int(arguments.get("context_lines") or 0),
            multiline=multiline,
            limit=int(arguments.get("limit") or self._settings.search_max_matches),
            cursor=arguments.get("cursor") or None,
            include_ignored=bool(arguments.get("include_ignored", False)),
            raw=arguments,
        )
        unmatched = unmatched_hint(arguments["regex"])
        return _search_reply(Search(self._workspace, request, job).run(), request.output, unmatched)

    def _read_small(self, path: str, arguments: Arguments) -> FileText | None:
        """Read a small file here and now: changing threads takes longer. `None`: it is none, or took too long."""
        opened = self._workspace.open_small(path, _SMALL)
        if opened is None:
            return None
        file, place = opened
        with file, contextlib.suppress(CallTimeout):
            return read_text(file, self._window(arguments, None), Job(_AT_ONCE_S), prefix=place.prefix)
        return None

    def _read(self, path: str, arguments: Arguments, max_bytes: int | None, job: Job) -> FileText:
        file, place = self._workspace.open_file(path)
        with file:
            return read_text(file, self._window(arguments, max_bytes), job, prefix=place.prefix)

    def _window(self, arguments: Arguments, max_bytes: int | None) -> Window:
        count = arguments.get("line_count")
        return Window(
            start_line=int(arguments.get("start_line") or 1),
            line_count=None if count is None else int(count),
            max_lines=self._settings.read_max_lines,
            max_bytes=self._settings.read_max_bytes if max_bytes is None else max_bytes,
        )

    def _read_many(self, paths: Sequence[str], arguments: Arguments, numbers: bool, job: Job) -> Reply:
        entries: list[dict[str, Any]] = []
        room = self._settings.read_max_bytes
        for path in paths:
            job.check_time()
            try:
                file = self._read(path, arguments, room, job)
            except LgError as error:
                entries.append({"path": shown(path), "error": error.payload()})
                continue
            room = max(0, room - len(file.text.encode("utf-8", "surrogatepass")))
            entries.append(_file_entry(file, numbers))
            job.done += 1
            job.message = f"{job.done} files read"
        return Reply(text=render.files(entries), structured={"files": entries})


def _file_reply(file: FileText, numbers: bool) -> Reply:
    entry = _file_entry(file, numbers)
    text, trailer = entry["text"], file.trailer()
    if trailer:
        text += ("" if text.endswith("\n") or not text else "\n") + trailer
    return Reply(text=text, structured={"files": [entry]})


def _file_entry(file: FileText, numbers: bool) -> dict[str, Any]:
    return {
        "path": shown(file.path),
        "text": with_numbers(file.text, file.start_line, file.newline) if numbers else file.text,
        "encoding": file.encoding,
        "sha256": file.sha256,
        "size": file.size,
        "total_lines": file.total_lines,
        "start_line": file.start_line,
        "line_count": file.line_count,
        "truncated": file.truncated,
        "next_start_line": file.next_start_line,
        "error": None,
    }


def _listing_reply(listing: Listing) -> Reply:
    structured = {
        "entries": listing.entries,
        "hidden": listing.hidden,
        "truncated": listing.next_cursor is not None or listing.stopped is not None,
        "next_cursor": listing.next_cursor,
        "totals": None,
        "partial": listing.stopped,
    }
    return Reply(text=render.listing(listing), structured=structured)


def _totals_reply(totals: Totals) -> Reply:
    structured = {
        "entries": [],
        "hidden": totals.hidden,
        "truncated": totals.partial is not None,
        "next_cursor": None,
        "totals": totals.as_dict(),
        "partial": totals.partial,
    }
    return Reply(text=render.totals(totals), structured=structured)


def _search_reply(found: SearchResult, output: str, unmatched: str) -> Reply:
    for hits in found.files:
        hits.path = shown(hits.path)
    for row in found.values:
        row["path"] = shown(row["path"])
    structured = {
        "output": output,
        "files": [{"path": hits.path, "count": hits.count, "matches": hits.matches} for hits in found.files],
        "values": found.values,
        "total_matches": found.total_matches,
        "files_matched": found.files_matched,
        "files_searched": found.files_searched,
        "truncated": found.truncated,
        "next_cursor": found.next_cursor,
        "skipped": {"binary": found.binary, "too_large": found.too_large, "unreadable": found.unreadable},
        "hidden": found.hidden,
        "partial": found.partial,
    }
    return Reply(text=render.search(found, output, unmatched), structured=structured)
