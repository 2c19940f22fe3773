"""The encoding of a file, its byte order mark, and whether it is text at all."""

from __future__ import annotations

import codecs
import os
import re
from dataclasses import dataclass

SNIFF = 8192
DAMAGE_MARK = "\ufffd["
"""Begins what is shown for a byte that is not UTF-8 in a file that otherwise is: `\ufffd[E9]`."""
_DAMAGE = re.compile("\ufffd\\[([89A-F][0-9A-F])\\]")
_ESCAPED = re.compile("[\udc80-\udcff]")

# Longest first: the mark of UTF-32 little endian begins with that of UTF-16.
_MARKS = (
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_C1 = bytes(range(0x80, 0xA0))
_UNUSED_IN_1252 = b"\x81\x8d\x8f\x90\x9d"
_NOT_IN_TEXT = re.compile("[\\0-\x08\x0b\x0e-\x1f\x7f-\x9f\ufdd0-\ufdef\ufffe\uffff]")
_LARGE = 1 << 34
_MIN_UTF16 = 8
"""A shorter file without a byte order mark is not taken for UTF-16."""
MARK_BEGINS = frozenset(bom[:1] for bom, _ in _MARKS)
"""The bytes that a byte order mark can begin with."""
_MAGIC = (
    (b"\x89PNG", "PNG image"),
    (b"\xff\xd8\xff", "JPEG image"),
    (b"GIF8", "GIF image"),
    (b"%PDF", "PDF document"),
    (b"PK\x03\x04", "ZIP archive"),
    (b"\x1f\x8b", "gzip data"),
    (b"\x7fELF", "ELF program or library"),
    (b"MZ", "Windows program or library"),
    (b"\xca\xfe\xba\xbe", "Java class or Mach-O file"),
    (b"\xcf\xfa\xed\xfe", "Mach-O file"),
    (b"SQLite format 3\0", "SQLite database"),
    (b"RIFF", "RIFF media"),
    (b"OggS", "Ogg media"),
    (b"\0asm", "WebAssembly module"),
    (b"wOFF", "web font"),
    (b"wOF2", "web font"),
    (b"\x28\xb5\x2f\xfd", "Zstandard data"),
    (b"BZh", "bzip2 data"),
    (b"\xfd7zXZ\0", "xz data"),
    (b"7z\xbc\xaf", "7-Zip archive"),
)


@dataclass(frozen=True, kw_only=True)
class Encoding:
    """An encoding. `name` is a Python codec. `bom` is the mark at the start of the file, kept on writing.

    `damaged`: UTF-8 with some bytes that are not. Each is `\ufffd[E9]` or the like in the text, and is written back.
    """

    name: str
    bom: bytes = b""
    damaged: bool = False

    @property
    def label(self) -> str:
        """Return the name that results show: `utf-8`, `utf-8-bom`, `utf-16-le`, `latin-1 (guessed)` and so on."""
        if self.guessed:
            return f"{self.name} (guessed)"
        if self.damaged:
            return "utf-8 (with invalid bytes)"
        return "utf-8-bom" if self.name == "utf-8" and self.bom else self.name

    @property
    def guessed(self) -> bool:
        """Return whether the bytes do not tell the encoding: nearly any bytes are text in this one."""
        return self.name in ("latin-1", "windows-1252")

    @property
    def wide(self) -> bool:
        """Return whether a character takes two or four bytes."""
        return self.name.startswith(("utf-16", "utf-32"))

    def decode(self, data: bytes) -> str:
        """Return the text without the mark. Raises `UnicodeDecodeError` for bytes that are not this encoding."""
        data = data[len(self.bom) :]
        return shown_damage(data.decode("utf-8", "surrogateescape")) if self.damaged else data.decode(self.name)

    def encode(self, text: str) -> bytes:
        """Return mark and text. Raises `UnicodeEncodeError` for characters that the encoding lacks."""
        found = text.encode(self.name)
        if self.damaged and DAMAGE_MARK in text:
            found = _DAMAGE.sub(lambda byte: chr(0xDC00 + int(byte[1], 16)), text).encode("utf-8", "surrogateescape")
        return self.bom + found


UTF8 = Encoding(name="utf-8")
LATIN1 = Encoding(name="latin-1")


def evident(head: bytes) -> Encoding | None:
    """Return the encoding that the first bytes of a file show, or `None`: by a byte order mark, or as plain UTF-16."""
    for bom, name in _MARKS:
        if head.startswith(bom):
            return Encoding(name=name, bom=bom)
    return _unmarked_utf16(head[:SNIFF]) if b"\0" in head[:SNIFF] else None


def _unmarked_utf16(head: bytes) -> Encoding | None:
    """Return UTF-16 if that is certain: half of the characters are of Latin-1, and none is one that no text has."""
    if len(head) < _MIN_UTF16 or (len(head) % 2 and len(head) < SNIFF):
        return None
    evens, odds = head[::2].count(0), head[1::2].count(0)
    if (evens and odds) or 4 * max(evens, odds) < len(head):
        return None
    name = "utf-16-be" if evens else "utf-16-le"
    try:
        text = codecs.getincrementaldecoder(name)().decode(head)
    except UnicodeDecodeError:
        return None
    return None if _NOT_IN_TEXT.search(text) else Encoding(name=name)


def is_binary(head: bytes) -> bool:
    """Return whether a file is not text: its first bytes contain NUL, and are not evidently UTF-16 or UTF-32."""
    return b"\0" in head[:SNIFF] and evident(head) is None


def binary_kind(head: bytes) -> str:
    """Say in words what a binary file seems to be."""
    for magic, words in _MAGIC:
        if head.startswith(magic):
            return words
    return "binary data"


def is_sparse(fd: int, size: int) -> bool:
    """Return whether a huge file has a hole: that reads as NUL, so it is no text, and may take hours to read."""
    if size < _LARGE:
        return False
    try:
        place = os.lseek(fd, 0, os.SEEK_CUR)
        hole = os.lseek(fd, 0, os.SEEK_HOLE)
        os.lseek(fd, place, os.SEEK_SET)
    except (OSError, AttributeError):  # not on this system or file system
        return False
    return hole < size


def is_utf8(data: bytes) -> bool:
    """Return whether the bytes are UTF-8."""
    if data.isascii():
        return True
    try:
        data.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def shown_damage(text: str) -> str:
    """Return a text that was decoded with `surrogateescape`, with each byte that is not UTF-8 as `\ufffd[E9]`."""
    return _ESCAPED.sub(lambda byte: f"{DAMAGE_MARK}{ord(byte[0]) - 0xDC00:02X}]", text)


class Damage:
    """Counts what is UTF-8 beyond ASCII in some bytes, and what is not, to tell damaged UTF-8 from another encoding."""

    def __init__(self) -> None:
        self.bad = self._good = self._lines = 0
        self.first_line = 0
        """The line of the first byte that is not UTF-8."""
        self._decoder = codecs.getincrementaldecoder("utf-8")("surrogateescape")
        self._end = ""
        self._has_mark = False

    @property
    def pending(self) -> bool:
        """Return whether a character has begun and is not whole."""
        return bool(self._decoder.getstate()[0])

    def skip(self, data: bytes) -> None:
        """Pass over ASCII."""
        self._lines += data.count(b"\n")
        self._end = ""

    def feed(self, data: bytes, *, final: bool = False) -> None:
        """Take the next bytes."""
        text = self._decoder.decode(data, final)
        good = len(text.encode("utf-8", "ignore"))
        bad = (len(text.encode("utf-8", "surrogatepass")) - good) // 3
        if bad and not self.bad:
            found = _ESCAPED.search(text)
            self.first_line = self._lines + 1 + text.count("\n", 0, found.start() if found is not None else 0)
        self.bad += bad
        self._good += len(text) - bad - len(text.encode("ascii", "ignore"))
        self._lines += text.count("\n")
        self._has_mark = self._has_mark or DAMAGE_MARK in self._end + text
        self._end = text[-1:]

    def is_utf8(self) -> bool:
        """Return whether it is rather damaged UTF-8: more characters beyond ASCII are whole than bytes are not."""
        return self._good > self.bad and not self._has_mark


def uses_c1(data: bytes) -> tuple[bool, bool]:
    """Return whether the bytes hold some that only Windows-1252 has characters for, and some that not even it has."""
    controls = len(data) - len(data.translate(None, _C1))
    unused = len(data) - len(data.translate(None, _UNUSED_IN_1252)) if controls else 0
    return controls > unused, unused > 0


def guessed(*, windows: bool, unused: bool, bom: bytes = b"") -> Encoding:
    """Return the guess for bytes that are not UTF-8, from what `uses_c1` says of them."""
    return Encoding(name="windows-1252" if windows and not unused else "latin-1", bom=bom)


def detect(data: bytes) -> Encoding:
    """Return the encoding of a file: the evident one, else UTF-8, else damaged UTF-8, Windows-1252 or Latin-1."""
    found = evident(data)
    if found is None and is_utf8(data):
        return UTF8
    if found is not None:
        try:
            found.decode(data)
        except UnicodeDecodeError:
            if found.wide:
                return LATIN1
        else:
            return found
    damage = Damage()
    damage.feed(data[len(found.bom) if found else 0 :], final=True)
    if damage.is_utf8():
        return Encoding(name="utf-8", bom=found.bom if found else b"", damaged=True)
    windows, unused = uses_c1(data)
    return guessed(windows=windows, unused=unused, bom=found.bom if found else b"")
