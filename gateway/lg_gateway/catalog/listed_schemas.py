"""Rewrites schemas for `tools/list`: the strictest client can use them, and they allow all that the server declared.

The profile: an object with `properties` at the top and no combinator there; no `$ref`, `$defs` or conditional anywhere;
one type name in `type`; `required` names listed properties; argument names of `[A-Za-z0-9_.-]{1,64}`; patterns that
run in linear time, and none in a stranger's output schema; at most `LISTED_CHARACTERS`. What is left out here is still
checked: the gateway checks arguments and answers against the whole schema.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from lg_policy.errors import ConfigError
from lg_policy.rules.conditions import linear
from lg_policy.wire.argument_repair import TYPES, target

LISTED_CHARACTERS = 400_000
"""Characters of one schema, references written out. What is beyond that is listed as "anything"."""
DEPTH = 32
ARGUMENT_NAME = re.compile(r"[A-Za-z0-9_.-]{1,64}")
COMBINATORS = ("anyOf", "oneOf", "allOf", "not")
_NUMBERS = ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf")
_COUNTS = ("minLength", "maxLength", "minItems", "maxItems", "minProperties", "maxProperties")
_TEXTS = ("title", "description", "format")
_FLAGS = ("uniqueItems", "deprecated", "readOnly", "writeOnly")
_KINDS = {str: "string", bool: "boolean", int: "integer", float: "number", type(None): "null"}
_PLAIN = ("default", "examples", "const", "x-mcp-header")
# What expressions of every kind read alike: those of ECMAScript with its Unicode flag, of Python and of RE2.
_ESCAPE = r"\\[dDwWsSbBnrtfv^$\\.*+?()\[\]{}|/]"
_PORTABLE = re.compile(
    rf"(?:\[\^?(?:[^\\\[\]]|{_ESCAPE}|\\-)+\]|{_ESCAPE}|\((?:\?:|(?!\?))|\{{\d+(?:,\d*)?\}}|[^\\\[\]({{}}])*+"
)
_ALLOWED = frozenset(
    {*_NUMBERS, *_COUNTS, *_TEXTS, *_FLAGS, *_PLAIN, "type", "enum", "pattern", "properties", "required"}
    | {"additionalProperties", "items", "anyOf", "allOf"}
)


@dataclass(frozen=True, kw_only=True)
class ListedInput:
    """An input schema as it is listed. `renamed` maps listed argument names to the server's where they differ."""

    schema: dict[str, Any]
    renamed: Mapping[str, str] = field(default_factory=dict)


def listed_input(schema: Mapping[str, Any]) -> ListedInput:
    """Return an input schema in the profile."""
    made = _top(_Fitter(schema, patterns=True, output=False), schema)
    renamed = {name: fit_name(name) for name in made["properties"] if not ARGUMENT_NAME.fullmatch(name)}
    if not renamed:
        return ListedInput(schema=made)
    made["properties"] = {renamed.get(name, name): part for name, part in made["properties"].items()}
    if "required" in made:
        made["required"] = [renamed.get(name, name) for name in made["required"]]
    return ListedInput(schema=made, renamed={new: old for old, new in renamed.items()})


def listed_output(schema: Mapping[str, Any], *, trusted: bool) -> dict[str, Any] | None:
    """Return an output schema in the profile; `None` for one of something else than an object.

    Clients check answers by it. A stranger's has no patterns, which would run with slower expressions there, and
    nothing that the empty object does not fit, which stands for a structured part that was left out.
    """
    fitter = _Fitter(schema, patterns=trusted, output=True)
    root = fitter.resolved(schema)
    if root.get("type", "object") != "object":
        return None
    made = _top(fitter, schema)
    if not trusted:
        for key in ("required", "minProperties", "enum", "const"):
            made.pop(key, None)
    return made


def fit_name(name: str) -> str:
    """Return an argument name that every client takes. It ends in a hash of the whole original."""
    mark = hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:8]
    return f"{re.sub(r'[^A-Za-z0-9_.-]', '_', name)[:50]}_{mark}"


def problems(schema: Any) -> list[str]:
    """Return what of a listed schema breaks the profile."""
    if not isinstance(schema, Mapping):
        return ["it is not an object"]
    found = [] if schema.get("type") == "object" else ['its type is not "object"']
    found += [] if isinstance(schema.get("properties"), Mapping) else ["it has no properties"]
    found += [f"{key} at the top" for key in COMBINATORS if key in schema]
    found += [f"the argument name {name!r}" for name in schema.get("properties") or () if not _usable_name(name)]
    found += _inner_problems(schema)
    if len(json.dumps(schema)) > LISTED_CHARACTERS:
        found.append("it is too long")
    return found


def _usable_name(name: object) -> bool:
    return isinstance(name, str) and ARGUMENT_NAME.fullmatch(name) is not None


def _inner_problems(schema: Any) -> list[str]:
    if not isinstance(schema, Mapping):
        return ["a schema that is not an object"]
    found = [f"{key!r}" for key in schema if key not in _ALLOWED]
    if "type" in schema and (not isinstance(schema["type"], str) or schema["type"] not in TYPES):
        found.append(f"type {schema['type']!r}")
    if schema.get("type") == "array" and "items" not in schema:
        found.append("an array without items")
    listed = schema.get("properties") or {}
    found += [f"{name!r} is required and not listed" for name in schema.get("required", ()) if name not in listed]
    for part in _parts(schema):
        found += _inner_problems(part)
    return found


def _parts(schema: Mapping[str, Any]) -> Iterable[Any]:
    yield from (schema.get("properties") or {}).values()
    for key in ("anyOf", "allOf"):
        yield from schema.get(key, ())
    for key in ("items", "additionalProperties"):
        if key in schema and not isinstance(schema[key], bool):
            yield schema[key]


class _Fitter:
    """Makes the parts of one schema fit."""

    def __init__(self, root: Mapping[str, Any], *, patterns: bool, output: bool) -> None:
        self._root = root
        self._patterns = patterns
        self._output = output
        # Until draft 7, what stands beside a reference says nothing.
        self._old_draft = re.search(r"/draft-0[3-7]/", str(root.get("$schema", ""))) is not None
        self._room = LISTED_CHARACTERS // 2

    def resolved(self, schema: Any, seen: tuple[str, ...] = ()) -> Mapping[str, Any]:
        """Return a schema whose own `$ref` is followed; what stands beside it counts too."""
        if not isinstance(schema, Mapping):
            return {}
        reference = schema.get("$ref")
        if not isinstance(reference, str):
            return schema
        kept = ("title", "description") if self._old_draft else tuple(schema)
        beside = {key: schema[key] for key in kept if key in schema and key != "$ref"}
        if reference in seen or len(seen) > DEPTH:
            return beside
        return _joined(self.resolved(target(self._root, reference), (*seen, reference)), beside)

    def part(self, schema: Any, trail: tuple[str, ...], *, optional: bool = False) -> dict[str, Any]:
        """Return a part of the schema; "anything" for what refers to itself, is too deep or too much."""
        if not isinstance(schema, Mapping) or len(trail) > DEPTH or self._room <= 0:
            return {}
        reference = schema.get("$ref")
        if isinstance(reference, str):
            if reference in trail:
                return self._again(schema, reference)
            trail = (*trail, reference)
        else:
            trail = (*trail, "")
        plain = self.resolved(schema)
        if self._has_own_base(schema) or self._has_own_base(plain):
            return {}
        made = self._scalars(plain)
        self._room -= 16 + len(json.dumps(made))
        if self._room <= 0:
            return {}
        self._type(plain, made, optional=optional and not self._output)
        self._object(plain, made, trail)
        self._array(plain, made, trail)
        self._combined(plain, made, trail, optional=optional and not self._output)
        _name_type_of_values(made, optional=optional and not self._output)
        return made

    def either(self, name: str, parts: list[dict[str, Any]], *, alternatives: bool) -> dict[str, Any]:
        """Return what is listed for a property of several parts of a whole.

        An alternative that says nothing of the name allows anything there, and so does what is listed.
        """
        given: list[dict[str, Any]] = [
            part["properties"][name] for part in parts if name in (part.get("properties") or {})
        ]
        different = [part for place, part in enumerate(given) if part not in given[:place]]
        if not alternatives:
            return different[0]
        silent = any(_allows_any(name, part) for part in parts)
        if len(different) == 1 and not silent:
            return different[0]
        if self._output:
            return {}
        words = next((part["description"] for part in different if "description" in part), None)
        about = {"description": words} if silent and words is not None else {}
        return about | {"anyOf": [*different, *([{}] if silent and {} not in different else [])]}

    def _has_own_base(self, schema: Mapping[str, Any]) -> bool:
        """Whether references in this part are not those of the whole."""
        return schema.get("$id") not in (None, self._root.get("$id")) and '"$ref"' in json.dumps(schema)

    def _again(self, schema: Mapping[str, Any], reference: str) -> dict[str, Any]:
        """A part that refers to itself: its type and what it is, and no more."""
        found = {**self.resolved(target(self._root, reference), (reference,)), **schema}
        made = {"type": found["type"]} if isinstance(found.get("type"), str) and found["type"] in TYPES else {}
        if made.get("type") == "array":
            made["items"] = {}
        description = found.get("description")
        return made | ({"description": description} if isinstance(description, str) else {})

    def _scalars(self, schema: Mapping[str, Any]) -> dict[str, Any]:
        made: dict[str, Any] = {key: schema[key] for key in _PLAIN if key in schema}
        if not isinstance(made.get("examples", []), list):
            del made["examples"]
        made |= {key: schema[key] for key in _TEXTS if isinstance(schema.get(key), str)}
        made |= {key: schema[key] for key in _FLAGS if isinstance(schema.get(key), bool)}
        made |= {key: schema[key] for key in _NUMBERS if _number(schema.get(key))}
        if made.get("multipleOf", 1) <= 0:
            del made["multipleOf"]
        made |= {key: int(schema[key]) for key in _COUNTS if _count(schema.get(key))}
        for exclusive, limit in (("exclusiveMinimum", "minimum"), ("exclusiveMaximum", "maximum")):
            if schema.get(exclusive) is True and limit in made:  # as drafts before 6 wrote it
                made[exclusive] = made.pop(limit)
        if isinstance(schema.get("enum"), list) and schema["enum"]:
            made["enum"] = list({json.dumps(value, sort_keys=True): value for value in schema["enum"]}.values())
        pattern = schema.get("pattern")
        if self._patterns and isinstance(pattern, str) and _PORTABLE.fullmatch(pattern) and _linear(pattern):
            made["pattern"] = pattern
        return made

    def _type(self, schema: Mapping[str, Any], made: dict[str, Any], *, optional: bool) -> None:
        given = schema.get("type")
        every = given if isinstance(given, list) else [given]
        names = [name for name in every if name in TYPES]
        if len(names) < len(every):
            names = []  # nobody knows what the other kinds allow
        if optional and len(names) > 1:
            names = [name for name in names if name != "null"]  # null counts as left out there
        if len(names) == 1:
            made["type"] = names[0]
        elif names and "anyOf" not in schema and "oneOf" not in schema:
            made["anyOf"] = [{"type": name} | ({"items": {}} if name == "array" else {}) for name in names]

    def _object(self, schema: Mapping[str, Any], made: dict[str, Any], trail: tuple[str, ...]) -> None:
        given = schema.get("properties")
        required = [name for name in _texts(schema.get("required")) if isinstance(given, Mapping) and name in given]
        if isinstance(given, Mapping):
            made["properties"] = {
                str(name): self.part(part, trail, optional=name not in required)
                for name, part in given.items()
                if part is not False
            }
            listed = [name for name in dict.fromkeys(required) if name in made["properties"]]
            made |= {"required": listed} if listed else {}
        rest = schema.get("additionalProperties")
        # What names by pattern allow is not listed: then nothing can be said of the names that are left.
        if "patternProperties" not in schema and isinstance(rest, bool | Mapping):
            made["additionalProperties"] = rest if isinstance(rest, bool) else self.part(rest, trail)

    def _array(self, schema: Mapping[str, Any], made: dict[str, Any], trail: tuple[str, ...]) -> None:
        items = schema.get("items")
        if isinstance(items, Mapping) and "prefixItems" not in schema:
            made["items"] = self.part(items, trail)
        elif made.get("type") == "array":
            made["items"] = {}

    def _combined(
        self, schema: Mapping[str, Any], made: dict[str, Any], trail: tuple[str, ...], *, optional: bool
    ) -> None:
        # `oneOf` becomes `anyOf`: parts that are listed wider than they are could fit at once.
        choices = [part for key in ("anyOf", "oneOf") for part in _list(schema.get(key)) if part is not False]
        if "anyOf" in schema and "oneOf" in schema:
            choices = []
        if optional and len(choices) > 1:
            choices = [part for part in choices if not (isinstance(part, Mapping) and part.get("type") == "null")]
        parts = [self.part(part, trail, optional=optional) for part in choices]
        if len(parts) == 1:
            made |= _joined(parts[0], made)
        elif parts:
            made["anyOf"] = parts
        both = [self.part(part, trail) for part in _list(schema.get("allOf"))]
        if len(both) == 1:
            made |= _joined(both[0], made)
        elif both:
            made["allOf"] = both


def _name_type_of_values(made: dict[str, Any], *, optional: bool) -> None:
    """Give the type of listed values, which some clients insist on. Values of several types are not listed."""
    if "type" in made or "anyOf" in made or "allOf" in made or not ({"enum", "const"} & made.keys()):
        return
    values = made["enum"] if "enum" in made else [made["const"]]
    if optional and len(values) > 1:
        values = [value for value in values if value is not None]  # null counts as left out there
    kinds = {_KINDS.get(type(value), "") for value in values}
    if len(kinds) != 1 or "" in kinds:
        made.pop("enum", None)
        return
    made["type"] = kinds.pop()
    if "enum" in made:
        made["enum"] = values


def _top(fitter: _Fitter, schema: Mapping[str, Any]) -> dict[str, Any]:
    """Return the whole as an object with properties, those of alternatives included, and no combinator."""
    root = fitter.resolved(schema)
    plain = {key: value for key, value in root.items() if key not in COMBINATORS} | {"type": "object"}
    made = fitter.part(plain, ())
    properties: dict[str, Any] = dict(made.get("properties") or {})
    required = list(made.get("required", ()))
    for key in ("allOf", "anyOf", "oneOf"):
        parts = [fitter.part({"type": "object", **fitter.resolved(part)}, ("",)) for part in _list(root.get(key))]
        for name in dict.fromkeys(name for part in parts for name in part.get("properties") or {}):
            properties.setdefault(name, fitter.either(name, parts, alternatives=key != "allOf"))
        in_all = [set(part.get("required", ())) for part in parts]
        sure = set().union(*in_all) if key == "allOf" else set.intersection(*in_all) if in_all else set()
        required += sorted(sure - set(required))
    made = {key: value for key, value in made.items() if key not in COMBINATORS}
    made |= {"type": "object", "properties": properties}
    made.pop("required", None)
    return made | ({"required": kept} if (kept := [name for name in required if name in properties]) else {})


def _allows_any(name: str, part: Mapping[str, Any]) -> bool:
    """Whether a listed alternative does not name this property, and does not forbid names that it leaves out."""
    return name not in (part.get("properties") or {}) and part.get("additionalProperties") is not False


def _number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _count(value: object) -> bool:
    return isinstance(value, int | float) and _number(value) and value >= 0 and value == int(value)


def _joined(part: Mapping[str, Any], beside: Mapping[str, Any]) -> dict[str, Any]:
    """Return two schemas that both hold as one that is no narrower: what stands beside wins, properties add up."""
    made = {**part, **beside}
    both = [schema["properties"] for schema in (part, beside) if isinstance(schema.get("properties"), Mapping)]
    if len(both) > 1:
        made["properties"] = {**both[0], **both[1]}
    return made


def _list(value: object) -> list[Any]:
    return value if isinstance(value, list) else []


def _texts(value: object) -> list[str]:
    return [item for item in _list(value) if isinstance(item, str)]


def _linear(pattern: str) -> bool:
    try:
        linear(pattern)
    except ConfigError:
        return False
    return True
