"""Tokens of the API: shown once, kept as keyed digests, valid until they expire or are revoked."""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from lg_policy.errors import NotFound, UsageError

if TYPE_CHECKING:
    from lg_orch.service.records.interface import Database

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,63}")
_FORM = re.compile(r"lgr_([0-9a-f]{12})_([A-Za-z0-9_-]{43})")
_SELECT = "SELECT id, name, role, created, expires, revoked, digest FROM lg_service_tokens"


@dataclass(frozen=True, kw_only=True)
class ApiToken:
    """What is kept of a token. Times are seconds since the epoch."""

    id: str
    name: str
    role: str
    created: float
    expires: float
    revoked: float | None
    digest: str

    def state(self, now: float) -> Literal["active", "expired", "revoked"]:
        """Say whether it still counts."""
        if self.revoked is not None:
            return "revoked"
        return "expired" if now >= self.expires else "active"


class TokenRows:
    """The tokens of one database. `key` stays outside of it."""

    def __init__(self, database: Database, key: bytes) -> None:
        self._database = database
        self._key = key

    def create(self, name: str, role: str, lifetime_s: float) -> str:
        """Make a token and return its text, which is not kept. Raises `UsageError` for an unfit name."""
        if not NAME.fullmatch(name):
            raise UsageError(f"{name!r} cannot name a token", hint="use 1 to 64 of A-Z a-z 0-9 . _ @ -")
        token_id, secret = secrets.token_hex(6), secrets.token_urlsafe(32)
        with self._database.transaction() as tx:
            now = tx.now()
            tx.execute(
                "INSERT INTO lg_service_tokens (id, name, role, created, expires, digest) VALUES (?, ?, ?, ?, ?, ?)",
                (token_id, name, role, now, now + lifetime_s, self._digest(token_id, role, now + lifetime_s, secret)),
            )
        return f"lgr_{token_id}_{secret}"

    def check(self, text: str) -> ApiToken | None:
        """Return the token that a text is, if it still counts."""
        form = _FORM.fullmatch(text)
        if form is None:
            return None
        with self._database.transaction() as tx:
            rows, now = tx.execute(f"{_SELECT} WHERE id = ?", (form[1],)), tx.now()
        if not rows:
            return None
        token = _token(rows[0])
        # Role and end are part of the digest: who can write the rows alone cannot make a token stronger.
        wanted = self._digest(token.id, token.role, token.expires, form[2])
        return token if hmac.compare_digest(token.digest, wanted) and token.state(now) == "active" else None

    def all(self) -> tuple[list[ApiToken], float]:
        """Return every token, the newest first, and the time."""
        with self._database.transaction() as tx:
            return [_token(row) for row in tx.execute(f"{_SELECT} ORDER BY created DESC, id")], tx.now()

    def revoke(self, named: str) -> list[ApiToken]:
        """End the token of that id, or all of that name. Raises `NotFound` when none still counts."""
        with self._database.transaction() as tx:
            now = tx.now()
            found = [_token(row) for row in tx.execute(f"{_SELECT} WHERE id = ? OR name = ?", (named, named))]
            ended = [token for token in found if token.state(now) == "active"]
            if not ended:
                raise NotFound(f"no token {named!r} is active", hint="`lg-orch tokens list` shows them")
            for token in ended:
                tx.execute("UPDATE lg_service_tokens SET revoked = ? WHERE id = ?", (now, token.id))
        return ended

    def _digest(self, token_id: str, role: str, expires: float, secret: str) -> str:
        text = f"{token_id}\0{role}\0{expires!r}\0{secret}"
        return hmac.new(self._key, text.encode(), hashlib.sha256).hexdigest()


def _token(row: tuple[object, ...]) -> ApiToken:
    return ApiToken(
        id=str(row[0]), name=str(row[1]), role=str(row[2]), created=float(str(row[3])), expires=float(str(row[4])),
        revoked=None if row[5] is None else float(str(row[5])), digest=str(row[6]),
    )  # fmt: skip
