"""Explains how one call would be decided, and why."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from lg_policy.errors import InvalidArguments

if TYPE_CHECKING:
    from lg_gateway.calls.decision_step import DecisionStep, Policy
    from lg_gateway.catalog.catalog import Catalog
    from lg_gateway.catalog.entry import Entry
    from lg_gateway.serving.gateway import Gateway


@dataclass(frozen=True, kw_only=True)
class Known:
    """Tools, rules, and the step that decides by both."""

    catalog: Catalog
    policy: Policy
    decisions: DecisionStep

    @classmethod
    def of(cls, gateway: Gateway) -> Known:
        """Return what a running gateway knows."""
        return cls(catalog=gateway.catalog, policy=gateway.policy, decisions=gateway.pipeline.decisions)


def named(catalog: Catalog, name: str) -> Entry | None:
    """Return the tool, the prompt or the resource of that name or address."""
    offers = catalog.offers
    return catalog.find(name) or offers.prompt(name) or offers.resource(name)


def seen_arguments(entry: Entry, arguments: dict[str, Any]) -> dict[str, Any]:
    """Return the arguments of a call as rules see them."""
    if entry.kind == "tool":
        return arguments
    return {"uri": entry.tool} if entry.kind == "resource" else {"name": entry.tool, "arguments": arguments}


def explanation(known: Known, entry: Entry, arguments: dict[str, Any], identity: str) -> dict[str, Any]:
    """Return the decision about one call, what each rule about its tool says, and what else would stop it."""
    rules, facts, decisions = known.policy.rules, entry.facts, known.decisions
    decision = decisions.decide(identity, entry, arguments)
    refused = ""
    try:
        entry.check.check(arguments)
    except InvalidArguments as error:
        refused = error.text()
    return {
        "tool": facts.tool,
        "kind": str(entry.kind),
        "identity": identity,
        "effect": str(decision.effect),
        "reason": decision.reason,
        "rule": decision.rule,
        "place": rules.place(decision.rule),
        "approver": decision.approver,
        "visible": decisions.visible(identity, facts),
        "rules": [asdict(view) for view in rules.views(identity=identity, facts=facts, arguments=arguments)],
        "server": facts.server,
        "trusted": facts.trusted,
        "read_only": entry.read_only,
        "app": _app(known, entry, identity),
        "arguments_refused": refused,
        "problems": rules.problems(facts),
    }


def _app(known: Known, entry: Entry, identity: str) -> dict[str, Any] | None:
    """Return the page of a tool's app, what the rules say about reading it, and the hosts that it may use."""
    from lg_gateway.catalog.catalog import CatalogEntry
    from lg_gateway.catalog.definitions import page_of_tool

    page = page_of_tool(entry.source) if isinstance(entry, CatalogEntry) else None
    if page is None:
        return None
    offers, hosts = known.catalog.offers, dict[str, list[str]]()
    address = offers.addresses.public(entry.server.name, page)
    listed = next((offered for offered in offers.resources() if offered.item.uri == address), None)
    ui = (listed.item.meta or {}).get("ui") if listed is not None else None
    csp = ui.get("csp") if isinstance(ui, dict) else None
    for name, given in (csp if isinstance(csp, dict) else {}).items():
        hosts[str(name)[:40]] = [str(host) for host in given][:20] if isinstance(given, list) else [str(given)]
    found = offers.resource(address)
    if found is None:
        return {"page": address, "effect": "not offered", "rule": "it waits to be accepted", "hosts": hosts}
    decision = known.decisions.decide(identity, found, {"uri": found.tool})
    return {"page": address, "effect": str(decision.effect), "rule": decision.rule, "hosts": hosts}
