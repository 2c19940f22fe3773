"""The input and outcome of a decision about a call, and the built-in defaults for calls that no rule matches.

Resources and prompts of trusted servers are allowed, those of others need approval. Read-only tools of trusted servers
are allowed; `exec` with an active sandbox, no network and a template without `approval` is allowed; changing files
needs approval unless `require_approval_for_mutations` is false; everything else needs approval.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from lg_policy.config.settings import Settings
from lg_policy.rules.uri_spellings import Spellings


class Effect(StrEnum):
    """What happens to a call."""

    ALLOW = "allow"
    APPROVE = "approve"
    DENY = "deny"


class Kind(StrEnum):
    """What is called: a tool, a resource that is read, or a prompt that is got.

    Rules know no completions: one is decided as what it completes.
    """

    TOOL = "tool"
    RESOURCE = "resource"
    PROMPT = "prompt"
    COMPLETION = "completion"


@dataclass(frozen=True, kw_only=True)
class ToolFacts:
    """The gateway's knowledge about a tool, a resource or a prompt, apart from the call."""

    server: str
    tool: str
    """The qualified name, `<server>__<tool>`. For a resource its address."""
    kind: Kind = Kind.TOOL
    spellings: Spellings | None = None
    """For a resource: the ways to write its URI that its server may take for the same."""
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
    root: str | None = None
    """The directory that the paths of one of our own servers are relative to."""
    pin: str = ""
    """The digest of the tool's definition."""


@dataclass(frozen=True, kw_only=True)
class Decision:
    """The outcome. `rule` names what decided: `gateway.rules[NAME]`, `gateway.rules[N]` or `default:<which>`."""

    effect: Effect
    rule: str
    reason: str
    approver: str = "user"


def default(settings: Settings, facts: ToolFacts, arguments: Mapping[str, Any]) -> Decision:
    """Decide a call that no rule matches."""
    if facts.kind is not Kind.TOOL:
        effect = Effect.ALLOW if facts.trusted else Effect.APPROVE
        reason = f"{facts.kind} of a trusted server" if facts.trusted else "no rule allows it"
        return Decision(effect=effect, rule=f"default:{facts.kind}", reason=reason)
    if facts.builtin == "exec" and facts.name == "exec":
        return _default_exec(settings, facts, arguments)
    if facts.trusted and facts.read_only:
        return Decision(effect=Effect.ALLOW, rule="default:read_only", reason="read-only tool of a trusted server")
    if facts.builtin == "fs" and not settings.policy.require_approval_for_mutations:
        return Decision(
            effect=Effect.ALLOW, rule="default:mutation", reason="policy.require_approval_for_mutations is false"
        )
    reason = "changes files" if facts.builtin == "fs" else "no rule allows it"
    return Decision(effect=Effect.APPROVE, rule="default:approve", reason=reason)


def _default_exec(settings: Settings, facts: ToolFacts, arguments: Mapping[str, Any]) -> Decision:
    template = settings.exec.commands.get(str(arguments.get("cmd")))
    if template is None:
        return Decision(effect=Effect.APPROVE, rule="default:exec", reason="the command has no template")
    network = template.network if template.network is not None else settings.policy.network_default == "allow"
    for blocked, why in (
        (not facts.sandbox_active, "no sandbox is active"),
        (network, "the command may reach the network"),
        (template.approval, "its template asks for approval"),
        (template.root == "rw", "the command may change files under the root"),
    ):
        if blocked:
            return Decision(effect=Effect.APPROVE, rule="default:exec", reason=why)
    return Decision(effect=Effect.ALLOW, rule="default:exec", reason="sandboxed, no network, nothing kept")
