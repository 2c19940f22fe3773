"""`.gitignore` and `.ignore` files: parsed as git does, matched in linear time, a whole directory at once.

An ignore file belongs to the repository, which is hostile until told otherwise: its size and number of patterns are
bounded, its patterns run on RE2, and whoever waits can stop the work. It can only hide files from listings, never open
any.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from lg_policy.paths.globs import as_lines, compile_lines, matching_lines

MAX_IGNORE_BYTES = 1_000_000
_MAX_PATTERNS = 20_000
_CHUNK = 400
_CHUNK_SIZE = 16_000  # characters of patterns in one expression: they bound what a character of a name can cost
_BATCH_SIZE = 16_000  # characters of names in one pass of the engine, which cannot be interrupted

Pattern = tuple[str, bool]
"""A pattern as RE2 syntax, and whether it ignores (else it includes again)."""


def _no_check() -> None:
    """Never stop the work."""


class _Node:
    """Neighbouring patterns as one expression, cut in halves only where some name makes that necessary.

    The last pattern that matches a name decides. Names that the expression of all does not match are done with; for
    the others the second half is asked first, then the first half, down to patterns that all say the same.
    """

    def __init__(self, patterns: Sequence[Pattern]) -> None:
        self._patterns = patterns
        self._uniform = len({ignores for _, ignores in patterns}) == 1
        self._halves: tuple[_Node, _Node] | None = None
        self._regex: Any = None
        self._compiled = False

    def decide(
        self, names: Sequence[str], among: Sequence[int], verdict: dict[int, bool], check: Callable[[], None]
    ) -> None:
        """Add to `verdict` what these patterns say about those of the names that have none yet."""
        if verdict:
            among = [index for index in among if index not in verdict]
        if not among:
            return
        check()
        found = self._matching(names, among, check)
        if not found:
            return
        if self._uniform and self._regex is not None:
            verdict.update(dict.fromkeys(found, self._patterns[0][1]))
            return
        for half in self._split():
            half.decide(names, found, verdict, check)

    def _matching(self, names: Sequence[str], among: Sequence[int], check: Callable[[], None]) -> Sequence[int]:
        """Return the names that some pattern may match: all of them where RE2 refuses the patterns together."""
        if not self._compiled:
            self._compiled = True
            if _fits(self._patterns):
                self._regex = compile_lines([regex for regex, _ in self._patterns])
        if self._regex is None:
            return among if len(self._patterns) > 1 else ()  # git skips a pattern that it cannot parse
        texts = names if len(among) == len(names) else [names[index] for index in among]
        lines = as_lines(texts)
        if len(lines) <= _BATCH_SIZE:
            return [among[place] for place in matching_lines(self._regex, lines)]
        found: list[int] = []
        for begin, end in _batches(texts):
            check()
            places = matching_lines(self._regex, as_lines(texts[begin:end]))
            found += [among[begin + place] for place in places]
        return found

    def _split(self) -> tuple[_Node, _Node]:
        """Return the second half, and the first."""
        if self._halves is None:
            middle = len(self._patterns) // 2
            self._halves = _Node(self._patterns[middle:]), _Node(self._patterns[:middle])
        return self._halves


def _fits(patterns: Sequence[Pattern]) -> bool:
    return len(patterns) == 1 or (len(patterns) <= _CHUNK and sum(len(regex) for regex, _ in patterns) <= _CHUNK_SIZE)


def _batches(names: Sequence[str]) -> Iterable[tuple[int, int]]:
    """Begin and end of runs of names that are together about as long as one pass may be."""
    begin = size = 0
    for number, name in enumerate(names):
        size += len(name) + 1
        if size >= _BATCH_SIZE:
            yield begin, number + 1
            begin, size = number + 1, 0
    if begin < len(names):
        yield begin, len(names)


class IgnoreFile:
    """The patterns of one ignore file; `base` is its directory relative to the root."""

    def __init__(self, base: str, text: str) -> None:
        self.base = base
        patterns = _parse(text)
        self._root = _Node(patterns) if patterns else None

    def __bool__(self) -> bool:
        return self._root is not None

    def decide(self, names: Sequence[str], verdict: dict[int, bool], check: Callable[[], None] = _no_check) -> None:
        """Add to `verdict` which of the names (relative to `base`) are ignored or re-included; what is there stays."""
        if self._root is not None:
            self._root.decide(names, range(len(names)), verdict, check)


def ignored(files: Iterable[IgnoreFile], paths: Sequence[str], check: Callable[[], None] = _no_check) -> set[int]:
    """Return the indices of those paths (relative to the root, directories with a trailing slash) that are ignored.

    `files` come strongest first. A path below an ignored directory is not asked about: walks do not descend there.
    `check` may raise to end the work.
    """
    verdict: dict[int, bool] = {}
    for file in files:
        cut = len(file.base) + 1 if file.base else 0
        file.decide([path[cut:] for path in paths] if cut else paths, verdict, check)
    return {index for index, is_ignored in verdict.items() if is_ignored}


def _parse(text: str) -> list[tuple[str, bool]]:
    patterns: list[tuple[str, bool]] = []
    for raw in text.split("\n")[:_MAX_PATTERNS]:
        line = _trim(raw.removesuffix("\r"))
        if not line or line.startswith("#"):
            continue
        negated = line.startswith("!")
        regex = translate(line[1:] if negated else line)
        if regex is not None:
            patterns.append((regex, not negated))
    return patterns


def _trim(line: str) -> str:
    """Drop trailing blanks that are not escaped."""
    kept = line.rstrip(" ")
    if len(kept) < len(line) and kept.endswith("\\") and (len(kept) - len(kept.rstrip("\\"))) % 2 == 1:
        kept += " "
    return kept


def translate(pattern: str) -> str | None:
    """Turn one gitignore pattern (without its "!") into RE2 syntax over a path whose directories end in "/".

    `None` for a pattern that can never match.
    """
    only_directories = pattern.endswith("/")
    body = pattern.rstrip("/") if only_directories else pattern
    anchored = "/" in body
    body = body.removeprefix("/")
    if not body:
        return None
    regex = _body(body)
    if regex is None:
        return None
    start = "^" if anchored else "^(?:.*/)?"
    return f"{start}{regex}{'/' if only_directories else '/?'}$"


def _body(glob: str) -> str | None:
    out: list[str] = []
    at = 0
    while at < len(glob):
        if glob.startswith("**/", at) and (at == 0 or glob[at - 1] == "/"):
            out.append("(?:.*/)?")
            at += 3
            continue
        if glob[at:] == "**" and (at == 0 or glob[at - 1] == "/"):
            out.append(".+?")
            at += 2
            continue
        piece, at = _token(glob, at)
        if piece is None:
            return None
        out.append(piece)
    return "".join(out)


def _token(glob: str, at: int) -> tuple[str | None, int]:
    """Translate the token at `at`; return it and the place after it."""
    char = glob[at]
    if char == "*":
        end = at
        while end < len(glob) and glob[end] == "*":
            end += 1
        # "**" that is not a whole component is an ordinary star; "**/" after this one is looked at again. A last
        # component has a name: "build/*" is what is in build and not "build/" itself.
        return "[^/]+" if end == len(glob) and glob[at - 1 : at] == "/" else "[^/]*", end
    if char == "?":
        return "[^/]", at + 1
    if char == "[":
        return _bracket(glob, at)
    if char == "\\":
        return (_quote(glob[at + 1]), at + 2) if at + 1 < len(glob) else (None, at + 1)
    return _quote(char), at + 1


def _bracket(glob: str, at: int) -> tuple[str | None, int]:
    negated = glob[at + 1 : at + 2] in ("!", "^")
    start = at + 2 if negated else at + 1
    end = start
    members: list[str] = []
    while end < len(glob) and (glob[end] != "]" or end == start):
        if glob.startswith("[:", end) and (close := glob.find(":]", end)) > 0:
            members.append(glob[end : close + 2])
            end = close + 2
            continue
        if glob[end] == "\\":
            end += 1
            if end >= len(glob):
                return None, end
            members.append(_quote(glob[end]))
        else:
            members.append("-" if glob[end] == "-" else _quote(glob[end]))
        end += 1
    if end >= len(glob):
        return None, end
    return f"[{'^/' if negated else ''}{''.join(members)}]", end + 1


def _quote(char: str) -> str:
    return char if char.isalnum() or char == "_" or not char.isascii() else f"\\x{ord(char):02x}"
