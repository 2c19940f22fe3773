"""Reads what a server wrote as JSON, and repairs what is not JSON if the meaning is clear. Pure.

Repaired: bytes that are not UTF-8 and halves of surrogate pairs (both become U+FFFD), raw control characters in a
string, `NaN` and `Infinity` (null), and numbers that no client could hold (their digits as text).
"""

from __future__ import annotations

import json
import logging
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

from pydantic_core import from_json

log = logging.getLogger(__name__)

MAX_DEPTH = 200
"""Levels of nesting. The JSON readers of clients give up soon after."""
TOO_DEEP = f"it is nested more than {MAX_DEPTH} levels deep"
"""Also the member that a listed item has in the place of all but its name."""
NUMBER_CHARACTERS = 300
"""Digits of an integer. A longer one is beyond the range of a double."""

_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")
_LONG_NUMBER = rb"[0-9]{%d}|[eE]\+?[0-9]{3}" % (NUMBER_CHARACTERS + 1)
_LONG_NUMBER_IN_SHORT = re.compile(_LONG_NUMBER)
_SHORT = 4_000
"""Bytes in which Python's own expressions look for something. They let no other thread work meanwhile; RE2 does."""
_TOKEN = re.compile(rb'"(?:[^"\\]|\\.)*+"?|[{}\[\]]', re.DOTALL)
_ID_VALUE = re.compile(rb'\s*:\s*(-?[0-9]{1,18}|"[^"\\]{0,200}")')
_NAME_VALUE = re.compile(rb'\s*:\s*("(?:[^"\\]|\\.){0,200}")', re.DOTALL)
_LISTS = frozenset({b'"tools"', b'"prompts"', b'"resources"', b'"resourceTemplates"'})
_LIST_DEPTH, _ITEM_DEPTH = 3, 4
_SPACE = re.compile(r"[ \t\n\r\0]*")
_COLON = re.compile(rb"\s*:")
_EMBEDDED = re.compile(r'\{\s*"(?:jsonrpc|id|result|error)"\s*:')
_SAYS_METHOD = re.compile(rb"""[{,\s]['"]?method['"]?\s*:""")


class Unreadable(Exception):
    """The text is not JSON, even when repaired. The message says why."""


class NestedTooDeeply(Unreadable):
    """The text has too many levels."""

    def __init__(self) -> None:
        super().__init__(TOO_DEEP)


def read_values(data: bytes) -> list[Any]:
    """Return the JSON values of a line, mostly one. Raises `Unreadable` when it does not begin with one.

    A listed item that is nested too deeply is replaced by its name: it costs itself, not the list.
    """
    try:
        return _read(data)
    except NestedTooDeeply:
        lighter = _without_deep_items(data)
        if lighter is None:
            raise
        return _read(lighter)


def _read(data: bytes) -> list[Any]:
    unusual = _has_long_number(data)  # the reader's own way is quicker
    many = data.count(b"[") + data.count(b"{") > MAX_DEPTH
    if not unusual and data.startswith(b"{"):
        try:
            plain = [from_json(data, allow_inf_nan=False)]
        except ValueError:
            log.debug("a message is not plain JSON, or nested very deeply")
        else:
            if many:
                _check_depth(plain)
            return plain
    text = data.decode("utf-8-sig", "replace")
    decoder = json.JSONDecoder(
        strict=False,
        parse_constant=lambda _name: None,
        parse_int=_integer if unusual else None,
        parse_float=_float if unusual else None,
    )
    values: list[Any] = []
    at = _beginning_of_answer(text, decoder)
    while at < len(text):
        try:
            value, at = decoder.raw_decode(text, at)
        except RecursionError as error:
            raise NestedTooDeeply from error
        except ValueError as error:
            if values:
                return values  # what follows a message on its line is noise
            raise Unreadable(f"it is not JSON: {error}") from error
        values.append(value)
        at = _after_space(text, at)
    if many:
        _check_depth(values)
    return [_whole(value) for value in values] if _SURROGATE.search(data) else values


def _has_long_number(data: bytes) -> bool:
    if len(data) <= _SHORT:
        return _LONG_NUMBER_IN_SHORT.search(data) is not None
    return _long_number().search(data) is not None


@cache
def _long_number() -> Any:
    import re2

    options = re2.Options()
    options.encoding = re2.Options.Encoding.LATIN1
    options.never_capture = True
    return re2.compile(_LONG_NUMBER, options)


@dataclass(frozen=True, kw_only=True)
class Outline:
    """What can be told of a message that cannot be read."""

    number: str | int | None
    answers: bool
    """It has a result or an error."""
    asks: bool
    """It is a request or a notification, or a log line that shows one: it answers nothing."""


def outline(data: bytes) -> Outline:
    """Return what a message that cannot be read names at its top: its id, and whether it asks or answers."""
    depth, number = 0, None
    names: set[bytes] = set()
    for token in _TOKEN.finditer(data):
        mark = token.group()
        if mark in (b"{", b"["):
            depth += 1
        elif mark in (b"}", b"]"):
            depth -= 1
        elif depth == 1 and _COLON.match(data, token.end()) is not None:
            names.add(mark)
            value = _ID_VALUE.match(data, token.end()) if mark == b'"id"' and number is None else None
            if value is not None:
                number = json.loads(value.group(1).decode("utf-8", "replace"))
    answers = b'"result"' in names or b'"error"' in names
    return Outline(number=number, answers=answers, asks=b'"method"' in names and not answers)


def _without_deep_items(data: bytes) -> bytes | None:
    """Return a message in whose listed items those that are nested too deeply have only a name; `None` without any."""
    kept: list[bytes] = []
    depth = done = 0
    keys, item = [b"", b""], _Item()
    for token in _TOKEN.finditer(data):
        mark = token.group()
        if mark in (b"{", b"["):
            depth += 1
            if depth == _ITEM_DEPTH and item.listed:
                item = _Item(start=token.start(), listed=True)
            elif depth == _LIST_DEPTH:
                item = _Item(listed=mark == b"[" and keys[0] == b'"result"' and keys[1] in _LISTS)
            item.deep = item.deep or depth > MAX_DEPTH
        elif mark in (b"}", b"]"):
            if depth == _ITEM_DEPTH and item.deep and item.listed:
                kept += [data[done : item.start], b'{"name":%b,"%b":true}' % (item.name, TOO_DEEP.encode())]
                done = token.end()
            depth -= 1
        elif depth in (1, 2) and _COLON.match(data, token.end()) is not None:
            keys[depth - 1] = mark
        elif depth == _ITEM_DEPTH and mark == b'"name"':
            found = _NAME_VALUE.match(data, token.end())
            item.name = found.group(1) if found is not None else item.name
    return b"".join([*kept, data[done:]]) if kept else None


@dataclass
class _Item:
    """One listed item while it is read past. `listed`: it lies in a list of tools, prompts or resources."""

    start: int = 0
    name: bytes = b'""'
    deep: bool = False
    listed: bool = False


def whole_number(number: Any) -> Any:
    """Return an id as the number that was sent: some servers write it as text or with a decimal point."""
    text = number.strip() if isinstance(number, str) else ""
    if text.isascii() and text.isdecimal() and len(text) < 18:
        return int(text)
    return int(number) if isinstance(number, float) and number.is_integer() else None


def looks_like_a_message(data: bytes) -> bool:
    """Return whether an unreadable line was meant as a JSON-RPC answer, and not printed by mistake."""
    begins = data.lstrip(b"\xef\xbb\xbf \t").startswith((b"{", b"["))
    return begins and b"jsonrpc" in data and _SAYS_METHOD.search(data) is None


def _beginning_of_answer(text: str, decoder: json.JSONDecoder) -> int:
    """Return where reading begins: behind what a server printed before an answer on the same line, as a prompt."""
    at = _after_space(text, 0)
    if text[at : at + 1] in ("", "{", "["):
        return at
    found = _EMBEDDED.search(text, at)
    if found is None:
        return at
    try:
        value, _ = decoder.raw_decode(text, found.start())
    except (ValueError, RecursionError):
        return at
    answers = isinstance(value, dict) and "jsonrpc" in value and ("result" in value or "error" in value)
    return found.start() if answers else at


def _integer(text: str) -> int | str:
    return int(text) if len(text) <= NUMBER_CHARACTERS else text


def _float(text: str) -> float | str:
    number = float(text)
    return number if math.isfinite(number) else text


def _after_space(text: str, at: int) -> int:
    found = _SPACE.match(text, at)
    return found.end() if found is not None else at


def _check_depth(values: list[Any]) -> None:
    """Raise `Unreadable` for what is nested too deeply."""
    level: list[Any] = values
    for _ in range(MAX_DEPTH):
        level = [inner for value in level if isinstance(value, dict | list) for inner in _children(value)]
        if not level:
            return
    raise NestedTooDeeply


def _children(value: dict[str, Any] | list[Any]) -> Iterator[Any]:
    for inner in value.values() if isinstance(value, dict) else value:
        if isinstance(inner, dict | list):
            yield inner


def _whole(value: Any) -> Any:
    """Return a value in whose texts halves of surrogate pairs are replaced."""
    if isinstance(value, str):
        return value.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    if isinstance(value, dict):
        return {_whole(key): _whole(item) for key, item in value.items()}
    return [_whole(item) for item in value] if isinstance(value, list) else value


def unpacked(values: list[Any]) -> Iterator[Any]:
    """Return the messages of a line, those of batches one by one."""
    waiting = values[::-1]
    while waiting:
        value = waiting.pop()
        if isinstance(value, list):
            waiting += value[::-1]
        elif isinstance(value, str) and '"jsonrpc"' in value:
            waiting += _inner_message(value)
        else:
            yield value


def _inner_message(text: str) -> list[Any]:
    """Return the message that a server wrote as JSON text inside JSON; nothing if the text is none."""
    try:
        return [value for value in read_values(text.encode()) if isinstance(value, dict)]
    except Unreadable:
        return []
