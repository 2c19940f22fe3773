"""Pins each definition: it is trusted as it was when it was accepted, and only so.

A definition is that of a tool (name, title, description, schemas and annotations), a prompt, a resource, a template, or
a server's instructions. If a foreign server changes one, it is held back: it is neither listed nor callable until a
human accepts it. Our own servers change with our version and their
configuration. They are pinned again, and the ledger says so.

Rows carry a keyed code, and the ledger says which rows a foreign server has. If someone removes a row or restores an
old one, every definition of that server is held back until a human accepts it again. Not covered: a server that keeps
its definition and changes what the tool does.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from lg_gateway.catalog.definitions import Definition, definition_of, pin_name
from lg_gateway.ledger.anchors import PINS, subjects
from lg_gateway.ledger.ledger import Ledger, LedgerEntry
from lg_gateway.store.canonical_json import digest
from lg_gateway.store.interface import StoreEdited, Tx
from lg_gateway.store.keyed_rows import RowMac
from lg_policy.errors import ConfigError

log = logging.getLogger(__name__)

PINS_PER_SERVER = 4_000
"""Tools of one server that are kept, and as many other definitions: a list that changes each time does not fill the
store."""
NOTED = 5
"""Definitions held back together that get a record each. The rest share one."""
NOW = "; now "
"""In the detail of a note: what follows says which rows the server has."""


@dataclass(frozen=True, kw_only=True)
class Pin:
    """The accepted definition of a tool or something else, and the one that waits; `None` if there is none.

    `basis` says what accepted it: a human or first sight (""), a file, or the version and configuration of our own
    server.
    """

    server: str
    tool: str
    accepted: dict[str, Any] | None = None
    waiting: dict[str, Any] | None = None
    basis: str = ""

    def holds(self, definition: dict[str, Any]) -> bool:
        """Return whether a definition is the accepted one."""
        return self.accepted is not None and digest(self.accepted) == digest(definition)


class PinTable:
    """Reads and writes pins inside transactions."""

    def __init__(self, key: bytes, ledger: Ledger) -> None:
        self._code = RowMac(key, "a pin")
        self._ledger = ledger

    def sift(
        self, tx: Tx, server: str, items: Sequence[Definition], *, strict: bool
    ) -> tuple[list[Definition], list[str]]:
        """Return what has an accepted definition, and the names of the pins of what is held back."""
        known, notes = self._known(tx, server)
        strict = strict or bool(notes)
        room = _Room(known)
        passed: list[Definition] = []
        held: list[str] = []
        new: list[dict[str, Any]] = []
        changed: list[Pin] = []
        for item in items:
            definition, name = definition_of(item), pin_name(item)
            pin = known.get(name)
            if pin is None and not room.taken(item):
                continue
            if pin is None and not strict:
                self._write(tx, Pin(server=server, tool=name, accepted=definition))
                new.append(definition)
                passed.append(item)
            elif pin is not None and pin.holds(definition):
                if pin.waiting is not None:
                    self._write(tx, replace(pin, waiting=None))
                passed.append(item)
            else:
                wanted = replace(pin or Pin(server=server, tool=name), waiting=definition, basis="")
                changed += [wanted] if pin != wanted else []
                held.append(name)
        notes += self._hold(tx, changed)
        if new:
            what = f"{len(new)} definitions first seen, together {digest(new)[:16]}"
            notes.append(_note(server, "", "pinned", what))
        self._anchor(tx, server, notes)
        return passed, held

    def sift_by_file(
        self, tx: Tx, server: str, items: Sequence[Definition], digests: Mapping[str, str], basis: str
    ) -> tuple[list[Definition], list[str]]:
        """Do as `sift` does, but accept what a file says. What it does not name is held back."""
        known, notes = self._known(tx, server)
        room = _Room(known)
        passed: list[Definition] = []
        held: list[str] = []
        changed: list[Pin] = []
        for item in items:
            definition, name = definition_of(item), pin_name(item)
            if name not in known and name not in digests and not room.taken(item):
                continue
            pin = known.get(name, Pin(server=server, tool=name))
            if digests.get(name) == digest(definition):
                wanted = replace(pin, accepted=definition, waiting=None, basis=basis)
                if pin != wanted:
                    self._write(tx, wanted)
                    notes.append(_note(server, name, "pinned", f"{digest(definition)[:16]} by {basis}"))
                passed.append(item)
            else:
                wanted = replace(pin, waiting=definition, basis=basis)
                changed += [wanted] if known.get(name) != wanted else []
                held.append(name)
        notes += self._hold(tx, changed)
        self._anchor(tx, server, notes)
        return passed, held

    def renew(self, tx: Tx, server: str, tools: Sequence[Definition], basis: str) -> None:
        """Pin our own server's definitions as they are, and note what changed, with version and configuration."""
        known = {pin.tool: pin for pin in self.all(tx, server)}
        changed = []
        for tool in tools:
            definition, name = definition_of(tool), pin_name(tool)
            pin = known.get(name)
            if pin is None or pin.basis != basis or not pin.holds(definition):
                self._write(tx, Pin(server=server, tool=name, accepted=definition, basis=basis))
                if pin is None or not pin.holds(definition):
                    changed.append(name)
        before = {pin.basis for pin in known.values()}
        if changed or before != {basis}:
            what = f"{len(changed)} definitions new or changed ({', '.join(changed)})" if changed else "none changed"
            self._ledger.append(tx, _note(server, "", "pinned anew" if known else "pinned", f"{basis}: {what}"[:480]))
        if self._anchored(tx, server) is not None:  # it was a foreign server's name before
            self._anchor(tx, server, [])

    def accept(self, tx: Tx, pin: Pin, *, by: str) -> None:
        """Accept the definition that waits. Raises `ValueError` if none does, or if only a file may accept it."""
        if pin.waiting is None:
            raise ValueError(f"{pin.server}: {pin.tool} has no definition that waits to be accepted")
        if self.changed_outside(tx, pin.server):
            raise ValueError(
                f"the pins of {pin.server} were changed outside the gateway; start the gateway, then check again"
            )
        if pin.basis:
            raise ValueError(f"{pin.server}: {pin.tool} is pinned by {pin.basis}; change it there")
        self._write(tx, replace(pin, accepted=pin.waiting, waiting=None))
        self._anchor(
            tx, pin.server, [_note(pin.server, pin.tool, "pin accepted", f"{digest(pin.waiting)[:16]} by {by}")]
        )

    def all(self, tx: Tx, server: str | None = None) -> list[Pin]:
        """Return the pins of a server, or of all, in order. Raises `StoreError` for a row that was not written here."""
        where, params = (" WHERE server = ?", (server,)) if server is not None else ("", ())
        sql = f"SELECT server, tool, body, mac FROM pins{where} ORDER BY server, tool"  # noqa: S608  both constant
        rows = tx.execute(sql, params)
        return [self._read(row) for row in rows]

    def anchored_servers(self, tx: Tx) -> list[str]:
        """Return the servers whose pins the ledger knows of, in order."""
        return [subject.removeprefix(PINS) for subject in subjects(self._ledger.notes.all(tx), PINS)]

    def changed_outside(self, tx: Tx, server: str) -> bool:
        """Return whether the rows of a server differ from what the ledger says."""
        anchored = self._anchored(tx, server)
        return anchored is not None and anchored != self._rows_of(tx, server)

    def _known(self, tx: Tx, server: str) -> tuple[dict[str, Pin], list[LedgerEntry]]:
        """Return a server's pins by tool. If someone changed the rows, none is accepted, and a note says so."""
        pins = self.all(tx, server)
        if not self.changed_outside(tx, server):
            return {pin.tool: pin for pin in pins}, []
        log.error(
            "the pins of %s were changed outside the gateway; its tools are held back until you accept them", server
        )
        detail = f"the ledger has {self._anchored(tx, server)}; the store has {self._rows_of(tx, server)}"
        note = _note(server, "", "pins changed outside", detail)
        return {pin.tool: replace(pin, accepted=None) for pin in pins}, [note]

    def _anchored(self, tx: Tx, server: str) -> str | None:
        """Return what the ledger says of a server's rows, `None` where it says nothing."""
        note = self._ledger.newest_note(tx, f"{PINS}{server}")
        return str(note["detail"]).rpartition(NOW)[2] if note is not None else None

    def _rows_of(self, tx: Tx, server: str) -> str:
        """Return how many rows a server has, and the digest of their codes."""
        rows = tx.execute("SELECT tool, mac FROM pins WHERE server = ? ORDER BY tool", (server,))
        return f"{len(rows)} pins, together {digest([list(row) for row in rows])}"

    def _anchor(self, tx: Tx, server: str, notes: Sequence[LedgerEntry]) -> None:
        """Write notes about a server's pins. If the rows changed, the last note says which there are now."""
        rows = self._rows_of(tx, server)
        if self._anchored(tx, server) != rows:
            notes = notes or [_note(server, "", "pins", "")]
            last = replace(notes[-1], request_id=f"{PINS}{server}", detail=f"{notes[-1].detail}{NOW}{rows}")
            notes = [*notes[:-1], last]
        for note in notes:
            self._ledger.append(tx, note)

    def _hold(self, tx: Tx, changed: Sequence[Pin]) -> list[LedgerEntry]:
        """Write pins with a definition that waits; return the notes about them."""
        for pin in changed:
            self._write(tx, pin)
        notes = [
            _note(pin.server, pin.tool, "held back", f"its definition is now {digest(pin.waiting)[:16]}")
            for pin in changed[:NOTED]
        ]
        if len(changed) > NOTED:
            rest = [pin.waiting for pin in changed[NOTED:]]
            what = f"{len(rest)} more definitions are now others, together {digest(rest)[:16]}"
            notes.append(_note(changed[0].server, "", "held back", what))
        return notes

    def _write(self, tx: Tx, pin: Pin) -> None:
        sql = (
            "INSERT INTO pins (server, tool, body, mac) VALUES (?, ?, ?, ?)"
            " ON CONFLICT (server, tool) DO UPDATE SET body = excluded.body, mac = excluded.mac"
        )
        tx.execute(sql, (pin.server, pin.tool, *self._code.sealed(asdict(pin))))

    def _read(self, row: tuple[Any, ...]) -> Pin:
        pin = Pin(**self._code.opened(row[2], row[3]))
        if (pin.server, pin.tool) != (row[0], row[1]):
            raise StoreEdited("a pin in the store was not written by this gateway")
        return pin


class _Room:
    """How many more definitions may be kept: of tools, and of everything else."""

    def __init__(self, known: Mapping[str, Pin]) -> None:
        tools = sum("inputSchema" in (pin.accepted or pin.waiting or {}) for pin in known.values())
        self._left = {True: PINS_PER_SERVER - tools, False: PINS_PER_SERVER - (len(known) - tools)}

    def taken(self, item: Definition) -> bool:
        """Take one place; return whether there was one."""
        is_tool = "inputSchema" in definition_of(item)
        self._left[is_tool] -= 1
        return self._left[is_tool] >= 0


def _note(server: str, tool: str, outcome: str, detail: str) -> LedgerEntry:
    return LedgerEntry(phase="note", server=server, tool=tool[:200], outcome=outcome, detail=detail)


def read_pins_file(path: Path) -> dict[str, dict[str, str]]:
    """Read a file that `pins list --json` printed: digests by server and tool. Raises `ConfigError`."""
    try:
        pins = json.loads(path.read_bytes())["pins"]
        found: dict[str, dict[str, str]] = {}
        for pin in pins:
            found.setdefault(str(pin["server"]), {})[str(pin["tool"])] = str(pin["digest"])
    except OSError as error:
        raise ConfigError(f"gateway.pins_file: cannot read {path}: {error.strerror}") from error
    except (ValueError, KeyError, TypeError) as error:
        raise ConfigError(
            f"gateway.pins_file: {path} does not hold pins ({error!r})",
            hint="make one with `lg-gateway pins list --json`",
        ) from error
    return found
