"""The `glob` argument of a call: gitignore-style patterns, braces, and exclusions with a leading "!"."""

from __future__ import annotations

import json
from collections.abc import Sequence

from lg_policy.errors import ConfigError, InvalidArguments
from lg_policy.jobs import Job
from lg_policy.paths.globs import GlobSet
from lg_policy.tree.walk import DirEntry

_MAX_PATTERNS = 100
_MAX_LENGTH = 1_000
_MAX_TOTAL = 10_000  # characters of all patterns together: each costs time for each name
_BATCH = 2_000


class GlobArg:
    """The files of a walk that a caller wants.

    A pattern may match the path relative to the root, or the path relative to the directory of the walk. An absolute
    one may begin with the path of `root`. Raises `InvalidArguments` for a pattern that is malformed, over-long, or
    climbs out with "..".
    """

    def __init__(self, globs: str | Sequence[str] | None, base: str = "", *, root: str = "") -> None:
        given = [_below(glob, root) for glob in _given(globs)]
        wanted: list[str] = []
        unwanted: list[str] = []
        for glob in given:
            target = unwanted if glob.startswith("!") else wanted
            target.extend(_expand(_checked(glob.removeprefix("!"))))
            if len(wanted) + len(unwanted) > _MAX_PATTERNS:
                raise InvalidArguments(f"glob stands for more than {_MAX_PATTERNS} patterns", hint="use fewer braces")
        if sum(map(len, wanted)) + sum(map(len, unwanted)) > _MAX_TOTAL:
            raise InvalidArguments(f"the patterns of glob have more than {_MAX_TOTAL} characters", hint="use fewer")
        self._wanted = _compile(wanted) if wanted else None
        self._unwanted = _compile(unwanted) if unwanted else None
        self._cut = len(base) + 1 if base else 0

    @property
    def everything(self) -> bool:
        """Return whether there is nothing to filter."""
        return self._wanted is None and self._unwanted is None

    def select(self, entries: list[DirEntry], job: Job) -> list[DirEntry]:
        """Return the entries that are wanted. Raises as `Job.check_time`."""
        if self.everything or not entries:
            return entries
        kept: list[DirEntry] = []
        for begin in range(0, len(entries), _BATCH):
            job.check_time()
            kept += self._selected(entries[begin : begin + _BATCH])
        return kept

    def _selected(self, entries: list[DirEntry]) -> list[DirEntry]:
        paths = [entry.judged for entry in entries]
        keep = set(range(len(paths))) if self._wanted is None else self._either(self._wanted, paths)
        if self._unwanted is not None:
            keep -= self._either(self._unwanted, paths)
        return [entries[index] for index in sorted(keep)]

    def _either(self, globs: GlobSet, paths: Sequence[str]) -> set[int]:
        found = globs.matching(paths)
        if self._cut:
            found = found | globs.matching([path[self._cut :] for path in paths])
        return found


def _given(globs: str | Sequence[str] | None) -> list[str]:
    """Return the patterns of the argument. A list sent as JSON text counts as a list, an empty string as none."""
    if not isinstance(globs, str):
        return list(globs or ())
    if globs.lstrip().startswith("["):
        try:
            listed = json.loads(globs)
        except (ValueError, RecursionError):
            listed = None  # a class of characters, as in "[ab]*.py"
        if isinstance(listed, list) and all(isinstance(glob, str) for glob in listed):
            return listed
    bare = globs.strip()
    quoted = len(bare) > 2 and bare[0] == bare[-1] and bare[0] in "\"'`"
    text = bare[1:-1] if quoted else globs  # a blank at an end is a part of the name
    return [text, *_alternatives(text)] if text.strip() else []


def _alternatives(text: str) -> list[str]:
    """Return what else a text may mean: several patterns with commas or blanks between them, or Windows' separators."""
    if text.startswith("!") or "{" in text or len(text) > _MAX_LENGTH:
        return []
    parts = [part.strip() for part in text.split(",")] if "," in text else text.split()
    found = parts if len(parts) > 1 and all(map(_is_pattern, parts)) else []
    return [*found, *([text.replace("\\", "/")] if "\\" in text and "/" not in text else [])]


def _is_pattern(part: str) -> bool:
    """Return whether a part of a glob may be one itself: a name with a wildcard or an ending."""
    return bool(part) and ("*" in part or "." in part) and not part.startswith("!")


def _below(glob: str, root: str) -> str:
    """Return a pattern relative to the root that it begins with."""
    sign, text = ("!", glob[1:]) if glob.startswith("!") else ("", glob)
    base = f"{root.rstrip('/')}/"
    return f"{sign}{text[len(base) :]}" if root and text.startswith(base) else glob


def _checked(glob: str) -> str:
    if not glob.strip() or len(glob) > _MAX_LENGTH or "\0" in glob or "\n" in glob:
        raise InvalidArguments(f"glob must be 1 to {_MAX_LENGTH} characters on one line", hint='for example "*.py"')
    if ".." in glob.split("/"):
        raise InvalidArguments("glob contains '..'", hint="give it relative to the root")
    return glob.removeprefix("./")


def _expand(glob: str) -> list[str]:
    """Expand `{a,b}` from left to right; braces do not nest. An unclosed or empty brace is an ordinary character."""
    done = [""]
    rest = glob
    while True:
        start = rest.find("{")
        end = rest.find("}", start)
        if start < 0 or end < 0 or "," not in rest[start:end]:
            return [head + rest for head in done]
        options = rest[start + 1 : end].split(",")
        if "{" in rest[start + 1 : end]:
            raise InvalidArguments(f"glob {glob[:80]!r} nests braces", hint="pass a list of globs instead")
        done = [head + rest[:start] + option for head in done for option in options]
        if len(done) > _MAX_PATTERNS:
            raise InvalidArguments(f"glob stands for more than {_MAX_PATTERNS} patterns", hint="use fewer braces")
        rest = rest[end + 1 :]


def _compile(patterns: Sequence[str]) -> GlobSet:
    try:
        return GlobSet(patterns)
    except ConfigError as error:
        raise InvalidArguments(f"glob: {error.message}", hint=error.hint or 'for example "src/**/*.py"') from error
