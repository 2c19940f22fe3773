"""What a parser says about one file. It comes from another process and from hostile text, so it is checked here."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from operator import gt
from typing import Any, Literal, NamedTuple, TypeGuard

DEF, CALL, IMPORT, MENTION = 1, 2, 4, 8
"""How a file uses a name: it defines it, calls it, imports it, or mentions it in any other way."""
KINDS = DEF | CALL | IMPORT | MENTION
COUNT_SHIFT = 8
MAX_COUNT = 255
MAX_NAME = 200
"""Characters of a name. Longer ones are data, not names."""
MAX_SYMBOLS = 50_000
MAX_NAMES = 100_000
_KIND_WORD = 20
_MAX_NUMBER = 2**40

Reader = Literal["grammar", "lines", "none"]


class Symbol(NamedTuple):
    """A definition: lines from 1, both included; bytes from 0, the end excluded; `parent` is what it is defined in."""

    name: str
    kind: str
    parent: str
    start_line: int
    end_line: int
    start_byte: int
    end_byte: int

    @property
    def qualified(self) -> str:
        """Return the name with what it is defined in, as `Class.method`."""
        return f"{self.parent}.{self.name}" if self.parent else self.name


@dataclass(frozen=True, kw_only=True)
class Facts:
    """The symbols of one file and the names that it uses."""

    language: str
    reader: Reader
    lines: int
    symbols: Sequence[Symbol] = ()
    uses: Mapping[str, int] = field(default_factory=dict)
    """Name to kinds (bits) and count, see `packed`."""
    imports: Sequence[str] = ()
    """Modules or files that it imports, as they are written there."""
    problem: str = ""
    """Why the file was not read by its grammar, or only in part; "" if all is well."""


TOO_MANY = f"only {MAX_SYMBOLS:,} of its definitions are known"


def packed(kinds: int, count: int) -> int:
    """Return kinds and count of a name's uses in one number."""
    return kinds | min(count, MAX_COUNT) << COUNT_SHIFT


def unpacked(value: int) -> tuple[int, int]:
    """Return kinds and count out of one number."""
    return value & KINDS, value >> COUNT_SHIFT


def as_wire(facts: Facts) -> dict[str, Any]:
    """Return the facts as JSON values."""
    return {
        "language": facts.language,
        "reader": facts.reader,
        "lines": facts.lines,
        "symbols": [list(symbol) for symbol in facts.symbols],
        "uses": dict(facts.uses),
        "imports": list(facts.imports),
        "problem": facts.problem,
    }


def from_wire(value: Any, size: int) -> Facts:
    """Return the facts in a parser's answer about a file of `size` bytes. Raises `ValueError` unless it is well-formed.

    The parser runs on hostile text, so its answer is believed no further than that.
    """
    if not isinstance(value, dict) or value.get("reader") not in ("grammar", "lines"):
        raise ValueError("no facts")
    symbols, uses, imports = value.get("symbols"), value.get("uses"), value.get("imports")
    if not (isinstance(symbols, list) and isinstance(uses, dict) and isinstance(imports, list)):
        raise ValueError("no facts")  # noqa: TRY004 - the caller handles one error
    if len(symbols) > MAX_SYMBOLS or len(uses) > MAX_NAMES or len(imports) > MAX_NAMES:
        raise ValueError("too many facts")
    if not _are_uses(uses) or not all(_is_text(name, 400) for name in imports):
        raise ValueError("malformed names")
    lines, problem, language = value.get("lines"), value.get("problem"), value.get("language")
    if not _is_number(lines, size + 1) or not _is_text(problem, 400) or not _is_text(language, _KIND_WORD):
        raise ValueError("malformed facts")
    return Facts(
        language=language,
        reader=value["reader"],
        lines=lines,
        symbols=_symbols(symbols, size),
        uses=uses,
        imports=imports,
        problem=problem,
    )


def _symbols(rows: list[Any], size: int) -> list[Symbol]:
    """Return the rows as symbols. Whole columns are checked at once: a large tree has millions of rows."""
    if not rows:
        return []
    if set(map(type, rows)) != {list} or set(map(len, rows)) != {len(Symbol._fields)}:
        raise ValueError("malformed symbol")
    names, kinds, parents, first_lines, last_lines, starts, ends = zip(*rows, strict=True)
    if not (_are_texts(names, MAX_NAME) and all(names)):
        raise ValueError("malformed symbol")
    if not (_are_texts(kinds, _KIND_WORD) and _are_texts(parents, 4 * MAX_NAME)):
        raise ValueError("malformed symbol")
    if not (_are_numbers(first_lines, 1, size + 1) and _are_numbers(last_lines, 1, size + 1)):
        raise ValueError("malformed lines")
    if not (_are_numbers(starts, 0, size) and _are_numbers(ends, 0, size)):
        raise ValueError("malformed bytes")
    if any(map(gt, first_lines, last_lines)) or any(map(gt, starts, ends)):
        raise ValueError("malformed lines")
    return list(map(Symbol._make, rows))


def _are_uses(uses: dict[str, Any]) -> bool:
    if not uses:
        return True
    lengths = set(map(len, uses))
    most = MAX_COUNT << COUNT_SHIFT | KINDS
    return min(lengths) > 0 and max(lengths) <= MAX_NAME and _are_numbers(uses.values(), 0, most)


def _are_texts(values: Sequence[Any], limit: int) -> bool:
    return set(map(type, values)) == {str} and max(map(len, values)) <= limit


def _are_numbers(values: Collection[Any], least: int, most: int) -> bool:
    return set(map(type, values)) == {int} and min(values) >= least and max(values) <= min(most, _MAX_NUMBER)


def _is_text(value: Any, limit: int) -> TypeGuard[str]:
    return isinstance(value, str) and len(value) <= limit


def _is_number(value: Any, limit: int) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= min(limit, _MAX_NUMBER)
