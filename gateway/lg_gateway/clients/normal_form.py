"""Turns one entry, in any client's words, into the settings of a server."""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from lg_gateway.clients.dialects.shared import ClientRow, Raw, Reading, switch
from lg_gateway.clients.entry import UnusableEntry
from lg_gateway.clients.placeholders import Translation
from lg_policy.config.settings import UpstreamSettings

TYPES = {
    "stdio": "command", "local": "command", "http": "url", "streamable-http": "url", "streamableHttp": "url",
    "streamable_http": "url", "sse": "url", "remote": "url",
}  # fmt: skip
_KEYS = frozenset((
    "command", "args", "env", "cwd", "url", "headers", "env_file", "call_timeout_s", "connect_timeout_s",
    "include_tools", "exclude_tools",
))  # fmt: skip
_TEXTS = ("command", "cwd", "url", "env_file")
_PROJECT_FOLDERS = (
    (".kiro", "settings"), (".junie", "mcp"), (".continue", "mcpServers"), (".cursor",), (".vscode",), (".roo",),
    (".zed",), (".gemini",), (".codex",), (".amazonq",), (".github",), (".air",),
)  # fmt: skip
_HALF_PAIR = re.compile("[\ud800-\udfff]")
_ON, _OFF = ("enabled", "isActive", "active", "isEnabled"), ("disabled", "isDisabled")
"""The switches of clients. Whichever says so, a server that is off there is off here."""
_OURS = ("lg-gateway", "lg-gateway.exe", "lg_gateway")


def settings_of(
    entry: Raw, row: ClientRow, reading: Reading, *, path: Path, secret: Callable[[str], str | None]
) -> UpstreamSettings:
    """Return the settings that an entry means. Raises `UnusableEntry`."""
    _check_texts("", entry)
    values = row.adapt({key: value for key, value in entry.items() if value is not None}, reading)
    transport = _transport(values, row)
    off = [switch(values.pop(key), key) for key in _OFF if key in values]
    on = [switch(values.pop(key), key) for key in _ON if key in values]
    enabled = all(on) and not any(off)
    values = {key: value for key, value in values.items() if value is not None}
    if ignored := sorted(values.keys() - _KEYS):
        reading.notes.append(f"ignored: {', '.join(map(repr, ignored))[:300]}")
    values = {key: value for key, value in values.items() if key in _KEYS}
    if "url" in values:
        values.pop("env_file", None)
    _fit_shapes(values)
    folder = project_folder(path)
    values = _translated(values, Translation(syntaxes=row.syntaxes, secret=secret, folder=folder))
    _refuse_this_gateway(values)
    _anchor(values, folder)
    if transport is not None:
        values["transport"] = transport
    try:
        return UpstreamSettings.model_validate(values | {"enabled": enabled})
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        raise UnusableEntry(f"{'.'.join(map(str, first['loc']))}: {first['msg']}") from error


def project_folder(path: Path) -> str:
    """Return the folder that relative paths in a file start from: the project, for a file in a folder of its client."""
    parts = path.absolute().parent.parts
    for folders in _PROJECT_FOLDERS:
        if parts[-len(folders) :] == folders:
            return os.path.join(*parts[: -len(folders)])
    return str(path.absolute().parent)


def _transport(values: Raw, row: ClientRow) -> str | None:
    """Return the transport of a server with an address. Raises `UnusableEntry` for one that is not served."""
    kind = values.pop("transport", None)
    kind = values.pop("type", kind)
    if kind is None:
        if values.get("command") is not None and values.get("url") is not None:
            raise UnusableEntry("has both command and url")
        if values.get("command") is None and values.get("url") is None:
            raise UnusableEntry("has neither command nor url")
        return row.untyped_url if values.get("url") is not None else None
    if isinstance(kind, str) and kind not in TYPES:
        kind = next((known for known in TYPES if known.lower() == kind.lower().strip()), kind)
    if not isinstance(kind, str) or kind not in TYPES:
        raise UnusableEntry(f"type {str(kind)[:80]!r} is not supported", hint=f"use one of {', '.join(sorted(TYPES))}")
    needed = TYPES[kind]
    if values.get(needed) is None:
        raise UnusableEntry(f"type {kind!r} needs {needed!r}")
    if needed == "command":
        if values.get("url") is not None:
            raise UnusableEntry("has both command and url")
        return None
    if values.get("command") is not None:
        raise UnusableEntry("has both command and url")
    return {"sse": "sse", "remote": "auto"}.get(kind, "http")


def _fit_shapes(values: Raw) -> None:
    """Make arguments a list, and variables and headers tables of texts, where other shapes mean the same."""
    if isinstance(values.get("args"), str):
        values["args"] = _split(values["args"])
    if isinstance(values.get("args"), list):
        values["args"] = [_as_text(value) for value in values["args"]]
    if isinstance(values.get("env"), list):
        values["env"] = _pairs(values["env"])
    if not isinstance(values.get("args", []), list):
        raise UnusableEntry("args must be a list of texts")
    for key in ("env", "headers"):
        if not isinstance(values.get(key, {}), dict):
            raise UnusableEntry(f"{key} must be an object")
        if key in values:
            values[key] = {inner: _as_text(value) for inner, value in values[key].items() if value is not None}
    for key in _TEXTS:
        if key in values and not isinstance(values[key], str):
            raise UnusableEntry(f"{key} must be a text")


def _split(arguments: str) -> list[str]:
    try:
        return shlex.split(arguments)
    except ValueError as error:
        raise UnusableEntry(f"args: {error}", hint='write a list of texts: ["-y", "server"]') from error


def _pairs(entries: list[Any]) -> dict[str, str]:
    """Return variables that are written as a list of `NAME=value`."""
    if not all(isinstance(entry, str) and entry.find("=") > 0 for entry in entries):
        raise UnusableEntry("env must be an object", hint='write {"NAME": "value"}')
    return dict(entry.split("=", 1) for entry in entries)


def _check_texts(where: str, value: Any) -> None:
    """Raise `UnusableEntry` for a text that no program can be given: with a NUL or half a surrogate pair."""
    waiting = [(where, value)]
    while waiting:
        where, value = waiting.pop()
        if isinstance(value, str) and ("\0" in value or _HALF_PAIR.search(value) is not None):
            raise UnusableEntry(f"{where} has a character that no program can be given: a NUL or half a surrogate pair")
        inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
        for key, item in inner:
            shown = f"{where}.{key}".lstrip(".")[:80]
            waiting += [(shown, key), (shown, item)]


def _as_text(value: Any) -> Any:
    """Return a number or a switch as the text that a program gets."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value) if isinstance(value, int | float) else value


def _translated(values: Raw, translation: Translation) -> Raw:
    made = dict(values)
    for key in _TEXTS:
        if key in made:
            made[key] = translation.text(key, made[key])
    if isinstance(made.get("args"), list):
        made["args"] = [translation.text("args", value) if isinstance(value, str) else value for value in made["args"]]
    for key in ("env", "headers"):
        if isinstance(made.get(key), dict):
            made[key] = {
                name: translation.text(key, value) if isinstance(value, str) else value
                for name, value in made[key].items()
            }
    return made


def _refuse_this_gateway(values: Raw) -> None:
    """Raise `UnusableEntry` for an entry that starts or calls a gateway of ours: it would serve itself."""
    words = [str(word) for word in (values.get("command") or "", *(values.get("args") or ()))]
    programs = {re.split(r"[/\\]", word)[-1] for text in words for word in text.split()}
    headers = " ".join(map(str, (values.get("headers") or {}).values()))
    if programs & set(_OURS) or "LG_GATEWAY_TOKEN" in headers:
        raise UnusableEntry("is lg-gateway itself: behind a gateway it would serve its own tools again")


def _anchor(values: Raw, folder: str) -> None:
    """Make relative paths absolute: the gateway starts elsewhere than the client did."""
    for key in ("cwd", "env_file"):
        if key in values and not values[key].startswith("${"):
            values[key] = os.path.normpath(os.path.join(folder, os.path.expanduser(values[key])))
    command = values.get("command", "")
    if not command.startswith("${") and ("/" in command or os.sep in command):
        there = os.path.normpath(os.path.join(folder, os.path.expanduser(command)))
        if os.path.exists(there):
            values["command"] = there
