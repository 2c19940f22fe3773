"""Reads `mcpServers` files as Claude Desktop, Cursor, VS Code, Windsurf, Gemini and others write them.

Such a file is taken as it is: comments and trailing commas are read, another client's keys are used where they mean
something here and ignored with a warning elsewhere, and a server's name is made fit. An entry that cannot be used
costs that entry.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from lg_policy.config.settings import UpstreamSettings
from lg_policy.errors import ConfigError

log = logging.getLogger(__name__)

NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9-]|_(?!_)){0,30}(?<!_)")
FIT_LENGTH = 20
"""Characters of a name that was made fit: a tool's name has to fit beside it."""
FILE_BYTES = 1_000_000
TYPES = {"stdio": "command", "http": "url", "streamable-http": "url", "streamableHttp": "url", "streamable_http": "url"}
_TABLES = (("mcpServers",), ("servers",), ("mcp", "servers"), ("context_servers",))
_USED = frozenset(("type", "transport", "command", "args", "env", "cwd", "url", "headers", "disabled", "enabled"))
_SWITCHES = {"true": True, "1": True, "yes": True, "on": True, "false": False, "0": False, "no": False, "off": False}
_ADDRESSES = ("serverUrl", "httpUrl")
_COMMENT_OR_TEXT = re.compile(r'"(?:[^"\\]|\\.)*+"?|//[^\n]*|/\*.*?(?:\*/|\Z)', re.DOTALL)
_TRAILING_COMMA = re.compile(r'"(?:[^"\\]|\\.)*+"?|,(?=\s*[}\]])', re.DOTALL)
_HALF_PAIR = re.compile("[\ud800-\udfff]")
_VSCODE_VARIABLE = re.compile(r"\$\{env:([A-Za-z_][A-Za-z0-9_]*)\}")


@dataclass(kw_only=True)
class McpJson:
    """The servers of a file, and why other entries cannot be used, by their names in the file."""

    servers: dict[str, UpstreamSettings] = field(default_factory=dict)
    unusable: dict[str, ConfigError] = field(default_factory=dict)


def read_mcp_json(path: Path) -> McpJson:
    """Read a file. Raises `ConfigError` when it cannot be read or has no table of servers."""
    try:
        with path.open("rb") as file:
            data = file.read(FILE_BYTES + 1)
        if len(data) > FILE_BYTES:
            raise ConfigError(f"cannot read {path}: it has more than {FILE_BYTES} bytes")
        content = json.loads(without_comments(data.decode(json.detect_encoding(data))))
    except (OSError, ValueError, RecursionError) as error:
        raise ConfigError(f"cannot read {path}: {error}") from error
    table = _table(path, content)
    if table is None:
        raise ConfigError(f'{path}: expected an object with a table "mcpServers"')
    found = McpJson()
    for name, entry in table.items():
        try:
            settings = _entry(path, name, entry)
        except ConfigError as error:
            found.unusable[name] = error
            continue
        fit = fit_name(name, found.servers)
        if fit != name:
            log.warning("%s: the server %r is called %s here: its name does not fit into a tool's", path, name, fit)
        found.servers[fit] = settings
    return found


def without_comments(text: str) -> str:
    """Return JSON text without comments and trailing commas, with the same line numbers."""
    plain = _COMMENT_OR_TEXT.sub(
        lambda found: found.group() if found.group().startswith('"') else "\n" * found.group().count("\n"), text
    )
    return _TRAILING_COMMA.sub(lambda found: found.group() if found.group() != "," else "", plain)


def fit_name(name: str, taken: Mapping[str, object]) -> str:
    """Return a name that fits before a tool's. Two names are never made the same."""
    if NAME.fullmatch(name) and name not in taken:
        return name
    plain = re.sub(r"[^A-Za-z0-9]+", "-", name).strip("-")
    if plain and len(plain) <= FIT_LENGTH and plain not in taken:
        return plain
    mark = hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()
    return f"{plain[: FIT_LENGTH - 5].strip('-') or 'server'}-{mark[:4]}"


def _table(path: Path, content: Any) -> Mapping[str, Any] | None:
    """Return the table of servers: the first that has some, else the first that is there."""
    found = {".".join(steps): table for steps in _TABLES if (table := _named(_at(content, steps))) is not None}
    filled = [name for name, table in found.items() if table]
    for other in filled[1:]:
        log.warning("%s: the servers below %r are ignored, because %r has some", path, other, filled[0])
    return found[filled[0]] if filled else next(iter(found.values()), None)


def _at(content: Any, steps: Sequence[str]) -> Any:
    for step in steps:
        content = content.get(step) if isinstance(content, dict) else None
    return content


def _named(table: Any) -> Mapping[str, Any] | None:
    """Return a table of servers as such; a list of servers by the `name` of each."""
    if isinstance(table, dict):
        return table
    if not isinstance(table, list) or not all(isinstance(entry, dict) for entry in table):
        return None
    names = [entry.get("name") for entry in table]
    if not all(isinstance(name, str) for name in names) or len(set(names)) < len(names):
        return None
    return {entry["name"]: {key: value for key, value in entry.items() if key != "name"} for entry in table}


def _entry(path: Path, name: str, entry: Any) -> UpstreamSettings:
    where = f"{path}: mcpServers.{name}"
    if not isinstance(entry, dict):
        raise ConfigError(f"{where} must be an object")
    values = {key: value for key, value in entry.items() if key in _USED and value is not None}
    for key in _ADDRESSES:
        if isinstance(entry.get(key), str) and "url" not in values:
            values["url"] = entry[key]
    if ignored := sorted(set(entry) - _USED - set(_ADDRESSES)):
        log.warning("%s: ignored: %s", where, ", ".join(map(repr, ignored))[:300])
    _check_kind(where, values)
    _check_texts(where, values)
    disabled = _switch(where, "disabled", values.pop("disabled", False))
    enabled = _switch(where, "enabled", values.pop("enabled", True)) and not disabled
    _fit_shapes(where, values)
    if isinstance(values.get("cwd"), str):
        values["cwd"] = os.path.normpath(path.absolute().parent / os.path.expanduser(values["cwd"]))
    try:
        return UpstreamSettings.model_validate(_variables(values) | {"enabled": enabled})
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        raise ConfigError(f"{where}.{'.'.join(map(str, first['loc']))}: {first['msg']}") from error


def _fit_shapes(where: str, values: dict[str, Any]) -> None:
    """Make arguments a list, and variables and headers tables of texts, where other shapes mean the same."""
    if isinstance(values.get("args"), str):
        values["args"] = _split(where, values["args"])
    if isinstance(values.get("env"), list):
        values["env"] = _pairs(where, values["env"])
    for key in ("env", "headers"):
        if isinstance(values.get(key), dict):
            values[key] = {inner: _as_text(value) for inner, value in values[key].items() if value is not None}


def _check_kind(where: str, values: dict[str, Any]) -> None:
    """Raise `ConfigError` for a transport that is not served."""
    kind = values.pop("transport", None)
    kind = values.pop("type", kind)
    if kind is None:
        return
    if not isinstance(kind, str) or kind not in TYPES:
        raise ConfigError(f"{where}: type {kind!r} is not supported", hint=f"use one of {', '.join(sorted(TYPES))}")
    if TYPES[kind] not in values:
        raise ConfigError(f"{where}: type {kind!r} needs {TYPES[kind]!r}")


def _split(where: str, arguments: str) -> list[str]:
    try:
        return shlex.split(arguments)
    except ValueError as error:
        raise ConfigError(f"{where}.args: {error}", hint='write a list of texts: ["-y", "server"]') from error


def _pairs(where: str, entries: list[Any]) -> dict[str, str]:
    """Return variables that are written as a list of `NAME=value`."""
    if not all(isinstance(entry, str) and entry.find("=") > 0 for entry in entries):
        raise ConfigError(f"{where}.env must be an object", hint='write {"NAME": "value"}')
    return dict(entry.split("=", 1) for entry in entries)


def _switch(where: str, key: str, value: Any) -> bool:
    """Return a switch, also one that is written as a text or a number. Raises `ConfigError` if it is neither."""
    word = str(value).strip().lower() if isinstance(value, bool | int | str) else ""
    if word not in _SWITCHES:
        raise ConfigError(f"{where}.{key} must be true or false")
    return _SWITCHES[word]


def _check_texts(where: str, value: Any) -> None:
    """Raise `ConfigError` for a text that no program can be given: with a NUL or half a surrogate pair."""
    if isinstance(value, str) and ("\0" in value or _HALF_PAIR.search(value) is not None):
        raise ConfigError(f"{where} has a character that no program can be given: a NUL or half a surrogate pair")
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in inner:
        _check_texts(where, key)
        _check_texts(f"{where}.{key}", item)


def _as_text(value: Any) -> Any:
    """Return a number or a switch as the text that a program gets."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value) if isinstance(value, int | float) else value


def _variables(value: Any) -> Any:
    """Write `${env:NAME}`, as VS Code has it, as `${NAME}`."""
    if isinstance(value, str):
        return _VSCODE_VARIABLE.sub(r"${\1}", value)
    if isinstance(value, dict):
        return {key: _variables(item) for key, item in value.items()}
    return [_variables(item) for item in value] if isinstance(value, list) else value
