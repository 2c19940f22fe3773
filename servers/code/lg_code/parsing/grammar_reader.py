"""Reads a file with its grammar: definitions, calls and imports by a query, every other name a mention."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from operator import attrgetter
from typing import Any, NamedTuple

from lg_code.parsing.facts import (
    CALL,
    DEF,
    IMPORT,
    MAX_NAME,
    MAX_NAMES,
    MAX_SYMBOLS,
    MENTION,
    TOO_MANY,
    Facts,
    Symbol,
    packed,
)
from lg_code.parsing.imports import modules_of
from lg_code.parsing.languages import Grammar
from lg_code.parsing.tokens import COMMON, mentions, names_in

_HOLDERS = frozenset({"class", "interface", "struct", "trait", "impl", "enum"})
"""A function in one of these is a method."""
_SCRIPT = dict.fromkeys(
    ("function", "class", "interface", "enum", "type", "module", "variable"),
    frozenset({"export_statement", "lexical_declaration", "variable_declaration"}),
)
_AROUND: dict[str, dict[str, frozenset[str]]] = {
    "python": dict.fromkeys(("function", "class"), frozenset({"decorated_definition"})),
    "javascript": _SCRIPT,
    "typescript": _SCRIPT,
    "tsx": _SCRIPT,
    "cpp": dict.fromkeys(
        ("function", "method", "class", "struct", "enum", "type", "variable", "declaration"),
        frozenset({"template_declaration"}),
    ),
}
"""By language and kind, nodes around a definition that belong to it: decorators, `export const`, `template <...>`."""
_FEW = 3
"""One with more parts than this is around several definitions."""
_NAME = ".name"
_RANGE = attrgetter("byte_range")
_WEAK = frozenset({"variable", "field", "declaration", "type"})
_MAX_IMPORTS = 2_000
_MAX_STATEMENT = 20_000
_MAX_DEPTH = 50
_NO_UTF8 = re.compile("[\udc80-\udcff]")


class Definition(NamedTuple):
    """A definition as the query found it, before it is known what it lies in."""

    start: int
    end: int
    first_row: int
    last_row: int
    name: str
    name_end: int
    kind: str


class Found:
    """What the query captured in one file."""

    def __init__(self, text: bytes, captures: Mapping[str, list[Any]], language: str) -> None:
        self.text = text
        # A name that is missing, as in `self.()`, is a node of no length.
        self.calls = {start: end for start, end in map(_RANGE, captures.get("call", ())) if start < end}
        """Byte where the name begins to where it ends."""
        self.imports: list[tuple[int, int]] = sorted(map(_RANGE, captures.get("import", ())))
        self.definitions: dict[int, Definition] = {}
        """By the byte where the name begins: two patterns may match the same definition."""
        self._around = _AROUND.get(language, {})
        kinds = [name.removesuffix(_NAME) for name in captures if name.endswith(_NAME)]
        for kind in sorted(kinds, key=lambda kind: (kind in _WEAK, kind)):
            self._define_all(kind, captures[kind + _NAME], captures.get(kind, ()))
        self.is_full = len(self.definitions) > MAX_SYMBOLS
        """Whether it has more definitions than are kept."""
        if self.is_full:
            self.definitions = {start: self.definitions[start] for start in sorted(self.definitions)[:MAX_SYMBOLS]}

    def _define_all(self, kind: str, names: Sequence[Any], nodes: Sequence[Any]) -> None:
        """Note the definitions of a kind: each name is that of the innermost of the nodes that it lies in."""
        waiting = sorted([(start, -end, place) for place, (start, end) in enumerate(map(_RANGE, nodes))], reverse=True)
        around: list[tuple[int, int, int]] = []
        for start, end in sorted(map(_RANGE, names)):
            while waiting and waiting[-1][0] <= start:
                around.append(waiting.pop())
            while around and -around[-1][1] < end:
                around.pop()
            if around and start not in self.definitions:
                self._define(kind, start, end, nodes[around[-1][2]])

    def _define(self, kind: str, start: int, end: int, node: Any) -> None:
        written = " ".join(self.text[start:end].decode("utf-8", "replace").split())
        if not written or len(written) > MAX_NAME:
            return
        wrapping = self._around.get(kind)
        if wrapping is not None:
            parent = node.parent
            while parent is not None and parent.type in wrapping and parent.named_child_count <= _FEW:
                node, parent = parent, parent.parent
        first, last = node.start_point[0], node.end_point
        # A node that ends with a line break ends on the line before.
        last_row = last[0] - 1 if last[1] == 0 and last[0] > first else last[0]
        self.definitions[start] = Definition(node.start_byte, node.end_byte, first, last_row, written, end, kind)


def _as_utf8(text: bytes) -> bytes:
    """Return the text with `_` for each byte that is no UTF-8: what compares names takes nothing else."""
    try:
        text.decode()
        return text
    except UnicodeDecodeError:
        return _NO_UTF8.sub("_", text.decode("utf-8", "surrogateescape")).encode()


def captured(grammar: Grammar, text: bytes, language: str) -> tuple[Found, Any]:
    """Return what the grammar finds in a text, and the root of its tree."""
    root = grammar.parser.parse(_as_utf8(text)).root_node
    return Found(text, grammar.cursor(grammar.query).captures(root), language), root


def read_with_grammar(grammar: Grammar, text: bytes, language: str) -> Facts:
    """Return the facts of a file."""
    found, root = captured(grammar, text, language)
    symbols = symbols_of(found)
    uses, modules = _uses(found, symbols, language)
    return Facts(
        language=language,
        reader="grammar",
        lines=text.count(b"\n") + (1 if text and not text.endswith(b"\n") else 0),
        symbols=symbols,
        uses=uses,
        imports=modules,
        problem=TOO_MANY if found.is_full else "parts of it do not fit the grammar" if root.has_error else "",
    )


def symbols_of(found: Found) -> list[Symbol]:
    """Return the definitions in order, each with what it lies in."""
    symbols: list[Symbol] = []
    around: list[tuple[int, str, str]] = []  # end, qualified name, kind
    for item in sorted(found.definitions.values(), key=lambda item: (item.start, -item.end)):
        while around and around[-1][0] <= item.start:
            around.pop()
        parent, holder = (around[-1][1], around[-1][2]) if around else ("", "")
        name, kind = item.name, item.kind
        for separator in ("::", "\\"):
            if separator in name:  # `Class::method` outside of the class, a namespace of several parts
                outer, _, name = name.rpartition(separator)
                parent = f"{parent}.{outer.replace(separator, '.')}".strip(".")
        name = name.strip() or item.name
        if kind == "function" and holder in _HOLDERS:
            kind = "method"
        symbol = Symbol(name, kind, parent[: 4 * MAX_NAME], item.first_row + 1, item.last_row + 1, item.start, item.end)
        symbols.append(symbol)
        if kind not in _WEAK and len(around) < _MAX_DEPTH:
            around.append((item.end, symbol.qualified, kind))
    return symbols


def _uses(found: Found, symbols: list[Symbol], language: str) -> tuple[dict[str, int], list[str]]:
    text = found.text
    total = names_in(text, language)
    calls = Counter([text[start:end] for start, end in found.calls.items()])
    imported: Counter[bytes] = Counter()
    modules: dict[str, None] = {}
    for start, end in found.imports[:_MAX_IMPORTS]:
        statement = text[start : min(end, start + _MAX_STATEMENT)]
        imported.update(names_in(statement, language))
        modules.update(dict.fromkeys(modules_of(statement.decode("utf-8", "replace"), language)))
    defined = Counter([symbol.name.encode() for symbol in symbols])
    uses = mentions(total)
    for name in calls.keys() | imported.keys() | defined.keys():
        calling, importing, defining = calls.get(name, 0), imported.get(name, 0), defined.get(name, 0)
        count = total.get(name, 0)
        kinds = (DEF if defining else 0) | (CALL if calling else 0) | (IMPORT if importing else 0)
        if count > calling + importing + defining:
            kinds |= MENTION
        written = name.decode("utf-8", "replace")
        # A definition such as `operator==` or `[]` is no name in the text.
        if len(name) <= MAX_NAME and len(uses) < MAX_NAMES and (written not in COMMON or kinds & (DEF | CALL)):
            uses[written] = packed(kinds, max(0, count - defining))
    return uses, list(modules)[:_MAX_IMPORTS]
