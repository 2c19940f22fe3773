"""Keeps a human's "for this run": it approves later calls of one tool in one run of one caller, for at most 8 hours.

A grant counts for the tool as it was defined then, and no longer than until it is revoked; it is looked for once more
in the transaction that begins a call. Rows carry a keyed code. A revoked grant that is put back as it once was does not
count: the ledger says that it was revoked. Not covered: that a row is removed; the human is then asked again.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from lg_gateway.ledger.ledger import Ledger, LedgerEntry
from lg_gateway.store.interface import StoreEdited, Tx
from lg_gateway.store.keyed_rows import RowMac
from lg_policy.errors import NotFound

GRANT_S = 8 * 3600.0
REVOKED = "grant revoked"
_FIELDS = frozenset({"from", "identity", "run_id", "tool", "expires"})


@dataclass(frozen=True, kw_only=True)
class Grant:
    """What was granted. Times are seconds since the epoch; `approval_id` is the question it was an answer to."""

    id: str
    approval_id: str
    identity: str
    run_id: str
    tool: str
    pin: str
    expires: float
    by: str = ""
    revoked: float | None = None
    root: str = ""
    """The root of the gateway that asked."""

    def counts(self, now: float) -> bool:
        """Whether it still saves a question."""
        return self.revoked is None and now < self.expires


class GrantTable:
    """Reads and writes grants inside transactions. `now` is seconds since the epoch, given by the caller."""

    def __init__(self, key: bytes, ledger: Ledger) -> None:
        self._code = RowMac(key, "a grant")
        self._ledger = ledger

    def add(self, tx: Tx, grant: Grant) -> None:
        """Write a grant that a human gave, and record that."""
        self._write(tx, grant)
        self._note(tx, "granted for the run", grant, grant.by)

    def covering(self, tx: Tx, *, identity: str, run_id: str, tool: str, pin: str, now: float) -> str | None:
        """Return the id of a grant that covers a call of the tool as it was defined when it was granted."""
        sql = "SELECT id, body, mac FROM grants WHERE identity = ? AND run_id = ? AND tool = ? AND expires > ?"
        for row in tx.execute(sql, (identity, run_id, tool, now)):
            grant = self._read(row)
            named = (grant.identity, grant.run_id, grant.tool, grant.pin)
            if named == (identity, run_id, tool, pin) and grant.counts(now) and not self.put_back(tx, grant):
                return grant.id
        return None

    def put_back(self, tx: Tx, grant: Grant) -> bool:
        """Whether the row of a revoked grant was replaced by an older copy of it."""
        note = self._ledger.newest_note(tx, grant.id)
        return note is not None and note["outcome"] == REVOKED and grant.revoked is None

    def all(self, tx: Tx) -> list[Grant]:
        """Return every grant that is kept, the one that ends last first."""
        return [self._read(row) for row in tx.execute("SELECT id, body, mac FROM grants ORDER BY expires DESC, id")]

    def revoke(self, tx: Tx, grant_id: str, *, now: float, by: str) -> Grant:
        """End a grant. Raises `NotFound` unless it is there and still counts."""
        rows = tx.execute("SELECT id, body, mac FROM grants WHERE id = ?", (grant_id,))
        grant = self._read(rows[0]) if rows else None
        if grant is None or not grant.counts(now):
            raise NotFound(
                f"there is no grant {grant_id} that counts", hint="`lg-gateway approvals grants` shows those that do"
            )
        ended = replace(grant, revoked=now)
        self._write(tx, ended)
        self._note(tx, REVOKED, ended, by)
        return ended

    def _write(self, tx: Tx, grant: Grant) -> None:
        fields = asdict(grant)
        body = {"from": fields.pop("approval_id")} | {name: value for name, value in fields.items() if name != "id"}
        tx.execute(
            "INSERT INTO grants (id, identity, run_id, tool, expires, body, mac) VALUES (?, ?, ?, ?, ?, ?, ?)"
            " ON CONFLICT (id) DO UPDATE SET expires = excluded.expires, body = excluded.body, mac = excluded.mac",
            (grant.id, grant.identity, grant.run_id, grant.tool, grant.expires, *self._code.sealed(body)),
        )

    def _read(self, row: tuple[Any, ...]) -> Grant:
        body = self._code.opened(row[1], row[2])
        # Questions are coded with the same key and name the same things: one of them is no answer.
        if not body.keys() >= _FIELDS or row[0] != _id_of(body["from"]):
            raise StoreEdited("a grant in the store was not written by this gateway")
        return _grant(body)

    def _note(self, tx: Tx, what: str, grant: Grant, by: str) -> None:
        self._ledger.append(
            tx,
            LedgerEntry(
                phase="note",
                request_id=grant.id,
                identity=grant.identity,
                run_id=grant.run_id,
                tool=grant.tool,
                approval_id=grant.id,
                outcome=what,
                detail=f"by {by}",
            ),
        )


def new_grant(
    *, approval_id: str, identity: str, run_id: str, tool: str, pin: str, by: str, now: float, root: str = ""
) -> Grant:
    """Return what an answer "for this run" grants from now on."""
    return Grant(
        id=_id_of(approval_id),
        approval_id=approval_id,
        identity=identity,
        run_id=run_id,
        tool=tool,
        pin=pin,
        expires=now + GRANT_S,
        by=by,
        root=root,
    )


def _id_of(approval_id: object) -> str:
    return f"gr-{str(approval_id)[3:]}"


def _grant(body: Mapping[str, Any]) -> Grant:
    return Grant(
        id=_id_of(body["from"]),
        approval_id=body["from"],
        identity=body["identity"],
        run_id=body["run_id"],
        tool=body["tool"],
        pin=body.get("pin", ""),
        expires=body["expires"],
        by=body.get("by", ""),
        revoked=body.get("revoked"),
        root=body.get("root", ""),
    )
