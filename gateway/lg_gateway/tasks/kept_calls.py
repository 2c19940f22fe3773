"""Keeps of a call what the end of its record needs, and makes a call of that again. Pure."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from lg_gateway.calls.call import Call, CallContext
from lg_gateway.calls.caller_metadata import CallMetadata
from lg_gateway.catalog.entry import Entry
from lg_gateway.catalog.schema_check import ArgumentCheck
from lg_gateway.elicitation.client_abilities import ClientAbilities
from lg_gateway.processes.server_specs import ServerSpec
from lg_policy.rules.rule_set import Decision, Effect, ToolFacts


@dataclass(frozen=True, kw_only=True)
class _KeptEntry(Entry):
    """A tool as its call knew it."""

    structured: bool

    @property
    def has_output_schema(self) -> bool:
        """Whether an answer without its structure is none."""
        return self.structured


_ANYTHING = ArgumentCheck({"type": "object"})


def kept_call(context: CallContext) -> dict[str, Any]:
    """Return a call that has begun as it is kept: without its arguments."""
    metadata, decision, entry = context.metadata, context.decision, context.entry
    return {
        "client": context.call.client,
        "name": context.call.name,
        "entry": entry.name,
        "tool": entry.tool,
        "pin": entry.definition_digest,
        "binding": context.binding().digest(),
        "kinds": sorted(context.call.answers.kinds),
        "sampling_tools": context.call.answers.sampling_tools,
        "output_schema": entry.has_output_schema,
        "run_id": metadata.run_id,
        "key": metadata.key,
        "trace_id": metadata.trace_id,
        "digest": context.arguments_digest,
        "bytes_in": context.bytes_in,
        "rule": decision.rule if decision is not None else "",
        "effect": str(decision.effect) if decision is not None else str(Effect.ALLOW),
        "approval_id": context.approval_id,
    }


def call_again(
    kept: Mapping[str, Any], spec: ServerSpec, *, identity: str, request_id: str, age_s: float
) -> CallContext:
    """Return the call. Its tool may no longer be listed; what its result is judged by was kept."""
    facts = ToolFacts(
        server=spec.name, tool=kept["entry"], name=kept["tool"], trusted=spec.trusted, builtin=spec.builtin
    )
    entry = _KeptEntry(
        name=kept["entry"],
        server=spec,
        tool=kept["tool"],
        facts=facts,
        check=_ANYTHING,
        definition_digest=kept["pin"],
        structured=kept["output_schema"],
    )
    return CallContext(
        call=Call(
            identity=identity,
            client=kept["client"],
            name=kept["name"],
            arguments={},
            abilities=ClientAbilities(kinds=frozenset(kept["kinds"]), sampling_tools=kept["sampling_tools"]),
        ),
        entry=entry,
        request_id=request_id,
        began=time.monotonic() - age_s,
        metadata=CallMetadata(run_id=kept["run_id"], key=kept["key"], trace_id=kept["trace_id"]),
        arguments_digest=kept["digest"],
        bytes_in=kept["bytes_in"],
        decision=Decision(effect=Effect(kept["effect"]), rule=kept["rule"], reason=""),
        approval_id=kept["approval_id"],
    )
