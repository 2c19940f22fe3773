"""Keeps who is logged in. A browser gets two secrets: a cookie, and a key for actions that no cookie carries.

Cookies do not know ports: a program that serves pages on another port of this machine is sent the cookie too, if a
person opens it. So a cookie only looks. Whatever changes something also needs the action key, which the browser keeps
for this address and port alone. Only digests of both are stored.

A session ends after 8 hours, after 30 minutes without a request, and at logout. Each login makes a new one.
"""

from __future__ import annotations

import hmac
import json
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from hashlib import sha256

from lg_console.sources.people import LoggedInBy, Person, Role, SessionStore

SESSION_S = 8 * 3600.0
IDLE_S = 30 * 60.0
SEEN_S = 60.0
"""How often at most it is noted that a session is in use."""
LINK_S = 60.0


@dataclass(frozen=True, kw_only=True)
class Session:
    """A login. `key` finds it in the store; `action` is the digest of its action key."""

    key: str
    person: Person
    action: str
    ends: float
    seen: float

    def fits(self, action_key: str) -> bool:
        """Whether this is the session's action key."""
        return hmac.compare_digest(self.action.encode(), _digest(action_key).encode())


@dataclass(frozen=True, kw_only=True)
class NewLogin:
    """The two secrets that a browser gets."""

    cookie: str
    action_key: str


class SessionTable:
    """Sessions and one-time links. `clock` gives seconds since the epoch."""

    def __init__(self, store: SessionStore, clock: Callable[[], float] = time.time) -> None:
        self._store = store
        self._clock = clock

    async def begin(self, person: Person) -> NewLogin:
        """Begin a session."""
        made = NewLogin(cookie=secrets.token_urlsafe(32), action_key=secrets.token_urlsafe(32))
        now = self._clock()
        session = Session(
            key=_key("session", made.cookie),
            person=person,
            action=_digest(made.action_key),
            ends=now + SESSION_S,
            seen=now,
        )
        await self._write(session)
        return made

    async def find(self, cookie: str) -> Session | None:
        """Return the session of a cookie, if it has not ended, and note that it is in use."""
        if not cookie:
            return None
        key, now = _key("session", cookie), self._clock()
        text = await self._store.read(key)
        session = _read(key, text) if text is not None else None
        if session is None:
            return None
        if now >= session.ends or now >= session.seen + IDLE_S:
            await self._store.delete(key)
            return None
        if now >= session.seen + SEEN_S:
            session = replace(session, seen=now)
            await self._write(session)
        return session

    async def lasts(self, session: Session) -> bool:
        """Whether a session is still there: it was neither ended nor forgotten."""
        return self._clock() < session.ends and await self._store.read(session.key) is not None

    async def end(self, session: Session) -> None:
        """End a session."""
        await self._store.delete(session.key)

    async def link(self) -> str:
        """Return the secret of a new one-time link."""
        secret, ends = secrets.token_urlsafe(32), self._clock() + LINK_S
        await self._store.write(_key("link", secret), json.dumps({"ends": ends}), ends)
        return secret

    async def redeem(self, secret: str) -> bool:
        """Take a one-time link. It works once, and not after its time."""
        key = _key("link", secret)
        if await self._store.read(key) is None:
            return False  # a flood of wrong ones writes nothing
        text = await self._store.take(key)
        return text is not None and self._clock() < float(json.loads(text)["ends"])

    async def _write(self, session: Session) -> None:
        person = session.person
        body = {"name": person.name, "role": str(person.role), "local": person.local, "action": session.action}
        body |= {"by": str(person.by), "provider": person.provider}
        body |= {"ends": session.ends, "seen": session.seen}
        await self._store.write(session.key, json.dumps(body), min(session.ends, session.seen + IDLE_S))


def _read(key: str, text: str) -> Session:
    body = json.loads(text)
    by = LoggedInBy(body.get("by", LoggedInBy.TOKEN))
    person = Person(
        name=body["name"],
        role=Role(body["role"]),
        local=bool(body["local"]),
        by=by,
        provider=body.get("provider", ""),
    )
    return Session(key=key, person=person, action=body["action"], ends=body["ends"], seen=body["seen"])


def _key(kind: str, secret: str) -> str:
    return f"{kind} {_digest(secret)}"


def _digest(secret: str) -> str:
    return sha256(secret.encode("utf-8", "surrogateescape")).hexdigest()
