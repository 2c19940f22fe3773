"""Every tool behind the gateway, by the name a client uses. Lists and look-ups are served from memory.

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

from lg_gateway.catalog.output_schemas import without_patterns
from lg_gateway.catalog.pins import definition_of
from lg_gateway.catalog.schema_check import ArgumentCheck
from lg_gateway.processes.server_specs import ServerSpec
from lg_gateway.store.canonical_json import digest
from lg_policy.rules.rule_set import ToolFacts
from lg_policy.wire.call_metadata import PREVIEW, SANDBOX, SERVER, TOOL

log = logging.getLogger(__name__)

NAME_LENGTH = 64
SEPARATOR = "__"
TOOLS_PER_SERVER = 2000
_ODD = re.compile(r"[^A-Za-z0-9_-]")
_HASH = 8
# Keys that describe the upstream's own connection, or that only the gateway may say.
_OWN_META = ("io.modelcontextprotocol/", SERVER, TOOL)
_BUILTIN_META = "lg/"


def public_name(server: str, tool: str) -> str:
    """Return `server__tool` in at most 64 characters of `[A-Za-z0-9_-]`.

    A name that had to be shortened or rewritten ends in a hash of the whole original, so that two tools never meet.
    """
    plain = _ODD.sub("_", tool)
    name = f"{server}{SEPARATOR}{plain}"
    if plain == tool and len(name) <= NAME_LENGTH:
        return name
    mark = hashlib.sha256(f"{server}\0{tool}".encode("utf-8", "surrogatepass")).hexdigest()[:_HASH]
    return f"{name[: NAME_LENGTH - _HASH - 1]}_{mark}"


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
        one, two = self.facts, other.facts
        as_far = (one.trusted, one.builtin, one.sandbox_active) == (two.trusted, two.builtin, two.sandbox_active)
        return as_far and self.source == other.source


class Catalog:
    """The merged list. `update` replaces one server's tools and says whether anything changed."""

    def __init__(self) -> None:
        self._by_server: dict[str, dict[str, CatalogEntry]] = {}
        self._by_name: dict[str, CatalogEntry] = {}
        self._ordered: tuple[CatalogEntry, ...] = ()

    def update(self, spec: ServerSpec, tools: Sequence[t.Tool]) -> bool:
        """Replace the tools of a server. Unusable definitions are left out and logged."""
        before = self._by_server.get(spec.name, {})
        entries: dict[str, CatalogEntry] = {}
        for tool in tools[:TOOLS_PER_SERVER]:
            entry = _entry(spec, tool, before)
            if entry.name in entries:
                log.warning("%s lists the tool %r twice; the first counts", spec.name, tool.name)
                continue
            entries[entry.name] = entry
        if len(tools) > TOOLS_PER_SERVER:
            log.warning("%s lists %d tools; only %d are offered", spec.name, len(tools), TOOLS_PER_SERVER)
        if before == entries and spec.name in self._by_server:
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


def _entry(spec: ServerSpec, tool: t.Tool, before: Mapping[str, CatalogEntry]) -> CatalogEntry:
    name = public_name(spec.name, tool.name)
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
    return CatalogEntry(
        name=name,
        server=spec,
        tool=tool.name,
        listed=_listed(spec, tool, name),
        facts=facts,
        check=ArgumentCheck(tool.input_schema),
        definition_digest=digest(definition_of(tool)),
        source=tool,
        preview=_preview(spec, tool),
    )


def _listed(spec: ServerSpec, tool: t.Tool, name: str) -> t.Tool:
    """The definition as clients see it. Some clients insist on a description; only our own servers may say `lg/…`."""
    meta = {
        key: value
        for key, value in (tool.meta or {}).items()
        if not key.startswith(_OWN_META) and (spec.builtin or not key.startswith(_BUILTIN_META))
    }
    meta |= {SERVER: spec.name, TOOL: tool.name}
    description = tool.description or f"{tool.name} of the server {spec.name} (it gives no description)"
    given: dict[str, Any] = {"name": name, "description": description, "meta": meta, "execution": None}
    if tool.output_schema is not None and not spec.trusted:
        given["output_schema"] = without_patterns(tool.output_schema)
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
