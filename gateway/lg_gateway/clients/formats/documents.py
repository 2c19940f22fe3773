"""Reads a client's file, whatever its format, within limits. The end of its name tells the format."""

from __future__ import annotations

import json
import re
import tomllib
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lg_gateway.clients.formats.json_comments import JsonObject, parse_json
from lg_policy.errors import ConfigError

JSON_BYTES = 32_000_000
"""Some clients keep their history in the same file."""
OTHER_BYTES = 1_000_000
"""Of YAML and TOML, which take longer to read."""
YAML_DEPTH = 50
TOML_DOTS = 1_000
"""Of one line."""
YAML_SUFFIXES = (".yaml", ".yml")
_LONG_NUMBER = re.compile(r"[-+0-9_.:]{100,}")


@dataclass(frozen=True, kw_only=True)
class Document:
    """What a file says. `format` is `json`, `toml` or `yaml`."""

    path: Path
    format: str
    content: Any


def read_document(path: Path) -> Document:
    """Read a file. Raises `ConfigError` when it cannot be read."""
    kind = "toml" if path.suffix == ".toml" else "yaml" if path.suffix in YAML_SUFFIXES else "json"
    limit = JSON_BYTES if kind == "json" else OTHER_BYTES
    try:
        with path.open("rb") as file:
            data = file.read(limit + 1)
        if len(data) > limit:
            raise ConfigError(f"cannot read {path}: it has more than {limit} bytes")
        return Document(path=path, format=kind, content=parsed(kind, decoded(data)))
    except (OSError, ValueError, RecursionError) as error:
        raise ConfigError(f"cannot read {path}: {why_not(error)}") from error


def why_not(error: Exception) -> str:
    """Return in a person's words, on one line, why a file cannot be read."""
    if isinstance(error, RecursionError):
        return "it is nested too deeply"
    if isinstance(error, UnicodeDecodeError):
        return f"it is not UTF-8 text: byte {error.start} cannot be read"
    if isinstance(error, ValueError) and "int_max_str_digits" in str(error):
        return "a number in it has thousands of digits"
    return " ".join(str(error).split())


def decoded(data: bytes) -> str:
    """Return the text of a file: UTF-8, or UTF-16 with a byte order mark, as Windows editors write it."""
    return data.decode(json.detect_encoding(data)).removeprefix("\ufeff")


def parsed(kind: str, text: str) -> Any:
    """Return what a text of this format says. Raises `ValueError` or `RecursionError`."""
    if kind == "toml":
        _check_dots(text)
        return tomllib.loads(text.replace("\r\n", "\n"))
    if kind == "yaml":
        return _yaml(text)
    return parse_json(text) if text.strip() else {}


def _check_dots(text: str) -> None:
    """Raise `ValueError` for a line with a key of very many parts, which the reader takes quadratic time for."""
    for number, line in enumerate(text.split("\n"), start=1):
        if line.count(".") > TOML_DOTS:
            raise ValueError(f"line {number}: it has more than {TOML_DOTS} dots")


def _yaml(text: str) -> Any:
    """Return what a YAML text says. Aliases and deep nesting are refused: a short text could mean a huge one."""
    import yaml

    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    depth = 0
    try:
        for event in yaml.parse(text, Loader=loader):
            depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
            alias = isinstance(event, yaml.AliasEvent)
            if alias or depth > YAML_DEPTH:
                why = "aliases (*name) are not read" if alias else "nested too deeply"
                raise ValueError(f"line {event.start_mark.line + 1}: {why}")
            if isinstance(event, yaml.ScalarEvent) and _LONG_NUMBER.fullmatch(event.value) is not None:
                raise ValueError(f"line {event.start_mark.line + 1}: the number is too long")
        return yaml.load(text, Loader=_loader(loader))  # noqa: S506 - either loader makes plain data only
    except (AttributeError, KeyError, IndexError, OverflowError, TypeError) as error:
        raise ValueError("a value is not what its tag says") from error  # the reader takes a tag's word for it
    except yaml.YAMLError as error:
        raise ValueError(str(error)) from error


def _loader(plain: Any) -> Any:
    """Return a loader that tells which keys stand twice, as the one for JSON does."""

    class Loader(plain):  # type: ignore[misc]  # one of the two loaders of PyYAML
        """Makes plain data."""

    def mapping(loader: Any, node: Any) -> Any:
        found = JsonObject()
        yield found
        found.update(loader.construct_mapping(node))
        counts = Counter(key.value for key, _ in node.value if isinstance(key.value, str))
        found.doubled = frozenset(key for key, count in counts.items() if count > 1)

    Loader.add_constructor("tag:yaml.org,2002:map", mapping)
    return Loader
