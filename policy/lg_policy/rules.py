"""Which calls are allowed, need approval or are denied. Pure: no clock, disk or network.

deny beats approve beats allow among the rules that match a call. Only when no rule matches do the built-in defaults
decide: read-only tools of trusted servers are allowed; `exec` with an active sandbox, no network and a template
without `approval` is allowed; changing files needs approval unless `require_approval_for_mutations` is false;
everything else needs approval.

Not covered: what a tool really does. Annotations of untrusted servers count for nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from lg_policy.conditions import Condition, normalised_paths
from lg_policy.config import RuleSettings, Settings
from lg_policy.errors import ConfigError


class Effect(StrEnum):
    """What happens to a call."""

    ALLOW = "allow"
    APPROVE = "approve"
    DENY = "deny"


_STRICTNESS = {Effect.ALLOW: 0, Effect.APPROVE: 1, Effect.DENY: 2}


@dataclass(frozen=True, kw_only=True)
class ToolFacts:
    """What the gateway knows about a tool, apart from the call."""

    server: str
    tool: str
    """The qualified name, `<server>__<tool>`."""
    trusted: bool = False
    builtin: str | None = None
    """`fs` or `exec` for our own servers."""
    name: str = ""
    """The server's own name for the tool."""
    read_only: bool = False
    """The annotation `readOnlyHint`; counts only for trusted servers."""
    sandbox_active: bool = False
    """For `exec`: whether the server reported a working sandbox."""
    input_schema: Mapping[str, Any] | None = None
    """The tool's input schema once it is known."""


@dataclass(frozen=True, kw_only=True)
class Decision:
    """The outcome. `rule` names what decided: `gateway.rules[N]` or `default:<which>`."""

    effect: Effect
    rule: str
    reason: str
    approver: str = "user"


@dataclass(frozen=True, kw_only=True)
class _Rule:
    name: str
    settings: RuleSettings
    tools: re.Pattern[str]
    identities: re.Pattern[str]
    condition: Condition
    effect: Effect = field(default=Effect.DENY)

    def concerns(self, identity: str, tool: str) -> bool:
        return self.tools.fullmatch(tool) is not None and self.identities.fullmatch(identity) is not None


class RuleBook:
    """All rules, compiled once and indexed by tool. Raises `ConfigError` for a condition that is no valid schema."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._rules = [_compile(index, rule) for index, rule in enumerate(settings.gateway.rules)]
        self._by_tool: dict[str, list[_Rule]] = {}

    def decide(self, *, identity: str, facts: ToolFacts, arguments: Mapping[str, Any]) -> Decision:
        """Decide one call.

        Arguments that a trusted server marks as paths are normalised before allow and approve conditions see them; one
        that contains `..` matches no allow rule.
        """
        seen = normalised_paths(facts.input_schema, arguments) if facts.trusted else arguments
        winner: _Rule | None = None
        strictest_approver = "user"
        for rule in self._for_tool(facts.tool):
            if not rule.concerns(identity, facts.tool) or not self._matches(rule, facts, arguments, seen):
                continue
            if rule.settings.approver == "operator":
                strictest_approver = "operator"
            if winner is None or _STRICTNESS[rule.effect] > _STRICTNESS[winner.effect]:
                winner = rule
        if winner is None:
            return self._default(facts, arguments)
        reason = winner.settings.reason or f"{winner.name} says {winner.effect}"
        return Decision(effect=winner.effect, rule=winner.name, reason=reason, approver=strictest_approver)

    def visible(self, *, identity: str, facts: ToolFacts) -> bool:
        """Whether the identity may see the tool at all: not if a deny rule without a condition covers it."""
        return not any(
            rule.effect is Effect.DENY and rule.condition.always and rule.concerns(identity, facts.tool)
            for rule in self._for_tool(facts.tool)
        )

    def problems(self, facts: ToolFacts) -> list[str]:
        """Say which rules can never match this tool's arguments, once its schema is known."""
        found = []
        for rule in self._for_tool(facts.tool):
            why = rule.condition.can_never_match(facts.input_schema)
            if why:
                found.append(f"{rule.name}: for {facts.tool}: {why}")
        return found

    def _matches(self, rule: _Rule, facts: ToolFacts, raw: Mapping[str, Any], seen: Mapping[str, Any] | None) -> bool:
        if rule.effect is Effect.DENY:
            # A denial holds for the arguments as given and as normalised, whichever it hits.
            return rule.condition.holds(raw) or (seen is not None and rule.condition.holds(seen))
        if not rule.condition.always and facts.input_schema is None:
            return False
        if seen is None or rule.condition.can_never_match(facts.input_schema):
            return False
        return rule.condition.holds(seen)

    def _for_tool(self, tool: str) -> Sequence[_Rule]:
        rules = self._by_tool.get(tool)
        if rules is None:
            rules = [rule for rule in self._rules if rule.tools.fullmatch(tool)]
            self._by_tool[tool] = rules
        return rules

    def _default(self, facts: ToolFacts, arguments: Mapping[str, Any]) -> Decision:
        if facts.builtin == "exec" and facts.name == "exec":
            return self._default_exec(facts, arguments)
        if facts.trusted and facts.read_only:
            return Decision(effect=Effect.ALLOW, rule="default:read_only", reason="read-only tool of a trusted server")
        if facts.builtin == "fs" and not self._settings.policy.require_approval_for_mutations:
            return Decision(
                effect=Effect.ALLOW, rule="default:mutation", reason="policy.require_approval_for_mutations is false"
            )
        reason = "changes files" if facts.builtin == "fs" else "no rule allows it"
        return Decision(effect=Effect.APPROVE, rule="default:approve", reason=reason)

    def _default_exec(self, facts: ToolFacts, arguments: Mapping[str, Any]) -> Decision:
        template = self._settings.exec.commands.get(str(arguments.get("cmd")))
        if template is None:
            return Decision(effect=Effect.APPROVE, rule="default:exec", reason="the command has no template")
        network = template.network if template.network is not None else self._settings.policy.network_default == "allow"
        for blocked, why in (
            (not facts.sandbox_active, "no sandbox is active"),
            (network, "the command may reach the network"),
            (template.approval, "its template asks for approval"),
            (template.root == "rw", "the command may change files under the root"),
        ):
            if blocked:
                return Decision(effect=Effect.APPROVE, rule="default:exec", reason=why)
        return Decision(effect=Effect.ALLOW, rule="default:exec", reason="sandboxed, no network, nothing kept")


def _compile(index: int, rule: RuleSettings) -> _Rule:
    name = f"gateway.rules[{index}]"
    if not rule.tools or not rule.identities:
        raise ConfigError(f"{name}: tools and identities must not be empty", hint='use ["*"] for all')
    effect = Effect(rule.effect)
    return _Rule(
        name=name,
        settings=rule,
        tools=_wildcards(rule.tools),
        identities=_wildcards(rule.identities),
        condition=Condition(rule.when, where=name, require=effect is not Effect.DENY),
        effect=effect,
    )


def _wildcards(patterns: Iterable[str]) -> re.Pattern[str]:
    """Compile names in which `*` stands for any run of characters."""
    return re.compile(
        "|".join(".*".join(re.escape(part) for part in pattern.split("*")) for pattern in patterns), re.DOTALL
    )
