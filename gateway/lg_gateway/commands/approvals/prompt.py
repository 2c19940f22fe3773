"""Shows a question at a terminal, and writes the answer into the store that the question came from."""

from __future__ import annotations

import secrets
import time
from dataclasses import dataclass

from lg_gateway.approvals.layout import WIDTH, laid_out, relaid
from lg_gateway.approvals.question import ONCE, RUN, TYPED
from lg_gateway.approvals.records import Approval, ApprovalState
from lg_gateway.commands.terminal.terminal import Terminal
from lg_gateway.serving.setup import user_name
from lg_gateway.serving.store_access import StoreAccess
from lg_gateway.store.interface import Tx
from lg_policy.errors import Conflict
from lg_policy.printing import quote

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
        time_left = f", {span(max(0, int(approval.expires - time.time())))} left"
    else:
        time_left = ""
    head = [f"{approval.id}: {approval.state}{time_left}", f"gateway: {quote(pending.subject, limit=200)}", ""]
    return "\n".join([*laid_out(head, width), relaid(approval.whole(), width)])


def decide(pending: Pending, how: str, *, reason: str = "", for_run: bool = False, by: str = "") -> Approval:
    """Answer. Raises `Conflict` when somebody else was faster or the question has expired."""
    approval, book = pending.approval, pending.access.approvals

    def work(tx: Tx) -> Approval:
        now = time.time()
        current = book.get(tx, approval.id, now)
        if current is not None and current.state is ApprovalState.EXPIRED:
            raise Conflict(
                f"question {approval.id} has expired; nothing was done",
                hint="the caller is asked again when it repeats the call",
            )
        moved = book.move(tx, approval, how, by=by or _by(approval, how), reason=reason)
        if for_run:
            book.grant(tx, moved, now)
        return moved

    return pending.access.write(work)


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
