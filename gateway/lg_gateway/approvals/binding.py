"""What an approval is bound to: one exact call of one caller."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from hashlib import sha256

from lg_gateway.store.canonical_json import canonical


@dataclass(frozen=True, kw_only=True)
class Binding:
    """The one call that a question is about."""

    identity: str
    server: str
    tool: str
    pin: str
    arguments_digest: str
    key: str | None

    def digest(self) -> str:
        """Return what finds the question again."""
        return sha256(canonical(asdict(self))).hexdigest()
