"""Encrypts texts that may hold an unmasked secret, so that a copy of the store does not show them.

AES-256-GCM under a key of the key directory. A text is bound to its row: put into another row it cannot be read.
"""

from __future__ import annotations

import base64
import hmac
import os

from lg_gateway.store.interface import StoreError

_NONCE = 12


class TextCipher:
    """Encrypts and decrypts the texts of one kind of row. `what` names the row in errors."""

    def __init__(self, key: bytes, what: str) -> None:
        self._key = hmac.digest(key, b"text", "sha256")
        self._what = what

    def encrypted(self, row: str, text: str) -> str:
        """Return the text of a row as it is stored."""
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        nonce = os.urandom(_NONCE)
        data = AESGCM(self._key).encrypt(nonce, text.encode("utf-8", "surrogatepass"), row.encode())
        return base64.b64encode(nonce + data).decode("ascii")

    def decrypted(self, row: str, stored: str) -> str:
        """Return the text of a row. Raises `StoreError` for one that was not written for this row."""
        from cryptography.exceptions import InvalidTag
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        try:
            data = base64.b64decode(stored, validate=True)
            text = AESGCM(self._key).decrypt(data[:_NONCE], data[_NONCE:], row.encode())
        except (ValueError, InvalidTag) as error:
            raise StoreError(f"the text of {self._what} in the store was not written by this gateway") from error
        return text.decode("utf-8", "surrogatepass")
