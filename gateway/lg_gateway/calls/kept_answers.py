"""Keeps an answer beyond its call: for the session, or as a rule in the user's settings.

A client could answer its own form. So what a client's form says for good counts for now, as long as its session or run
lasts, and becomes a rule when a human confirms it at a terminal. `approval.form_always` can change that. A form of our
own terminal is answered by whoever sits there, and its rule is written at once. A caller of another machine or under a
token never writes into the settings of this user.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from typing import Any

import anyio.to_thread

from lg_gateway.approvals.question import ALWAYS, CONFIRMED_LATER, SESSION, ApprovalForm, HumanAnswer, form
from lg_gateway.approvals.records import Approval, ApprovalTable
from lg_gateway.calls.call import CallContext
from lg_gateway.kept_rules.choices import choices
from lg_gateway.kept_rules.records import ADDED, NOT_WRITTEN, PROPOSED, RuleChange, comment_of
from lg_gateway.kept_rules.rules_file import RulesFile
from lg_gateway.ledger.ledger import Ledger
from lg_gateway.store.interface import Store, Tx
from lg_policy.config.settings import ApprovalSettings
from lg_policy.errors import ConfigError
from lg_policy.rules.rule_set import Kind

log = logging.getLogger(__name__)

LOCAL = "local:"
"""Begins the identity of this user's own clients on stdio. No login gives such a name."""


@dataclass(frozen=True, kw_only=True)
class KeptAnswers:
    """What a caller's human may choose beyond this call, and what becomes of the choice."""

    store: Store
    book: ApprovalTable
    ledger: Ledger
    settings: Callable[[], ApprovalSettings]
    file: Callable[[], RulesFile | None] = field(default=lambda: None)
    """The user's settings file; `None` where this gateway does not read it."""

    def offered(self, context: CallContext, *, secrets: bool) -> tuple[dict[str, Any], ...]:
        """Return the rules that would spare this question. None where a rule of the settings wants it asked."""
        decision, facts = context.decision, context.entry.facts
        if decision is None or decision.approver != "user" or not decision.rule.startswith("default:"):
            return ()
        if self.file() is None or context.entry.kind is not Kind.TOOL:
            return ()
        found = choices(facts, context.call.identity, context.call.arguments, secrets=secrets)
        return tuple(asdict(choice) for choice in found)

    def form(self, context: CallContext, approval: Approval) -> ApprovalForm:
        """Return the form that the caller's client is shown."""
        writes = self._writes(context)
        always = approval.words() if writes or self._proposes(context) else {}
        return form(
            in_run=approval.run_id is not None,
            in_session=bool(context.call.session or approval.session),
            always=always,
            note=CONFIRMED_LATER if always and not writes else "",
        )

    def record(self, tx: Tx, context: CallContext, approval: Approval, verdict: HumanAnswer, now: float) -> None:
        """Record what is kept of a yes, in the transaction that decides."""
        approval = replace(approval, session=context.call.session or approval.session)
        if verdict.for_run:
            self.book.grant(tx, approval, now)
        if verdict.keep == SESSION:
            self.book.grant(tx, approval, now, session=True)
        rule, file = approval.rule(verdict.keep), self.file()
        if rule is None or file is None:
            return
        writes = self._writes(context)
        if not writes and approval.session:
            self.book.grant(tx, approval, now, session=True)
        elif not writes and approval.run_id is not None:
            self.book.grant(tx, approval, now)
        change = partial(RuleChange, rule=rule, path=file.path, by=approval.decided_by, approval=approval)
        change(outcome=ADDED if writes else PROPOSED).record(self.ledger, tx)

    async def write(self, context: CallContext, approval: Approval, keep: str) -> None:
        """Write the rule that was chosen. The call was approved anyway: a file that cannot be written fails no call."""
        rule, file = approval.rule(keep), self.file()
        if keep not in ALWAYS or rule is None or file is None:
            return
        if not self._writes(context):
            log.warning(
                "%s: to allow this for good, run `lg-gateway rules add --from %s` at a terminal",
                approval.id,
                approval.id,
            )
            return
        try:
            await anyio.to_thread.run_sync(file.add, rule, comment_of(approval))
        except ConfigError as error:
            log.warning("%s: %s", approval.id, error.text())
            failed = RuleChange(
                outcome=NOT_WRITTEN,
                rule=rule,
                path=file.path,
                by="the gateway",
                approval=approval,
                detail=error.message,
            )
            await self.store.write(lambda tx: failed.record(self.ledger, tx))
            return
        log.warning("%s: rule added to %s; `lg-gateway rules list` shows it", approval.id, file.path)

    def _writes(self, context: CallContext) -> bool:
        local = context.call.identity.startswith(LOCAL) and bool(context.call.session)
        return context.call.at_terminal or (local and self.settings().form_always == "write")

    def _proposes(self, context: CallContext) -> bool:
        return context.call.identity.startswith(LOCAL) and self.settings().form_always == "confirm"
