"""Takes a person through one login: find the server, open a page, catch the response, store the tokens."""

from __future__ import annotations

import logging
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

from anyio.to_thread import run_sync

from lg_gateway.upstream_login.authorization_code import AuthorizationRequest, check_server, scopes_to_ask
from lg_gateway.upstream_login.challenges import Refusal
from lg_gateway.upstream_login.client_identity import client_at
from lg_gateway.upstream_login.discovery import discover
from lg_gateway.upstream_login.login_http import LoginHttp
from lg_gateway.upstream_login.login_spec import LoginSpec
from lg_gateway.upstream_login.login_store import Login, LoginStore, login_id
from lg_gateway.upstream_login.loopback_redirect import LoopbackRedirect, Response
from lg_gateway.upstream_login.stored_login import renewed
from lg_gateway.upstream_login.upstream_auth import Learn

log = logging.getLogger(__name__)

DEADLINE_S = 300.0
"""How long a person has for a login."""


@dataclass(frozen=True, kw_only=True)
class BegunLogin:
    """A login whose page can be opened. It listens until `begin_login` is left."""

    url: str
    issuer: str
    _spec: LoginSpec
    _holder: str
    _request: AuthorizationRequest
    _redirect: LoopbackRedirect
    _http: LoginHttp
    _store: LoginStore
    _learn: Learn
    _clock: Callable[[], float]

    async def finish(self, deadline_s: float = DEADLINE_S) -> tuple[Login, str]:
        """Wait for the person, and store the login. Return it and where it is. Raises `LoginFailed`."""
        return await self.finish_with(await self._redirect.response(deadline_s))

    def pasted(self, address: str) -> Response | None:
        """Return the response in an address that a person pasted; `None` unless it belongs to this login."""
        return self._redirect.pasted(address)

    async def finish_with(self, response: Response) -> tuple[Login, str]:
        """Store the login of a response. Return it and where it is. Raises `LoginFailed`."""
        given = await self._request.exchange(self._request.code_of(response), self._http)
        client, found = self._request.client, self._request.found
        made = Login(
            server=self._spec.server,
            holder=self._holder,
            url=self._spec.url,
            resource=found.resource,
            issuer=found.server.issuer,
            token_endpoint=found.server.token_endpoint,
            revocation_endpoint=found.server.revocation_endpoint,
            client_id=client.client_id,
            client_method=client.method,
            client_secret=client.secret if client.client_id != self._spec.client_id else "",
            scopes=self._request.scopes,
        )
        login = renewed(made, given, self._clock())
        self._learn(login.secrets())
        key = login_id(self._spec.url, self._holder)
        async with self._store.locked(key):
            return login, await run_sync(self._store.write, key, login)


@asynccontextmanager
async def begin_login(
    spec: LoginSpec,
    holder: str,
    store: LoginStore,
    *,
    learn: Learn = lambda _secrets: None,
    refusal: Refusal | None = None,
    scopes: tuple[str, ...] = (),
    clock: Callable[[], float] = time.time,
) -> AsyncIterator[BegunLogin]:
    """Begin a login of one holder at a server. `refusal` is what the server said last. Raises `LoginFailed`."""
    http = LoginHttp(spec.trusted_addresses())
    found = await discover(spec, http, refusal)
    check_server(found.server, spec.url)
    before = await run_sync(store.read, login_id(spec.url, holder))
    missing = (*before.scopes, *before.wanted) if before is not None and before.wanted else ()
    asked = scopes_to_ask(found, (*missing, *scopes))
    async with LoopbackRedirect(spec.redirect_port) as redirect:
        client = await client_at(spec, found.server, http, redirect_uri=redirect.uri, scopes=asked)
        request = AuthorizationRequest(found=found, client=client, redirect_uri=redirect.uri, scopes=asked)
        redirect.expect(request.is_answered_by)
        yield BegunLogin(
            url=request.url(),
            issuer=found.server.issuer,
            _spec=spec,
            _holder=holder,
            _request=request,
            _redirect=redirect,
            _http=http,
            _store=store,
            _learn=learn,
            _clock=clock,
        )
