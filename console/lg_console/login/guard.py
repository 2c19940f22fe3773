"""Looks at each request before a page or an action: where it comes from, and who sends it.

- A request that another site or another port caused is refused: by `Sec-Fetch-Site`, and by `Origin` for all that
  changes something. The front of the server has compared `Host` with the names that it answers to.
- To look needs the session's cookie, or an operator's token in the `Authorization` header.
- To change something with a cookie needs the session's action key too, in a header that no form can send.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from lg_console.login.sessions import Session, SessionTable
from lg_console.sources.people import LoggedInBy, People, Person
from lg_policy.config.http import is_loopback
from lg_policy.errors import PolicyDenied

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

ACTION = "x-lg-action"
SAFE = ("GET", "HEAD")


class NotLoggedIn(Exception):
    """The request names nobody."""


@dataclass(frozen=True, kw_only=True)
class Visitor:
    """Who sends a request; `session` is `None` for a token."""

    person: Person
    session: Session | None = None


class Guard:
    """Finds out who sends a request."""

    def __init__(self, sessions: SessionTable, people: People, *, provider: Callable[[], str] = lambda: "") -> None:
        """`provider`: what the settings say now about the provider (`ProviderLogin.named`), "" without one."""
        self._sessions = sessions
        self._provider = provider
        self._people = people

    async def visitor(self, request: Request) -> Visitor:
        """Return who sends a request. Raises `NotLoggedIn`, or `PolicyDenied` for one that nobody may send so."""
        check_site(request)
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        if scheme:
            person = await self._people.operator(token.strip()) if scheme.lower() == "bearer" else None
            if person is None:
                raise NotLoggedIn
            return Visitor(person=person)
        session = await self._sessions.find(request.cookies.get(cookie_name(request), ""))
        if session is None or not await self._stands(session.person):
            raise NotLoggedIn
        if request.method not in SAFE:
            check_origin(request)
            if not session.fits(request.headers.get(ACTION, "")):
                raise PolicyDenied("this browser has no action key for the session", hint="log in again in this tab")
        return Visitor(person=session.person, session=session)

    async def lasts(self, visitor: Visitor) -> bool:
        """Whether who sent a request is still logged in."""
        session = visitor.session
        return (session is None or await self._sessions.lasts(session)) and await self._stands(visitor.person)

    async def _stands(self, person: Person) -> bool:
        if person.by is LoggedInBy.PROVIDER:
            named = self._provider()
            return bool(named) and person.provider == named
        return person.local or await self._people.stands(person)


def check_site(request: Request) -> None:
    """Refuse a request that a page of another site or port caused. Raises `PolicyDenied`."""
    site = request.headers.get("sec-fetch-site", "none")
    opened = request.method in SAFE and request.headers.get("sec-fetch-mode") == "navigate"
    if site not in ("same-origin", "none") and not (opened and request.headers.get("sec-fetch-dest") == "document"):
        raise PolicyDenied("a page of another address sent this request")


def check_origin(request: Request) -> None:
    """Refuse a change that does not come from our own pages. Raises `PolicyDenied`."""
    origin = urlsplit(request.headers.get("origin", ""))
    if origin.scheme not in ("http", "https") or origin.netloc.lower() != request.headers.get("host", "").lower():
        raise PolicyDenied("the request's Origin is not this console")


def cookie_name(request: Request) -> str:
    """Return the name of the session's cookie: the port is in it, since cookies are shared between ports."""
    host = request.headers.get("host", "")
    if is_plain(request):
        port = host.rpartition(":")[2]
        return f"lg-console-{port if port.isdecimal() else 80}"
    return "__Host-lg-console"


def set_cookie(response: Response, request: Request, value: str) -> None:
    """Give the browser the cookie of a session, "" to take it back."""
    response.set_cookie(
        cookie_name(request),
        value,
        max_age=None if value else 0,
        path="/",
        secure=not is_plain(request),
        httponly=True,
        samesite="strict",
    )


def is_plain(request: Request) -> bool:
    """Whether a cookie must do without `Secure`: some browsers drop it over HTTP, even on this machine."""
    return request.url.scheme == "http" and is_loopback(request.url.hostname or "")
