"""Keeps an answer beyond its call: for the session, or as a rule in the user's settings.

A client could answer its own form. So what a client's form says for good counts for its session, in this process, and
becomes a rule when a human confirms it at a terminal. `approval.form_always` can change that. A form of our own
terminal is answered by whoever sits there, and its rule is written at once. A caller of another machine or under a
token never writes into the settings of this user.

Not covered: that a rule of a session is taken back before the session ends, or eight hours are over.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from typing import Any

import anyio.to_thread
import mcp_types as t

from lg_gateway.approvals.grants import GRANT_S
from lg_gateway.approvals.question import ALWAYS, CONFIRMED_LATER, SESSION, ApprovalForm, HumanAnswer, form
from lg_gateway.approvals.records import Approval, ApprovalTable
from lg_gateway.calls.call import CallContext, arguments_of_kind
from lg_gateway.kept_rules.choices import allows, choices
from lg_gateway.kept_rules.records import ADDED, NOT_WRITTEN, PROPOSED, RuleChange, comment_of
from lg_gateway.kept_rules.rule_text import rule_text
from lg_gateway.kept_rules.rules_file import RulesFile
from lg_gateway.ledger.ledger import Ledger
from lg_gateway.store.interface import Store, Tx
from lg_policy.config.settings import ApprovalSettings
from lg_policy.errors import ConfigError
from lg_policy.rules.rule_set import Kind, ToolFacts
from lg_policy.wire.call_metadata import RULES

log = logging.getLogger(__name__)

SESSION_RULES = 200
"""Answers of sessions that are kept in this process. The oldest is forgotten, and asked about again."""
LOCAL = "local:"
"""Begins the identity of this user's own clients on stdio. No login gives such a name."""


@dataclass(frozen=True, kw_only=True)
class _SessionRule:
    approval: Approval
    rule: Mapping[str, Any]
    ends: float


@dataclass(frozen=True, kw_only=True)
class KeptAnswers:
    """What a caller's human may choose beyond this call, and what becomes of the choice."""

    store: Store
    book: ApprovalTable
    ledger: Ledger
    settings: Callable[[], ApprovalSettings]
    file: Callable[[], RulesFile | None] = field(default=lambda: None)
    """The user's settings file; `None` where this gateway does not read it."""
    reloads: Callable[[], bool] = field(default=lambda: True)
    """Whether this gateway takes over what the file says while it runs."""
    siblings: Callable[[CallContext], Sequence[ToolFacts]] = field(default=lambda _context: ())
    """The tools of the same server that the caller may see."""
    _of_session: list[_SessionRule] = field(default_factory=list)

    def offered(self, context: CallContext, *, secrets: bool) -> tuple[dict[str, Any], ...]:
        """Return the rules that would spare this question. None where a rule of the settings wants it asked."""
        facts, call = context.entry.facts, context.call
        if not _by_default(context) or self.file() is None:
            return ()
        siblings = self.siblings(context) if context.entry.kind is Kind.TOOL else ()
        arguments = arguments_of_kind(call, context.entry)
        found = choices(facts, call.identity, arguments, secrets=secrets, siblings=siblings)
        return tuple(asdict(choice) for choice in found)

    def covering(self, context: CallContext, now: float) -> str | None:
        """Return the id of an answer of this session that covers a call."""
        call, facts = context.call, context.entry.facts
        if not call.session or not _by_default(context):
            return None
        arguments = arguments_of_kind(call, context.entry)
        for kept in self._of_session:
            same = (kept.approval.session, kept.approval.identity) == (call.session, call.identity)
            if same and now < kept.ends and allows(kept.rule, facts, call.identity, arguments):
                return f"sr-{kept.approval.id[3:]}"
        return None

    def form(self, context: CallContext, approval: Approval) -> ApprovalForm:
        """Return the form that the caller's client is shown."""
        writes = self._writes(context)
        always = approval.words() if writes or self._proposes(context) else {}
        made = form(
            in_run=approval.run_id is not None,
            in_session=bool(context.call.session or approval.session),
            always=always,
            note=CONFIRMED_LATER if always and not writes else "",
            kind=context.entry.kind,
        )
        if context.call.at_terminal or (writes and context.metadata.shows_whole):
            made.rules = {kind: self._text(approval, kind) for kind in always}
        return made

    def round(self, context: CallContext, approval: Approval, key: str, message: str) -> t.InputRequiredResult:
        """Return the question as a round. A caller that shows it whole gets the words and the text of each rule."""
        made, words = self.form(context, approval), approval.words()
        rules = {kind: f"{words[kind]}\n{text}" for kind, text in made.rules.items()}
        request = t.ElicitRequest(params=t.ElicitRequestFormParams(message=message, requested_schema=made))
        meta: Any = {RULES: rules} if rules else None
        state = json.dumps({"approval": approval.id})
        return t.InputRequiredResult(input_requests={key: request}, request_state=state, _meta=meta)

    def _text(self, approval: Approval, kind: str) -> str:
        rule, file = approval.rule(kind), self.file()
        return f"{rule_text(rule)}\nin {file.path}" if rule is not None and file is not None else ""

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
        change = partial(RuleChange, rule=rule, path=file.path, by=approval.decided_by, approval=approval)
        change(outcome=ADDED if writes else PROPOSED).record(self.ledger, tx)

    async def write(self, context: CallContext, approval: Approval, keep: str, now: float) -> None:
        """Write the rule that was chosen. The call was approved anyway: a file that cannot be written fails no call."""
        rule, file = approval.rule(keep), self.file()
        if keep not in ALWAYS or rule is None or file is None:
            return
        writes, session = self._writes(context), context.call.session
        if session and not (writes and self.reloads()):
            kept = replace(approval, session=session)
            self._of_session.append(_SessionRule(approval=kept, rule=rule, ends=now + GRANT_S))
            del self._of_session[:-SESSION_RULES]
        if not writes:
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


def _by_default(context: CallContext) -> bool:
    """Whether no rule decided. Where a rule of the settings asks, an allowance beside it would change nothing."""
    decision = context.decision
    return decision is not None and decision.approver == "user" and decision.rule.startswith("default:")
