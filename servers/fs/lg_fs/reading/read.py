"""Read a window of lines from text files of any size, in constant memory, with encoding, hash and line count."""

from __future__ import annotations

import codecs
import hashlib
import os
from collections.abc import Iterator
from dataclasses import dataclass

from lg_fs.job import Job
from lg_fs.reading.encoding import LATIN1, SNIFF, UTF8, Encoding, binary_kind, is_binary, marked
from lg_policy.errors import InvalidArguments
from lg_policy.paths.root import Opened

_CHUNK = 1 << 20
_BLOCK = 1 << 12  # line breaks are counted in steps of this size before single ones are looked for


@dataclass(frozen=True, kw_only=True)
class Window:
    """The lines that are wanted, and how much may be returned."""

    start_line: int = 1
    line_count: int | None = None
    max_lines: int
    max_bytes: int


@dataclass(frozen=True, kw_only=True)
class FileText:
    """A window of a file's lines. `truncated`: less than what was asked for. `next_start_line`: `None` at the end."""

    path: str
    text: str
    encoding: str
    sha256: str
    size: int
    total_lines: int
    start_line: int
    line_count: int
    truncated: bool
    next_start_line: int | None
    line_cut: bool

    def trailer(self) -> str:
        """Return what a reader must know about the rest, in brackets, or "" if the text is complete."""
        rest = self._rest()
        if self.encoding != LATIN1.label:
            return f"[{rest}]" if rest else ""
        return f"[{rest + '; ' if rest else ''}encoding guessed: not UTF-8, shown as Latin-1]"

    def _rest(self) -> str:
        last = self.start_line + self.line_count - 1
        note = f"; line {last} itself is cut" if self.line_cut else ""
        if self.next_start_line is None:
            return f"cut{note}" if self.line_cut else ""
        word = "cut: " if self.truncated else ""
        shown = f"lines {self.start_line}-{last}" if self.line_count else "no lines"
        return f"{word}{shown} of {self.total_lines}{note}; read on with start_line={self.next_start_line}"


def read_text(file: Opened, window: Window, job: Job, *, prefix: str = "") -> FileText:
    """Read a window of lines. `prefix` is put before the path in the result.

    Raises `InvalidArguments` for a binary file and for a window past the end, `CallTimeout` when the file is too big
    to be read in time.
    """
    digest = hashlib.sha256()
    collector = _Collector(window)
    size = 0
    decoder: _Decoder | None = None
    for chunk in _chunks(file.fd, job):
        if decoder is None:
            _refuse_binary(file, chunk[:SNIFF])
            decoder = _Decoder(chunk)
        digest.update(chunk)
        size += len(chunk)
        collector.feed(decoder.feed(chunk))
    encoding = decoder.encoding() if decoder else UTF8
    data, line_cut = collector.cut()
    total = collector.total_lines()
    if window.start_line > max(total, 1):
        raise InvalidArguments(
            f"start_line {window.start_line} is past the end of {file.rel!r}, which has {total} lines",
            hint=f"use a start_line from 1 to {max(total, 1)}",
        )
    count = data.count(b"\n") + (1 if data and not data.endswith(b"\n") else 0)
    following = window.start_line + count
    more = following <= total
    wanted_all = window.line_count is None or count < window.line_count
    return FileText(
        path=prefix + file.rel,
        text=data.decode("latin-1") if encoding is LATIN1 else data.decode("utf-8", "ignore" if line_cut else "strict"),
        encoding=encoding.label,
        sha256=digest.hexdigest(),
        size=size,
        total_lines=total,
        start_line=window.start_line,
        line_count=count,
        truncated=line_cut or (more and wanted_all),
        next_start_line=following if more else None,
        line_cut=line_cut,
    )


def with_numbers(text: str, start_line: int) -> str:
    """Put the line number and a tab before each line."""
    lines = text.split("\n")
    tail = lines.pop() if lines[-1] == "" else None
    numbered = [f"{number:>6}\t{line}" for number, line in enumerate(lines, start_line)]
    return "\n".join(numbered) + ("\n" if tail is not None and numbered else "")


def _chunks(fd: int, job: Job) -> Iterator[bytes]:
    while True:
        job.check_time()
        chunk = os.read(fd, _CHUNK)
        if not chunk:
            return
        yield chunk


def _refuse_binary(file: Opened, head: bytes) -> None:
    if is_binary(head):
        raise InvalidArguments(
            f"{file.rel!r} is not text: {binary_kind(head)}, {file.stat.st_size} bytes",
            hint="read_file reads text only; clients can attach the file as a resource",
        )


class _Decoder:
    """Turns the chunks of a file into UTF-8, or leaves them as they are and notes whether they were valid UTF-8."""

    def __init__(self, head: bytes) -> None:
        self._marked = marked(head)
        self._wide = self._marked is not None and self._marked.name != "utf-8"
        name = self._marked.name if self._marked else "utf-8"
        self._incremental = codecs.getincrementaldecoder(name)("replace" if self._wide else "strict")
        self._skip = len(self._marked.bom) if self._marked else 0
        self._pending = False
        self._valid = True

    def feed(self, chunk: bytes) -> bytes:
        """Return the next part as UTF-8 (or as the raw bytes of a file in UTF-8 or Latin-1), without the mark."""
        if self._skip:
            chunk, self._skip = chunk[self._skip :], 0
        if self._wide:
            return self._incremental.decode(chunk).encode("utf-8", "surrogatepass")
        if self._valid and (self._pending or not chunk.isascii()):
            self._validate(chunk)
        return chunk

    def _validate(self, chunk: bytes) -> None:
        try:
            self._incremental.decode(chunk)
        except UnicodeDecodeError:
            self._valid = False
            return
        self._pending = bool(self._incremental.getstate()[0])

    def encoding(self) -> Encoding:
        """Return the encoding that the file turned out to have."""
        if not self._valid or (self._pending and not self._wide):
            return LATIN1
        return self._marked or UTF8


class _Collector:
    """Counts lines and keeps those of a window, at most a little more than its limits."""

    def __init__(self, window: Window) -> None:
        wanted = window.max_lines if window.line_count is None else min(window.line_count, window.max_lines)
        self._lines = wanted
        self._max_bytes = window.max_bytes
        self._to_skip = window.start_line - 1
        self._kept = bytearray()
        self._kept_lines = 0
        self._newlines = 0
        self._ends_open = False

    def feed(self, data: bytes) -> None:
        """Take the next bytes."""
        if not data:
            return
        self._ends_open = not data.endswith(b"\n")
        newlines = data.count(b"\n")
        before = self._newlines
        self._newlines += newlines
        if self._newlines < self._to_skip or self._full():
            return
        start = _after_newlines(data, self._to_skip - before)
        self._kept += data[start:]
        self._kept_lines += newlines if start == 0 else data.count(b"\n", start)

    def _full(self) -> bool:
        return self._kept_lines >= self._lines or len(self._kept) > self._max_bytes

    def total_lines(self) -> int:
        """Return the number of lines in the file. A last line without a line break counts."""
        return self._newlines + (1 if self._ends_open else 0)

    def cut(self) -> tuple[bytes, bool]:
        """Return whole lines within the limits, and whether a single line was itself cut."""
        data = bytes(self._kept)
        data = data[: _after_newlines(data, self._lines)] if self._kept_lines >= self._lines else data
        if len(data) <= self._max_bytes:
            return data, False
        end = data.rfind(b"\n", 0, self._max_bytes) + 1
        if end:
            return data[:end], False
        return data[: self._max_bytes], True


def _after_newlines(data: bytes, count: int) -> int:
    """Return the index after the first `count` line breaks. There must be that many."""
    place = 0
    while count > (found := data.count(b"\n", place, place + _BLOCK)):
        count -= found
        place += _BLOCK
    for _ in range(count):
        place = data.find(b"\n", place) + 1
    return place
