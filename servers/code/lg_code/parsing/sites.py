"""Where a file uses one name, and how: the exact answer, out of the text as it is now."""

from __future__ import annotations

from bisect import bisect_right
from typing import Any, NamedTuple

from lg_code.parsing.facts import CALL, DEF, IMPORT, MENTION
from lg_code.parsing.grammar_reader import captured
from lg_code.parsing.languages import Grammar
from lg_code.parsing.line_reader import read_lines
from lg_code.parsing.tokens import sites_of

MAX_SITES = 2_000
_TEXTS = ("comment", "string")


class Site(NamedTuple):
    """One use of a name. `within`: "comment" or "string" for a mention that is no code, else ""."""

    line: int
    start_byte: int
    kind: int
    within: str


def sites_by_grammar(grammar: Grammar, text: bytes, name: str, language: str) -> list[Site]:
    """Return where a text uses a name, told apart by the grammar."""
    found, root = captured(grammar, text, language)
    defining = {item.name_end - len(name.encode()) for item in found.definitions.values()}
    sites: list[Site] = []
    for place, line in _places(text, name, language):
        kind, within = MENTION, ""
        if place in defining:
            kind = DEF
        elif place in found.calls:
            kind = CALL
        elif _lies_in(found.imports, place):
            kind = IMPORT
        else:
            within = _text_around(root, place)
        sites.append(Site(line, place, kind, within))
    return sites


def _lies_in(spans: list[tuple[int, int]], place: int) -> bool:
    index = bisect_right(spans, (place, 1 << 62)) - 1
    return index >= 0 and spans[index][0] <= place < spans[index][1]


def _text_around(root: Any, place: int) -> str:
    node = root.descendant_for_byte_range(place, place + 1)
    for _ in range(3):
        if node is None:
            return ""
        for kind in _TEXTS:
            if kind in node.type:
                return "" if node.type in ("interpolation", "string_interpolation", "template_substitution") else kind
        if "interpolation" in node.type or "substitution" in node.type:
            return ""
        node = node.parent
    return ""


def sites_by_lines(path: str, text: bytes, name: str, language: str) -> list[Site]:
    """Return where a text uses a name, without a grammar."""
    facts = read_lines(path, text, language, "")
    lines = {symbol.start_line for symbol in facts.symbols if symbol.name == name}
    return [Site(line, place, DEF if line in lines else MENTION, "") for place, line in _places(text, name, language)]


def _places(text: bytes, name: str, language: str) -> list[tuple[int, int]]:
    """Return the byte and the line of each use, counted in one pass."""
    found: list[tuple[int, int]] = []
    line, counted = 1, 0
    for place in sites_of(name, text, language):
        line += text.count(b"\n", counted, place)
        counted = place
        found.append((place, line))
        if len(found) >= MAX_SITES:
            break
    return found
