"""Reads a client's file: read this first. The client is recognised, and its dialect gives each entry our keys.

An entry that cannot be used costs that entry. Nothing is filled in here: see `values`.
"""

from __future__ import annotations

import hashlib
import logging
from collections import ChainMap, Counter
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lg_gateway.clients.dialects.own_shapes import ANY
from lg_gateway.clients.dialects.shared import ClientRow, Raw, Reading
from lg_gateway.clients.entry import ClientEntry, ClientFile, UnusableEntry
from lg_gateway.clients.formats.documents import Document, read_document
from lg_gateway.clients.formats.json_comments import JsonObject
from lg_gateway.clients.names import NAME, fit_name
from lg_gateway.clients.normal_form import settings_of
from lg_gateway.clients.recognition import CLIENTS, at, has, recognise
from lg_policy.errors import ConfigError

log = logging.getLogger(__name__)

ENTRY_CHARACTERS = 200_000
"""Of all texts of one entry."""
NAME_CHARACTERS = 500
SERVERS = 2_000
"""Of one file."""


def read_client_file(
    path: Path, *, client: str = "", root: Path | None = None, reserved: Collection[str] = ()
) -> ClientFile:
    """Read a file. `root` is the project whose servers count, in a file that has some for each project.
    A server of the file is not given a `reserved` name.

    Raises `ConfigError` when the file cannot be read or has no table of servers.
    """
    return servers_of(read_document(path), client=client, root=root, reserved=reserved)


def servers_of(
    document: Document, *, client: str = "", root: Path | None = None, reserved: Collection[str] = ()
) -> ClientFile:
    """Return the servers of a file that was read. Raises `ConfigError` where it has no table of servers."""
    path = document.path
    if client and client not in CLIENTS:
        raise ConfigError(f"no client is called {client!r}", hint=f"choose one of {', '.join(sorted(CLIENTS))}")
    row = CLIENTS[client] if client else recognise(path.absolute(), document.content)
    found = ClientFile(path=path, client=row.name)
    found.table, table = _table(document, row, found)
    asked = _inputs(document.content)
    work = _Work(found=found, row=row, document=document, asked=asked, reserved=dict.fromkeys(reserved))
    work.off = dict.fromkeys(_excluded(document.content), "mcp.excluded or mcp.allowed")
    if row.name == "claude-code":
        work.off |= _disabled(document.content, root)
    servers = {**table, **_project(document.content, root, found)}
    if len(servers) > SERVERS:
        raise ConfigError(f"{path}: it has more than {SERVERS} servers")
    for name, entry in servers.items():
        work.read(name, entry, doubled=_doubled(table, name))
    found.inputs = work.inputs
    return found


@dataclass(kw_only=True)
class _Work:
    found: ClientFile
    row: ClientRow
    document: Document
    asked: Mapping[str, str]
    """Ids that the file itself asks a person for, with their descriptions."""
    reserved: Mapping[str, Any]
    off: dict[str, str] = field(default_factory=dict)
    """The servers that the file switches off elsewhere than in their entries, with the key that says so."""
    inputs: dict[str, str] = field(default_factory=dict)

    def read(self, name: str, entry: Any, *, doubled: bool) -> None:
        reading = Reading(ask=self._ask, unit=self.row.unit, longest_s=self.row.longest_s)
        try:
            _check(entry, doubled)
            settings = settings_of(dict(entry), self.row, reading, path=self.document.path, secret=self._secret)
        except UnusableEntry as error:
            self.found.unusable[name] = error
            return
        fit = fit_name(name, ChainMap(self.found.entries, self.reserved))  # type: ignore[arg-type]  # it is only read
        if fit != name:
            why = "that name is taken" if NAME.fullmatch(name) else "its name does not fit into a tool's"
            reading.notes.insert(0, f"is called {fit} here: {why}")
        if name in self.off and settings.enabled:
            settings = settings.model_copy(update={"enabled": False})
            reading.notes.append(f"is switched off: {self.off[name]} says so")
        self.found.entries[fit] = ClientEntry(
            name=fit, written=name, settings=settings, notes=tuple(reading.notes), proposed=tuple(reading.proposed)
        )

    def _secret(self, wanted: str) -> str | None:
        """Return the name of an input of the file; any, where the client keeps its secrets elsewhere."""
        if wanted in self.asked:
            return self._ask(wanted, self.asked[wanted])
        return self._ask(wanted, wanted) if self.row.syntaxes.secrets else None

    def _ask(self, wanted: str, description: str) -> str:
        """Return the name for an id. Files do not share one: what was given for one server is not for another's."""
        mark = hashlib.sha256(str(self.document.path.absolute()).encode("utf-8", "surrogateescape")).hexdigest()[:8]
        plain = "".join(letter if letter.isalnum() and letter.isascii() else "-" for letter in wanted)[:40]
        name = f"{plain}-{mark}"
        self.inputs[name] = description
        return name


def _check(entry: Any, doubled: bool) -> None:
    """Raise `UnusableEntry` for an entry whose meaning is not certain, or that is too long."""
    if doubled:
        raise UnusableEntry("its name stands twice in the table")
    if not isinstance(entry, Mapping):
        raise UnusableEntry("must be an object")
    length = 0
    for part in _parts(entry):
        if isinstance(part, JsonObject) and part.doubled:
            raise UnusableEntry(f"the key {min(part.doubled)[:80]!r} stands twice in it")
        length += len(part) if isinstance(part, str) else 1
        if length > ENTRY_CHARACTERS:
            raise UnusableEntry(f"its texts have more than {ENTRY_CHARACTERS} characters")


def _parts(value: Any) -> Iterator[Any]:
    waiting = [value]
    while waiting:
        part = waiting.pop()
        yield part
        if isinstance(part, Mapping):
            waiting += [*part.keys(), *part.values()]
        elif isinstance(part, list):
            waiting += part


def _doubled(table: Mapping[str, Any], name: str) -> bool:
    return isinstance(table, JsonObject) and name in table.doubled


def _table(document: Document, row: ClientRow, found: ClientFile) -> tuple[str, Mapping[str, Any]]:
    """Return the table of servers: the first that has some, else the first that is there."""
    content = document.content
    if isinstance(content, JsonObject) and (twice := content.doubled & {steps[0] for steps in row.tables if steps}):
        raise ConfigError(f"{document.path}: {min(twice)!r} stands twice, so it is not certain what counts")
    tables = {".".join(steps): table for steps in row.tables if (table := _named(at(content, steps))) is not None}
    filled = [name for name, table in tables.items() if table]
    if filled:
        for other in filled[1:]:
            if other:
                found.notes.append(f"the servers below {other!r} are ignored, because {filled[0]!r} has some")
        return filled[0], tables[filled[0]]
    if not tables and _begun(content, row):
        return "", {}
    if not tables or not isinstance(content, Mapping):
        raise ConfigError(f'{document.path}: expected an object with a table "mcpServers"')
    return next(iter(tables.items()))


def _begun(content: Any, row: ClientRow) -> bool:
    """Return whether a client's file says nothing yet, or `null` where its servers belong."""
    if row is ANY or not isinstance(content, Mapping):
        return False
    return not content or any(has(content, steps) and at(content, steps) is None for steps in row.tables)


def _named(table: Any) -> Mapping[str, Any] | None:
    """Return a table of servers as such; a list of servers by the `name` of each."""
    if isinstance(table, Mapping):
        return table
    if not isinstance(table, list):
        return None
    own = [_own_name(entry) for entry in table]
    if 1 not in Counter(name for name in own if name).values():
        return None
    names = [name or f"entry {number}" for number, name in enumerate(own, start=1)]
    found = JsonObject(
        (name, {key: value for key, value in entry.items() if key != "name"} if isinstance(entry, dict) else entry)
        for name, entry in zip(names, table, strict=True)
    )
    found.doubled = frozenset(name for name, count in Counter(names).items() if count > 1)
    return found


def _own_name(entry: Any) -> str:
    """Return what an entry of a list is called: by its `name`, else by the block of a hub that it `uses`."""
    names = (entry.get("name"), entry.get("uses")) if isinstance(entry, dict) else ()
    return next((name for name in names if isinstance(name, str)), "")


def _project(content: Any, root: Path | None, found: ClientFile) -> Raw:
    """Return the servers that Claude Code's file has for one project, and note how many others it has."""
    projects = content.get("projects") if isinstance(content, Mapping) else None
    if not isinstance(projects, Mapping) or found.client != "claude-code":
        return {}
    own: Raw = {}
    others = 0
    for folder, project in projects.items():
        servers = project.get("mcpServers") if isinstance(project, Mapping) else None
        if not isinstance(servers, Mapping) or not servers:
            continue
        if root is not None and Path(folder) == root.absolute():
            own = dict(servers)
        else:
            others += len(servers)
    if others:
        found.notes.append(f"{others} servers of other projects are left out; name one with --root DIR")
    return own


def _disabled(content: Any, root: Path | None) -> dict[str, str]:
    """Return the servers that Claude Code's file switches off for one project."""
    project = at(content, ("projects", str(root.absolute()))) if root is not None else None
    found: dict[str, str] = {}
    for key in ("disabledMcpServers", "disabledMcpjsonServers"):
        listed = at(project, (key,))
        found |= (
            dict.fromkeys((name for name in listed if isinstance(name, str)), key) if isinstance(listed, list) else {}
        )
    return found


def _inputs(content: Any) -> dict[str, str]:
    """Return what VS Code asks for: ids and descriptions."""
    holders = (content, at(content, ("mcp",))) if isinstance(content, Mapping) else ()
    listed = [holder.get("inputs") for holder in holders if isinstance(holder, Mapping)]
    entries = [entry for inputs in listed if isinstance(inputs, list) for entry in inputs if isinstance(entry, Mapping)]
    return {
        entry["id"]: str(entry.get("description") or entry["id"])[:NAME_CHARACTERS]
        for entry in entries
        if isinstance(entry.get("id"), str)
    }


def _excluded(content: Any) -> frozenset[str]:
    """Return the servers that Gemini CLI's file switches off."""
    mcp = at(content, ("mcp",)) if isinstance(content, Mapping) else None
    if not isinstance(mcp, Mapping):
        return frozenset()
    allowed, excluded = mcp.get("allowed"), mcp.get("excluded")
    servers = content.get("mcpServers")
    off = set(excluded) if isinstance(excluded, list) and all(isinstance(name, str) for name in excluded) else set()
    if isinstance(allowed, list) and allowed and isinstance(servers, Mapping):
        off |= servers.keys() - {name for name in allowed if isinstance(name, str)}
    return frozenset(off)
