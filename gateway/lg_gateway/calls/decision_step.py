"""Decides by the rules in force whether a caller may see something, and what happens to a call of it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from lg_gateway.calls.call import CallContext
from lg_gateway.catalog.catalog import Catalog, CatalogEntry
from lg_gateway.catalog.entry import Entry
from lg_gateway.catalog.names import SEPARATOR
from lg_gateway.catalog.offers import Item, Offered, uri_facts
from lg_gateway.catalog.tool_profiles import ToolProfiles
from lg_policy.config.settings import Settings
from lg_policy.errors import Conflict, PolicyDenied
from lg_policy.printing import quote
from lg_policy.rules.conditions import PATH_FORMAT
from lg_policy.rules.rule_set import Decision, Effect, Kind, RuleBook, ToolFacts, stricter
from lg_policy.rules.uri_spellings import URI_CHARACTERS
from lg_policy.wire.call_metadata import EFFECT

LISTS = 64
"""Callers whose list of tools is kept ready."""
CALLED = 10_000
"""Pairs of a caller and a name that are remembered."""
READ_FILE = "read_file"
"""The tool of `lg-fs` that does what its resources do."""
_PATH = {"type": "object", "properties": {"path": {"type": "string", "format": PATH_FORMAT}}}
_VARIABLES = re.compile(r"\{[+#./;?&]?([^{}]*)\}")


@dataclass(frozen=True, kw_only=True)
class Policy:
    """What decides: replaced as a whole when the configuration is reloaded."""

    settings: Settings
    rules: RuleBook

    @cached_property
    def profiles(self) -> ToolProfiles:
        """Which set of tools each caller has."""
        return ToolProfiles(self.settings.gateway)


class DecisionStep:
    """Decisions as a step of the pipeline. `policy` returns the policy in force, for each call.

    A file that is read as a resource of `lg-fs` is also judged as a call of `read_file`; the stricter verdict counts.
    """

    def __init__(self, policy: Callable[[], Policy], catalog: Catalog) -> None:
        self._policy = policy
        self._catalog = catalog
        self._lists: dict[str, tuple[Policy, tuple[CatalogEntry, ...], list[CatalogEntry]]] = {}
        self._meant_in: tuple[object, object] = (None, None)
        self._meant: dict[tuple[str, str], tuple[str | None, Entry | None]] = {}

    def tools(self, identity: str) -> list[CatalogEntry]:
        """Return the tools that an identity may see, as its profile names them, in the order of the names it sees.

        `_meta` of each says what happens to its calls. Pins never cover that.
        """
        policy, entries = self._policy(), self._catalog.entries()
        known = self._lists.get(identity)
        if known is None or known[0] is not policy or known[1] is not entries:
            rules, profile = policy.rules, policy.profiles.of(identity)
            seen = [entry for entry in entries if rules.visible(identity=identity, facts=entry.facts)]
            shown = profile.shown(seen) if profile is not None else seen
            known = (policy, entries, [_with_effect(entry, rules, identity) for entry in shown])
            if len(self._lists) >= LISTS:
                self._lists.clear()
            self._lists[identity] = known
        return known[2]

    def real_name(self, identity: str, kind: Kind, name: str) -> str | None:
        """Return the catalogue's name for what a caller calls by a name; `None` for a tool that it does not have."""
        profile = self._policy().profiles.of(identity) if kind is Kind.TOOL else None
        return name if profile is None else profile.real_name(name)

    def meant(self, identity: str, kind: Kind, name: str) -> tuple[str | None, Entry | None]:
        """Return the catalogue's name for what a caller calls by a name, and what that is; `None` if it may not see it.

        Tools are remembered, while neither the policy nor the catalogue changes.
        """
        if kind is not Kind.TOOL:
            return self._looked_up(identity, kind, name)
        policy, entries = self._policy(), self._catalog.entries()
        if self._meant_in[0] is not policy or self._meant_in[1] is not entries or len(self._meant) >= CALLED:
            self._meant_in, self._meant = (policy, entries), {}
        known = self._meant.get((identity, name))
        if known is None:
            known = self._looked_up(identity, kind, name)
            if known[1] is not None:
                self._meant[identity, name] = known
        return known

    def _looked_up(self, identity: str, kind: Kind, name: str) -> tuple[str | None, Entry | None]:
        real = self.real_name(identity, kind, name)
        entry = self._catalog.look_up(kind, real) if real is not None else None
        return real, entry if entry is not None and self.visible(identity, entry.facts) else None

    def unknown(self, identity: str, kind: Kind, name: str) -> str:
        """Return what a caller of an unknown name is told: also where it sees nothing of the server that it names."""
        said, (server, mark, _) = f"Unknown {kind}: {name[:200]}", name.partition(SEPARATOR)
        if kind is not Kind.TOOL or not mark or any(seen.facts.server == server for seen in self.tools(identity)):
            return said
        return (
            f"{said} (nothing of a server {quote(server, limit=80)} is offered here: `gateway.servers` in the settings "
            "names the servers, and `lg-gateway doctor` checks them)"
        )

    def offered(self, identity: str, items: Iterable[Offered[Item]]) -> list[Item]:
        """Return the resources, templates or prompts that an identity may see, in order."""
        return [offered.item for offered in items if self.visible(identity, offered.facts)]

    def visible(self, identity: str, facts: ToolFacts) -> bool:
        """Return whether an identity may see something."""
        twin = self._twin(facts)
        return self._visible(identity, facts) and (twin is None or self._visible(identity, twin))

    def _visible(self, identity: str, facts: ToolFacts) -> bool:
        policy = self._policy()
        profile = policy.profiles.of(identity) if facts.kind is Kind.TOOL else None
        return (profile is None or facts.tool in profile) and policy.rules.visible(identity=identity, facts=facts)

    def decide(self, identity: str, entry: Entry, arguments: Mapping[str, Any]) -> Decision:
        """Return what the rules say about a call."""
        rules, twin = self._policy().rules, self._twin(entry.facts)
        decision = rules.decide(identity=identity, facts=entry.facts, arguments=arguments)
        if entry.completes and entry.facts.kind is Kind.RESOURCE:
            uri = filled(entry.tool, arguments)
            wanted = rules.decide(identity=identity, facts=uri_facts(entry.server, uri), arguments={"uri": uri})
            decision = wanted if wanted.effect is Effect.DENY else decision
        if twin is None:
            return decision
        path = arguments["argument"]["value"] if entry.completes else entry.tool
        as_file = rules.decide(identity=identity, facts=twin, arguments={"path": path})
        return stricter(decision, as_file)

    def of(self, context: CallContext) -> CallContext:
        """Return the call with its decision. Raises `PolicyDenied`."""
        decision = self.decide(context.call.identity, context.entry, context.call.arguments)
        if decision.effect is Effect.DENY:
            raise PolicyDenied(f"{decision.reason} ({decision.rule})")
        if decision.rule.startswith("default:") and context.is_preview():
            decision = Decision(effect=Effect.ALLOW, rule="default:preview", reason="only shows what would be done")
        return context.but(decision=decision, decided_by=self._policy())

    def again(self, context: CallContext) -> None:
        """Decide once more: a new denial wins, and so does a rule that now asks, or now asks an operator."""
        if context.decided_by is self._policy() and self._twin(context.entry.facts) is None:
            return  # by the same rules, about the same tool and arguments
        before, now = context.decision, self.of(context).decision
        if before is None or now is None or context.recalled or now.effect is Effect.ALLOW:
            return
        if before.effect is Effect.ALLOW or (now.approver == "operator" and before.approver != "operator"):
            raise Conflict("the rules have changed since the call was made", hint="make the call again")

    def _twin(self, facts: ToolFacts) -> ToolFacts | None:
        if facts.kind is not Kind.RESOURCE or facts.builtin != "fs":
            return None
        found = self._catalog.of_server(facts.server, READ_FILE)
        if found is not None:
            return found.facts
        name = f"{facts.server}{SEPARATOR}{READ_FILE}"  # of a tool that the settings leave out, and rules may forbid
        return replace(facts, tool=name, name=READ_FILE, kind=Kind.TOOL, spellings=None, input_schema=_PATH)


def _with_effect(entry: CatalogEntry, rules: RuleBook, identity: str) -> CatalogEntry:
    effect = rules.outlook(identity=identity, facts=entry.facts)
    meta = {**(entry.listed.meta or {}), EFFECT: str(effect) if effect is not None else "depends"}
    return replace(entry, listed=entry.listed.model_copy(update={"meta": meta}))


def filled(template: str, arguments: Mapping[str, Any]) -> str:
    """Return a template of URIs with what is known of its arguments: where a completion leads."""
    asked = arguments["argument"]
    values = {**arguments.get("context", {}), asked["name"]: asked["value"]}

    def value(found: re.Match[str]) -> str:
        names = (name.partition(":")[0].rstrip("*") for name in found[1].split(","))
        return "".join(str(values.get(name, "")) for name in names)[:URI_CHARACTERS]

    return _VARIABLES.sub(value, template)[:URI_CHARACTERS]
