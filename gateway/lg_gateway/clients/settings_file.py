"""Writes servers into the user's settings file. Comments and everything else in it stay as they are."""

from __future__ import annotations

import os
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lg_gateway.clients.formats.toml_text import parse_toml, with_tables, without_tables
from lg_policy.builtin_servers import BUILTINS
from lg_policy.config.settings import UpstreamSettings
from lg_policy.errors import ConfigError
from lg_policy.state import make_private, replace_file

PARENTS = ("gateway", "servers")


@dataclass(frozen=True, kw_only=True)
class SettingsEdit:
    """What a change of the settings file comes to. Nothing is written yet."""

    path: Path
    before: bytes | None
    """`None` where there is no file."""
    after: bytes
    added: Mapping[str, Mapping[str, Any]]
    unchanged: tuple[str, ...]
    """Servers that are there already, with the same settings."""
    taken: tuple[str, ...]
    """Names under which the file has another server. They are left as they are."""
    left: tuple[str, ...] = ()
    """The servers that the file has afterwards, where some were taken out."""

    def write(self) -> None:
        """Write the file, readable for its owner only: it may hold what the client's file held."""
        if self.after == (self.before or b""):
            return
        if read_settings_text(self.path)[0] != self.before:
            raise ConfigError(f"{self.path} was changed by another program meanwhile", hint="run the command again")
        if not self.path.parent.exists():
            make_private(self.path.parent)
        replace_file(Path(os.path.realpath(self.path)), self.after)


def with_servers(path: Path, servers: Mapping[str, UpstreamSettings], *, replace: bool = False) -> SettingsEdit:
    """Return the change that adds servers to a settings file. Raises `ConfigError` where that cannot be done."""
    before, text = read_settings_text(path)
    known = _servers(path, text)
    wanted = {name: table_of(settings) for name, settings in servers.items()}
    unchanged = tuple(name for name in wanted if known.get(name) == wanted[name])
    differing = tuple(name for name in wanted if name in known and name not in unchanged)
    added = {name: table for name, table in wanted.items() if name not in unchanged}
    if not replace:
        added = {name: table for name, table in added.items() if name not in differing}
    if added and not known:  # with the first server that is named, our own have to be named too
        added = {name: {"builtin": name} for name in BUILTINS} | added
    try:
        if replace:
            text = without_tables(text, PARENTS, differing)
        text = with_tables(text, PARENTS, added) if added else text
    except ValueError as error:
        raise _by_hand(path, error) from error
    taken = () if replace else differing
    after = text.encode() if added else before or b""
    return SettingsEdit(path=path, before=before, after=after, added=added, unchanged=unchanged, taken=taken)


def without_servers(path: Path, servers: Mapping[str, Mapping[str, Any]]) -> SettingsEdit:
    """Return the change that takes servers out again which have the same settings as when they were added."""
    before, text = read_settings_text(path)
    known = _servers(path, text)
    gone = tuple(name for name, values in servers.items() if known.get(name) == values)
    kept = tuple(name for name in servers if name in known and name not in gone)
    try:
        after = without_tables(text, PARENTS, gone).encode() if gone else before or b""
    except ValueError as error:
        raise _by_hand(path, error) from error
    left = tuple(name for name in known if name not in gone)
    return SettingsEdit(path=path, before=before, after=after, added={}, unchanged=(), taken=kept, left=left)


def servers_in(path: Path) -> Mapping[str, Any]:
    """Return the tables of servers in a settings file, by name. Raises `ConfigError`."""
    return _servers(path, read_settings_text(path)[1])


def reserved_names(path: Path) -> tuple[str, ...]:
    """Return the names of our own servers in a settings file, or those they have where it names no server."""
    known = servers_in(path)
    return tuple(name for name, table in known.items() if "builtin" in table) if known else BUILTINS


def table_of(settings: UpstreamSettings) -> dict[str, Any]:
    """Return the settings of a server as they are written: only what differs from the defaults."""
    values = settings.model_dump(mode="json", exclude_defaults=True)
    command = values.get("command")
    if isinstance(command, str) and "/" in command and " " in command and not os.path.exists(command):
        # A path in a settings file starts from that file, so a command with its arguments must not look like one.
        first, *rest = _words(command)
        values |= {"command": first, "args": [*rest, *values.get("args", [])]}
    return values


def _words(command: str) -> list[str]:
    try:
        return shlex.split(command)
    except ValueError:
        return [command]


def read_settings_text(path: Path) -> tuple[bytes | None, str]:
    """Return the bytes of a settings file, `None` where there is none, and its text. Raises `ConfigError`."""
    try:
        before = path.read_bytes()
        text = before.decode("utf-8")
        parse_toml(text)
    except FileNotFoundError:
        return None, ""
    except OSError as error:
        raise ConfigError(f"cannot read {path}: {error}") from error
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"{path} is not valid TOML: {error}", hint="correct that line") from error
    return before, text


def _servers(path: Path, text: str) -> dict[str, Any]:
    gateway = parse_toml(text).get("gateway", {})
    servers = gateway.get("servers", {}) if isinstance(gateway, dict) else None
    if not isinstance(servers, dict):
        raise ConfigError(f"{path}: gateway.servers is not a table")
    return servers


def _by_hand(path: Path, error: ValueError) -> ConfigError:
    return ConfigError(f"cannot change {path}: {error}", hint="add the servers to it by hand")
