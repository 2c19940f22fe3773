r"""Writes one `[[gateway.rules]]` table as TOML, puts it into a settings text, and takes one out again. Pure.

Names and arguments in a rule come from servers and clients. Every text is a quoted string on one line, with all that
is not printable as `\u…`; the result is read back and must say exactly what was meant.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from typing import Any

from lg_gateway.clients.formats.toml_text import parse_toml
from lg_policy.printing import visible

HEADER = "[[gateway.rules]]"
ORDER = ("name", "tools", "resources", "prompts", "identities", "when", "effect", "approver", "pins", "roots", "reason")
_BARE = re.compile(r"[A-Za-z0-9_-]+")
_RULE = re.compile(r"\s*\[\[\s*gateway\s*\.\s*rules\s*\]\]")
_TABLE = re.compile(r"\s*\[")
_BETWEEN = re.compile(r"\s*(#.*)?")
TRIED = 20


def rule_text(rule: Mapping[str, Any], comment: str = "") -> str:
    """Return the text of a rule. Raises `ValueError` for what TOML cannot hold."""
    said = [f"# {re.sub(r'[^ -~]', '?', comment)}"] if comment else []
    lines = [f"{_key(key)} = {_value(rule[key])}" for key in (*ORDER, *sorted(rule.keys() - set(ORDER))) if key in rule]
    text = "\n".join([HEADER, *said, *lines, ""])
    if parse_toml(text) != {"gateway": {"rules": [dict(rule)]}}:
        raise ValueError("a settings file cannot hold these arguments")
    return text


def with_rule(text: str, block: str) -> str:
    """Return a settings text with a rule at its end. Raises `ValueError` where that would change anything else."""
    end = "\r\n" if "\r\n" in text else "\n"
    start = text if not text or text.endswith("\n") else text + end
    made = start + (end if text.strip() else "") + block.replace("\n", end)
    wanted = parse_toml(text)
    gateway = wanted.setdefault("gateway", {})
    if not isinstance(gateway, dict) or not isinstance(gateway.get("rules", []), list):
        raise ValueError("its gateway.rules is no list of tables")  # noqa: TRY004  it is about the text, no argument
    gateway["rules"] = [*gateway.get("rules", []), *parse_toml(block)["gateway"]["rules"]]
    if _read(made) != wanted:
        raise ValueError("its rules are written in a way that nothing can be added to")
    return made


def without_rule(text: str, index: int) -> str:
    """Return a settings text without one of its rules. Raises `ValueError` where that would change anything else."""
    wanted = parse_toml(text)
    rules = wanted["gateway"]["rules"]
    del rules[index]
    for made in _attempts(text, index):
        if made is not None and _without_empty(_read(made)) == _without_empty(wanted):
            return made
    raise ValueError("its rules are written in a way that none can be taken out of")


def _attempts(text: str, index: int) -> Iterator[str | None]:
    """Return the text without the rule's lines; what looks like the head of a rule may stand in a longer text."""
    lines = text.splitlines(keepends=True)
    headers = [number for number, line in enumerate(lines) if _RULE.match(line)]
    for first in headers[index : index + TRIED]:
        yield _cut(lines, first)
    yield _edited(text, index)


def _cut(lines: list[str], first: int) -> str:
    """Take out the lines of a rule, and the empty line before it. Comments above the next table are about that one."""
    last = next((n for n in range(first + 1, len(lines)) if _TABLE.match(lines[n])), len(lines))
    while last < len(lines) and last > first + 1 and _BETWEEN.fullmatch(lines[last - 1].rstrip()):
        last -= 1
    if first > 0 and not lines[first - 1].strip():
        first -= 1
    elif first == 0:
        last = next((n for n in range(last, len(lines)) if lines[n].strip()), len(lines))
    return "".join([*lines[:first], *lines[last:]])


def _edited(text: str, index: int) -> str | None:
    import tomlkit
    from tomlkit.exceptions import TOMLKitError

    try:
        document: Any = tomlkit.parse(text)
        del document["gateway"]["rules"][index]
        return str(tomlkit.dumps(document))
    except (TOMLKitError, KeyError, IndexError, TypeError):
        return None


def _read(text: str) -> Any:
    try:
        return parse_toml(text)
    except ValueError:
        return None


def _without_empty(values: Any) -> Any:
    """Return settings without an empty list of rules: whether it is written says nothing."""
    if not isinstance(values, dict):
        return values
    gateway = {key: value for key, value in values.get("gateway", {}).items() if key != "rules" or value}
    rest = {key: value for key, value in values.items() if key != "gateway"}
    return rest | ({"gateway": gateway} if gateway else {})


def _key(name: str) -> str:
    return name if _BARE.fullmatch(name) else _string(name)


def _value(value: Any) -> str:
    if isinstance(value, str):
        return _string(value)
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float) and math.isfinite(value):
        return repr(value)
    if isinstance(value, Mapping):
        inner = ", ".join(f"{_key(str(key))} = {_value(item)}" for key, item in value.items())
        return f"{{ {inner} }}" if inner else "{}"
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_value, value))}]"
    raise ValueError(f"a settings file cannot hold {type(value).__name__}")


def _string(text: str) -> str:
    return '"' + "".join(map(_character, text)) + '"'


def _character(char: str) -> str:
    if char in '"\\':
        return f"\\{char}"
    if char.isprintable() and visible(char) == char:
        return char
    code = ord(char)
    if 0xD800 <= code <= 0xDFFF:
        raise ValueError("a settings file cannot hold half a character")
    return f"\\u{code:04X}" if code <= 0xFFFF else f"\\U{code:08X}"
