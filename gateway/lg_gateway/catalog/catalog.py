"""Lists every tool behind the gateway, by the name that a client uses. Answers come from memory.

A tool's public name depends only on its server's name and its own, so that adding a server never renames a tool.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import mcp_types as t

from lg_gateway.catalog.definitions import definition_of
from lg_gateway.catalog.entry import Entry
from lg_gateway.catalog.listed_schemas import ListedInput, listed_input, listed_output
from lg_gateway.catalog.names import NAME_LENGTH, SEPARATOR, cleaned_meta, public_name, seen_name
from lg_gateway.catalog.offer import TOOLS_PER_SERVER
from lg_gateway.catalog.offers import Offers
from lg_gateway.catalog.schema_check import ArgumentCheck
from lg_gateway.processes.server_specs import ServerSpec
from lg_gateway.store.canonical_json import digest
from lg_policy.rules.rule_set import Kind, ToolFacts
from lg_policy.wire.argument_repair import Repair
from lg_policy.wire.call_metadata import PREVIEW, SANDBOX, SERVER, TOOL

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class CatalogEntry(Entry):
    """One tool: what a client sees, where it lives, and what policy and validation need to know."""

    listed: t.Tool
    source: t.Tool
    renamed: Mapping[str, str]
    """Listed names of arguments that have another name at the server."""
    profile_name: str = ""
    """The name that its caller's profile gives it."""

    def meant(self, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """Return arguments under the server's names, repaired where its schema leaves no doubt what is meant."""
        own = {self.renamed.get(name, name): value for name, value in arguments.items()}
        return self._repair.meant(own)

    @cached_property
    def _repair(self) -> Repair:
        return Repair(self.source.input_schema)

    @property
    def has_output_schema(self) -> bool:
        """Whether an answer without its structure is none."""
        return self.listed.output_schema is not None

    @property
    def idempotent(self) -> bool:
        """Whether a trusted server says that making the call twice does no more than making it once."""
        annotations = self.source.annotations
        return self.facts.trusted and annotations is not None and annotations.idempotent_hint is True

    @property
    def knows_keys(self) -> bool:
        """Whether its server keeps idempotency keys itself: a repeat is answered from its journal."""
        return self.server.builtin == "fs"

    def _same_definition(self, other: Entry) -> bool:
        return isinstance(other, CatalogEntry) and self.source == other.source


class Catalog:
    """The merged list of tools; `offers` has that of resources and prompts.

    A server's tools are replaced in two steps: `prepare` makes the entries, in any thread; `install` puts them into the
    list.
    """

    def __init__(self, name_max: int = NAME_LENGTH, specs: Sequence[ServerSpec] = ()) -> None:
        self._name_max = name_max
        self.offers = Offers(name_max)
        self._servers: frozenset[str] = frozenset()
        self._by_server: dict[str, dict[str, CatalogEntry]] = {}
        self._by_name: dict[str, CatalogEntry] = {}
        self._ordered: tuple[CatalogEntry, ...] = ()
        self.serve(specs)

    def serve(self, specs: Sequence[ServerSpec]) -> None:
        """Say which servers there are. Only then can resources have addresses, and tools names of their own."""
        self._servers = frozenset(spec.name for spec in specs)
        self.offers.serve(specs)
        for server, entries in list(self._by_server.items()):
            spec = next((entry.server for entry in entries.values()), None)
            if spec is not None and spec.bare:  # a name of its own may read as a new server's
                self._by_server[server] = self.prepare(spec, [entry.source for entry in entries.values()])
        self._merge()

    def update(self, spec: ServerSpec, tools: Sequence[t.Tool]) -> bool:
        """Replace the tools of a server; return whether that changed anything."""
        return self.install(spec, self.prepare(spec, tools))

    def prepare(self, spec: ServerSpec, tools: Sequence[t.Tool]) -> dict[str, CatalogEntry]:
        """Return the entries of a server's tools, by qualified name."""
        before = self._by_server.get(spec.name, {})
        entries: dict[str, CatalogEntry] = {}
        for tool in tools[:TOOLS_PER_SERVER]:
            entry = self._entry(spec, tool, before)
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
        self.offers.drop(server)
        self._merge()
        return bool(had)

    def _merge(self) -> None:
        seen: dict[str, CatalogEntry] = {}
        for entry in (entry for server in sorted(self._by_server) for entry in self._by_server[server].values()):
            other = seen.setdefault(entry.listed.name, entry)
            if other is not entry:
                where, what = entry.server.name, entry.listed.name
                log.error("%s: there is already a tool %.80r of %s; it is left out", where, what, other.server.name)
        self._ordered = tuple(seen[name] for name in sorted(seen))
        self._by_name = {entry.name: entry for entry in self._ordered} | seen

    def find(self, name: str) -> CatalogEntry | None:
        """Return the tool of that name, as a client sees it or qualified."""
        return self._by_name.get(name)

    def of_server(self, server: str, tool: str) -> CatalogEntry | None:
        """Return a server's tool by its own plain name, also one that another server's tool of that name hides."""
        return self._by_server.get(server, {}).get(f"{server}{SEPARATOR}{tool}")

    def look_up(self, kind: Kind, name: str) -> Entry | None:
        """Return the tool, the resource or the prompt that a client calls by that name."""
        if kind is Kind.TOOL:
            return self._by_name.get(name)
        return self.offers.resource(name) if kind is Kind.RESOURCE else self.offers.prompt(name)

    def entries(self) -> tuple[CatalogEntry, ...]:
        """Return every tool, sorted by the name that clients see."""
        return self._ordered

    def schema(self, name: str) -> Mapping[str, Any] | None:
        """Return a tool's input schema, for the transport's header check."""
        entry = self._by_name.get(name)
        return entry.listed.input_schema if entry is not None else None

    def _entry(self, spec: ServerSpec, tool: t.Tool, before: Mapping[str, CatalogEntry]) -> CatalogEntry:
        name = public_name(spec.name, tool.name, self._name_max)
        shown = seen_name(spec, tool.name, name, self._servers)
        known = before.get(name)
        if known is not None and known.source == tool and known.server == spec and known.listed.name == shown:
            return known
        annotations, pin = tool.annotations, digest(definition_of(tool))
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
            pin=pin,
        )
        own = tool.input_schema
        listed = ListedInput(schema=own) if spec.own_schemas else listed_input(own)
        meta = cleaned_meta(spec, tool.meta, self.offers.addresses.public) or {}
        return CatalogEntry(
            name=name,
            server=spec,
            tool=tool.name,
            listed=_listed(spec, tool, shown, listed.schema, meta),
            facts=facts,
            check=ArgumentCheck(tool.input_schema),
            definition_digest=pin,
            source=tool,
            preview=_preview(spec, tool),
            renamed=listed.renamed,
        )


def _listed(spec: ServerSpec, tool: t.Tool, name: str, input_schema: dict[str, Any], meta: dict[str, Any]) -> t.Tool:
    """The definition as clients see it. Some clients insist on a description."""
    meta = meta | {SERVER: spec.name, TOOL: tool.name}
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
