"""Colours lines of code: comments, strings, numbers and words of the language.

What is coloured was written by models and repositories, so the patterns are plain and lines have a limit. A string or
comment that goes on over line ends is followed within one piece of a file.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath

LINE = 500
"""Characters of a line that is coloured; longer ones are not."""
_C_WORDS = (
    "abstract as async await bool break case catch char class const continue default do double else enum extends extern"
    " false final finally float for func function goto if implements import in int interface let long match mod mut new"
    " nil null override package private protected pub public return self short static struct super switch this throw"
    " throws true try type typedef typeof union unsafe use using var virtual void volatile where while yield fn impl"
    " trait val when fun object guard export from instanceof delete chan defer go map range select string"
)
_PYTHON_WORDS = (
    "False None True and as assert async await break case class continue def del elif else except finally for from"
    " global if import in is lambda match nonlocal not or pass raise return self try while with yield"
)
_SHELL_WORDS = "case do done elif else esac exit export fi for function if in local return set shift then until while"
_RUBY_WORDS = (
    "alias and begin break case class def do else elsif end ensure false for if in module next nil not or redo rescue"
    " retry return self super then true undef unless until when while yield"
)
_SQL_WORDS = (
    "add all alter and as asc begin between by case check commit constraint create default delete desc distinct drop"
    " else end exists foreign from group having if in index inner insert into is join key left like limit not null on"
    " or order outer primary references rollback select set table then union unique update values view when where with"
)


@dataclass(frozen=True, kw_only=True)
class Language:
    """How one family of languages is written."""

    words: frozenset[str]
    line_comment: str = "#"
    long: tuple[tuple[str, str, str], ...] = ()
    """What goes on over line ends: begin, end and kind."""
    quotes: str = "\"'"
    any_case: bool = False

    def pattern(self) -> re.Pattern[str]:
        """Return what finds the next thing that has a colour."""
        parts = [f"(?P<long>{'|'.join(re.escape(begin) for begin, _, _ in self.long)})"] if self.long else []
        parts.append(rf"(?P<comment>{re.escape(self.line_comment)}.*)")
        parts += [rf"(?P<s{number}>{mark}(?:[^{mark}\\]|\\.)*{mark})" for number, mark in enumerate(self.quotes)]
        parts += [r"(?P<number>\b[0-9][0-9a-zA-Z_.]*)", r"(?P<word>[A-Za-z_$][A-Za-z0-9_$]*)"]
        return re.compile("|".join(parts))


_C_LONG = (("/*", "*/", "comment"),)
_C = Language(words=frozenset(_C_WORDS.split()), line_comment="//", long=_C_LONG, quotes="\"'`")
_PYTHON = Language(
    words=frozenset(_PYTHON_WORDS.split()), long=(('"""', '"""', "string"), ("'''", "'''", "string"))
)  # fmt: skip
_SHELL = Language(words=frozenset(_SHELL_WORDS.split()))
_DATA = Language(words=frozenset(("true", "false", "null", "yes", "no")))
_SQL = Language(words=frozenset(_SQL_WORDS.split()), line_comment="--", long=_C_LONG, quotes="'", any_case=True)
_RUBY = Language(words=frozenset(_RUBY_WORDS.split()))
_ENDINGS = {
    ".py": _PYTHON, ".pyi": _PYTHON, ".rb": _RUBY, ".sh": _SHELL, ".bash": _SHELL, ".zsh": _SHELL, ".sql": _SQL,
    **dict.fromkeys((".toml", ".yaml", ".yml", ".json", ".cfg", ".ini"), _DATA),
    **dict.fromkeys(
        (
            ".js", ".jsx", ".mjs", ".cjs", ".ts", ".tsx", ".go", ".rs", ".java", ".kt", ".c", ".h", ".cc", ".cpp",
            ".hpp", ".cs", ".swift", ".scala", ".php", ".dart", ".proto",
        ),
        _C,
    ),
}  # fmt: skip
_PATTERNS: dict[Language, re.Pattern[str]] = {}

Piece = tuple[str, str]
"""A kind of text, "" for no colour, and the text."""


def language_of(path: str) -> Language | None:
    """Return the language of a file, by its ending."""
    return _ENDINGS.get(PurePosixPath(path.strip().strip('"')).suffix.lower())


class Colouring:
    """Colours the lines of one side of a file one after another."""

    def __init__(self, language: Language) -> None:
        self._language = language
        self._pattern = _PATTERNS.setdefault(language, language.pattern())
        self.open: tuple[str, str] | None = None
        """The end and kind of what goes on from the line before."""

    def pieces(self, line: str) -> Iterator[Piece]:
        """Yield the pieces of a line, in order."""
        if len(line) > LINE:
            yield "", line
            return
        at = 0
        if self.open is not None:
            kind = self.open[1]
            at = self._until(line, 0, self.open[0])
            yield kind, line[:at]
        while at < len(line):
            found = self._pattern.search(line, at)
            if found is None:
                break
            kind = self._kind(found)
            if not kind:
                yield "", line[at : found.end()]
                at = found.end()
                continue
            if found.start() > at:
                yield "", line[at : found.start()]
            at = found.end()
            if found.lastgroup == "long":
                self.open = next((end, kind) for begin, end, kind in self._language.long if begin == found.group())
                at = self._until(line, at, self.open[0])
            yield kind, line[found.start() : at]
        if at < len(line):
            yield "", line[at:]

    def _until(self, line: str, start: int, end: str) -> int:
        """Return where what is open ends in this line; what ends is no longer open."""
        at = line.find(end, start)
        if at < 0:
            return len(line)
        self.open = None
        return at + len(end)

    def _kind(self, found: re.Match[str]) -> str:
        group = str(found.lastgroup)
        if group == "long":
            return next(kind for begin, _, kind in self._language.long if begin == found.group())
        if group == "word":
            word = found.group().lower() if self._language.any_case else found.group()
            return "word" if word in self._language.words else ""
        return "string" if group.startswith("s") else group
