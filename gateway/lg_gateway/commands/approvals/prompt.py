"""Shows a question at a terminal, and writes the answer into the store that the question came from."""

from __future__ import annotations

import os
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from lg_gateway.approvals.question import ONCE, RUN, TYPED
from lg_gateway.approvals.records import Approval, ApprovalState
from lg_gateway.commands.terminal.terminal import Terminal
from lg_gateway.kept_rules.records import comment_of
from lg_gateway.kept_rules.rule_text import rule_text
from lg_gateway.kept_rules.rules_file import RulesFile, rules_file
from lg_gateway.serving.setup import user_name
from lg_gateway.serving.store_access import StoreAccess
from lg_gateway.views.answers import Answer, Answering
from lg_policy.errors import ConfigError
from lg_policy.printing import quote, visible
from lg_policy.state import find_states
from lg_policy.terminal_rows import WIDTH, laid_out, relaid

CODE_DIGITS = 6


@dataclass(frozen=True, kw_only=True)
class Pending:
    """One question, the store it is in, and the root or file that its gateway works for."""

    approval: Approval
    access: StoreAccess
    subject: str

    def now(self) -> Approval | None:
        """Return the question as it stands now."""
        return self.access.question(self.approval.id)


def shown(pending: Pending, width: int = WIDTH) -> str:
    """Return all of a question, the parts that a client leaves out included, for a screen of that many columns."""
    approval = pending.approval
    if approval.state in (ApprovalState.PENDING, ApprovalState.APPROVED):
        left = span(max(0, int((approval.waits_until or approval.expires) - time.time())))
        time_left = f", {left} left{' while its caller waits' if approval.waits_until else ''}"
    else:
        time_left = ""
    head = [f"{approval.id}: {approval.state}{time_left}", f"gateway: {quote(pending.subject, limit=200)}", ""]
    return "\n".join([*laid_out(head, width), relaid(approval.whole(), width)])


def decide(
    pending: Pending, how: str, *, reason: str = "", for_run: bool = False, by: str = "", keep: str = ""
) -> Approval:
    """Answer. `keep` is what the yes is kept as: for the session, or as a rule, which is then written.

    Raises `Conflict` when somebody else was faster or the question has expired.
    """
    approval, access = pending.approval, pending.access
    approve = how == "approve"
    answer = Answer(approve=approve, by=by or _by(approval, how), reason=reason, for_run=for_run, keep=keep)
    file = own_rules()
    answering = Answering(approvals=access.approvals, ledger=access.ledger, approval=approval, answer=answer, file=file)
    decided = access.write(answering.write)
    if answering.rule is not None:
        try:
            file.add(answering.rule, comment_of(decided))
        except ConfigError as error:
            access.write(answering.not_written(decided, error.message))
            raise
    return decided


def own_rules() -> RulesFile:
    """Return the user's settings file, which no root of this user's gateways may hold."""
    roots = [subject for subject in find_states(os.environ).values() if os.path.isdir(subject)]
    return rules_file(os.environ, roots)


def agreed_rule(terminal: Terminal, rule: Mapping[str, Any], comment: str = "") -> bool:
    """Show a rule as it would be written, and where, and have a human at the terminal say yes."""
    text = "\n".join(visible(line) for line in rule_text(rule, comment).splitlines())
    terminal.show(f"\nThis would be added to {quote(str(own_rules().path), limit=200)}:\n\n{text}\n")
    return terminal.line("Write it? [y]es; anything else, or Enter alone, changes nothing: ").lower() in ("y", "yes")


def confirmed(pending: Pending, terminal: Terminal, *, for_run: bool = False) -> bool:
    """Have a human at the terminal say yes: an operator by copying a code that is shown nowhere else."""
    if pending.approval.approver == "operator":
        code = "".join(secrets.choice("0123456789") for _ in range(CODE_DIGITS))
        typed = terminal.line(f"Operator approval: type {code} to approve, anything else leaves it open: ")
        return secrets.compare_digest(typed.encode(), code.encode())
    choice = "for this [r]un" if for_run else "[o]nce"
    typed = terminal.line(f"Approve it? {choice}; anything else, or Enter alone, leaves it open: ").lower()
    return typed in ("y", "yes") or TYPED.get(typed) == (RUN if for_run else ONCE)


def _by(approval: Approval, how: str) -> str:
    """Say who answers: a yes was given at a terminal, a no may come from any command."""
    role = "operator" if approval.approver == "operator" and how == "approve" else "user"
    return f"{role} {user_name()} at a {'terminal' if how == 'approve' else 'command line'}"


def span(seconds: int) -> str:
    """Return a length of time in its largest unit."""
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= size:
            return f"{seconds // size} {unit}"
    return f"{seconds} s"
