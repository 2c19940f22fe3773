"""Adds a keyed code to rows and checks it. Without the key, no one can make or change such a row.

Not covered: a row that is removed, or an old row that is restored. Where that matters, the ledger says which rows there
are (`ledger/anchors`).
"""

from __future__ import annotations

import hmac
import json
from collections.abc import Mapping
from hashlib import sha256
from typing import Any

from lg_gateway.store.canonical_json import canonical
from lg_gateway.store.interface import StoreEdited


class RowMac:
    """Makes and checks the codes of one kind of row. `what` names it in errors."""

    def __init__(self, key: bytes, what: str) -> None:
        self._key = key
        self._what = what

    def sealed(self, body: Mapping[str, Any]) -> tuple[str, str]:
        """Return a body as text, and its code."""
        text = canonical(dict(body)).decode("ascii")
        return text, self.of(text)

    def of(self, text: str) -> str:
        """Return the code of a text."""
        return hmac.new(self._key, text.encode("ascii", "replace"), sha256).hexdigest()

    def fits(self, text: object, code: object) -> bool:
        """Whether the code is that of the text."""
        return hmac.compare_digest(self.of(str(text)).encode(), str(code).encode("utf-8", "replace"))

    def opened(self, text: object, code: object) -> dict[str, Any]:
        """Return the body of a row. Raises `StoreEdited` for one that was not written with the key."""
        if not self.fits(text, code):
            raise StoreEdited(f"{self._what} in the store was not written by this gateway")
        body: dict[str, Any] = json.loads(str(text))
        return body
