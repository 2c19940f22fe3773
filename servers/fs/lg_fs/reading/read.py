"""Read a window of lines from text files of any size, in constant memory, with encoding, hash and line count."""

from __future__ import annotations

import codecs
import hashlib
import os
from collections.abc import Iterator
from dataclasses import dataclass

from lg_fs.reading.encoding import (
    DAMAGE_MARK,
    SNIFF,
    UTF8,
    Damage,
    Encoding,
    binary_kind,
    evident,
    guessed,
    is_binary,
    is_sparse,
    shown_damage,
    uses_c1,
)
from lg_policy.errors import InvalidArguments
from lg_policy.jobs import Job
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
    """A window of a file's lines. `truncated`: less than what was asked for. `next_start_line`: `None` at the end.

    `newline` ends its lines: a carriage return in a file that has no line feed at all. `bad_bytes` are not UTF-8 in a
    file that otherwise is, the first of them in line `bad_line`.
    """

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
    newline: str = "\n"
    bad_bytes: int = 0
    bad_line: int = 0

    def trailer(self) -> str:
        """Return what a reader must know about the rest, in brackets, or "" if the text is complete."""
        notes = [self._rest()]
        if self.encoding.endswith("(guessed)"):
            name = "Latin-1" if self.encoding.startswith("latin-1") else "Windows-1252"
            notes.append(f"encoding guessed: not UTF-8, shown as {name}")
        if self.bad_bytes:
            many = f"{self.bad_bytes} bytes are" if self.bad_bytes > 1 else "1 byte is"
            place = (
                f", {'the first ' if self.bad_bytes > 1 else ''}in line {self.bad_line}" if self.newline == "\n" else ""
            )
            notes.append(f"{many} not UTF-8{place}; each is shown as {DAMAGE_MARK}hex], which patches keep as it is")
        if self.newline == "\r":
            notes.append("lines end with a carriage return alone")
        said = "; ".join(filter(None, notes))
        return f"[{said}]" if said else ""

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
    scan = _scanned(file, window, job)
    encoding = scan.encoding()
    data, line_cut = scan.collector.cut()
    total = scan.collector.total_lines()
    if window.start_line > max(total, 1):
        raise InvalidArguments(
            f"start_line {window.start_line} is past the end of {file.rel!r}, which has {total} lines",
            hint=f"use a start_line from 1 to {max(total, 1)}",
        )
    newline = scan.collector.newline
    count = data.count(newline) + (1 if data and not data.endswith(newline) else 0)
    following = window.start_line + count
    more = following <= total
    wanted_all = window.line_count is None or count < window.line_count
    return FileText(
        path=prefix + file.rel,
        text=_text(data, encoding, line_cut=line_cut),
        encoding=encoding.label,
        sha256=scan.digest.hexdigest(),
        size=scan.size,
        total_lines=total,
        start_line=window.start_line,
        line_count=count,
        truncated=line_cut or (more and wanted_all),
        next_start_line=following if more else None,
        line_cut=line_cut,
        newline=newline.decode(),
        bad_bytes=scan.damage.bad if encoding.damaged else 0,
        bad_line=scan.damage.first_line,
    )


def _text(data: bytes, encoding: Encoding, *, line_cut: bool) -> str:
    """Decode what is left of the window; where a line was cut, a last character that is not whole goes."""
    if encoding.guessed:
        return data.decode(encoding.name)
    if encoding.damaged:
        return shown_damage(codecs.getincrementaldecoder("utf-8")("surrogateescape").decode(data, not line_cut))
    return data.decode("utf-8", "ignore" if line_cut else "strict")


def _scanned(file: Opened, window: Window, job: Job) -> _Scan:
    """Read a file to its end. Its lines end with line feeds, or with carriage returns if it has no line feed."""
    newline: bytes | None = None
    for _ in range(2):
        scan: _Scan | None = None
        for chunk in _chunks(file.fd, job):
            if scan is None:
                _refuse_binary(file, chunk[:SNIFF])
                _refuse_sparse(file)
                scan = _Scan(chunk, window, newline)
            scan.feed(chunk)
            if scan.is_wrong():
                break
        if scan is not None:
            scan.end()
        if scan is None or scan.newline() == scan.collector.newline:
            break
        newline = scan.newline()
        os.lseek(file.fd, 0, os.SEEK_SET)
    return scan or _Scan(b"", window, None)


class _Scan:
    """One pass over a file: its hash, size and encoding, and the lines of the window.

    Without `newline`, the first bytes tell how lines end; `newline()` and `is_wrong()` say whether that held.
    """

    def __init__(self, head: bytes, window: Window, newline: bytes | None) -> None:
        self.digest = hashlib.sha256()
        self.size = 0
        self._decoder = _Decoder(head)
        self._has_lf = self._has_cr = False
        if newline is None:
            newline = b"\r" if b"\r" in head and b"\n" not in head else b"\n"
        self.collector = _Collector(window, newline)

    def feed(self, chunk: bytes) -> None:
        """Take the next bytes."""
        self.digest.update(chunk)
        self.size += len(chunk)
        text = self._decoder.feed(chunk)
        self._has_lf = self._has_lf or b"\n" in text
        self._has_cr = self._has_cr or (not self._has_lf and b"\r" in text)
        self.collector.feed(text)

    def end(self) -> None:
        """Take what was left of a character that is not whole."""
        self.collector.feed(self._decoder.rest())

    def newline(self) -> bytes:
        """Return what ends the lines of what was read so far."""
        return b"\r" if self._has_cr and not self._has_lf else b"\n"

    def is_wrong(self) -> bool:
        """Return whether the lines are counted in a way that more bytes cannot make right."""
        return self._has_lf and self.collector.newline == b"\r"

    def encoding(self) -> Encoding:
        """Return the encoding that the file turned out to have."""
        return self._decoder.encoding()

    @property
    def damage(self) -> Damage:
        """Return what is not UTF-8."""
        return self._decoder.damage


def with_numbers(text: str, start_line: int, newline: str = "\n") -> str:
    """Put the line number and a tab before each line."""
    lines = text.split(newline)
    tail = lines.pop() if lines[-1] == "" else None
    numbered = [f"{number:>6}\t{line}" for number, line in enumerate(lines, start_line)]
    return newline.join(numbered) + (newline if tail is not None and numbered else "")


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


def _refuse_sparse(file: Opened) -> None:
    if is_sparse(file.fd, file.stat.st_size):
        raise InvalidArguments(
            f"{file.rel!r} is not text: a sparse file, {file.stat.st_size} bytes", hint="read_file reads text only"
        )


class _Decoder:
    """Turns the chunks of a file into UTF-8, or leaves them as they are and counts what is not valid UTF-8."""

    def __init__(self, head: bytes) -> None:
        self._evident = evident(head)
        self._wide = self._evident is not None and self._evident.wide
        name = self._evident.name if self._evident else "utf-8"
        self._incremental = codecs.getincrementaldecoder(name)("replace")
        self._skip = len(self._evident.bom) if self._evident else 0
        self.damage = Damage()
        self._windows = self._unused = False

    def feed(self, chunk: bytes) -> bytes:
        """Return the next part as UTF-8 (or as the raw bytes of a file in another encoding), without the mark."""
        if self._skip:
            chunk, self._skip = chunk[self._skip :], 0
        if self._wide:
            return self._incremental.decode(chunk).encode("utf-8", "surrogatepass")
        if chunk.isascii() and not self.damage.pending:
            self.damage.skip(chunk)
        else:
            windows, unused = uses_c1(chunk)
            self._windows, self._unused = self._windows or windows, self._unused or unused
            self.damage.feed(chunk)
        return chunk

    def rest(self) -> bytes:
        """Return the sign for a last wide character that is not whole, if there is one."""
        if self._wide:
            return self._incremental.decode(b"", True).encode("utf-8")
        self.damage.feed(b"", final=True)
        return b""

    def encoding(self) -> Encoding:
        """Return the encoding that the file turned out to have."""
        if self._wide or not self.damage.bad:
            return self._evident or UTF8
        bom = self._evident.bom if self._evident else b""
        if self.damage.is_utf8():
            return Encoding(name="utf-8", bom=bom, damaged=True)
        return guessed(windows=self._windows, unused=self._unused, bom=bom)


class _Collector:
    """Counts lines and keeps those of a window, at most a little more than its limits."""

    def __init__(self, window: Window, newline: bytes) -> None:
        self.newline = newline
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
        self._ends_open = not data.endswith(self.newline)
        newlines = data.count(self.newline)
        before = self._newlines
        self._newlines += newlines
        if self._newlines < self._to_skip or self._full():
            return
        start = _after_newlines(data, self._to_skip - before, self.newline)
        self._kept += data[start:]
        self._kept_lines += newlines if start == 0 else data.count(self.newline, start)

    def _full(self) -> bool:
        return self._kept_lines >= self._lines or len(self._kept) > self._max_bytes

    def total_lines(self) -> int:
        """Return the number of lines in the file. A last line without a line break counts."""
        return self._newlines + (1 if self._ends_open else 0)

    def cut(self) -> tuple[bytes, bool]:
        """Return whole lines within the limits, and whether a single line was itself cut."""
        data = bytes(self._kept)
        data = data[: _after_newlines(data, self._lines, self.newline)] if self._kept_lines >= self._lines else data
        if len(data) <= self._max_bytes:
            return data, False
        end = data.rfind(self.newline, 0, self._max_bytes) + 1
        if end:
            return data[:end], False
        return data[: self._max_bytes], True


def _after_newlines(data: bytes, count: int, newline: bytes) -> int:
    """Return the index after the first `count` line breaks. There must be that many."""
    place = 0
    while count > (found := data.count(newline, place, place + _BLOCK)):
        count -= found
        place += _BLOCK
    for _ in range(count):
        place = data.find(newline, place) + 1
    return place
