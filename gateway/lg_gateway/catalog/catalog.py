"""Lists every tool behind the gateway, by the name that a client uses. Answers come from memory.

A tool's public name depends only on its server's name and its own, so that adding a server never renames a tool.
"""

from __future__ import annotations

import hashlib
import logging
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import mcp_types as t

from lg_gateway.catalog.listed_schemas import listed_input, listed_output
from lg_gateway.catalog.pin_table import definition_of
from lg_gateway.catalog.schema_check import ArgumentCheck
from lg_gateway.processes.server_specs import ServerSpec
from lg_gateway.store.canonical_json import digest
from lg_policy.rules.rule_set import ToolFacts
from lg_policy.wire.argument_repair import as_meant
from lg_policy.wire.call_metadata import PREVIEW, SANDBOX, SERVER, TOOL

log = logging.getLogger(__name__)

NAME_LENGTH = 40
"""Of a tool, unless `gateway.name_max` says otherwise: clients put their own prefix before it."""
SEPARATOR = "__"
TOOLS_PER_SERVER = 2000
_ODD = re.compile(r"[^A-Za-z0-9_-]")
_HASH = 8
# Keys that describe the upstream's own connection, or that only the gateway may say.
_OWN_META = ("io.modelcontextprotocol/", SERVER, TOOL)
_BUILTIN_META = "lg/"


def public_name(server: str, tool: str, longest: int = NAME_LENGTH) -> str:
    """Return `server__tool` in at most `longest` characters of `[A-Za-z0-9_-]`.

    A name that had to be shortened or rewritten ends in a hash of the whole original, so that two tools never meet.
    `server__` always stands before it, whatever the limit: rules name a server's tools by that.
    """
    longest = max(longest, len(server) + len(SEPARATOR) + 1 + _HASH + 1)
    plain = _ODD.sub("_", tool)
    name = f"{server}{SEPARATOR}{plain}"
    if plain == tool and len(name) <= longest:
        return name
    mark = hashlib.sha256(f"{server}\0{tool}".encode("utf-8", "surrogatepass")).hexdigest()[:_HASH]
    return f"{name[: longest - _HASH - 1]}_{mark}"


@dataclass(frozen=True, kw_only=True)
class CatalogEntry:
    """One tool: what a client sees, where it lives, and what policy and validation need to know."""

    name: str
    server: ServerSpec
    tool: str
    listed: t.Tool
    facts: ToolFacts
    check: ArgumentCheck
    definition_digest: str
    """What a pin covers, as its digest."""
    source: t.Tool
    preview: Mapping[str, Any] | None
    """Arguments that make the call show what it would do; only trusted servers may name them."""
    renamed: Mapping[str, str]
    """Listed names of arguments that have another name at the server."""

    def meant(self, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """Return arguments under the server's names, repaired where its schema leaves no doubt what is meant."""
        own = {self.renamed.get(name, name): value for name, value in arguments.items()}
        return as_meant(self.source.input_schema, own)

    @property
    def read_only(self) -> bool:
        """Whether a trusted server says that the tool changes nothing."""
        return self.facts.trusted and self.facts.read_only

    @property
    def idempotent(self) -> bool:
        """Whether a trusted server says that making the call twice does no more than making it once."""
        annotations = self.source.annotations
        return self.facts.trusted and annotations is not None and annotations.idempotent_hint is True

    @property
    def knows_keys(self) -> bool:
        """Whether its server keeps idempotency keys itself: a repeat is answered from its journal."""
        return self.server.builtin == "fs"

    def same_tool(self, other: CatalogEntry) -> bool:
        """Whether this is the same definition, trusted as far."""
        if self is other:
            return True
        mine, theirs = self.facts, other.facts
        as_far = (mine.trusted, mine.builtin, mine.sandbox_active) == (
            theirs.trusted,
            theirs.builtin,
            theirs.sandbox_active,
        )
        return as_far and self.source == other.source


class Catalog:
    """The merged list. `update` replaces one server's tools and returns whether anything changed.

    It does so in two steps: `prepare` makes the entries, in any thread; `install` puts them into the list.
    """

    def __init__(self, name_max: int = NAME_LENGTH) -> None:
        self._name_max = name_max
        self._by_server: dict[str, dict[str, CatalogEntry]] = {}
        self._by_name: dict[str, CatalogEntry] = {}
        self._ordered: tuple[CatalogEntry, ...] = ()

    def update(self, spec: ServerSpec, tools: Sequence[t.Tool]) -> bool:
        """Replace the tools of a server."""
        return self.install(spec, self.prepare(spec, tools))

    def prepare(self, spec: ServerSpec, tools: Sequence[t.Tool]) -> dict[str, CatalogEntry]:
        """Return the entries of a server's tools, by public name."""
        before = self._by_server.get(spec.name, {})
        entries: dict[str, CatalogEntry] = {}
        for tool in tools[:TOOLS_PER_SERVER]:
            entry = _entry(spec, tool, before, self._name_max)
            if entry.name in entries:
                log.warning("%s lists the tool %r twice; the second definition is ignored", spec.name, tool.name)
                continue
            entries[entry.name] = entry
        if len(tools) > TOOLS_PER_SERVER:
            log.warning("%s lists %d tools; only %d are offered", spec.name, len(tools), TOOLS_PER_SERVER)
        return entries

    def install(self, spec: ServerSpec, entries: dict[str, CatalogEntry]) -> bool:
        """Replace the entries of a server; return whether that changed anything."""
        before = self._by_server.get(spec.name, {})
        same = before.keys() == entries.keys() and all(entries[name] is entry for name, entry in before.items())
        if same and spec.name in self._by_server:
            return False
        self._by_server[spec.name] = entries
        self._merge()
        return True

    def drop(self, server: str) -> bool:
        """Forget a server; return whether it had any tools."""
        had = self._by_server.pop(server, None)
        self._merge()
        return bool(had)

    def _merge(self) -> None:
        self._by_name = {name: entry for table in self._by_server.values() for name, entry in table.items()}
        self._ordered = tuple(self._by_name[name] for name in sorted(self._by_name))

    def find(self, name: str) -> CatalogEntry | None:
        """Return the tool of that public name."""
        return self._by_name.get(name)

    def entries(self) -> tuple[CatalogEntry, ...]:
        """Return every tool, sorted by public name."""
        return self._ordered

    def schema(self, name: str) -> Mapping[str, Any] | None:
        """Return a tool's input schema, for the transport's header check."""
        entry = self._by_name.get(name)
        return entry.listed.input_schema if entry is not None else None


def _entry(spec: ServerSpec, tool: t.Tool, before: Mapping[str, CatalogEntry], name_max: int) -> CatalogEntry:
    name = public_name(spec.name, tool.name, name_max)
    known = before.get(name)
    if known is not None and known.source == tool and known.server == spec:
        return known
    annotations = tool.annotations
    facts = ToolFacts(
        server=spec.name,
        tool=name,
        name=tool.name,
        trusted=spec.trusted,
        builtin=spec.builtin,
        read_only=bool(annotations and annotations.read_only_hint),
        sandbox_active=_sandbox_active(spec, tool),
        input_schema=tool.input_schema,
        root=spec.root,
    )
    listed = listed_input(tool.input_schema)
    return CatalogEntry(
        name=name,
        server=spec,
        tool=tool.name,
        listed=_listed(spec, tool, name, listed.schema),
        facts=facts,
        check=ArgumentCheck(tool.input_schema),
        definition_digest=digest(definition_of(tool)),
        source=tool,
        preview=_preview(spec, tool),
        renamed=listed.renamed,
    )


def _listed(spec: ServerSpec, tool: t.Tool, name: str, input_schema: dict[str, Any]) -> t.Tool:
    """The definition as clients see it. Some clients insist on a description; only our own servers may say `lg/…`."""
    meta = {
        key: value
        for key, value in (tool.meta or {}).items()
        if not key.startswith(_OWN_META) and (spec.builtin or not key.startswith(_BUILTIN_META))
    }
    meta |= {SERVER: spec.name, TOOL: tool.name}
    description = tool.description or f"{tool.name} of the server {spec.name} (it gives no description)"
    given: dict[str, Any] = {"name": name, "description": description, "meta": meta, "execution": None}
    given["input_schema"] = input_schema
    if tool.output_schema is not None:
        given["output_schema"] = listed_output(tool.output_schema, trusted=spec.trusted)
    return tool.model_copy(update=given)


def _preview(spec: ServerSpec, tool: t.Tool) -> Mapping[str, Any] | None:
    declared = (tool.meta or {}).get(PREVIEW)
    arguments = declared.get("arguments") if isinstance(declared, dict) else None
    return arguments if spec.trusted and isinstance(arguments, dict) else None


def _sandbox_active(spec: ServerSpec, tool: t.Tool) -> bool:
    if spec.builtin != "exec":
        return False
    reported = (tool.meta or {}).get(SANDBOX)
    return isinstance(reported, dict) and reported.get("active") is True
