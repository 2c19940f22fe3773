"""A text file as lines with their own line breaks, so that unchanged lines stay as they were."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import NamedTuple

from lg_fs.reading.encoding import UTF8, Encoding, detect
from lg_policy.errors import InvalidArguments

MAX_LINES = 1_000_000
"""Most lines of a file that a patch may change: each takes a hundred bytes of memory."""


class TextLine(NamedTuple):
    """A line and its line break: "\\n", "\\r\\n", "\\r" in a file with nothing else, or "" at the end of a file."""

    text: str
    eol: str


@dataclass(frozen=True, kw_only=True)
class Document:
    """The lines of a file and how they are encoded."""

    lines: tuple[TextLine, ...]
    encoding: Encoding = UTF8

    @property
    def eol(self) -> str:
        """Return the line break that most lines have."""
        breaks = Counter(line.eol for line in self.lines if line.eol)
        return breaks.most_common(1)[0][0] if breaks else "\n"

    @property
    def ends_with_newline(self) -> bool:
        """Return whether the last line has a line break; an empty file counts as having one."""
        return not self.lines or bool(self.lines[-1].eol)

    def text(self) -> str:
        """Return the text of all lines, each ended by "\\n"."""
        return "".join(f"{line.text}\n" for line in self.lines)

    def encode(self) -> bytes:
        """Return the file's bytes. Raises `InvalidArguments` for characters that its encoding lacks."""
        text = "".join(line.text + line.eol for line in self.lines)
        try:
            return self.encoding.encode(text)
        except UnicodeEncodeError as error:
            raise InvalidArguments(
                f"the new text has {text[error.start]!a}, which {self.encoding.label} cannot hold",
                hint="the file's encoding is kept; use characters that it has",
            ) from error


def split_lines(text: str) -> tuple[TextLine, ...]:
    """Split at "\\n" and "\\r\\n", or at "\\r" if the text has no "\\n" at all, as `read_file` does.

    Other line separators of Unicode are ordinary characters.
    """
    if "\n" not in text and "\r" in text:
        *whole, last = text.split("\r")
        return (*(TextLine(line, "\r") for line in whole), *((TextLine(last, ""),) if last else ()))
    parts = text.split("\n")
    last = parts.pop()
    lines = [TextLine(part[:-1], "\r\n") if part.endswith("\r") else TextLine(part, "\n") for part in parts]
    if last:
        lines.append(TextLine(last, ""))
    return tuple(lines)


def load(data: bytes, encoding: Encoding | None = None) -> Document:
    """Read the bytes of a text file, in this encoding if they are valid in it."""
    if encoding is not None:
        try:
            return Document(lines=split_lines(encoding.decode(data)), encoding=encoding)
        except UnicodeDecodeError:
            pass
    encoding = detect(data)
    return Document(lines=split_lines(encoding.decode(data)), encoding=encoding)


def replaced(old: Document, content: str) -> Document:
    """Return the file with new text. Encoding and byte order mark stay, and line breaks if the text has no CRLF."""
    lines = split_lines(content.removeprefix("\ufeff") if old.encoding.bom else content)
    if old.lines and "\r\n" not in content:
        eol = old.eol  # counted once, not for each line
        lines = tuple(TextLine(line.text, eol if line.eol else "") for line in lines)
    return Document(lines=lines, encoding=old.encoding)
