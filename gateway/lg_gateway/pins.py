"""Trust in a foreign tool's definition is given once, to exactly what was seen then.

A definition (name, title, description, schemas, annotations) that changes afterwards is held back: neither listed nor
callable until a human accepts it. Rows carry a keyed code. Not covered: a server that keeps its definition and changes
what the tool does.
"""

from __future__ import annotations

import hmac
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

from lg_gateway.canonical import canonical, digest, keyed_hex
from lg_gateway.ledger import Entry, Ledger
from lg_gateway.store import StoreError, Tx

if TYPE_CHECKING:
    import mcp_types as t


@dataclass(frozen=True, kw_only=True)
class Pin:
    """What is accepted of one tool, and what waits. `None`: nothing was accepted yet, nothing waits."""

    server: str
    tool: str
    accepted: dict[str, Any] | None = None
    waiting: dict[str, Any] | None = None

    def holds(self, definition: dict[str, Any]) -> bool:
        """Whether a definition is the accepted one."""
        return self.accepted is not None and digest(self.accepted) == digest(definition)


class PinBook:
    """Reads and writes pins inside transactions."""

    def __init__(self, key: bytes, ledger: Ledger) -> None:
        self._key = key
        self._ledger = ledger

    def sift(self, tx: Tx, server: str, tools: Sequence[t.Tool], *, strict: bool) -> tuple[list[t.Tool], list[str]]:
        """Return the tools whose definition is accepted, and the names of those held back."""
        known = {pin.tool: pin for pin in self.all(tx, server)}
        passed: list[t.Tool] = []
        held: list[str] = []
        new: list[dict[str, Any]] = []
        for tool in tools:
            definition = definition_of(tool)
            pin = known.get(tool.name)
            if pin is None and not strict:
                self._write(tx, Pin(server=server, tool=tool.name, accepted=definition))
                new.append(definition)
                passed.append(tool)
            elif pin is not None and pin.holds(definition):
                if pin.waiting is not None:
                    self._write(tx, replace(pin, waiting=None))
                passed.append(tool)
            else:
                self._hold(tx, pin or Pin(server=server, tool=tool.name), definition)
                held.append(tool.name)
        if new:
            self._note(tx, server, "", "pinned", f"{len(new)} tools first seen, together {digest(new)[:16]}")
        return passed, held

    def accept(self, tx: Tx, pin: Pin, *, by: str) -> None:
        """Accept what waits. Raises `ValueError` when nothing does."""
        if pin.waiting is None:
            raise ValueError(f"nothing waits for {pin.server}: {pin.tool}")
        self._write(tx, replace(pin, accepted=pin.waiting, waiting=None))
        self._note(tx, pin.server, pin.tool, "pin accepted", f"{digest(pin.waiting)[:16]} by {by}")

    def all(self, tx: Tx, server: str | None = None) -> list[Pin]:
        """Return the pins of a server, or of all, in order. Raises `StoreError` for a row that was not written here."""
        where, params = (" WHERE server = ?", (server,)) if server is not None else ("", ())
        rows = tx.execute(f"SELECT body, mac FROM pins{where} ORDER BY server, tool", params)  # noqa: S608  both constant
        return [self._read(row) for row in rows]

    def _hold(self, tx: Tx, pin: Pin, definition: dict[str, Any]) -> None:
        if pin.waiting is not None and digest(pin.waiting) == digest(definition):
            return
        self._write(tx, replace(pin, waiting=definition))
        self._note(tx, pin.server, pin.tool, "held back", f"its definition is now {digest(definition)[:16]}")

    def _note(self, tx: Tx, server: str, tool: str, outcome: str, detail: str) -> None:
        self._ledger.append(tx, Entry(phase="note", server=server, tool=tool[:200], outcome=outcome, detail=detail))

    def _write(self, tx: Tx, pin: Pin) -> None:
        text = canonical(asdict(pin)).decode("ascii")
        sql = (
            "INSERT INTO pins (server, tool, body, mac) VALUES (?, ?, ?, ?)"
            " ON CONFLICT (server, tool) DO UPDATE SET body = excluded.body, mac = excluded.mac"
        )
        tx.execute(sql, (pin.server, pin.tool, text, self._mac(text)))

    def _read(self, row: tuple[Any, ...]) -> Pin:
        text, mac = str(row[0]), str(row[1])
        if not hmac.compare_digest(self._mac(text), mac):
            raise StoreError("a pin in the store was not written by this gateway")
        return Pin(**json.loads(text))

    def _mac(self, text: str) -> str:
        return keyed_hex(self._key, text.encode("ascii", "replace"))


def definition_of(tool: t.Tool) -> dict[str, Any]:
    """Return the part of a tool that a pin covers."""
    whole = tool.model_dump(mode="json", by_alias=True, exclude_none=True)
    names = ("name", "title", "description", "inputSchema", "outputSchema", "annotations")
    return {name: whole[name] for name in names if name in whole}
