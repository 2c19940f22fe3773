"""One thing that a client can call: a tool, a resource that it reads, or a prompt that it gets."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from lg_gateway.catalog.schema_check import ArgumentCheck
from lg_gateway.processes.server_specs import ServerSpec
from lg_policy.rules.rule_set import Kind, ToolFacts

COMPLETE = "completion/complete"
_ANYTHING = ArgumentCheck({"type": "object"})


@dataclass(frozen=True, kw_only=True)
class Entry:
    """What the steps of a call need to know, whatever is called."""

    name: str
    """The name in records, limits and approvals: `SERVER__TOOL`, or `SERVER:resources/read` and the like."""
    server: ServerSpec
    tool: str
    """The server's own name for it; the URI of a resource."""
    facts: ToolFacts
    check: ArgumentCheck
    definition_digest: str
    """What a pin covers, as its digest."""
    preview: Mapping[str, Any] | None = None
    """Arguments that make the call show what it would do; only trusted servers may name them."""

    completes: bool = False
    """Whether an argument of it is completed, and nothing read or got."""

    @property
    def kind(self) -> Kind:
        """What is called."""
        return Kind.COMPLETION if self.completes else self.facts.kind

    def to_complete(self) -> Entry:
        """Return the completion of an argument of this prompt, or of this template of resources."""
        return replace(self, completes=True, name=f"{self.server.name}:{COMPLETE}", check=_ANYTHING)

    def meant(self, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """Return arguments under the server's names, repaired where its schema leaves no doubt what is meant."""
        return dict(arguments)

    @property
    def input_properties(self) -> Mapping[str, Any]:
        """The arguments that the server knows."""
        return (self.facts.input_schema or {}).get("properties") or {}

    @property
    def has_output_schema(self) -> bool:
        """Whether an answer without its structure is none."""
        return False

    @property
    def read_only(self) -> bool:
        """Whether a trusted server says that the call changes nothing."""
        return self.facts.trusted and self.facts.read_only

    @property
    def idempotent(self) -> bool:
        """Whether a trusted server says that making the call twice does no more than making it once."""
        return self.read_only

    @property
    def knows_keys(self) -> bool:
        """Whether its server keeps idempotency keys itself: a repeat is answered from its journal."""
        return False

    def same_as(self, other: Entry) -> bool:
        """Whether this is the same definition, trusted as far."""
        if self is other:
            return True
        mine, theirs = self.facts, other.facts
        as_far = (mine.kind, mine.trusted, mine.builtin, mine.sandbox_active) == (
            theirs.kind,
            theirs.trusted,
            theirs.builtin,
            theirs.sandbox_active,
        )
        return as_far and self._same_definition(other)

    def _same_definition(self, other: Entry) -> bool:
        return self.tool == other.tool and self.definition_digest == other.definition_digest
