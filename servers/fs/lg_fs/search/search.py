"""Runs `search_files`: a linear-time engine over whole files, opened confined to the root, limited and paged."""

from __future__ import annotations

import os
from collections.abc import Generator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any

from lg_fs.reading.encoding import MARK_BEGINS, SNIFF, detect, is_binary, is_utf8
from lg_fs.search.matches import Excerpts, FileHits, Values, window_size
from lg_fs.search.regex import names_returns
from lg_fs.tree.cursor import WHOLE, CursorPosition, pack, unpack
from lg_fs.tree.glob_argument import GlobArg
from lg_policy.config.settings import FsSettings
from lg_policy.errors import CallTimeout, InvalidArguments, LgError, NotFound, TooLarge
from lg_policy.jobs import Job
from lg_policy.tree.walk import open_regular
from lg_policy.tree.workspace import Located, WalkArgs, Workspace, from_place, refuse_unreadable, walking

_CHUNK = 1 << 18

Batch = list[tuple[str, bytes | None]]


@dataclass(frozen=True, kw_only=True)
class SearchRequest:
    """The arguments of `search_files`. `regex` is compiled; cursors are bound to `raw`, the arguments as they came.

    `joinable`: files joined by a line break have a match if one of them has (`regex.is_joinable`).
    """

    regex: Any
    joinable: bool
    path: str
    globs: str | Sequence[str] | None
    output: str
    context_lines: int
    multiline: bool
    limit: int
    cursor: str | None
    include_ignored: bool
    raw: Mapping[str, Any]


@dataclass(kw_only=True)
class SearchResult:
    """The matches. `partial` says why the search ended before it had read everything."""

    files: list[FileHits] = field(default_factory=list)
    values: list[dict[str, Any]] = field(default_factory=list)
    total_matches: int = 0
    files_matched: int = 0
    files_searched: int = 0
    next_cursor: str | None = None
    truncated: bool = False
    binary: int = 0
    too_large: int = 0
    unreadable: int = 0
    hidden: int = 0
    partial: str | None = None


class Search:
    """One search: collects until a limit of matches, bytes or time is reached."""

    def __init__(self, workspace: Workspace, request: SearchRequest, job: Job) -> None:
        self._workspace = workspace
        self._settings: FsSettings = workspace.settings
        self._request = request
        self._job = job
        self._excerpts = Excerpts(request.regex, context=request.context_lines, multiline=request.multiline)
        self._values = Values(request.regex, multiline=request.multiline)
        self._room = self._settings.search_max_reply_bytes
        self._batch_size = window_size(request.regex)
        self._keeps_returns = names_returns(request.regex)
        self._max_links = 1 if self._settings.hard_links == "refuse" else None
        self._found = 0
        self._last = ""
        self.result = SearchResult()

    def run(self) -> SearchResult:
        """Search everywhere the request says. Raises as `Root.open_dir`, `InvalidArguments` for a bad cursor."""
        request, result = self._request, self.result
        begin = unpack(request.cursor, request.raw) if request.cursor else None
        starts = self._workspace.everywhere(request.path)
        for located in from_place(starts, begin.path if begin else None):
            if self._one_file(located, begin):
                break
            if not self._tree(located, begin):
                break
        self._let_go_on()
        if request.output == "values":
            result.values = self._values.top(request.limit)
            result.truncated = result.truncated or self._values.distinct > len(result.values)
        return result

    def _let_go_on(self) -> None:
        """Give a cursor when the walk ended early: at its limit of entries or time, not for too deep directories."""
        stopped = self.result.partial is not None and not self.result.partial.startswith("directories")
        if stopped and self._last and self.result.next_cursor is None and self._request.output != "values":
            self._full(CursorPosition(path=self._last))

    def _one_file(self, located: Located, begin: CursorPosition | None) -> bool:
        """Search a path that names a file; return whether it does."""
        if not located.rel:
            return False
        try:
            file = located.place.root.open_file(located.rel)
        except NotFound as error:
            raise located.unopened(error) from error
        except InvalidArguments:
            return False  # a directory; anything else is refused when it is opened as one
        with file:
            for rel in {located.rel, file.rel}:
                refuse_unreadable(located.place.rules, rel)
            self._workspace.refuse_hard_link(file)
            path = located.place.prefix + file.rel
            self._look(path, self._content(file.fd), _seen(begin, path))
        return True

    def _tree(self, located: Located, begin: CursorPosition | None) -> bool:
        """Search a directory tree; return whether to continue with the next."""
        with closing(self._folders(located, begin)) as folders:
            for fd, files in folders:
                batch: Batch = []
                size = 0
                for path, name in files:
                    data = self._load(name, fd)
                    batch.append((path, data))
                    size += len(data or b"")
                    if size >= self._batch_size:
                        if not self._look_through(batch, begin):
                            return False
                        batch, size = [], 0
                if batch and not self._look_through(batch, begin):
                    return False
        return self.result.partial is None

    def _look_through(self, batch: Batch, begin: CursorPosition | None) -> bool:
        """Search consecutive files; return whether there is room and time for more."""
        self._last = batch[-1][0]
        rest = self._with_matches(batch) if self._request.joinable else batch
        for path, data in rest:
            if not self._look(path, data, _seen(begin, path)):
                return False
        if self._job.late():
            self._stop_late(batch[-1][0])
            return False
        return True

    def _with_matches(self, batch: Batch) -> Batch:
        """Skip, and count, plain text files if none of them matches. Nearly all files take this fast path.

        One call of the engine on many small files costs far less than many calls.
        """
        plain = [data for _, data in batch if data is not None and self._is_plain(data)]
        if not plain or self._request.regex.search(self._lines_of(b"\n".join(plain))) is not None:
            return batch
        self.result.files_searched += len(plain)
        if len(plain) == len(batch):
            return []
        return [(path, data) for path, data in batch if data is not None and not self._is_plain(data)]

    def _lines_of(self, text: bytes) -> bytes:
        """Return the text with LF for CRLF, unless the expression is about carriage returns."""
        return text if self._keeps_returns or b"\r" not in text else text.replace(b"\r\n", b"\n")

    def _is_plain(self, data: bytes) -> bool:
        """Return whether a file is small, and text that needs no decoding."""
        return (
            len(data) < self._batch_size
            and data[:1] not in MARK_BEGINS
            and b"\0" not in data[:SNIFF]
            and is_utf8(data)
            and (b"\n" in data or b"\r" not in data)
        )

    def _folders(
        self, located: Located, begin: CursorPosition | None
    ) -> Generator[tuple[int, list[tuple[str, str]]], None, None]:
        """Yield the files to search, by directory: its descriptor, and each file's path on the wire and name."""
        prefix = located.place.prefix
        after = begin.path[len(prefix) :] if begin and begin.path.startswith(prefix) else None
        args = WalkArgs(include_ignored=self._request.include_ignored, after=after)
        wanted = GlobArg(self._request.globs, located.rel, root=str(located.place.root.path))
        if begin and begin.seen != WHOLE and begin.path.startswith(prefix):
            yield from self._again(located, begin)
        with walking(located, args, self._settings, self._job) as walk:
            for folder in walk:
                if searched := self.result.files_searched:
                    matches = self.result.total_matches
                    self._job.message = (
                        f"{searched} file{'s' * (searched != 1)} searched, {matches} match{'es' * (matches != 1)}"
                    )
                files = wanted.select([entry for entry in folder.entries if entry.kind == "file"], self._job)
                yield folder.fd, [(prefix + entry.path, entry.name) for entry in files]
        self.result.unreadable += walk.result.unreadable + walk.result.unnameable
        self.result.hidden += walk.result.hidden
        self.result.partial = self.result.partial or walk.result.stopped

    def _again(
        self, located: Located, begin: CursorPosition
    ) -> Generator[tuple[int, list[tuple[str, str]]], None, None]:
        """Return the file in whose middle the last page ended."""
        rel = begin.path[len(located.place.prefix) :]
        try:
            parent, name = located.place.root.open_parent(rel, follow=False)
        except LgError:
            return  # it is gone now: continue after it
        with parent:
            if located.place.rules.may_read(rel):
                yield parent.fd, [(begin.path, name)]

    def _load(self, name: str, dir_fd: int) -> bytes | None:
        try:
            fd = open_regular(name, dir_fd)
        except OSError:
            self.result.unreadable += 1
            return None
        try:
            if self._max_links is not None and os.fstat(fd).st_nlink > self._max_links:
                self.result.unreadable += 1
                return None
            return self._content(fd)
        finally:
            os.close(fd)

    def _content(self, fd: int) -> bytes | None:
        """Return the bytes of an open file; `None`, counted, if it is too large or cannot be read."""
        try:
            data = os.read(fd, _CHUNK)
            if len(data) < _CHUNK:  # a regular file is read short only at its end
                return data
            return data + _rest(fd, self._settings.search_max_file_bytes, self._job)
        except TooLarge:
            self.result.too_large += 1
        except OSError:
            self.result.unreadable += 1
        return None

    def _look(self, path: str, data: bytes | None, seen: int) -> bool:
        """Search one file's bytes; return whether there is room and time for more."""
        if data is None:
            return True
        if is_binary(data):
            self.result.binary += 1
            return True
        self.result.files_searched += 1
        try:
            return self._look_at_text(path, self._lines_of(_as_utf8(data)), seen)
        except TooLarge:
            self.result.too_large += 1
            return True
        except CallTimeout:
            self._stop_late(path)
            return False

    def _look_at_text(self, path: str, text: bytes, seen: int) -> bool:
        result = self.result
        if self._request.output == "values":
            return self._gather(path, text)
        if self._request.output == "matches":
            return self._quote(path, text, seen)
        count = self._excerpts.count(text, self._job)
        if count:
            if len(result.files) >= self._request.limit:
                return self._full(CursorPosition(path=result.files[-1].path))
            result.files_matched += 1
            result.total_matches += count
            result.files.append(FileHits(path=path, count=count))
        return True

    def _quote(self, path: str, text: bytes, seen: int) -> bool:
        result = self.result
        room = self._request.limit - self._found
        hits, size, more = self._excerpts.read(path, text, seen, room, self._room, self._job)
        if not hits.matches and not more:
            return True
        if hits.matches:
            result.files.append(hits)
            result.files_matched += 1
            result.total_matches += len(hits.matches)
            self._found += len(hits.matches)
            self._room -= size
        if more:
            return self._full(CursorPosition(path=path, seen=seen + len(hits.matches)))
        return True

    def _gather(self, path: str, text: bytes) -> bool:
        count = self._values.add(path, text, self._job)
        self.result.total_matches += count
        self.result.files_matched += count > 0
        if self._values.full:
            self.result.partial = f"stopped at {self._values.distinct} different values: narrow the regex"
            self.result.truncated = True
            return False
        return True

    def _full(self, place: CursorPosition) -> bool:
        self.result.truncated = True
        self.result.next_cursor = pack(place, self._request.raw)
        return False

    def _stop_late(self, path: str) -> None:
        result = self.result
        result.partial = result.partial or f"stopped after {self._job.deadline.seconds:g} s; narrow path or glob"
        if self._request.output != "values":
            self._full(CursorPosition(path=path))


def _as_utf8(data: bytes) -> bytes:
    """Return a file's text as `read_file` shows it, in UTF-8; what is UTF-8 without a mark stays as it is."""
    if data[:1] in MARK_BEGINS or b"\0" in data[:SNIFF] or not is_utf8(data):
        encoding = detect(data)
        if encoding.damaged:
            data = encoding.decode(data).encode("utf-8")
        else:
            data = data[len(encoding.bom) :].decode(encoding.name, "replace").encode("utf-8", "replace")
    return data if b"\n" in data or b"\r" not in data else data.replace(b"\r", b"\n")


def _seen(begin: CursorPosition | None, path: str) -> int:
    return max(0, begin.seen) if begin and begin.path == path else 0


def _rest(fd: int, max_bytes: int, job: Job) -> bytes:
    """Read what follows the first chunk of a file. Raises `TooLarge` for more than `max_bytes`, `OSError`."""
    total = os.fstat(fd).st_size
    parts: list[bytes] = []
    while total <= max_bytes and (chunk := os.read(fd, 1 << 20)):
        job.check()
        parts.append(chunk)
        total = max(total, _CHUNK + sum(map(len, parts)))  # it may grow meanwhile
    if total > max_bytes:
        raise TooLarge(f"more than {max_bytes} bytes")
    return b"".join(parts)
