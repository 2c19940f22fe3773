"""`.gitignore` and `.ignore` files: parsed as git does, matched in linear time, a whole directory at once.

An ignore file belongs to the repository, which is hostile until told otherwise: its size and number of patterns are
bounded, and its patterns run on RE2. It can only hide files from listings, never open any.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from lg_policy.paths.globs import as_lines, compile_lines, matching_lines

MAX_IGNORE_BYTES = 1_000_000
_MAX_PATTERNS = 20_000
_CHUNK = 400


@dataclass(frozen=True, kw_only=True)
class _Group:
    """Neighbouring patterns with the same sign, as one expression."""

    regex: Any
    ignored: bool


class IgnoreFile:
    """The patterns of one ignore file; `base` is its directory relative to the root."""

    def __init__(self, base: str, text: str) -> None:
        self.base = base
        self._groups = _group(_parse(text))

    def __bool__(self) -> bool:
        return bool(self._groups)

    def decide(self, names: Sequence[str], verdict: dict[int, bool]) -> None:
        """Add to `verdict` which of the names (relative to `base`) are ignored or re-included; what is there stays."""
        lines = as_lines(names)
        for group in reversed(self._groups):
            for index in matching_lines(group.regex, lines):
                verdict.setdefault(index, group.ignored)


def ignored(files: Iterable[IgnoreFile], paths: Sequence[str]) -> set[int]:
    """The indices of those paths (relative to the root, directories with a trailing slash) that are ignored.

    `files` come strongest first. A path below an ignored directory is not asked about: walks do not descend there.
    """
    verdict: dict[int, bool] = {}
    for file in files:
        cut = len(file.base) + 1 if file.base else 0
        file.decide([path[cut:] for path in paths] if cut else paths, verdict)
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
        piece, at = _one(glob, at)
        if piece is None:
            return None
        out.append(piece)
    return "".join(out)


def _one(glob: str, at: int) -> tuple[str | None, int]:
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


def _group(patterns: Sequence[tuple[str, bool]]) -> list[_Group]:
    groups: list[_Group] = []
    run: list[str] = []
    sign = True
    for regex, is_ignored in [*patterns, ("", None)]:
        if run and (is_ignored is not sign or len(run) >= _CHUNK):
            groups.extend(_Group(regex=one, ignored=sign) for one in _compile(run))
            run = []
        if is_ignored is not None:
            sign = is_ignored
            run.append(regex)
    return groups


def _compile(regexes: list[str]) -> list[Any]:
    """Compile a union; a pattern that RE2 refuses costs only itself, as git skips what it cannot parse."""
    compiled = compile_lines(regexes)
    if compiled is not None:
        return [compiled]
    if len(regexes) == 1:
        return []
    half = len(regexes) // 2
    return _compile(regexes[:half]) + _compile(regexes[half:])
