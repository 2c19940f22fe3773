"""Makes and checks bearer tokens for HTTP: shown once, kept as keyed digests, valid until they expire or are revoked.

A token is `lgt_<id>_<secret>` (a client's) or `lgo_<id>_<secret>` (an operator's, which answers questions and is never
taken as a client's). The secret has 256 random bits, so that a fast keyed digest is enough to store it.

Covers: someone who can write the store but not the key directory cannot make, extend or reuse a token. If a revoked
token's old row is restored, the token is still not valid: the ledger says that it was revoked.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import re
import secrets
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

from lg_gateway.ledger.anchors import TOKEN
from lg_gateway.ledger.ledger import Ledger, LedgerEntry
from lg_gateway.store.canonical_json import canonical
from lg_gateway.store.interface import Tx
from lg_policy.errors import ConfigError, NotFound

Role = Literal["client", "operator"]
REVOKED = "token revoked"
PREFIX: dict[Role, str] = {"client": "lgt", "operator": "lgo"}
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,63}")
SCOPE = re.compile(r"[\x21\x23-\x5b\x5d-\x7e]{1,100}")
"""RFC 6749, section 3.3: printable ASCII without space, quote and backslash."""
_FORM = re.compile(r"lg[to]_([0-9a-f]{12})_([A-Za-z0-9_-]{43})")


@dataclass(frozen=True, kw_only=True)
class Token:
    """What is stored about a token. Times are seconds since the epoch; `digest` is keyed and covers id and secret."""

    id: str
    name: str
    role: Role
    scopes: tuple[str, ...]
    created: float
    expires: float
    digest: str
    revoked: float | None = None

    @property
    def identity(self) -> str:
        """The caller that rules and ledger see. Two tokens of one name are one caller: so one can replace the other."""
        return f"{'token' if self.role == 'client' else 'operator'}:{self.name}"

    def state(self, now: float) -> Literal["active", "expired", "revoked"]:
        """Say whether it still counts."""
        if self.revoked is not None:
            return "revoked"
        return "expired" if now >= self.expires else "active"


class TokenTable:
    """The tokens of one store. `key` stays outside it."""

    def __init__(self, key: bytes, ledger: Ledger) -> None:
        self._key = key
        self._ledger = ledger

    def create(
        self, tx: Tx, name: str, *, role: Role, scopes: tuple[str, ...], lifetime_s: float, now: float, by: str
    ) -> tuple[Token, str]:
        """Make a token and return it with its text, which is not kept. Raises `ConfigError` for an unfit name."""
        if not NAME.fullmatch(name):
            raise ConfigError(f"{name!r} cannot name a token", hint="use 1 to 64 of A-Z a-z 0-9 . _ @ -")
        for scope in scopes:
            if not SCOPE.fullmatch(scope):
                raise ConfigError(f"{scope!r} cannot be a scope", hint="use printable ASCII without spaces and quotes")
        token_id, secret = secrets.token_hex(6), secrets.token_urlsafe(32)
        token = Token(
            id=token_id,
            name=name,
            role=role,
            scopes=scopes,
            created=now,
            expires=now + lifetime_s,
            digest=self._digest(token_id, secret),
        )
        self._write(tx, token)
        self._note(tx, "token created", token, by)
        return token, f"{PREFIX[role]}_{token_id}_{secret}"

    def check(self, tx: Tx, text: str, now: float) -> Token | None:
        """Return the token that a text is, if it still counts; the comparison takes the same time for any secret."""
        form = _FORM.fullmatch(text)
        token = self.get(tx, form.group(1)) if form is not None else None
        if form is None or token is None or token.state(now) != "active" or self.put_back(tx, token):
            return None
        same = hmac.compare_digest(token.digest, self._digest(form.group(1), form.group(2)))
        return token if same and text.startswith(f"{PREFIX[token.role]}_") else None

    def get(self, tx: Tx, token_id: str) -> Token | None:
        """Return a token by its id; `None` also for a row that was not written by a holder of the key."""
        rows = tx.execute("SELECT body, mac FROM tokens WHERE id = ?", (token_id,))
        return self._read(rows[0]) if rows else None

    def put_back(self, tx: Tx, token: Token) -> bool:
        """Whether the row of a revoked token was replaced by an older copy of it."""
        note = self._ledger.newest_note(tx, f"{TOKEN}{token.id}")
        return note is not None and note["outcome"] == REVOKED and token.revoked is None

    def all(self, tx: Tx) -> list[Token]:
        """Return every token, newest first."""
        found = [self._read(row) for row in tx.execute("SELECT body, mac FROM tokens")]
        return sorted((token for token in found if token is not None), key=lambda token: -token.created)

    def active(self, tx: Tx, now: float) -> int:
        """Return how many clients' tokens count."""
        return sum(token.role == "client" and token.state(now) == "active" for token in self.all(tx))

    def revoke(self, tx: Tx, named: str, *, now: float, by: str) -> list[Token]:
        """End the token of that id, or all of that name. Raises `NotFound` when there is none that still counts."""
        found = [token for token in self.all(tx) if named in (token.id, token.name) and token.state(now) == "active"]
        if not found:
            raise NotFound(f"there is no active token {named!r}", hint="`lg-gateway tokens list` shows them")
        ended = [replace(token, revoked=now) for token in found]
        for token in ended:
            self._write(tx, token)
            self._note(tx, REVOKED, token, by)
        return ended

    def forget(self, tx: Tx, before: float) -> None:
        """Remove tokens that expired or were revoked before `before`.

        A row that was not written with the key is not valid. It stays, so that it is found.
        """
        for token in self.all(tx):
            ended = token.expires if token.revoked is None else min(token.revoked, token.expires)
            if ended < before:
                tx.execute("DELETE FROM tokens WHERE id = ?", (token.id,))

    def _digest(self, token_id: str, secret: str) -> str:
        return hmac.new(self._key, f"{token_id}\0{secret}".encode(), hashlib.sha256).hexdigest()

    def _mac(self, body: str) -> str:
        return hmac.new(self._key, f"row\0{body}".encode(), hashlib.sha256).hexdigest()

    def _write(self, tx: Tx, token: Token) -> None:
        body = canonical(asdict(token)).decode("ascii")
        tx.execute("DELETE FROM tokens WHERE id = ?", (token.id,))
        tx.execute("INSERT INTO tokens (id, body, mac) VALUES (?, ?, ?)", (token.id, body, self._mac(body)))

    def _read(self, row: tuple[Any, ...]) -> Token | None:
        body, mac = str(row[0]), str(row[1])
        if not hmac.compare_digest(self._mac(body), mac):
            return None
        fields = json.loads(body)
        return Token(**{**fields, "scopes": tuple(fields["scopes"])})

    def _note(self, tx: Tx, what: str, token: Token, by: str) -> None:
        detail = f"{token.id} for {token.identity} by {by}"
        subject = f"{TOKEN}{token.id}"
        entry = LedgerEntry(phase="note", request_id=subject, identity=token.identity, outcome=what, detail=detail)
        self._ledger.append(tx, entry)
