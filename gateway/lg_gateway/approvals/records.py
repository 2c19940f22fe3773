"""Stores questions to a human and their answers: one table of allowed changes; each is for one exact call, used once.

A question is found again by its binding, never asked twice: clients repeat first rounds. Rows carry a keyed code, so
that a yes cannot be written into the store by someone without the keys. What a human was shown is kept encrypted, since
nothing in it is masked; the record of the decision in the ledger has its length and its keyed digest.

Not covered: the user's own processes, which can answer as the user can.
"""

from __future__ import annotations

import json
import secrets
from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from typing import Any

from lg_gateway.approvals.binding import Binding
from lg_gateway.approvals.grants import GrantTable, new_grant
from lg_gateway.ledger.ledger import Ledger, LedgerEntry
from lg_gateway.store.canonical_json import keyed_digest
from lg_gateway.store.interface import StoreEdited, Tx
from lg_gateway.store.keyed_rows import RowMac
from lg_gateway.store.text_cipher import TextCipher
from lg_policy.errors import ApprovalDenied, Conflict, TooManyQuestions

MAX_PENDING = 10
SHOWN = "the text shown has"
"""Begins, in the detail of a decision's record, what the ledger keeps of the text that a human was shown."""
_COLUMNS = ("id", "binding", "identity", "state", "created", "expires")
"""What a row repeats of its body, to be found by."""
_ROW = "SELECT body, mac, id, binding, identity, state, created, expires FROM approvals"
_ALPHABET = "abcdefghijkmnpqrstuvwxyz23456789"


class ApprovalState(StrEnum):
    """The life of a question."""

    PENDING = "pending"
    APPROVED = "approved"
    DENIED = "denied"
    EXPIRED = "expired"
    USED = "used"


# Every legal move; anything else raises `Conflict` and changes nothing.
MOVES: dict[tuple[ApprovalState, str], ApprovalState] = {
    (ApprovalState.PENDING, "approve"): ApprovalState.APPROVED,
    (ApprovalState.PENDING, "deny"): ApprovalState.DENIED,
    (ApprovalState.PENDING, "expire"): ApprovalState.EXPIRED,
    (ApprovalState.APPROVED, "use"): ApprovalState.USED,
    (ApprovalState.APPROVED, "expire"): ApprovalState.EXPIRED,
}


@dataclass(frozen=True, kw_only=True)
class Approval:
    """A question. `text` is what a human is shown, the same in every round; `expected` are hashes the preview saw.

    `full` is the whole text where `text` had to be cut. `here_only`: the question is never put to a client.
    """

    id: str
    binding: str
    identity: str
    state: ApprovalState
    created: float
    expires: float
    tool: str
    server: str
    approver: str
    text: str
    hidden_lines: int = 0
    full: str = ""
    run_id: str | None = None
    expected: dict[str, str | None] | None = None
    pin: str = ""
    client: str = ""
    arguments_digest: str = ""
    here_only: bool = False
    waits_until: float = 0.0
    """When a question ends at the latest whose caller waits for the answer, 0 for others. `expires` is soon, and is
    moved on while the caller is there: it may be killed, and then nobody would use a yes."""
    noted: int = 0
    """Number of the ledger's record of the decision."""
    decided_by: str = ""
    reason: str = ""
    session: str = ""
    """The connection that the call came over, where its client has one."""
    always: tuple[dict[str, Any], ...] = ()
    """Rules that the human may choose as an answer: `kind`, `words` and `rule` of each."""
    kept: str = ""
    """What the answer was kept as, beyond this call."""
    root: str = ""
    """The root of the gateway that asks. Gateways of several roots may share one store."""

    def open(self, now: float) -> bool:
        """Whether it can still be answered or used."""
        return self.state in (ApprovalState.PENDING, ApprovalState.APPROVED) and now < self.expires

    def whole(self) -> str:
        """All of what a human is asked about."""
        return self.full or self.text

    def rule(self, kind: str) -> dict[str, Any] | None:
        """Return the settings of a rule that was offered, under the name of this question; `None` if it was not."""
        found = next((choice["rule"] for choice in self.always if choice["kind"] == kind), None)
        return {"name": self.id, **found} if found is not None else None

    def words(self) -> dict[str, str]:
        """Return what each rule that was offered would allow."""
        return {str(choice["kind"]): str(choice["words"]) for choice in self.always}


@dataclass(frozen=True, kw_only=True)
class NewApproval:
    """What a new question needs, apart from its life."""

    binding: Binding
    approver: str
    text: str
    hidden_lines: int
    full: str
    run_id: str | None
    expected: dict[str, str | None] | None
    lifetime_s: float
    here_only: bool = False
    session: str = ""
    always: tuple[dict[str, Any], ...] = ()
    root: str = ""
    lease_s: float | None = None
    """For how long it stays open without a sign of its caller; `None` if the caller need not wait."""


class ApprovalTable:
    """Reads and moves questions inside transactions. `now` is seconds since the epoch, given by the caller."""

    def __init__(self, key: bytes, ledger: Ledger) -> None:
        self._code = RowMac(key, "an approval")
        self._cipher = TextCipher(key, "an approval")
        self._key = key
        self._ledger = ledger
        self.grants = GrantTable(key, ledger)

    def find(self, tx: Tx, binding: Binding, now: float) -> Approval | None:
        """Return the newest question about this call, as it stands now."""
        sql = _ROW + " WHERE binding = ? ORDER BY created DESC, id LIMIT 1"
        rows = tx.execute(sql, (binding.digest(),))
        found = self._read(rows[0]) if rows else None
        if found is not None and found.binding != binding.digest():
            raise StoreEdited("a question about another call was put in the place of this one's")
        return _aged(found, now) if found is not None else None

    def get(self, tx: Tx, approval_id: str, now: float) -> Approval | None:
        """Return a question by id, as it stands now."""
        rows = tx.execute(_ROW + " WHERE id = ?", (approval_id,))
        found = self._read(rows[0]) if rows else None
        if found is not None and found.id != approval_id:
            raise StoreEdited(f"another question was put in the place of {approval_id}")
        return _aged(found, now) if found is not None else None

    def pending(self, tx: Tx, now: float) -> list[Approval]:
        """Return every question that waits for an answer, oldest first."""
        rows = tx.execute(
            _ROW + " WHERE state = 'pending' AND expires > ? ORDER BY created",
            (now,),
        )
        return [self._read(row) for row in rows]

    def open(self, tx: Tx, now: float) -> list[Approval]:
        """Return every question that waits for an answer, or whose yes was not used yet."""
        sql = _ROW + " WHERE state IN ('pending', 'approved') AND expires > ?"
        return [self._read(row) for row in tx.execute(sql, (now,))]

    def recent(self, tx: Tx, limit: int, now: float) -> list[Approval]:
        """Return the newest questions as they stand now, newest first."""
        rows = tx.execute(_ROW + " ORDER BY created DESC LIMIT ?", (limit,))
        return [_aged(self._read(row), now) for row in rows]

    def ask(self, tx: Tx, question: NewApproval, now: float, most: int = MAX_PENDING) -> Approval:
        """Return the open question about this call, made if there is none.

        Raises `TooManyQuestions` where `most` questions of its identity wait already.
        """
        known = self.find(tx, question.binding, now)
        if known is not None and known.open(now):
            if known.approver == question.approver or question.approver == "user":
                return known
            self.move(tx, known, "expire")  # the rules have come to want an operator: a user's yes is not enough
        identity = question.binding.identity
        sql = "SELECT count(*) FROM approvals WHERE identity = ? AND state = 'pending' AND expires > ?"
        waiting = int(tx.execute(sql, (identity, now))[0][0])
        if waiting >= most:
            raise TooManyQuestions(
                f"{waiting} questions of {identity} already wait for an answer (approval.max_pending)",
                waiting=waiting,
                hint="nothing was done; make the same call again once a human has answered some of them",
            )
        approval = Approval(
            id="ap-" + "".join(secrets.choice(_ALPHABET) for _ in range(10)),
            binding=question.binding.digest(),
            identity=identity,
            state=ApprovalState.PENDING,
            created=now,
            expires=now + min(question.lifetime_s, question.lease_s or question.lifetime_s),
            waits_until=now + question.lifetime_s if question.lease_s is not None else 0.0,
            tool=question.binding.tool,
            server=question.binding.server,
            approver=question.approver,
            text=question.text,
            hidden_lines=question.hidden_lines,
            full=question.full,
            run_id=question.run_id,
            expected=question.expected,
            pin=question.binding.subject(),
            client=question.binding.client,
            arguments_digest=question.binding.arguments_digest,
            here_only=question.here_only,
            session=question.session,
            always=question.always,
            root=question.root,
        )
        self._write(tx, approval)
        return approval

    def move(self, tx: Tx, approval: Approval, how: str, *, by: str = "", reason: str = "", kept: str = "") -> Approval:
        """Make one legal move and return the question as it is then. Raises `Conflict` for any other."""
        current = self.get(tx, approval.id, 0.0)
        state = MOVES.get((current.state, how)) if current is not None else None
        if current is None or state is None:
            raise Conflict(f"{approval.id} is {current.state if current else 'gone'}; it cannot be changed by {how!r}")
        moved = replace(current, state=state, decided_by=by or current.decided_by, reason=reason or current.reason)
        moved = replace(moved, kept=kept or current.kept)
        if how in ("approve", "deny"):
            moved = replace(moved, noted=self._record(tx, moved))
        self._write(tx, moved)
        return moved

    def keep(self, tx: Tx, approval_id: str, now: float, lease_s: float) -> None:
        """Note that the caller of a question still waits for its answer."""
        current = self.get(tx, approval_id, now)
        if current is not None and current.state is ApprovalState.PENDING and current.waits_until:
            self._write(tx, replace(current, expires=min(current.waits_until, now + lease_s)))

    def use(self, tx: Tx, approval_id: str, binding: Binding, now: float) -> Approval:
        """Spend a yes in the transaction that begins the call. Raises `Conflict` unless it is this call's."""
        approval = self.get(tx, approval_id, now)
        if approval is None or approval.binding != binding.digest():
            raise Conflict("the approval is for another call")
        if approval.state is ApprovalState.DENIED:
            raise ApprovalDenied(approval.reason or "a human said no")
        if approval.state is not ApprovalState.APPROVED:
            raise Conflict(f"the approval is {approval.state}", hint="make the call again to be asked again")
        # The row may be an older copy that somebody put back; the chain cannot be.
        if self._used(tx, approval):
            raise Conflict("the approval was used before", hint="make the call again to be asked again")
        return self.move(tx, approval, "use")

    def _used(self, tx: Tx, approval: Approval) -> bool:
        began = f'%"approval_id":"{approval.id}"%"phase":"begun"%'
        sql = "SELECT 1 FROM ledger WHERE seq > ? AND record LIKE ? LIMIT 1"  # for records of an older version
        return self._ledger.notes.used(tx, approval.id, approval.noted) or bool(
            tx.execute(sql, (approval.noted, began))
        )

    def grant(self, tx: Tx, approval: Approval, now: float, *, session: bool = False) -> None:
        """Record "for this run", or session: later calls of this tool in it by this caller are not asked about."""
        within = session_run(approval.session) if session else approval.run_id
        if within is None:
            raise Conflict(
                "the call came over no connection that lasts"
                if session
                else "only a call that belongs to a run can be approved for the run"
            )
        grant = new_grant(
            approval_id=approval.id,
            identity=approval.identity,
            run_id=within,
            tool=approval.tool,
            pin=approval.pin,
            by=approval.decided_by,
            now=now,
            root=approval.root,
        )
        self.grants.add(tx, grant)

    def put_back(self, tx: Tx, approval: Approval) -> bool:
        """Whether the row was replaced by an older copy: the ledger has a decision, or a use, that it does not know."""
        decided = self._ledger.newest_note(tx, approval.id)
        if approval.state is ApprovalState.PENDING:
            return decided is not None
        return approval.state is ApprovalState.APPROVED and self._used(tx, approval)

    def text_digest(self, approval: Approval) -> str:
        """Return the keyed digest of what a human was shown, as the ledger has it."""
        return keyed_digest(self._key, approval.whole())

    def _record(self, tx: Tx, approval: Approval) -> int:
        """Record who decided, and the length and keyed digest of the text that they were shown."""
        length, shown = len(approval.whole()), self.text_digest(approval)
        return self._ledger.append(
            tx,
            LedgerEntry(
                phase="note",
                request_id=approval.id,
                identity=approval.identity,
                run_id=approval.run_id,
                server=approval.server,
                tool=approval.tool,
                arguments_digest=approval.arguments_digest,
                approval_id=approval.id,
                outcome=str(approval.state),
                detail=f"by {approval.decided_by}; {SHOWN} {length} characters, digest {shown}",
            ),
        )

    def _write(self, tx: Tx, approval: Approval) -> None:
        body = asdict(approval)
        texts = json.dumps([body.pop("text"), body.pop("full"), body.pop("always")])
        body["shown"] = self._cipher.encrypted(approval.id, texts)
        tx.execute(
            "INSERT INTO approvals (id, binding, identity, state, created, expires, body, mac)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (id) DO UPDATE SET state = excluded.state,"
            " expires = excluded.expires, body = excluded.body, mac = excluded.mac",
            (
                approval.id,
                approval.binding,
                approval.identity,
                str(approval.state),
                approval.created,
                approval.expires,
                *self._code.sealed(body),
            ),
        )

    def _read(self, row: tuple[Any, ...]) -> Approval:
        """Return the question of a row. Raises `StoreEdited` where somebody changed it, or the columns that find it.

        A question whose `state` says that it waits no longer is in no list: its caller must not wait on.
        """
        body = self._code.opened(row[0], row[1])
        if [body[name] for name in _COLUMNS] != list(row[2:]):
            raise StoreEdited(f"the row of question {body['id']} in the store was changed outside the gateway")
        if "shown" in body:  # rows of an earlier version hold a masked text as it is
            shown = json.loads(self._cipher.decrypted(body["id"], body.pop("shown")))
            body["text"], body["full"], always = shown if len(shown) > 2 else [*shown, ()]
            body["always"] = tuple(always)
        return Approval(**(body | {"state": ApprovalState(body["state"])}))


def session_run(session: str) -> str | None:
    """Return what a grant for a session has in the place of its run. No run's id can be that: it has a line break."""
    return f"session\n{session}" if session else None


def _aged(approval: Approval, now: float) -> Approval:
    """A question past its time is expired, whether or not anybody has written that down."""
    if approval.state in (ApprovalState.PENDING, ApprovalState.APPROVED) and now >= approval.expires:
        return replace(approval, state=ApprovalState.EXPIRED)
    return approval
