"""The workers' side of the rows: who has a run, for how long, and what is left of it afterwards.

A claim counts the run's epoch up. Whatever an earlier worker writes afterwards is refused: by `LeaseTable`, by the
journal and by the checkpoints, each in the transaction of the write itself.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lg_orch.contracts.errors import RunLost
from lg_orch.service.records.interface import for_update
from lg_orch.service.records.rows import ENDED
from lg_orch.service.records.run_counts import COUNTED, count_report
from lg_orch.service.records.run_table import ANY_RUN, NEXT_RUN, RunTable
from lg_orch.service.records.schema import ONE_CLAIM_AT_A_TIME

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from lg_orch.service.records.interface import Database, Transaction
    from lg_orch.service.records.rows import RunPhase, RunRow


@dataclass(frozen=True, kw_only=True)
class Lease:
    """One worker's hold on one run."""

    run_id: str
    owner: str
    epoch: int


class LeaseTable:
    """Claims, renews and ends leases. Every method is one transaction."""

    def __init__(
        self,
        database: Database,
        *,
        lease_s: float,
        max_attempts: int,
        silent_s: float = 0.0,
        is_dead: Callable[[Transaction, str], bool] = lambda _tx, _worker: False,
    ) -> None:
        """`is_dead` tells that a worker's process has ended; a worker silent for `silent_s` is asked about."""
        self.database = database
        self.runs = RunTable(database)
        self._lease_s = lease_s
        self._max_attempts = max_attempts
        self._is_dead = is_dead
        self._silent_s = silent_s

    def claim(self, owner: str, run_id: str | None = None) -> tuple[Lease, RunRow] | None:
        """Take the next run that may begin, or a certain one if it may; `None` if there is none."""
        with self.database.transaction() as tx:
            if not tx.execute(ANY_RUN, (tx.now(), run_id or "", run_id or "")):
                return None  # most looks find nothing, and need not wait for others
            tx.execute(ONE_CLAIM_AT_A_TIME)
            now = tx.now()
            found = tx.execute(NEXT_RUN, (now, run_id or "", run_id or ""))
            if not found:
                return None
            taken = tx.execute(
                "UPDATE lg_runs SET owner = ?, lease_until = ?, epoch = epoch + 1, attempts = attempts + 1, stop = '', "
                "state = CASE WHEN work = 'drive' THEN 'running' ELSE state END, updated = ? "
                "WHERE run_id = ? AND owner IS NULL AND work IS NOT NULL RETURNING epoch",
                (owner, now + self._lease_s, now, found[0][0]),
            )
        if not taken:
            return None
        lease = Lease(run_id=str(found[0][0]), owner=owner, epoch=int(taken[0][0]))
        return lease, self.runs.get(lease.run_id)

    def renew(self, lease: Lease) -> str:
        """Show a sign of life; returns what the worker is asked to do. Raises `RunLost`."""
        with self.database.transaction() as tx:
            held = tx.execute(
                "UPDATE lg_runs SET lease_until = ? WHERE run_id = ? AND owner = ? AND epoch = ? RETURNING stop",
                (tx.now() + self._lease_s, lease.run_id, lease.owner, lease.epoch),
            )
        if not held:
            raise RunLost(f"run {lease.run_id} was taken over by another worker")
        return str(held[0][0])

    def asked(self, lease: Lease) -> str:
        """Return what the worker is asked to do, without a sign of life."""
        with self.database.transaction() as tx:
            rows = tx.execute("SELECT stop FROM lg_runs WHERE run_id = ? AND epoch = ?", (lease.run_id, lease.epoch))
        return str(rows[0][0]) if rows else ""

    def place(self, lease: Lease, root: str, root_id: str) -> None:
        """Keep where the run's repository is now. Raises `RunLost`."""
        with self.database.transaction() as tx:
            self._require(tx, lease)
            tx.execute("UPDATE lg_runs SET root = ?, root_id = ? WHERE run_id = ?", (root, root_id, lease.run_id))

    def report(self, lease: Lease, state: RunPhase, report: Mapping[str, Any]) -> RunPhase:
        """Give a run back with what came of it; returns its state. Raises `RunLost`.

        It is queued again where a human said something meanwhile that it shall go on with.
        """
        with self.database.transaction() as tx:
            self._require(tx, lease)
            row = tx.execute("SELECT stop, report, options FROM lg_runs WHERE run_id = ?", (lease.run_id,))[0]
            stop = str(row[0])
            said = tx.execute("SELECT count(*) FROM lg_run_said WHERE run_id = ?", (lease.run_id,))[0][0]
            after: RunPhase = "cancelled" if stop == "cancel" and state not in ENDED - {"interrupted"} else state
            again = (bool(said) and after in ("interrupted", "waiting")) or (stop == "soon" and after == "interrupted")
            ended = after if not again and after in ENDED else None
            known = json.loads(row[1]) if row[1] is not None else None
            model = str(json.loads(row[2]).get("model") or "default")
            kept = dict(report) | {COUNTED: count_report(tx, ended, known, report, model)}
            tx.execute(
                "UPDATE lg_runs SET state = ?, work = ?, owner = NULL, lease_until = 0, attempts = 0, stop = '', "
                "report = ?, updated = ? WHERE run_id = ?",
                ("queued" if again else after, "drive" if again else None, json.dumps(kept), tx.now(), lease.run_id),
            )
            if not again:
                tx.execute("DELETE FROM lg_run_said WHERE run_id = ?", (lease.run_id,))
        return "queued" if again else after

    def undone(self, lease: Lease, undo: Mapping[str, Any]) -> None:
        """Give a run back after an undo. Raises `RunLost`."""
        with self.database.transaction() as tx:
            self._require(tx, lease)
            tx.execute(
                "UPDATE lg_runs SET undo = ?, work = NULL, owner = NULL, lease_until = 0, attempts = 0, stop = '', "
                "updated = ? WHERE run_id = ?",
                (json.dumps(dict(undo)), tx.now(), lease.run_id),
            )

    def put_back(self, lease: Lease, *, delay_s: float, counted: bool = False) -> None:
        """Give a run back undone, to be claimed again after a while."""
        with self.database.transaction() as tx:
            tx.execute(
                "UPDATE lg_runs SET owner = NULL, lease_until = 0, not_before = ?, "
                "state = CASE WHEN work = 'drive' THEN 'queued' ELSE state END, attempts = attempts - ? "
                "WHERE run_id = ? AND owner = ? AND epoch = ?",
                (tx.now() + delay_s, 0 if counted else 1, lease.run_id, lease.owner, lease.epoch),
            )

    def take_from_lost(self, mine: Sequence[Lease] = ()) -> list[str]:
        """Queue the runs again whose worker showed no sign of life; returns them. One lost too often has failed.

        `mine` are the caller's own. They are renewed first: the machine may have slept, or its clock been set forward.
        """
        with self.database.transaction() as tx:
            now = tx.now()
            for lease in mine:
                tx.execute(
                    "UPDATE lg_runs SET lease_until = ? WHERE run_id = ? AND owner = ? AND epoch = ?",
                    (now + self._lease_s, lease.run_id, lease.owner, lease.epoch),
                )
            held = tx.execute("SELECT run_id, owner, epoch, lease_until FROM lg_runs WHERE owner IS NOT NULL")
            # A lease that ends too far ahead was given before the clock was set back.
            silent = {
                row[1] for row in held if not now + self._lease_s - self._silent_s <= row[3] <= now + self._lease_s
            }
            # A worker that lost its connection and shows signs of life is not dead.
            dead = {owner for owner in silent if self._is_dead(tx, owner)}
            lost = [row for row in held if row[3] < now or row[1] in dead]
            leases = (Lease(run_id=run_id, owner=owner, epoch=epoch) for run_id, owner, epoch, _ in lost)
            return [lease.run_id for lease in leases if self._free(tx, lease, now)]

    def _require(self, tx: Transaction, lease: Lease) -> None:
        require(tx, lease, locking=for_update(self.database))

    def _free(self, tx: Transaction, lost: Lease, now: float) -> bool:
        """Take a run from its worker; false if that has given it back meanwhile, or shows a sign of life."""
        # A row that somebody changes at this moment is not lost. Nor does this wait for one who waits for us.
        locking = f"{for_update(self.database)} SKIP LOCKED" if self.database.shared else ""
        held = tx.execute(
            f"SELECT attempts, work, undo FROM lg_runs WHERE run_id = ? AND epoch = ? AND owner = ?{locking}",  # noqa: S608  own words
            (lost.run_id, lost.epoch, lost.owner),
        )
        if not held:
            return False
        row = held[0]
        if int(row[0]) < self._max_attempts:
            # The epoch counts up here already: nothing that the lost worker writes from now on counts.
            tx.execute(
                "UPDATE lg_runs SET owner = NULL, lease_until = 0, epoch = epoch + 1, "
                "state = CASE WHEN work = 'drive' THEN 'queued' ELSE state END WHERE run_id = ? AND epoch = ?",
                (lost.run_id, lost.epoch),
            )
            return True
        text = f"{row[0]} workers were lost while they had this run; it is not begun again by itself"
        report = json.dumps({"status": "failed", "text": text})
        if row[1] == "undo":
            undo = json.dumps({**json.loads(row[2] or "{}"), "state": "failed", "error": text})
            tx.execute("UPDATE lg_runs SET undo = ? WHERE run_id = ?", (undo, lost.run_id))
        else:
            tx.execute("UPDATE lg_runs SET state = 'failed', report = ? WHERE run_id = ?", (report, lost.run_id))
        tx.execute(
            "UPDATE lg_runs SET owner = NULL, work = NULL, lease_until = 0, epoch = epoch + 1, updated = ? "
            "WHERE run_id = ?",
            (now, lost.run_id),
        )
        return True


def require(tx: Transaction, lease: Lease, *, locking: str) -> None:
    """Raise `RunLost` unless the run is still this worker's; it stays so until the transaction ends."""
    held = tx.execute(
        f"SELECT run_id FROM lg_runs WHERE run_id = ? AND owner = ? AND epoch = ?{locking}",  # noqa: S608  own words
        (lease.run_id, lease.owner, lease.epoch),
    )
    if not held:
        raise RunLost(f"run {lease.run_id} was taken over by another worker")
