"""The encoding of a file, its byte order mark, and whether it is text at all."""

from __future__ import annotations

import codecs
from dataclasses import dataclass

SNIFF = 8192

# Longest first: the mark of UTF-32 little endian begins with that of UTF-16.
_MARKS = (
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
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
    """An encoding. `name` is a Python codec. `bom` is the mark at the start of the file, kept on writing."""

    name: str
    bom: bytes = b""

    @property
    def label(self) -> str:
        """Return the name that results show: `utf-8`, `utf-8-bom`, `utf-16-le`, `latin-1 (guessed)` and so on."""
        if self.name == "latin-1":
            return "latin-1 (guessed)"
        return "utf-8-bom" if self.name == "utf-8" and self.bom else self.name

    def decode(self, data: bytes) -> str:
        """Return the text without the mark. Raises `UnicodeDecodeError` for bytes that are not this encoding."""
        return data[len(self.bom) :].decode(self.name)

    def encode(self, text: str) -> bytes:
        """Return mark and text. Raises `UnicodeEncodeError` for characters that the encoding lacks."""
        return self.bom + text.encode(self.name)


UTF8 = Encoding(name="utf-8")
LATIN1 = Encoding(name="latin-1")


def marked(head: bytes) -> Encoding | None:
    """Return the encoding that a byte order mark announces, or `None` without one."""
    for bom, name in _MARKS:
        if head.startswith(bom):
            return Encoding(name=name, bom=bom)
    return None


def is_binary(head: bytes) -> bool:
    """Return whether a file is not text: its first bytes contain NUL, and no byte order mark explains that."""
    return b"\0" in head[:SNIFF] and marked(head) is None


def binary_kind(head: bytes) -> str:
    """Say in words what a binary file seems to be."""
    for magic, words in _MAGIC:
        if head.startswith(magic):
            return words
    return "binary data"


def detect(data: bytes) -> Encoding:
    """Return the encoding of a file: that of its mark, else UTF-8, else Latin-1, which fits any bytes."""
    found = marked(data)
    if found is not None:
        try:
            found.decode(data)
        except UnicodeDecodeError:
            return LATIN1
        return found
    if data.isascii():
        return UTF8
    try:
        data.decode("utf-8")
    except UnicodeDecodeError:
        return LATIN1
    return UTF8
