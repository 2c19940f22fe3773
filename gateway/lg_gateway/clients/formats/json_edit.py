"""Adds a member to an object in a JSON text, and takes one out. Comments, order and layout of the rest stay.

The text may have comments and trailing commas. What is added is strict JSON, so a strict file stays strict.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from lg_gateway.clients.formats.json_comments import parse_json, without_comments

_BLANK = re.compile(r"(?:\s|//[^\n]*|/\*.*?\*/)*", re.DOTALL)
_TEXT = re.compile(r'"(?:[^"\\]|\\.)*+"', re.DOTALL)
_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*+"|//[^\n]*|/\*.*?\*/|[{}\[\]]', re.DOTALL)
_PLAIN = re.compile(r"[^\s,{}\[\]\"/]+")
_REST_OF_LINE = re.compile(r"[ \t]*(?:/\*(?:[^*\n]|\*(?!/))*+\*/[ \t]*)*+(?://[^\n]*)?(?=\r?\n)")
_LINE_END = re.compile(r"[ \t]*\r?\n")
STEP = "  "
SEVERAL = 4
"""Members that are taken out together, in one reading of the text."""


@dataclass(frozen=True, kw_only=True)
class _Member:
    key: str
    start: int
    value: int
    end: int
    comma: int
    """Where the comma behind it stands, -1 where there is none."""


@dataclass(frozen=True, kw_only=True)
class _Object:
    start: int
    end: int
    """Where its closing bracket stands."""
    members: tuple[_Member, ...]

    def member(self, key: str) -> _Member | None:
        return next((member for member in self.members if member.key == key), None)


def with_member(text: str, steps: tuple[str, ...], key: str, value: Any) -> str:
    """Return the text with `key` set below `steps`. Raises `ValueError` where that cannot be done."""
    empty = not without_comments(text).strip()
    wanted = {} if empty else parse_json(text)
    place = wanted
    for step in steps:
        place = place.setdefault(step, {})
    place[key] = value
    if empty:
        comments = f"{text.rstrip()}\n" if text.strip() else ""
        return f"{comments}{json.dumps(wanted, indent=len(STEP), ensure_ascii=False)}\n"
    found = _object(text, _skip(text, 0))
    for number, step in enumerate(steps):
        member = found.member(step)
        if member is None:
            for outer in reversed(steps[number + 1 :]):
                value, key = {key: value}, outer
            value, key = {key: value}, step
            break
        found = _object(text, member.value)
    return _checked(_set(text, found, key, value), wanted)


def without_member(text: str, steps: tuple[str, ...], key: str) -> str:
    """Return the text without `key` below `steps`. Raises `ValueError` where that cannot be done."""
    wanted = parse_json(text)
    reached = _reached(text, wanted, steps)
    if reached is None:
        return text
    place, found = reached
    member = found.member(key)
    if member is None:
        return text
    del place[key]
    return _checked(_cut(text, found, member), wanted)


def without_members(text: str, steps: tuple[str, ...], keys: Collection[str]) -> str:
    """Return the text without several keys below `steps`, in one go. Raises `ValueError` where that cannot be done."""
    if len(keys) < SEVERAL:
        for key in keys:
            text = without_member(text, steps, key)
        return text
    wanted = parse_json(text)
    reached = _reached(text, wanted, steps)
    if reached is None:
        return text
    place, found = reached
    gone = [member for member in found.members if member.key in keys]
    for key in {member.key for member in gone}:
        del place[key]
    return _checked(_without_spans(text, _spans(text, found, gone)), wanted)


def _reached(text: str, parsed: Any, steps: tuple[str, ...]) -> tuple[Any, _Object] | None:
    """Return the object below `steps`, as parsed and as it lies in the text, or `None` where there is none."""
    found = _object(text, _skip(text, 0))
    for step in steps:
        member = found.member(step)
        if member is None:
            return None
        parsed, found = parsed[step], _object(text, member.value)
    return parsed, found


def _spans(text: str, found: _Object, gone: Sequence[_Member]) -> Iterator[tuple[int, int]]:
    """Return what to cut, in order: each member with its line, and the comma that would be left before the bracket."""
    left = {id(member) for member in found.members} - {id(member) for member in gone}
    last = next((member for member in reversed(found.members) if id(member) in left), None)
    if last is not None and last.comma >= 0 and found.members[-1].comma < 0:
        yield (last.comma, last.comma + 1)
    first_of_tail = True
    for member in gone:
        line = text.rfind("\n", 0, member.start) + 1
        start = line if not text[line : member.start].strip() else member.start
        stop = member.comma + 1 if member.comma >= 0 else member.end
        if last is not None and member.start > last.start:  # nothing is left behind it: its line break goes with it
            start = len(text[:start].rstrip()) if first_of_tail and start == line else start
            first_of_tail = False
        elif start == line and (rest := _LINE_END.match(text, stop)) is not None:
            stop = rest.end()
        yield (start, stop)


def _without_spans(text: str, spans: Iterable[tuple[int, int]]) -> str:
    kept, at = [], 0
    for start, stop in sorted(spans):
        kept.append(text[at : max(at, start)])
        at = max(at, stop)
    return "".join([*kept, text[at:]])


def _set(text: str, found: _Object, key: str, value: Any) -> str:
    end = "\r\n" if "\r\n" in text else "\n"
    there = found.member(key)
    if there is not None:
        shown = _shown(value, _indent(text, there.start)).replace("\n", end)
        return text[: there.value] + shown + text[there.end :]
    if not found.members:
        outer = _indent(text, found.start)
        entry = f"{outer}{STEP}{json.dumps(key)}: {_shown(value, outer + STEP)}".replace("\n", end)
        inner = text[found.start + 1 : found.end].rstrip()
        return f"{text[: found.start + 1]}{inner}{end}{entry}{end}{outer}{text[found.end :]}"
    last = found.members[-1]
    if "\n" not in text[found.start : found.end]:
        comma = "" if last.comma >= 0 else ","
        at = max(last.end, last.comma + 1)
        return f"{text[:at]}{comma} {json.dumps(key)}: {json.dumps(value, ensure_ascii=False)}{text[at:]}"
    indent = _indent(text, found.members[0].start)
    entry = f"{indent}{json.dumps(key)}: {_shown(value, indent)}".replace("\n", end)
    behind = max(last.end, last.comma + 1)
    line = _REST_OF_LINE.match(text, behind)
    at = line.end() if line is not None else behind
    comma = "" if last.comma >= 0 else ","
    return f"{text[: last.end]}{comma}{text[last.end : at]}{end}{entry}{text[at:]}"


def _cut(text: str, found: _Object, member: _Member) -> str:
    place = found.members.index(member)
    line = text.rfind("\n", 0, member.start) + 1
    start = line if not text[line : member.start].strip() else member.start
    if place == len(found.members) - 1 and place:
        before = found.members[place - 1]
        keeps_comma = member.comma >= 0  # the last one of this object ends in a comma
        stop = max(member.end, member.comma + 1)
        head = text[:start].rstrip() if start == line else text[:start]
        if not keeps_comma:
            head = head[: before.end] + head[before.comma + 1 :]
        return (head if start == line else head.rstrip()) + text[stop:]
    stop = member.comma + 1 if member.comma >= 0 else member.end
    if start == line and (rest := _LINE_END.match(text, stop)) is not None:
        stop = rest.end()
    elif place < len(found.members) - 1:
        stop = found.members[place + 1].start
    made = text[:start] + text[stop:]
    closing = found.end - (stop - start)
    if len(found.members) == 1 and not made[found.start + 1 : closing].strip():
        return made[: found.start + 1] + made[closing:]
    return made


def _shown(value: Any, indent: str) -> str:
    return json.dumps(value, indent=len(STEP), ensure_ascii=False).replace("\n", "\n" + indent)


def _indent(text: str, at: int) -> str:
    """Return the white space that the line of a place begins with."""
    line = text[text.rfind("\n", 0, at) + 1 : at]
    return line[: len(line) - len(line.lstrip())]


def _object(text: str, at: int) -> _Object:
    """Read the members of the object that begins here, not what is in them."""
    if text[at : at + 1] != "{":
        raise ValueError("expected an object")
    members: list[_Member] = []
    place = _skip(text, at + 1)
    while text[place : place + 1] != "}":
        name = _TEXT.match(text, place)
        if name is None:
            raise ValueError(f"expected a key at character {place}")
        colon = _skip(text, name.end())
        value = _skip(text, colon + 1)
        end = _value_end(text, value)
        behind = _skip(text, end)
        comma = behind if text[behind : behind + 1] == "," else -1
        members.append(_Member(key=json.loads(name[0]), start=place, value=value, end=end, comma=comma))
        place = _skip(text, behind + 1) if comma >= 0 else behind
        if comma < 0 and text[place : place + 1] != "}":
            raise ValueError(f"expected a comma at character {place}")
    return _Object(start=at, end=place, members=tuple(members))


def _value_end(text: str, at: int) -> int:
    if text[at : at + 1] not in ("{", "["):
        found = _TEXT.match(text, at) or _PLAIN.match(text, at)
        if found is None:
            raise ValueError(f"expected a value at character {at}")
        return found.end()
    depth = 0
    for token in _TOKEN.finditer(text, at):
        depth += (token[0] in ("{", "[")) - (token[0] in ("}", "]"))
        if not depth:
            return token.end()
    raise ValueError("an object or list has no end")


def _skip(text: str, at: int) -> int:
    """Return the next place that is neither white space nor a comment."""
    found = _BLANK.match(text, at)
    return found.end() if found is not None else at


def _checked(made: str, wanted: Any) -> str:
    """Return the text if it says exactly what it should: somebody's file is not to be spoilt."""
    if parse_json(made) != wanted:
        raise ValueError("it is laid out in a way that cannot be changed safely")
    return made
