"""Title and first paragraph of a README in Markdown, reStructuredText or plain text, as plain words."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lg_orch.analyst.sources.facts import FoundValue
from lg_orch.analyst.sources.languages import extension

if TYPE_CHECKING:
    from lg_orch.analyst.sources.evidence import FileText

_MAX_LINE = 2_000  # characters; the patterns below may take quadratic time in a line
_MAX_PARAGRAPH = 3_000
_MAX_LINES = 300  # a README that has said nothing by then has no introduction
_UNDERLINE = re.compile(r"^([=\-~^\"'`#*+])\1{2,}\s*$")
_HASHES = re.compile(r"^ {0,3}#{1,6}[ \t]+(.*?)[ \t]*#*[ \t]*$")
_TAGGED = re.compile(r"(?i)^\s*<h[1-3][^>]*>(.+?)</h[1-3]>")
_FENCE = re.compile(r"^\s*(```|~~~)")
_IMAGE = re.compile(r"!\[[^\]]*\](?:\([^)]*\)|\[[^\]]*\])")
_LINK = re.compile(r"\[([^\[\]]*)\](?:\([^()]*(?:\([^()]*\)[^()]*)*\)|\[[^\]]*\])")
_SHORT_LINK = re.compile(r"\[([^\[\]]+)\](?!\()")
_TAG = re.compile(r"<!--.*?-->|</?[A-Za-z][^<>]*>")
_RST_LINK = re.compile(r"`([^`<]+?)\s*(?:<[^>]*>)?`_{1,2}")
_RST_ROLE = re.compile(r":[\w-]+:`~?([^`<]+?)(?:\s*<[^>]*>)?`")
_EMPHASIS = re.compile(r"(\*\*|__|(?<!\w)[*_])(?=\S)(.+?)(?<=\S)\1(?!\w)")
_CODE = re.compile(r"`+([^`]+)`+")


@dataclass(frozen=True, kw_only=True)
class Readme:
    """What a README says first; either may be missing."""

    title: FoundValue | None
    paragraph: FoundValue | None


def read_readme(file: FileText) -> Readme:
    """Return the first heading and the first paragraph of words.

    Badges, images, tags, quotes and code are skipped.
    """
    rst = extension(file.path) == ".rst"
    lines = [line[:_MAX_LINE] for line in file.lines()[:_MAX_LINES]]
    # Blocks of HTML hold logos, badges and thanks; the introduction is among them only if it is nowhere else.
    readme = _read(_without_html(lines), file, rst=rst)
    return readme if readme.paragraph is not None else _read(lines, file, rst=rst)


def _without_html(lines: list[str]) -> list[str]:
    """The lines with blocks of HTML emptied, headings apart: a block begins with a tag and ends at an empty line."""
    kept: list[str] = []
    inside = False
    for line in lines:
        inside = bool(line.strip()) and (inside or re.match(r"^\s{0,3}</?[A-Za-z]", line) is not None)
        kept.append("" if inside and not _TAGGED.match(line) else line)
    return kept


def _read(lines: list[str], file: FileText, *, rst: bool) -> Readme:
    title = paragraph = None
    words: list[str] = []
    start = 0
    hidden = ""  # the end of a block that is passed by
    for number, line in enumerate(lines, start=1):
        if hidden:
            hidden = "" if hidden in line else hidden
            continue
        hidden = _opens(line)
        if hidden:
            continue
        heading = _heading(lines, number, rst=rst)
        text = "" if heading is not None else _words(line, rst=rst)
        if heading is not None and title is None and not words:
            title = FoundValue(text=heading, file=file.path, line=number)
        elif text and not _decoration(line, rst=rst):
            start = start or number
            words.append(line.strip().removeprefix(">").strip())
            continue
        if words and (not line.strip() or heading is not None):
            paragraph = _paragraph(words, file.path, start, rst=rst)
            if paragraph is not None:
                break
            words, start = [], 0
    if paragraph is None and words:
        paragraph = _paragraph(words, file.path, start, rst=rst)
    return Readme(title=title, paragraph=paragraph)


def _opens(line: str) -> str:
    """What ends the fence or comment that this line opens and does not close; empty when it opens none."""
    fence = _FENCE.match(line)
    if fence:
        return fence[1]
    if "<!--" in line and "-->" not in line.partition("<!--")[2]:
        return "-->"
    return ""


def _heading(lines: list[str], number: int, *, rst: bool) -> str | None:
    line = lines[number - 1]
    if not rst:
        found = _HASHES.match(line) or _TAGGED.match(line)
        if found:
            return _words(found[1], rst=False) or None
    following = lines[number] if number < len(lines) else ""
    if line.strip() and _UNDERLINE.match(following) and (rst or following[0] in "=-") and not _UNDERLINE.match(line):
        return _words(line, rst=rst) or None
    return None


def _decoration(line: str, *, rst: bool) -> bool:
    """Whether the line is a rule, a table, a note, a list item, a directive: anything but prose."""
    stripped = line.strip()
    if _UNDERLINE.match(stripped) or stripped.startswith(("|", "> [!", "---", "***")):
        return True
    if re.match(r"^\[[^\]]+\]:\s", stripped) or re.match(r"^(?:[-*+]|\d+[.)])\s", stripped):
        return True
    return rst and (stripped.startswith((".. ", ":", "|", "__")) or line.startswith((" ", "\t")))


def _words(line: str, *, rst: bool) -> str:
    text = _TAG.sub(lambda tag: " " if tag[0].lower().startswith("<br") else "", line)
    if rst:
        text = _RST_ROLE.sub(r"\1", _RST_LINK.sub(r"\1", text))
    else:
        text = _IMAGE.sub("", text)
        text = _LINK.sub(r"\1", _LINK.sub(r"\1", text))  # twice: a badge is a link around a link
        text = _SHORT_LINK.sub(r"\1", text)
    text = _CODE.sub(r"\1", text)
    text = _EMPHASIS.sub(r"\2", text)
    for entity, char in (("&nbsp;", " "), ("&amp;", "&"), ("&lt;", "<"), ("&gt;", ">"), ("&mdash;", "-")):
        text = text.replace(entity, char)
    return text.strip().rstrip("\\").strip()


def _paragraph(raw: list[str], file: str, line: int, *, rst: bool) -> FoundValue | None:
    """The lines as plain words, read together because a link may be broken over two of them."""
    joined = " ".join(raw)[:_MAX_PARAGRAPH]
    text = _words(joined, rst=rst)
    if not re.search(r"[^\W\d_]{2}", _LINK.sub("", _IMAGE.sub("", joined))):
        return None  # a menu: nothing but links
    return FoundValue(text=text, file=file, line=line) if _speaks(text) else None


def _speaks(text: str) -> bool:
    """A paragraph, not leftovers of badges or a menu of links: at least four words, most of them letters."""
    letters = sum(char.isalpha() for char in text)
    return letters * 2 > len(text) and (len(text.split()) >= 4 or (letters >= 12 and not text.isascii()))
