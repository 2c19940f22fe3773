"""Writes a human's answer to a question: one transaction for the answer, then the rule that it is kept as, if any."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from lg_gateway.approvals.question import SESSION
from lg_gateway.approvals.records import Approval, ApprovalState, ApprovalTable
from lg_gateway.kept_rules.records import ADDED, NOT_WRITTEN, RuleChange
from lg_gateway.kept_rules.rules_file import RulesFile
from lg_gateway.ledger.ledger import Ledger
from lg_gateway.store.interface import Tx
from lg_policy.errors import Conflict


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What a human said. `keep` is what a yes is kept as: for the session, or as a rule."""

    approve: bool
    by: str
    reason: str = ""
    for_run: bool = False
    keep: str = ""

    @property
    def move(self) -> str:
        """The move of the question that this is."""
        return "approve" if self.approve else "deny"


@dataclass(frozen=True, kw_only=True)
class Answering:
    """Writes one answer into a store. `file` is where its rule goes."""

    approvals: ApprovalTable
    ledger: Ledger
    approval: Approval
    answer: Answer
    file: RulesFile | None = None

    @property
    def rule(self) -> dict[str, Any] | None:
        """The settings of the rule that the answer is kept as."""
        return self.approval.rule(self.answer.keep) if self.answer.approve and self.file is not None else None

    def write(self, tx: Tx) -> Approval:
        """Answer. Raises `Conflict` if somebody else was faster or the question has expired."""
        now, answer = time.time(), self.answer
        current = self.approvals.get(tx, self.approval.id, now)
        if current is not None and current.state is ApprovalState.EXPIRED:
            raise Conflict(
                f"question {self.approval.id} has expired; nothing was done",
                hint="the caller is asked again when it repeats the call",
            )
        keep = answer.keep
        moved = self.approvals.move(tx, self.approval, answer.move, by=answer.by, reason=answer.reason, kept=keep)
        if answer.for_run or keep == SESSION:
            self.approvals.grant(tx, moved, now, session=keep == SESSION)
        if self.rule is not None and self.file is not None:
            change = RuleChange(outcome=ADDED, rule=self.rule, path=self.file.path, by=moved.decided_by, approval=moved)
            change.record(self.ledger, tx)
        return moved

    def not_written(self, decided: Approval, why: str) -> Callable[[Tx], None]:
        """Return what records that the rule could not be written."""
        rule: Mapping[str, Any] = self.rule or {}
        path = self.file.path if self.file is not None else None

        def record(tx: Tx) -> None:
            if path is not None:
                change = RuleChange(
                    outcome=NOT_WRITTEN, rule=rule, path=path, by=decided.decided_by, approval=decided, detail=why
                )
                change.record(self.ledger, tx)

        return record
