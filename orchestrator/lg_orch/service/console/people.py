"""Who may log in to the console of the run service: whoever holds a token of it, or is an operator of the gateway."""

from __future__ import annotations

from typing import TYPE_CHECKING

import anyio.to_thread

from lg_console.login.guard import NotLoggedIn
from lg_console.sources.people import LoggedInBy, Person, Role
from lg_orch.service.api.access import ROLES, Caller
from lg_orch.service.api.problems import ApiError
from lg_policy.errors import PolicyDenied

if TYPE_CHECKING:
    from starlette.requests import Request

    from lg_console.login.guard import Guard
    from lg_console.sources.people import People
    from lg_orch.service.records.token_table import TokenRows


class ServicePeople:
    """The holders of the service's tokens, and the operators of the gateway. Logins are records of its ledger."""

    def __init__(self, tokens: TokenRows, gateway: People) -> None:
        self._tokens = tokens
        self._gateway = gateway

    async def operator(self, token: str) -> Person | None:
        """Return whom a token names."""
        found = await anyio.to_thread.run_sync(self._tokens.check, token)
        if found is None:
            return await self._gateway.operator(token)
        if found.role not in ROLES:
            return None
        return Person(name=found.name, role=Role(found.role), by=LoggedInBy.RUN_TOKEN)

    async def stands(self, person: Person) -> bool:
        """Whether somebody of that name has a token of that role that counts."""
        if person.by is not LoggedInBy.RUN_TOKEN:
            return await self._gateway.stands(person)
        tokens, now = await anyio.to_thread.run_sync(self._tokens.all)
        named = [token for token in tokens if (token.name, token.role) == (person.name, person.role.value)]
        return any(token.state(now) == "active" for token in named)

    async def note(self, what: str, person: str, detail: str = "") -> None:
        """Record a login."""
        await self._gateway.note(what, person, detail)


class CookieLogin:
    """Takes the console's session as a login of the API: its pages send requests to the same addresses as programs."""

    def __init__(self, guard: Guard) -> None:
        self._guard = guard

    async def caller(self, request: Request) -> Caller | None:
        """Return who is logged in. Raises `ApiError` for a request that another site or page sent."""
        if "authorization" in request.headers:
            return None
        try:
            person = (await self._guard.visitor(request)).person
        except NotLoggedIn:
            return None
        except PolicyDenied as error:
            raise ApiError(403, "foreign_origin", error.message, hint=error.hint) from error
        return Caller(name=person.name, role=person.role.value)
