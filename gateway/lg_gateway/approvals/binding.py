"""Binds an approval to one exact call of one caller, through one client, in one run.

The same call from another client or run is another question. So the question always names who asks now, and a yes to
one asker is none to another.

`CallContext.binding` makes it. `ApprovalTable.use` compares it when the yes is spent.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from hashlib import sha256

from lg_gateway.store.canonical_json import canonical


@dataclass(frozen=True, kw_only=True)
class Binding:
    """The one call that a question is about."""

    identity: str
    client: str
    run_id: str | None
    server: str
    place: str
    """Where the server works: its root, its program and directory, or its address."""
    tool: str
    pin: str
    arguments_digest: str
    key: str | None

    def subject(self) -> str:
        """Return what a yes for the rest of a run is bound to besides its caller: this definition, at this place."""
        return sha256(f"{self.pin}\0{self.place}".encode("utf-8", "surrogateescape")).hexdigest()

    def digest(self) -> str:
        """Return what finds the question again."""
        return sha256(canonical(asdict(self))).hexdigest()
