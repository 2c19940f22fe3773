"""Writes what a human keeps: the rule into the settings file, and a record of it that names the question."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from lg_gateway.approvals.records import Approval
from lg_gateway.ledger.ledger import Ledger, LedgerEntry
from lg_gateway.store.interface import Tx
from lg_policy.limits import cut_text

ADDED, REMOVED, PROPOSED, NOT_WRITTEN = "rule added", "rule removed", "rule proposed", "rule not written"
DETAIL_BYTES = 3_000


@dataclass(frozen=True, kw_only=True)
class RuleChange:
    """One change of the user's rules, as the ledger has it."""

    outcome: str
    rule: Mapping[str, Any]
    path: Path
    by: str
    approval: Approval | None = None
    detail: str = ""

    def record(self, ledger: Ledger, tx: Tx) -> None:
        """Write the record. A rule that a human keeps names the question that it was an answer to."""
        asked, tools = self.approval, next(filter(None, map(self.rule.get, ("tools", "resources", "prompts"))), [""])
        what = json.dumps({key: value for key, value in self.rule.items() if key != "name"}, ensure_ascii=True)
        words = [f"by {self.by}", f"in {self.path}", what, self.detail]
        ledger.append(
            tx,
            LedgerEntry(
                phase="note",
                request_id=f"rule {self.rule.get('name', '')}".strip(),
                identity=asked.identity if asked is not None else "",
                run_id=asked.run_id if asked is not None else None,
                server=asked.server if asked is not None else "",
                tool=asked.tool if asked is not None else str(tools[0]),
                approval_id=asked.id if asked is not None else None,
                rule=f"gateway.rules[{self.rule['name']}]" if self.rule.get("name") else "",
                outcome=self.outcome,
                detail=cut_text("; ".join(filter(None, words)), DETAIL_BYTES)[0],
            ),
        )


def comment_of(approval: Approval | None) -> str:
    """Return the line that stands above a rule in the file."""
    day = datetime.now(UTC).date().isoformat()
    came = f" as the answer to question {approval.id}" if approval is not None else ""
    return f"Added {day}{came}. `lg-gateway rules list` shows it, `lg-gateway rules remove` takes it back."
