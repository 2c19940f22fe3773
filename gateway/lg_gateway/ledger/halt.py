"""Whether all calls are stopped: the newest note about it in the chain says so, for every process on the store.

A process looks only after others have written to the chain, which it notices when it appends. So a call costs nothing
more while one process writes, and no call begins after a halt was written, in whatever process.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from lg_gateway.ledger.anchors import HALT
from lg_gateway.ledger.ledger import Ledger, LedgerEntry
from lg_gateway.store.interface import Tx
from lg_policy.errors import Halted
from lg_policy.limits import cut_text

HALTED, HALTED_NOW, CONTINUED = "halted", "halted now", "continued"
REASON_BYTES = 300


@dataclass(frozen=True, kw_only=True)
class Halt:
    """Who stopped all calls, when and why. `now`: also those that were running."""

    text: str
    time: str
    now: bool

    def error(self) -> Halted:
        """Return what a refused call is told."""
        return Halted(
            f"all calls are stopped since {self.time} {self.text}",
            hint="nothing was done; a person continues with `lg-gateway continue`",
        )


class HaltSwitch:
    """What this process knows about halts. `current` is as new as the last look."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._seen = 0
        self.current: Halt | None = None

    def read(self, tx: Tx) -> Halt | None:
        """Look into the store."""
        seen = self._ledger.writes_of_others  # before the look: what is noticed meanwhile, by a call, is not seen yet
        halt = halt_of(self._ledger.newest_note(tx, HALT))
        self.current, self._seen = halt, seen
        return halt

    def check(self, tx: Tx) -> None:
        """Raise `Halted` in the transaction that begins a call."""
        if self._ledger.writes_of_others != self._seen or self.current is not None:
            halt = self.read(tx)
            if halt is not None:
                raise halt.error()


def halt_of(note: dict[str, Any] | None) -> Halt | None:
    """Return the halt that the newest note about it says, `None` where it says none."""
    if note is None or note["outcome"] not in (HALTED, HALTED_NOW):
        return None
    return Halt(text=str(note["detail"] or ""), time=str(note["time"]), now=note["outcome"] == HALTED_NOW)


def write_halt(ledger: Ledger, tx: Tx, *, by: str, reason: str, now: bool = False) -> None:
    """Stop all calls of all processes on the store."""
    _write(ledger, tx, HALTED_NOW if now else HALTED, by, reason)


def write_continue(ledger: Ledger, tx: Tx, *, by: str, reason: str = "") -> bool:
    """Let calls begin again; return whether they were stopped."""
    if halt_of(ledger.newest_note(tx, HALT)) is None:
        return False
    _write(ledger, tx, CONTINUED, by, reason)
    return True


def _write(ledger: Ledger, tx: Tx, outcome: str, by: str, reason: str) -> None:
    why = cut_text(" ".join(reason.split()), REASON_BYTES)[0]
    detail = f"by {by}" + (f": {why}" if why else "")
    ledger.append(tx, LedgerEntry(phase="note", request_id=HALT, identity=by, outcome=outcome, detail=detail))
