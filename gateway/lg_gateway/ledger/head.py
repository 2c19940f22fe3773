"""Keeps the signed head of the ledger, which names the last record, in the key directory.

Someone who can write the store but not the key directory can rebuild the whole chain, but not this signature. It does
not help against the same user or root, who can sign again. Only an anchor kept elsewhere (`audit head`) does.

The file has two slots that are written in turn, so that a crash in the middle of one leaves the other. It is not forced
to the disk on each commit: after a power failure it may be behind the store, never ahead; the chain covers the rest.
"""

from __future__ import annotations

import base64
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from lg_gateway.store.canonical_json import canonical

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

SLOT = 512
_CLOEXEC = getattr(os, "O_CLOEXEC", 0)


@dataclass(frozen=True, kw_only=True)
class Head:
    """The newest record of a ledger. `ledger` is the hash of its first record, which names it for good."""

    ledger: str
    seq: int
    hash: str


@dataclass(frozen=True)
class _HeadBytes:
    """The file as it was read or written last: what shows a change, its bytes, and the head in them."""

    looks: tuple[int, ...]
    data: bytes
    head: Head | None


class HeadFile:
    """Reads and replaces the head. Writers must hold the store's lock. `seed` is a secret of 32 bytes."""

    def __init__(self, path: Path, seed: bytes) -> None:
        self.path = path
        self._seed = seed
        self._key: Ed25519PrivateKey | None = None
        self._last: _HeadBytes | None = None

    def read(self) -> Head | None:
        """Return the newest head whose signature is good; `None` if there is no file.

        A file that looks unchanged is not read again. If another process signs within the same tick of the file
        system's clock, this may be the head before: never one that the store need not hold. Raises `ValueError` when
        there is a file and neither slot verifies.
        """
        last = self._last
        try:
            unchanged = last is not None and _looks(os.stat(self.path)) == last.looks
        except FileNotFoundError:
            self._last = None
            return None
        return last.head if last is not None and unchanged else self.read_anew()

    def read_anew(self) -> Head | None:
        """Do what `read` does, from the file's bytes in any case."""
        try:
            fd = os.open(self.path, os.O_RDONLY | _CLOEXEC)
        except FileNotFoundError:
            self._last = None
            return None
        try:
            looks = _looks(os.fstat(fd))
            data = os.read(fd, 4 * SLOT)
        finally:
            os.close(fd)
        last = self._last
        head = last.head if last is not None and last.data == data else self._newest(data)
        self._last = _HeadBytes(looks, data, head)
        return head

    def write(self, head: Head) -> None:
        """Replace the older slot. Other writers are shut out, and this one has read the file since it was so."""
        body = {"ledger": head.ledger, "seq": head.seq, "hash": head.hash}
        line = canonical(body | {"signature": self.sign(canonical(body))}) + b"\n"
        if len(line) > SLOT:
            raise ValueError("a head does not fit its slot")
        slot, at = line.ljust(SLOT), (head.seq % 2) * SLOT
        fd = os.open(self.path, os.O_WRONLY | os.O_CREAT | _CLOEXEC, 0o600)
        try:
            os.lseek(fd, at, os.SEEK_SET)
            os.write(fd, slot)
            looks = _looks(os.fstat(fd))
        finally:
            os.close(fd)
        # What this process has just signed itself need not be verified again before the next record.
        before = self._last.data if self._last is not None else b""
        self._last = _HeadBytes(looks, before[:at].ljust(at, b"\0") + slot + before[at + SLOT :], head)

    def give_up(self, moment: str) -> Path | None:
        """Put the file aside under a name with `moment`, as evidence, so that a new head can begin."""
        if not self.path.exists():
            return None
        aside = self.path.with_name(f"{self.path.stem}.{moment}.lost")
        self.path.replace(aside)
        self._last = None
        return aside

    def given_up(self) -> list[Path]:
        """Return the files that were put aside, oldest first."""
        return sorted(self.path.parent.glob(f"{self.path.stem}.*.lost"))

    def sign(self, data: bytes) -> str:
        """Return the base64 Ed25519 signature of `data`."""
        return base64.b64encode(self._private().sign(data)).decode("ascii")

    def public_key(self) -> str:
        """Return the raw public key in base64, for verification elsewhere."""
        return base64.b64encode(self._private().public_key().public_bytes_raw()).decode("ascii")

    def _private(self) -> Ed25519PrivateKey:
        if self._key is None:
            from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

            self._key = Ed25519PrivateKey.from_private_bytes(self._seed)
        return self._key

    def _newest(self, data: bytes) -> Head | None:
        heads = [head for at in (0, SLOT) if (head := self._slot(data[at : at + SLOT])) is not None]
        if not heads:
            raise ValueError(f"{self.path} holds no head with a valid signature")
        return max(heads, key=lambda head: head.seq)

    def _slot(self, data: bytes) -> Head | None:
        try:
            body = json.loads(data.decode("ascii").strip("\0 \n"))
            signature = body.pop("signature")
            head = Head(ledger=body["ledger"], seq=body["seq"], hash=body["hash"])
        except (ValueError, KeyError, TypeError, AttributeError):
            return None
        return head if signature_is_good(self.public_key(), signature, canonical(body)) else None


def signature_is_good(public_key: str, signature: str, data: bytes) -> bool:
    """Whether the base64 `signature` of `data` was made by the holder of the base64 raw `public_key`."""
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    try:
        key = Ed25519PublicKey.from_public_bytes(base64.b64decode(public_key, validate=True))
        key.verify(base64.b64decode(signature, validate=True), data)
    except (InvalidSignature, ValueError, TypeError):
        return False
    return True


def _looks(found: os.stat_result) -> tuple[int, ...]:
    """Return what shows that a file has changed, at the precision of the file system's clock."""
    return (found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns)
