"""Decides which calls are allowed, need approval or are denied. Uses no clock and no network; reads only links on disk.

deny beats approve beats allow among the rules that match a call; only when none matches do the built-in defaults of
`decisions` decide. Rules are compiled once and sorted by tool on the first call of each.

A rule speaks of tools, resources and prompts each by a list of its own. A denial of every tool of a server, or of every
call to be approved, counts for its resources and prompts too, unless the rule names those itself.

Not covered: what a tool really does. Annotations of untrusted servers count for nothing.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lg_policy.config.settings import RuleSettings, Settings
from lg_policy.errors import ConfigError
from lg_policy.rules.conditions import Condition, Forms, linear, marks_paths, normalised_paths
from lg_policy.rules.decisions import Decision, Effect, Kind, ToolFacts, default
from lg_policy.rules.uri_spellings import Spellings, folded, named

__all__ = ["Decision", "Effect", "Kind", "RuleBook", "RuleView", "ToolFacts", "stricter"]

_STRICTNESS = {Effect.ALLOW: 0, Effect.APPROVE: 1, Effect.DENY: 2}
NO_ARGUMENTS_YET = "its condition waits until the tool's schema is known"
OTHER_DEFINITION = "the tool's definition is no longer the one that the rule was made for"
OTHER_ROOT = "it counts on other roots only"
DOT_DOT = "a path argument contains `..`, which no allowance matches"


@dataclass(frozen=True, kw_only=True)
class RuleView:
    """One rule's verdict on one call, for `policy explain`. `why` is empty if it matches."""

    name: str
    place: str
    effect: Effect
    matches: bool
    why: str


class Names:
    """A set of names in which `*` stands for any run of characters. Linear in the name, whatever the patterns."""

    def __init__(self, patterns: Iterable[str]) -> None:
        given = frozenset(patterns)
        self.all = "*" in given
        self._plain = frozenset(pattern for pattern in given if "*" not in pattern)
        globs = sorted(given - self._plain)
        self._glob = _one_of(globs)
        self._open_glob = _one_of(pattern for pattern in globs if pattern.endswith("*"))

    def __contains__(self, name: str) -> bool:
        return self.all or name in self._plain or (self._glob is not None and self._glob.fullmatch(name) is not None)

    def covers_all(self, prefix: str) -> bool:
        """Return whether every name that begins with the prefix is in this set."""
        return self.all or (self._open_glob is not None and self._open_glob.fullmatch(prefix) is not None)

    def covers(self, other: Names) -> bool:
        """Return whether every name of the other set is certainly in this one."""
        return self.all or (other._glob is None and all(name in self for name in other._plain))


def _one_of(globs: Iterable[str]) -> Any:
    """Return a compiled pattern for texts that match one of the globs; `None` if there are none."""
    texts = [".*".join(re.escape(part) for part in glob.split("*")) for glob in globs]
    return linear(f"(?s:{'|'.join(texts)})") if texts else None


@dataclass(frozen=True, kw_only=True)
class _Rule:
    name: str
    place: str
    settings: RuleSettings
    tools: Names
    resources: Names
    folded: Names
    """The resources again, in all forms that URIs are compared in, without differences that some servers ignore."""
    prompts: Names
    identities: Names
    condition: Condition
    effect: Effect

    def lapsed(self, facts: ToolFacts) -> str:
        """Say why an allowance no longer counts for a tool as it is now; empty if it does."""
        if self.settings.pins.get(facts.tool, facts.pin) != facts.pin:
            return OTHER_DEFINITION
        roots = self.settings.roots
        return OTHER_ROOT if roots and facts.builtin is not None and facts.root not in roots else ""

    def of_server(self, server: str) -> bool:
        """Whether the rule is a refusal, or a question, about all that a server has."""
        settings = self.settings
        whole = not settings.resources and not settings.prompts and self.condition.always
        return whole and self.effect is not Effect.ALLOW and self.tools.covers_all(f"{server}__")

    def names(self, spelled: Spellings) -> bool:
        """Whether the rule names a resource in the spellings that count for its effect."""
        if self.effect is Effect.ALLOW:
            return spelled.plain and all(address in self.resources for address in spelled.addresses)
        addresses = (*spelled.addresses, *spelled.suspected_addresses)
        return any(address in self.resources or folded(address) in self.folded for address in addresses)


@dataclass(frozen=True, kw_only=True)
class _Indexed:
    """The rules about one tool as it is defined now.

    `hopeless` names those whose condition no call can satisfy, `lapsed` those that no longer count for this tool.
    """

    schema: Mapping[str, Any] | None
    pin: str
    root: str | None
    rules: Sequence[_Rule]
    hopeless: Mapping[str, str]
    judges_paths: bool
    lapsed: Mapping[str, str]
    spelled: Spellings | None = None

    def about(self, facts: ToolFacts) -> bool:
        """Whether this was made for the tool as it is now. Compared by object: a changed definition is a new one."""
        return self.schema is facts.input_schema and self.pin == facts.pin and self.root == facts.root


class RuleBook:
    """All rules. `places` says where each is written. Raises `ConfigError` for a condition that is no valid schema."""

    def __init__(self, settings: Settings, places: Sequence[str] = ()) -> None:
        self._settings = settings
        names = rule_names(settings.gateway.rules)
        self._rules = [
            _compile(names[index], rule, places[index] if index < len(places) else "")
            for index, rule in enumerate(settings.gateway.rules)
        ]
        self._by_tool: dict[str, _Indexed] = {}

    def decide(self, *, identity: str, facts: ToolFacts, arguments: Mapping[str, Any]) -> Decision:
        """Decide one call.

        Arguments that a trusted server marks as paths are also checked in plain form and with their links followed. A
        deny or approve rule matches in any form; an allow rule only in both of these, and never with `..`.
        """
        indexed = self._indexed(facts)
        raw = arguments if isinstance(arguments, dict) else dict(arguments)
        seen = _seen(indexed, facts, raw)
        winner: _Rule | None = None
        strictest_approver = "user"
        for rule in indexed.rules:
            if identity not in rule.identities or not _matches(rule, indexed, raw, seen):
                continue
            if rule.settings.approver == "operator":
                strictest_approver = "operator"
            if winner is None or _STRICTNESS[rule.effect] > _STRICTNESS[winner.effect]:
                winner = rule
        if winner is None:
            return default(self._settings, facts, raw)
        reason = winner.settings.reason or f"{winner.name} says {winner.effect}"
        return Decision(effect=winner.effect, rule=winner.name, reason=reason, approver=strictest_approver)

    def visible(self, *, identity: str, facts: ToolFacts) -> bool:
        """Return whether the identity may see the tool: not if a deny rule without a condition covers it."""
        return not any(
            rule.effect is Effect.DENY and rule.condition.always and identity in rule.identities
            for rule in self._indexed(facts).rules
        )

    def outlook(self, *, identity: str, facts: ToolFacts) -> Effect | None:
        """Return what happens to every call of a tool; `None` where that depends on its arguments."""
        indexed = self._indexed(facts)
        idle = indexed.lapsed.keys() | indexed.hopeless.keys()
        rules = [rule for rule in indexed.rules if identity in rule.identities and rule.name not in idle]
        always = [rule.effect for rule in rules if rule.condition.always]
        found = max(always, key=_STRICTNESS.__getitem__, default=None)
        if found is None:
            depends = facts.builtin == "exec" and facts.name == "exec"
            found = None if depends else default(self._settings, facts, {}).effect
            return None if any(rule.effect is not found for rule in rules) else found
        return None if any(_STRICTNESS[rule.effect] > _STRICTNESS[found] for rule in rules) else found

    def place(self, name: str) -> str:
        """Return where the rule with that name is written; empty for a default."""
        return next((rule.place for rule in self._rules if rule.name == name), "")

    def views(self, *, identity: str, facts: ToolFacts, arguments: Mapping[str, Any]) -> list[RuleView]:
        """Return, for every rule about the tool, whether it matches the call and, if not, why."""
        indexed, raw = self._indexed(facts), dict(arguments)
        seen = _seen(indexed, facts, raw)
        found = []
        for rule in indexed.rules:
            matches = identity in rule.identities and _matches(rule, indexed, raw, seen)
            why = "" if matches else _why_not(rule, indexed, identity, seen)
            found.append(RuleView(name=rule.name, place=rule.place, effect=rule.effect, matches=matches, why=why))
        return found

    def problems(self, facts: ToolFacts) -> list[str]:
        """Name the rules about this tool that are wrong: their condition cannot match any of its calls."""
        indexed = self._indexed(facts)
        return [
            f"{_named(rule)}: for {facts.tool}: {indexed.hopeless[rule.name]}"
            for rule in indexed.rules
            if rule.name in indexed.hopeless
        ]

    def unused(self, tools: Iterable[str]) -> list[str]:
        """Name the rules that concern none of these tools. Call it when every server's tools are known."""
        known = list(tools)
        return [
            f"{_named(rule)}: there is no tool {' or '.join(rule.settings.tools)}"
            for rule in self._rules
            if rule.settings.tools and not any(tool in rule.tools for tool in known)
        ]

    def shadowed(self) -> list[str]:
        """Name the rules that never decide, because a stricter rule without a condition covers the same calls."""
        found = []
        for rule in self._rules:
            over = next((other for other in self._rules if _shadows(other, rule)), None)
            if over is not None:
                found.append(f"{_named(rule)} never decides: {_named(over)} says {over.effect} to all that it covers")
        return found

    def _indexed(self, facts: ToolFacts) -> _Indexed:
        if facts.kind is not Kind.TOOL:
            return self._about(facts)
        known = self._by_tool.get(facts.tool)
        if known is None or not known.about(facts):
            rules = [rule for rule in self._rules if facts.tool in rule.tools]
            lapsed = {rule.name: why for rule in rules if (why := rule.lapsed(facts))}
            reasons = {
                rule.name: rule.condition.can_never_match(facts.input_schema)
                for rule in rules
                if rule.name not in lapsed
            }
            known = _Indexed(
                schema=facts.input_schema,
                pin=facts.pin,
                root=facts.root,
                lapsed=lapsed,
                rules=rules,
                hopeless={name: why for name, why in reasons.items() if why},
                judges_paths=marks_paths(facts.input_schema) and not all(rule.condition.always for rule in rules),
            )
            self._by_tool[facts.tool] = known
        return known

    def _about(self, facts: ToolFacts) -> _Indexed:
        """Return the rules about a resource or a prompt. Not kept: anyone may ask for any address."""
        if facts.kind is Kind.PROMPT:
            rules = [rule for rule in self._rules if facts.tool in rule.prompts or rule.of_server(facts.server)]
        else:
            spelled = facts.spellings
            rules = [
                rule
                for rule in self._rules
                if (spelled is not None and rule.names(spelled)) or rule.of_server(facts.server)
            ]
        return _Indexed(
            schema=facts.input_schema,
            pin=facts.pin,
            root=facts.root,
            rules=rules,
            hopeless={},
            lapsed={rule.name: why for rule in rules if (why := rule.lapsed(facts))},
            judges_paths=False,
            spelled=facts.spellings,
        )


def stricter(first: Decision, second: Decision) -> Decision:
    """Return the decision that permits less. Of two that ask, one asks whoever the stricter names."""
    order = {"user": 0, "operator": 1}
    return max(first, second, key=lambda decision: (_STRICTNESS[decision.effect], order[decision.approver]))


def _seen(indexed: _Indexed, facts: ToolFacts, raw: dict[str, Any]) -> Forms | None:
    """Return the arguments as conditions see them; `None` if a path contains `..`."""
    if not facts.trusted or not indexed.judges_paths:
        return Forms(raw, raw)
    return normalised_paths(facts.input_schema, raw, facts.root)


def _matches(rule: _Rule, indexed: _Indexed, raw: dict[str, Any], seen: Forms | None) -> bool:
    holds = rule.condition.holds
    if indexed.spelled is not None:
        forms, allows = indexed.spelled.forms, rule.effect is Effect.ALLOW
        found = (holds(raw | {"uri": form}) for form in (forms if allows else (*forms, *indexed.spelled.suspected)))
        return all(found) if allows else any(found)
    if rule.effect is not Effect.DENY and (
        rule.name in indexed.hopeless
        or rule.name in indexed.lapsed
        or (indexed.schema is None and not rule.condition.always)
    ):
        return False
    if rule.effect is not Effect.ALLOW:
        # What forbids or asks holds for the arguments in whichever form it hits.
        return holds(raw) or (
            seen is not None and seen.plain is not raw and (holds(seen.plain) or holds(seen.resolved))
        )
    return seen is not None and holds(seen.plain) and (seen.resolved is seen.plain or holds(seen.resolved))


def _why_not(rule: _Rule, indexed: _Indexed, identity: str, seen: Forms | None) -> str:
    if identity not in rule.identities:
        return f"it is about {', '.join(rule.settings.identities)}, not {identity}"
    if rule.effect is not Effect.DENY:
        if rule.name in indexed.lapsed:
            return indexed.lapsed[rule.name]
        if rule.name in indexed.hopeless:
            return f"it can never match: {indexed.hopeless[rule.name]}"
        if indexed.schema is None:
            return NO_ARGUMENTS_YET
        if seen is None and rule.effect is Effect.ALLOW:
            return DOT_DOT
    unmet = (rule.condition.unmet(form) for form in ((seen.plain, seen.resolved) if seen is not None else ({},)))
    return f"its condition does not hold: {next(filter(None, unmet), '')}"


def _shadows(strict: _Rule, mild: _Rule) -> bool:
    return (
        _STRICTNESS[strict.effect] > _STRICTNESS[mild.effect]
        and strict.condition.always
        and strict.tools.covers(mild.tools)
        and strict.resources.covers(mild.resources)
        and strict.prompts.covers(mild.prompts)
        and strict.identities.covers(mild.identities)
    )


def _named(rule: _Rule) -> str:
    return f"{rule.name} ({rule.place})" if rule.place else rule.name


def rule_names(rules: Sequence[RuleSettings]) -> list[str]:
    """Return what decisions call each rule: its own name, its number where it has none or another has it too."""
    count = Counter(rule.name for rule in rules)
    return [f"gateway.rules[{rule.name if count[rule.name] == 1 and rule.name else n}]" for n, rule in enumerate(rules)]


def _compile(name: str, rule: RuleSettings, place: str) -> _Rule:
    where = f"{name} ({place})" if place else name
    if not (rule.tools or rule.resources or rule.prompts) or not rule.identities:
        raise ConfigError(
            f"{where}: a rule needs tools, resources or prompts, and identities must not be empty",
            hint='use ["*"] for all',
        )
    effect = Effect(rule.effect)
    if (rule.pins or rule.roots) and (effect is not Effect.ALLOW or rule.resources):
        raise ConfigError(
            f"{where}: `pins` and `roots` are for allow rules about tools and prompts",
            hint="a rule that forbids or asks counts whatever has changed: take them out",
        )
    return _Rule(
        name=name,
        place=place,
        settings=rule,
        tools=Names(rule.tools),
        resources=Names(rule.resources),
        folded=Names(folded(form) for pattern in rule.resources for form in named(pattern)),
        prompts=Names(rule.prompts),
        identities=Names(rule.identities),
        condition=Condition(rule.when, where=where, require=effect is not Effect.DENY),
        effect=effect,
    )
