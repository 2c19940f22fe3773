"""Reads a file for the index: which of its bytes, and by which reader."""

from __future__ import annotations

import hashlib
import os
import posixpath
import time
from dataclasses import dataclass

from lg_code.parsing.languages import BY_NAME, TEXT, language_of
from lg_code.parsing.pool import Request
from lg_policy.config.settings import CodeSettings
from lg_policy.jobs import Job

_CHUNK = 1 << 20
_SNIFF = 8_192
_RECENT_NS = 50_000_000
_UTF16 = {b"\xff\xfe": "utf-16-le", b"\xfe\xff": "utf-16-be"}
_DATA_WORDS = """
json jsonl ndjson geojson csv tsv svg xml lock map po pot sql log txt yaml yml toml ipynb sum snap html htm
css plist xlf xliff dat out patch diff
"""
_DATA = frozenset(_DATA_WORDS.split())
_NOT_CODE_WORDS = """
png jpg jpeg gif ico webp bmp tiff pdf zip gz bz2 xz zst tar tgz whl jar war class pyc pyo so dll dylib exe o
a obj woff woff2 ttf otf eot mp3 mp4 ogg wav webm avi mov db sqlite sqlite3 parquet npy npz pkl bin wasm rlib
lib
"""
_NOT_CODE = frozenset(_NOT_CODE_WORDS.split())
MINIFIED = 2_000
"""Bytes a line on average, from which a text was made by a program and is not worth a parser's time."""


@dataclass(frozen=True, kw_only=True)
class Source:
    """A file's text, its hash, and what it is known by to be unchanged."""

    path: str
    text: bytes
    digest: bytes
    stamp: str
    size: int
    request: Request | None
    """What to ask a parser; `None` for a file that holds no text to read."""
    problem: str


def stamp_of(status: os.stat_result) -> str:
    """Return what tells whether a file may have changed, without reading it.

    "" for one that was changed so recently that another change would leave the same times.
    """
    latest = max(status.st_mtime_ns, status.st_ctime_ns)
    return "" if abs(time.time_ns() - latest) < _RECENT_NS else exact_stamp(status)


def exact_stamp(status: os.stat_result) -> str:
    """Return the stamp of a file, however new it is: one that was kept is compared with this."""
    return f"{status.st_size} {status.st_mtime_ns} {status.st_ctime_ns} {status.st_ino} {status.st_dev}"


def source_of(path: str, fd: int, settings: CodeSettings, job: Job) -> Source:
    """Read an open regular file. Raises `OSError`."""
    status = os.fstat(fd)
    stamp = stamp_of(status)
    suffix = posixpath.splitext(path)[1].removeprefix(".").lower()
    problem = ""
    if suffix in _NOT_CODE:
        problem = "not text"
    elif status.st_size > settings.file_max_bytes:
        problem = f"larger than file_max_bytes ({settings.file_max_bytes})"
    elif suffix in _DATA and status.st_size > settings.data_max_bytes:
        problem = f"data, larger than data_max_bytes ({settings.data_max_bytes})"
    if problem:
        return _unread(path, status, stamp, problem)
    text = _read(fd, settings.file_max_bytes, job)
    digest = hashlib.blake2b(text, digest_size=16).digest()
    if text[:2] in _UTF16:
        text = text.decode(_UTF16[text[:2]], "replace").removeprefix("\ufeff").encode("utf-8", "replace")
    elif b"\0" in text[:_SNIFF]:
        return Source(
            path=path, text=text, digest=digest, stamp=stamp, size=len(text), request=None, problem="not text"
        )
    text = text.removeprefix(b"\xef\xbb\xbf")
    return Source(
        path=path,
        text=text,
        digest=digest,
        stamp=stamp,
        size=len(text),
        request=_request(path, text, settings),
        problem="",
    )


def _unread(path: str, status: os.stat_result, stamp: str, problem: str) -> Source:
    digest = hashlib.blake2b(f"{status.st_size} {status.st_mtime_ns}".encode(), digest_size=16).digest()
    return Source(path=path, text=b"", digest=digest, stamp=stamp, size=status.st_size, request=None, problem=problem)


def _request(path: str, text: bytes, settings: CodeSettings) -> Request:
    language = language_of(path, text)
    problem = ""
    if len(text) > settings.parse_max_bytes:
        problem = f"larger than parse_max_bytes ({settings.parse_max_bytes})"
    elif language != TEXT and len(text) > 50_000 and len(text) / (text.count(b"\n") + 1) > MINIFIED:
        problem = "its lines are too long to be written by hand"
    if problem and language in BY_NAME:
        return Request(path=path, text=text, language=language, reader="lines", problem=problem)
    reader = "grammar" if language in BY_NAME and not problem else "lines"
    return Request(path=path, text=text, language=language, reader=reader)


def _read(fd: int, limit: int, job: Job) -> bytes:
    parts: list[bytes] = []
    size = 0
    while size <= limit:
        job.check()
        part = os.read(fd, _CHUNK)
        if not part:
            break
        parts.append(part)
        size += len(part)
    return b"".join(parts)[:limit]
