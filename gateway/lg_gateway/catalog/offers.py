"""Lists the resources and prompts behind the gateway. Answers come from memory.

A resource need not be listed to be read: many servers list none and have a template, or only link to them in results.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Generic, TypeVar

import mcp_types as t

from lg_gateway.catalog.addresses import Addresses, qualified
from lg_gateway.catalog.entry import Entry
from lg_gateway.catalog.names import Public, cleaned_meta, public_name, seen_name
from lg_gateway.catalog.offer import Offer
from lg_gateway.catalog.schema_check import ArgumentCheck
from lg_gateway.processes.server_specs import ServerSpec
from lg_gateway.store.canonical_json import digest
from lg_policy.rules.rule_set import Kind, ToolFacts
from lg_policy.rules.uri_spellings import URI_CHARACTERS, comparable, folded, spellings

log = logging.getLogger(__name__)

READ, GET = "resources/read", "prompts/get"
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_URI_SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {"uri": {"type": "string"}},
    "required": ["uri"],
    "additionalProperties": False,
}
_URI_CHECK = ArgumentCheck(_URI_SCHEMA)
Item = TypeVar("Item", t.Resource, t.ResourceTemplate, t.Prompt)


@dataclass(frozen=True, kw_only=True)
class Offered(Generic[Item]):
    """One listed item as clients see it, and what policy needs to know about it."""

    item: Item
    facts: ToolFacts
    own: str
    """The server's own name or URI for it."""


@dataclass(frozen=True, kw_only=True)
class Prepared:
    """What one server offers, as clients see it. `held` has the URIs of its resources that wait for a human."""

    spec: ServerSpec
    offer: Offer
    held: frozenset[str]
    resources: Sequence[Offered[t.Resource]]
    templates: Sequence[Offered[t.ResourceTemplate]]
    prompts: Sequence[tuple[Entry, Offered[t.Prompt]]]


class Offers:
    """The merged lists. `prepare` makes what a server offers ready, in any thread; `install` puts it into the lists."""

    def __init__(self, name_max: int) -> None:
        self._name_max = name_max
        self._names: frozenset[str] = frozenset()
        self._servers: dict[str, Prepared] = {}
        self._addresses = Addresses(())
        self._resources: tuple[Offered[t.Resource], ...] = ()
        self._templates: tuple[Offered[t.ResourceTemplate], ...] = ()
        self._prompts: dict[str, tuple[Entry, Offered[t.Prompt]]] = {}

    @property
    def addresses(self) -> Addresses:
        """The addresses of resources."""
        return self._addresses

    def serve(self, specs: Iterable[ServerSpec]) -> None:
        """Say which servers there are: addresses are theirs alone."""
        known = {spec.name: spec for spec in specs}
        self._names = frozenset(known)
        self._addresses = Addresses(known, sorted(name for name, spec in known.items() if spec.bare))
        for name, server in list(self._servers.items()):
            self._servers[name] = self.prepare(known.get(name, server.spec), server.offer, server.held)
        self._merge()

    def prepare(self, spec: ServerSpec, offer: Offer, held: Iterable[str] = ()) -> Prepared:
        """Return what a server offers as clients see it."""
        public = self._addresses.public
        return Prepared(
            spec=spec,
            offer=offer,
            held=_held(held),
            resources=[_listed_resource(spec, item, public) for item in offer.resources],
            templates=[_listed_template(spec, item, public) for item in offer.templates],
            prompts=[_prompt(spec, prompt, self._name_max, self._names) for prompt in offer.prompts],
        )

    def known(self, spec: ServerSpec, offer: Offer, held: Iterable[str]) -> bool:
        """Return whether a server offers exactly this already."""
        before, now = self._servers.get(spec.name), _held(held)
        return before is not None and (before.spec, before.offer, before.held) == (spec, offer, now)

    def install(self, new: Prepared) -> set[Kind]:
        """Replace what a server offers; return the kinds of which the list has changed."""
        before = self._resources, self._templates, list(self._prompts.values())
        self._servers[new.spec.name] = new
        self._merge()
        changed = {Kind.RESOURCE} if before[:2] != (self._resources, self._templates) else set()
        return changed | ({Kind.PROMPT} if before[2] != list(self._prompts.values()) else set())

    def renew(self, spec: ServerSpec) -> None:
        """Judge what a server offered before by its new entry in the settings."""
        before = self._servers.get(spec.name)
        if before is not None:
            self.install(self.prepare(spec, before.offer, before.held))

    def drop(self, server: str) -> None:
        """Forget a server."""
        if self._servers.pop(server, None) is not None:
            self._merge()

    def offer(self, server: str) -> Offer | None:
        """Return what a server offers; `None` while that is not known."""
        found = self._servers.get(server)
        return found.offer if found is not None else None

    def resources(self) -> tuple[Offered[t.Resource], ...]:
        """Return the listed resources, sorted by address."""
        return self._resources

    def templates(self) -> tuple[Offered[t.ResourceTemplate], ...]:
        """Return the listed templates, sorted by address."""
        return self._templates

    def prompts(self) -> list[Offered[t.Prompt]]:
        """Return the prompts, sorted by name."""
        return [offered for _, offered in self._prompts.values()]

    def prompt(self, name: str) -> Entry | None:
        """Return the prompt of that public name."""
        found = self._prompts.get(name)
        return found[0] if found is not None else None

    def resource(self, address: str) -> Entry | None:
        """Return the resource of that address, listed or not; `None` if its server has no resources."""
        found = self._addresses.own(address) if usable(address) else None
        server = self._servers.get(found[0]) if found is not None else None
        if found is None or server is None or not server.offer.has_resources or not usable(found[1]):
            return None
        entry = _resource(server.spec, found[1])
        spelled = entry.facts.spellings
        forms = (*spelled.forms, *spelled.suspected) if spelled is not None else ()
        return None if any(folded(form) in server.held for form in forms) else entry

    def _merge(self) -> None:
        servers = [self._servers[name] for name in sorted(self._servers)]
        resources = _once(offered for server in servers for offered in server.resources)
        templates = _once(offered for server in servers for offered in server.templates)
        self._resources = tuple(sorted(resources, key=lambda offered: offered.item.uri))
        self._templates = tuple(sorted(templates, key=lambda offered: offered.item.uri_template))
        prompts: dict[str, tuple[Entry, Offered[t.Prompt]]] = {}
        for entry, offered in (made for server in servers for made in server.prompts):
            other, _ = prompts.setdefault(offered.item.name, (entry, offered))
            if other is not entry:
                where, what = entry.server.name, offered.item.name
                log.error("%s: there is already a prompt %.80r of %s; it is left out", where, what, other.server.name)
        self._prompts = dict(sorted(prompts.items()))


def _held(uris: Iterable[str]) -> frozenset[str]:
    """Return what the forms of a URI are compared with, to find it among these."""
    return frozenset(folded(form) for uri in uris for form in (uri, *comparable(uri)))


def usable(uri: str) -> bool:
    """Return whether a URI can be passed on: not empty, not too long, without control characters."""
    return 0 < len(uri) <= URI_CHARACTERS and _CONTROL.search(uri) is None


def uri_facts(spec: ServerSpec, uri: str) -> ToolFacts:
    """Return what policy needs to know about a URI of a server."""
    return ToolFacts(
        server=spec.name,
        tool=qualified(spec.name, uri),
        kind=Kind.RESOURCE,
        spellings=spellings(uri, partial(qualified, spec.name)),
        name=uri,
        trusted=spec.trusted,
        builtin=spec.builtin,
        read_only=True,
        input_schema=_URI_SCHEMA,
        root=spec.root,
    )


def _resource(spec: ServerSpec, uri: str) -> Entry:
    return Entry(
        name=f"{spec.name}:{READ}",
        server=spec,
        tool=uri,
        facts=uri_facts(spec, uri),
        check=_URI_CHECK,
        definition_digest=digest([READ, uri]),
    )


def _listed_resource(spec: ServerSpec, item: t.Resource, public: Public) -> Offered[t.Resource]:
    given: dict[str, Any] = {"uri": public(spec.name, item.uri), "meta": cleaned_meta(spec, item.meta, public)}
    return Offered(item=item.model_copy(update=given), facts=uri_facts(spec, item.uri), own=item.uri)


def _listed_template(spec: ServerSpec, item: t.ResourceTemplate, public: Public) -> Offered[t.ResourceTemplate]:
    given: dict[str, Any] = {
        "uri_template": public(spec.name, item.uri_template),
        "meta": cleaned_meta(spec, item.meta, public),
    }
    return Offered(item=item.model_copy(update=given), facts=uri_facts(spec, item.uri_template), own=item.uri_template)


def _prompt(
    spec: ServerSpec, prompt: t.Prompt, name_max: int, servers: Container[str]
) -> tuple[Entry, Offered[t.Prompt]]:
    name = public_name(spec.name, prompt.name, name_max)
    definition = prompt.model_dump(mode="json", by_alias=True, exclude_none=True)
    schema, definition_digest = _prompt_schema(prompt), digest([GET, definition])
    facts = ToolFacts(
        server=spec.name,
        tool=name,
        kind=Kind.PROMPT,
        name=prompt.name,
        trusted=spec.trusted,
        builtin=spec.builtin,
        read_only=True,
        input_schema=schema,
        pin=definition_digest,
    )
    entry = Entry(
        name=f"{spec.name}:{GET}",
        server=spec,
        tool=prompt.name,
        facts=facts,
        check=ArgumentCheck(schema),
        definition_digest=definition_digest,
    )
    given: dict[str, Any] = {"name": seen_name(spec, prompt.name, name, servers)}
    given["meta"] = cleaned_meta(spec, prompt.meta, lambda _server, uri: uri)
    return entry, Offered(item=prompt.model_copy(update=given), facts=facts, own=prompt.name)


def _prompt_schema(prompt: t.Prompt) -> Mapping[str, Any]:
    properties = {argument.name: {"type": "string"} for argument in prompt.arguments or ()}
    arguments = {"type": "object", "properties": properties}
    return {"type": "object", "properties": {"name": {"type": "string"}, "arguments": arguments}, "required": ["name"]}


def _once(offered: Iterable[Offered[Any]]) -> list[Any]:
    """Return items without those whose address stands in the list already."""
    found: dict[str, Offered[Any]] = {}
    for item in offered:
        found.setdefault(item.facts.tool, item)
    return list(found.values())
