"""Gitignore-style patterns over paths relative to a root, case-folded, matched in linear time.

The syntax is gitignore(5)'s, with one difference that makes deny lists safe by default: only a leading slash anchors,
so `.git/config` matches at any depth. A trailing slash means "directories only", and what lies below a matched
directory matches too. Negation (`!`) is refused: deny and allow lists already say which one wins.

Names are bytes. A name may hold a line end, and bytes that are not UTF-8 (as Python writes them, in surrogates): `*`,
`?` and `**` match those like any other character, and a pattern may name them.

Not covered: Unicode look-alikes that case folding and NFC do not unify are different names to the file system too.
"""

from __future__ import annotations

import bisect
import itertools
import re
import unicodedata
from collections.abc import Iterable, Sequence
from typing import Any

from lg_policy.errors import ConfigError

_NEGATED = re.compile(r"(?<!\\)\[\^(?!/)")
_ODD = re.compile("[\n\ud800-\udfff]")
# RE2 reads UTF-8. Surrogates become characters of the last private plane; a line end becomes the one character that no
# name can hold, since line ends part the names that are matched together.
_STAND_INS = {ord("\n"): "\0"} | {code: chr(0x10F000 + code - 0xD800) for code in range(0xD800, 0xE000)}


def fold(path: str) -> str:
    """Return the form in which names are compared: NFC and case-folded, since many file systems ignore both."""
    if path.isascii():
        return path.lower()
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", path).casefold())


def as_line(path: str) -> str:
    """Return a path as one line of UTF-8 on which RE2 expressions see every character of it."""
    return path if _ODD.search(path) is None else path.translate(_STAND_INS)


def as_lines(paths: Sequence[str]) -> str:
    """Return many paths as lines, for `matching_lines`."""
    joined = "\n".join(paths)
    if joined.isascii() and joined.count("\n") == len(paths) - 1:
        return joined
    return "\n".join(map(as_line, paths))


def compile_lines(regexes: Sequence[str]) -> Any:
    """Compile RE2 expressions over one path into their union over many paths, one a line; `None` if RE2 refuses."""
    import re2

    options = re2.Options()
    options.log_errors = False
    options.never_capture = True
    options.never_nl = True  # an expression never reaches from one path into the next
    try:
        return re2.compile(("(?m)" + "|".join(regexes)).encode(), options)
    except re2.error:
        return None


def matching_lines(regex: Any, lines: str) -> set[int]:
    """Return the numbers (from 0) of the lines that a `compile_lines` expression matches, in one pass over all.

    `lines` come from `as_lines`.
    """
    text = lines.encode("utf-8", "replace")
    found = [match.start() for match in regex.finditer(text)]
    if not found:
        return set()
    starts = list(itertools.accumulate((len(line) + 1 for line in text.split(b"\n")), initial=0))
    return {bisect.bisect_right(starts, place) - 1 for place in found}


def _regexes(patterns: Sequence[str]) -> list[str]:
    """Translate patterns into regular expressions over a folded path."""
    from pathspec.patterns.gitignore.spec import GitIgnoreSpecPattern

    parts: list[str] = []
    for pattern in patterns:
        if not pattern.strip() or pattern.startswith("#"):
            raise ConfigError(f"pattern {pattern!r} matches nothing", hint="empty lines and comments are not patterns")
        if pattern.startswith("!"):
            raise ConfigError(f"pattern {pattern!r} is a negation", hint="use the allow list for exceptions; deny wins")
        if "\0" in pattern:
            raise ConfigError(f"pattern {pattern!r} contains a null character", hint="no file name can contain one")
        anchored = pattern if pattern.startswith(("/", "**/")) else f"**/{pattern}"
        try:
            regex, include = GitIgnoreSpecPattern.pattern_to_regex(as_line(fold(anchored)))
        except ValueError as error:
            raise ConfigError(f"pattern {pattern!r} is not a valid glob: {error}") from error
        if regex is None or not include:
            raise ConfigError(f"pattern {pattern!r} matches nothing")
        # A class that excludes characters matches no slash either.
        parts.append(f"(?:{_NEGATED.sub('[^/', str(regex))})")
    return parts


def _compile(patterns: Sequence[str]) -> Any:
    """Compile all patterns into one RE2 expression; `None` when there are none."""
    import re2

    parts = _regexes(patterns)
    if not parts:
        return None
    options = re2.Options()
    options.log_errors = False
    options.never_capture = True
    try:
        return re2.compile("|".join(parts), options)
    except re2.error as error:
        raise ConfigError(f"patterns {list(patterns)!r} do not compile: {error}") from error


class GlobSet:
    """A list of patterns, compiled once.

    Raises `ConfigError` from the constructor for a pattern that is empty, negated or malformed.
    """

    def __init__(self, patterns: Iterable[str]) -> None:
        self.patterns = tuple(patterns)
        # "**" alone is the common allow-all; it needs no regex.
        self.matches_all = any(pattern in ("**", "*") for pattern in self.patterns)
        self._regex = None if self.matches_all else _compile(self.patterns)
        self._many: Any = None
        self._each: list[tuple[str, GlobSet]] | None = None

    def match(self, rel: str, *, is_dir: bool = False) -> bool:
        """Return whether `rel` (relative, "/"-separated, "" for the root) or a directory above it matches a pattern."""
        if self.matches_all:
            return True
        if self._regex is None or not rel:
            return False
        name = as_line(fold(rel))
        return self._regex.search(f"{name}/" if is_dir else name) is not None

    def matching(self, paths: Sequence[str]) -> set[int]:
        """Return the indices of the paths (directories end in a slash) that `match`. Fast for whole directories."""
        if self.matches_all:
            return set(range(len(paths)))
        if self._regex is None or not paths:
            return set()
        if self._many is None:
            self._many = compile_lines(_regexes(self.patterns))
        return matching_lines(self._many, fold(as_lines(paths)))

    def first(self, rel: str, *, is_dir: bool = False) -> str | None:
        """Return the first pattern that matches, for error messages; `None` if none does."""
        if self._each is None:
            self._each = [(pattern, GlobSet([pattern])) for pattern in self.patterns]
        return next((pattern for pattern, globs in self._each if globs.match(rel, is_dir=is_dir)), None)
