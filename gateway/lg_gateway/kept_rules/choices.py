"""Proposes the rules by which a call would not be asked about again. Pure.

Each is tried on the very call before it is offered. A rule names one caller. It names the definition of a tool or a
prompt, or the root where the server is our own: what changes is asked about again. A rule never holds what a human
would not be shown. What a resource's rule allows is in `resource_choices`.

Not covered: what a tool does with the arguments that a pattern leaves open. The words of the choice say so.
"""

from __future__ import annotations

import json
import posixpath
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import urlsplit

from lg_gateway.kept_rules.resource_choices import resource_rules
from lg_gateway.kept_rules.rule_text import rule_text
from lg_policy.config.settings import GatewaySettings, RuleSettings, Settings
from lg_policy.printing import quote
from lg_policy.rules.conditions import PATH_FORMAT, normalised_paths
from lg_policy.rules.rule_set import Effect, Kind, RuleBook, ToolFacts

TOOL, EXACT, PATTERN, READS = "tool", "exact", "pattern", "reads"
READ_TOOLS = 100
"""Tools of one server that one answer may allow."""
EXACT_BYTES = 2_000
"""JSON of arguments that a rule may hold: a larger one is nothing that a human reads in a settings file."""
EXACT_DEPTH = 6
WORDS_WIDTH = 80
_PATHS = frozenset(("path", "file", "file_path", "filepath", "filename", "directory", "dir", "folder"))
"""Names of arguments that hold paths, where no trusted schema says so."""
_URLS = frozenset(("url", "uri"))
_HOST = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9.-]{0,251}[A-Za-z0-9])?(?::[0-9]{1,5})?")
_SEGMENT = r"(?:/[^/.\\%\x00-\x1f][^/\\%\x00-\x1f]*|/\.[^/.\\%\x00-\x1f][^/\\%\x00-\x1f]*)"
"""A part of a path that leads down, however a server reads it: not `..`, nothing escaped."""


@dataclass(frozen=True, kw_only=True)
class RuleChoice:
    """One rule that a human may choose. `words` say what it allows; `rule` are the settings as they are written."""

    kind: str
    words: str
    rule: dict[str, Any]
    reads: bool = False
    """Whether the tool only reads, by what its server says of it."""


class _CannotHold(Exception):
    """A rule cannot hold these arguments."""


def choices(
    facts: ToolFacts,
    identity: str,
    arguments: Mapping[str, Any],
    *,
    secrets: bool,
    siblings: Sequence[ToolFacts] = (),
) -> list[RuleChoice]:
    """Return the rules that would allow this call. With `secrets` none holds arguments, or a resource's address.

    `arguments` are those that rules see: of a resource `{uri}`, of a prompt `{name, arguments}`. `siblings` are the
    tools of the same server: where it says that some only read, one answer may allow all of those.
    """
    if "*" in facts.tool or "*" in identity or facts.input_schema is None:
        return []
    base = _base(facts, identity)
    if facts.kind is Kind.RESOURCE:
        made = zip((TOOL, PATTERN), () if secrets else resource_rules(facts, base), strict=False)
        found = [RuleChoice(kind=kind, words=words, rule=rule) for kind, (words, rule) in made]
    else:
        found = [RuleChoice(kind=TOOL, words=f"this {facts.kind}, {quote(facts.tool, limit=WORDS_WIDTH)}", rule=base)]
        found += [] if secrets else _with_arguments(facts, base, arguments)
        found += _reading(facts, base, siblings)
    return [
        replace(choice, reads=facts.read_only)
        for choice in found
        if _can_be_written(choice.rule) and allows(choice.rule, facts, identity, arguments)
    ]


def allows(rule: Mapping[str, Any], facts: ToolFacts, identity: str, arguments: Mapping[str, Any]) -> bool:
    """Return whether a rule alone allows a call."""
    settings = Settings(gateway=GatewaySettings(rules=(RuleSettings.model_validate(rule),)))
    decision = RuleBook(settings).decide(identity=identity, facts=facts, arguments=arguments)
    return decision.effect is Effect.ALLOW and not decision.rule.startswith("default:")


def _can_be_written(rule: Mapping[str, Any]) -> bool:
    """Return whether a settings file can hold a rule: half a character and an endless number it cannot."""
    try:
        rule_text(rule)
    except ValueError:
        return False
    return True


def _base(facts: ToolFacts, identity: str) -> dict[str, Any]:
    rule: dict[str, Any] = {f"{facts.kind}s": [facts.tool], "identities": [identity], "effect": "allow"}
    if facts.kind is Kind.RESOURCE:
        return rule
    if facts.builtin is None or facts.kind is Kind.PROMPT:
        return rule | {"pins": {facts.tool: facts.pin}}
    return rule | ({"roots": [facts.root]} if facts.root is not None else {})


def _reading(facts: ToolFacts, base: Mapping[str, Any], siblings: Sequence[ToolFacts]) -> Iterator[RuleChoice]:
    reading = {other.tool: other.pin for other in siblings if other.read_only and "*" not in other.tool}
    ours = facts.kind is not Kind.TOOL or facts.builtin is not None
    if ours or not facts.read_only or not 1 < len(reading) <= READ_TOOLS:
        return
    names = quote(", ".join(sorted(reading)), limit=2 * WORDS_WIDTH)
    words = f"the {len(reading)} tools of this server that it says only read: {names}"
    yield RuleChoice(
        kind=READS, words=words, rule={**base, "tools": sorted(reading), "pins": dict(sorted(reading.items()))}
    )


def _with_arguments(facts: ToolFacts, base: Mapping[str, Any], arguments: Mapping[str, Any]) -> Iterator[RuleChoice]:
    try:
        size = len(json.dumps(arguments))
    except (ValueError, RecursionError):
        return
    if size > EXACT_BYTES:
        return
    plain: Mapping[str, Any] = arguments
    if facts.trusted:
        forms = normalised_paths(facts.input_schema, arguments, facts.root)
        if forms is None:
            return
        plain = forms.plain
    try:
        yield RuleChoice(kind=EXACT, words="exactly these arguments", rule={**base, "when": exact(plain)})
        yield from _patterns(facts, base, plain)
    except _CannotHold:
        return


def exact(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Return a condition that these arguments satisfy and no others. TOML has no null: it is written as a type."""
    return {**_object(arguments, EXACT_DEPTH), "type": "object"}


def _object(values: Mapping[str, Any], depth: int) -> dict[str, Any]:
    inner = {name: _value(value, depth - 1) for name, value in values.items()}
    made: dict[str, Any] = {"type": "object", "additionalProperties": False}
    return made | ({"properties": inner, "required": sorted(inner)} if inner else {})


def _value(value: Any, depth: int) -> dict[str, Any]:
    if depth < 0:
        raise _CannotHold
    if value is None:
        return {"type": "null"}
    if not _has_null(value, depth):
        return {"const": value}
    if isinstance(value, Mapping):
        return _object(value, depth)
    raise _CannotHold


def _has_null(value: Any, depth: int) -> bool:
    if depth < 0:
        raise _CannotHold
    if isinstance(value, Mapping):
        return any(_has_null(item, depth - 1) for item in value.values())
    if isinstance(value, list):
        return any(_has_null(item, depth - 1) for item in value)
    return value is None


def _patterns(facts: ToolFacts, base: Mapping[str, Any], arguments: Mapping[str, Any]) -> Iterator[RuleChoice]:
    """Return at most one rule with an open argument: a command's arguments, a file's name or an address's path."""
    if facts.builtin == "exec" and isinstance(arguments.get("cmd"), str):
        words = f"command {quote(arguments['cmd'], limit=WORDS_WIDTH)} with any arguments"
        yield RuleChoice(
            kind=PATTERN, words=words, rule={**base, "when": {"properties": {"cmd": {"const": arguments["cmd"]}}}}
        )
        return
    for name, value in arguments.items():
        made = _below(facts, name, value)
        if made is not None:
            pattern, words = made
            properties = _kept(facts, arguments, name) | {name: {"type": "string", "pattern": pattern}}
            rest = ", any other arguments" if len(arguments) > len(properties) or len(arguments) > 1 else ""
            yield RuleChoice(kind=PATTERN, words=words + rest, rule={**base, "when": {"properties": properties}})
            return


def _below(facts: ToolFacts, name: str, value: Any) -> tuple[str, str] | None:
    """Return a pattern for what lies beside this file or address, and its words."""
    if not isinstance(value, str):
        return None
    if name in _URLS:
        return _same_host(name, value)
    schema = _properties(facts).get(name)
    marked = isinstance(schema, Mapping) and schema.get("format") == PATH_FORMAT
    if not (name in _PATHS or (facts.trusted and marked)) or "\\" in value or "%" in value:
        return None
    folder = posixpath.dirname(value)
    if folder.strip("/.") == "" or posixpath.normpath(folder) != folder or ".." in folder.split("/"):
        return None
    shown = quote(f"{folder}/**", limit=WORDS_WIDTH)
    return f"^{re.escape(folder)}{_SEGMENT}+$", f"{quote(name, limit=WORDS_WIDTH)} below {shown}"


def _same_host(name: str, value: str) -> tuple[str, str] | None:
    try:
        parts = urlsplit(value)
    except ValueError:
        return None
    if parts.scheme not in ("http", "https") or _HOST.fullmatch(parts.netloc) is None:
        return None
    place = f"{parts.scheme}://{parts.netloc}"
    pattern = rf"^{re.escape(place)}(?:[/?#][^\\\x00-\x20]*)?$"
    return pattern, f"{quote(name, limit=WORDS_WIDTH)} on {quote(place, limit=WORDS_WIDTH)}"


def _kept(facts: ToolFacts, arguments: Mapping[str, Any], open_name: str) -> dict[str, Any]:
    """Return the arguments that choose what the tool does, such as a mode: a pattern leaves them as they are."""
    properties = _properties(facts)
    kept = {}
    for name, value in arguments.items():
        schema = properties.get(name)
        chooses = isinstance(value, bool) or (isinstance(schema, Mapping) and ("enum" in schema or "const" in schema))
        if name != open_name and chooses and not _has_null(value, EXACT_DEPTH):
            kept[name] = {"const": value}
    return kept


def _properties(facts: ToolFacts) -> Mapping[str, Any]:
    """Return the schemas of a tool's arguments. What a server sends need be no schema at all."""
    found = (facts.input_schema or {}).get("properties")
    return found if isinstance(found, Mapping) else {}
