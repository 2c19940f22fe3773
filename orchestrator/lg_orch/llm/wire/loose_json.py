"""Reads JSON as models write it: trailing commas, single or typographic quotes, Python's words, comments. Pure.

Only what has one meaning is read. A value that breaks off is never completed. Every text takes linear time.
"""

from __future__ import annotations

import json
import re
from typing import Any, NoReturn

_TOKEN = re.compile(
    r"(?P<space>[\s\u00a0\u2000-\u200b\u202f\u3000\ufeff]++)"
    r"|(?P<comment>//[^\n]*+|#[^\n]*+|/\*.*?\*/)"
    r'|(?P<string>"(?:[^"\\]|\\.)*+")'
    r"|(?P<single>'(?:[^'\\]|\\.)*+')"
    r"|(?P<curly>[\u201c\u201d][^\u201c\u201d]*+[\u201c\u201d])"
    r"|(?P<number>-?\d[\d.eE+-]{0,400})"
    r"|(?P<word>[A-Za-z_$][\w$-]{0,200})"
    r"|(?P<mark>[{}\[\]:,])",
    re.DOTALL,
)
_ESCAPE = re.compile(r"\\(u[0-9a-fA-F]{4}|.)|\"", re.DOTALL)
_WORDS = {
    "true": "true", "false": "false", "null": "null", "True": "true", "False": "false", "None": "null",
    "undefined": "null",
}  # fmt: skip
_MAX_NUMBER = 300
_AS_THEY_ARE = ('"', "\\", "/", "b", "f", "n", "r", "t")


class BreaksOff(ValueError):
    """The text ends before the value does."""


def strict_json(text: str) -> Any:
    """Return the value of a text that is JSON. Raises `ValueError`, for numbers that JSON has not, too."""
    return json.loads(text, parse_constant=_no_number, parse_float=_finite)


def loose_value(text: str, at: int = 0) -> tuple[Any, int]:
    """Return the object or list that begins there, after white space and comments, and the place after it.

    Raises `ValueError`, and `BreaksOff` for one that is not whole.
    """
    tokens, end = _tokens(text, at)
    pieces: list[str] = []
    for number, (kind, word) in enumerate(tokens):
        following = tokens[number + 1][1] if number + 1 < len(tokens) else ""
        if word == "," and following in ("}", "]"):
            continue
        pieces.append(_standard(kind, word, is_key=following == ":"))
    return json.loads("".join(pieces), strict=False, parse_constant=_no_number, parse_float=_finite), end


def _tokens(text: str, at: int) -> tuple[list[tuple[str, str]], int]:
    """The tokens of one object or list."""
    tokens: list[tuple[str, str]] = []
    depth = 0
    while at < len(text):
        found = _TOKEN.match(text, at)
        if found is None:
            if text[at] in "\"'\u201c\u201d":
                raise BreaksOff("it ends within a text")
            raise ValueError(f"unexpected {text[at]!r} at character {at + 1}")
        kind, at = str(found.lastgroup), found.end()
        if kind == "number" and at - found.start() > _MAX_NUMBER:
            raise ValueError(f"a number has more than {_MAX_NUMBER} digits")
        if kind in ("space", "comment"):
            continue
        tokens.append((kind, found[0]))
        if found[0] in ("{", "["):
            depth += 1
        elif found[0] in ("}", "]"):
            depth -= 1
        if depth <= 0:
            if found[0] not in ("}", "]"):
                raise ValueError(f"it begins with {found[0][:40]!r} and not with '{{'")
            return tokens, at
    raise BreaksOff("it ends before its last '}'" if depth else "there is nothing")


def _standard(kind: str, token: str, *, is_key: bool) -> str:
    """A token as JSON has it."""
    if kind == "curly":
        return json.dumps(token[1:-1])
    if kind in ("string", "single"):
        return f'"{_ESCAPE.sub(_escaped, token[1:-1])}"'
    if kind != "word":
        return token
    if is_key:
        return json.dumps(token)
    if token not in _WORDS:
        raise ValueError(f"{token[:40]!r} is no JSON value: write a text in double quotes")
    return _WORDS[token]


def _escaped(found: re.Match[str]) -> str:
    """An escape of JSON as it is; a backslash before any other character is one of the text, as in `\\d`."""
    after = found[1]
    if after is None:
        return '\\"'
    if after in _AS_THEY_ARE or len(after) > 1:
        return found[0]
    return after if after == "'" else f"\\\\{after}"


def _finite(text: str) -> float:
    number = float(text)
    if number in (float("inf"), float("-inf")):
        raise ValueError(f"{text[:40]} is too large for a number")
    return number


def _no_number(word: str) -> NoReturn:
    raise ValueError(f"{word} is no number of JSON")
