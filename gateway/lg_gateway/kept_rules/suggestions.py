"""Proposes rules from what humans have answered so far: where a question always got a yes. Pure.

A tool that changes something is only proposed with arguments that were seen. For a tool that only reads, by what its
server says of it, the whole tool may be proposed, or a pattern where the tool itself got a no.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from lg_gateway.approvals.question import EXACT, PATTERN, TOOL
from lg_gateway.approvals.records import Approval, ApprovalState
from lg_policy.config.settings import RuleSettings

LEAST = 3
"""Answers after which a rule is proposed."""
_YES = (ApprovalState.APPROVED, ApprovalState.USED)
_IGNORED = ("name", "reason", "pins")


@dataclass(frozen=True, kw_only=True)
class Suggestion:
    """A rule, and the answers that speak for it. `approval` is the newest question that it would have spared."""

    kind: str
    words: str
    rule: Mapping[str, Any]
    yes: int
    unanswered: int
    reads: bool
    approval: Approval


@dataclass
class _Seen:
    choice: Mapping[str, Any]
    approval: Approval
    yes: int = 0
    no: int = 0
    open: int = 0
    all: list[str] = field(default_factory=list)


def suggestions(approvals: Iterable[Approval], rules: Sequence[RuleSettings], least: int = LEAST) -> list[Suggestion]:
    """Return rules that would have spared questions, the one that spares most first. `approvals`: the newest first."""
    seen = _seen(approvals)
    known = {_text(rule.model_dump(mode="json", exclude_defaults=True)) for rule in rules}
    spared: set[str] = set()
    found = []
    for text, group in sorted(seen.items(), key=lambda item: (_ORDER[item[1].choice["kind"]], -item[1].yes)):
        choice = group.choice
        wide = choice["kind"] != EXACT and not choice.get("reads")
        if wide or group.no or group.yes < least or text in known or spared.issuperset(group.all):
            continue
        spared.update(group.all)
        found.append(
            Suggestion(
                kind=choice["kind"],
                words=choice["words"],
                rule={"name": group.approval.id, **choice["rule"]},
                yes=group.yes,
                unanswered=group.open,
                reads=bool(choice.get("reads")),
                approval=group.approval,
            )
        )
    return sorted(found, key=lambda suggestion: -suggestion.yes)


_ORDER = {TOOL: 0, PATTERN: 1, EXACT: 2}


def _seen(approvals: Iterable[Approval]) -> dict[str, _Seen]:
    seen: dict[str, _Seen] = {}
    for approval in approvals:
        for text, choice in _offered(approval):
            group = seen.setdefault(text, _Seen(choice=choice, approval=approval))
            group.all.append(approval.id)
            if approval.state in _YES:
                group.yes += 1
            elif approval.state is ApprovalState.DENIED:
                group.no += 1
            else:
                group.open += 1
    return seen


def _offered(approval: Approval) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for choice in approval.always:
        if choice["kind"] not in _ORDER:
            continue  # tools that were never asked about
        yield _text(choice["rule"]), choice


def _text(rule: Mapping[str, Any]) -> str:
    """Return a rule without what says nothing about what it allows."""
    return json.dumps({key: value for key, value in rule.items() if key not in _IGNORED}, sort_keys=True)
