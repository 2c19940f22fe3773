"""Logging in and out: by a one-time link or an operator's token. Both travel in a body, never in an address."""

from __future__ import annotations

import time
from collections.abc import Callable

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from lg_console.login.guard import Visitor, check_origin, check_site, set_cookie
from lg_console.login.sessions import NewLogin
from lg_console.pages.login import login_page
from lg_console.sources.people import Person
from lg_console.web.answers import as_json, endpoint, fields_of, opened, page, text_of
from lg_console.web.console import Console
from lg_policy.errors import LimitExceeded, PolicyDenied

FAILURES = 20
"""Failed logins of a minute, of all callers together; more are told to wait. A right link or token always works:
otherwise any program of this machine could keep everybody out."""
MINUTE_S = 60.0


class Failures:
    """Counts failed logins of the last minute."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._times: list[float] = []

    def check(self) -> None:
        """Raise `LimitExceeded` after too many."""
        now = self._clock()
        self._times = [at for at in self._times if now - at < MINUTE_S]
        if len(self._times) >= FAILURES:
            raise LimitExceeded("too many logins failed; try again in a minute")

    def add(self) -> bool:
        """Count one; return whether it is the first of this minute."""
        self._times.append(self._clock())
        return len(self._times) == 1


def login_routes(console: Console, local: Person) -> list[Route]:
    """Return the routes. `local` is who a link logs in: the user of this machine."""
    failures = Failures()

    async def show(request: Request) -> Response:
        check_site(request)
        return page(login_page(console, request.query_params.get("next", "")))

    async def by_link(request: Request) -> Response:
        fields = await _checked(request)
        if not await console.sessions.redeem(text_of(fields, "link", 100)):
            failures.check()
            await _failed(console, failures, "a link that is used, too old or wrong")
            raise PolicyDenied("this link was used already, or is older than a minute", hint="ask for a new one")
        return await _logged_in(console, request, local, "by a link")

    async def by_token(request: Request) -> Response:
        fields = await _checked(request)
        person = await console.people.operator(text_of(fields, "token", 200).strip())
        if person is None:
            failures.check()
            await _failed(console, failures, "a token that is no operator's")
            raise PolicyDenied(
                "this is no operator's token, or it has ended",
                hint="`lg-gateway tokens create NAME --role operator` makes one",
            )
        return await _logged_in(console, request, person, "by an operator's token")

    async def out(request: Request, visitor: Visitor) -> Response:
        if visitor.session is not None:
            await console.sessions.end(visitor.session)
            await console.people.note("console logout", visitor.person.name)
        answer = as_json({})
        set_cookie(answer, request, "")
        return answer

    return [
        Route("/login", opened(show), methods=["GET"]),
        Route("/login/link", opened(by_link), methods=["POST"]),
        Route("/login/token", opened(by_token), methods=["POST"]),
        Route("/logout", endpoint(console.guard, out), methods=["POST"]),
    ]


async def _checked(request: Request) -> dict[str, object]:
    check_site(request)
    check_origin(request)
    return await fields_of(request)


async def _failed(console: Console, failures: Failures, what: str) -> None:
    if failures.add():  # a flood of them fills no ledger
        await console.people.note("console login refused", "nobody", what)


async def _logged_in(console: Console, request: Request, person: Person, how: str) -> Response:
    made: NewLogin = await console.sessions.begin(person)
    await console.people.note("console login", person.name, f"{how}, as {person.role}")
    answer = as_json({"action_key": made.action_key})
    set_cookie(answer, request, made.cookie)
    return answer
