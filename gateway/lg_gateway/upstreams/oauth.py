"""Logs the gateway in at an upstream server: OAuth 2.1 client credentials, separate from every caller's login.

The gateway fetches the token from the address in the server's entry and sends it to that server only. There is no
discovery, so the server cannot decide who gets the client's secret. One token serves all calls. The gateway renews it
before it expires and when the server refuses it. It never logs the token, and masks it wherever it appears.

The MCP SDK's own provider is not used: it holds a lock until each request is answered, so calls would queue.

Source: RFC 6749, sections 4.4 and 5.1; RFC 8707 for `resource`.
"""

from __future__ import annotations

import logging
import time
from collections.abc import AsyncGenerator, Callable, Iterable
from dataclasses import dataclass, field
from urllib.parse import quote

import anyio
import httpx2
from pydantic import BaseModel, ValidationError

from lg_gateway.processes.server_specs import ClientLogin

log = logging.getLogger(__name__)

Learn = Callable[[Iterable[str]], None]
DEFAULT_LIFETIME_S = 300.0
RENEW_AT = 0.8
"""The part of a token's lifetime after which it is renewed. If that fails, the old one is used until it expires."""
TIMEOUT_S = 30.0


class LoginFailed(Exception):
    """The authorization server gave no token; the message holds no secret."""


class _TokenResponse(BaseModel):
    access_token: str
    token_type: str
    expires_in: float | None = None


@dataclass(frozen=True)
class _AccessToken:
    text: str = field(repr=False)
    renew: float
    ends: float


class ClientCredentials(httpx2.Auth):
    """Adds the token to every request of one HTTP client. `clock` is monotonic; `learn` gets each new token."""

    def __init__(
        self,
        login: ClientLogin,
        learn: Learn,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._login = login
        self._learn = learn
        self._clock = clock
        self._token: _AccessToken | None = None
        self._fetching = anyio.Lock()

    async def async_auth_flow(self, request: httpx2.Request) -> AsyncGenerator[httpx2.Request, httpx2.Response]:
        """Send a request with the token. If the server refuses it, it did nothing: send once more with a new one."""
        token = await self._current()
        request.headers["Authorization"] = f"Bearer {token.text}"
        response = yield request
        if response.status_code == httpx2.codes.UNAUTHORIZED:
            token = await self._current(refused=token)
            request.headers["Authorization"] = f"Bearer {token.text}"
            yield request

    async def header(self, refused: str | None = None) -> str:
        """Return the value of an `Authorization` header, a new one if the server has `refused` that. See `_current`."""
        held = self._token
        known = held if held is not None and refused == f"Bearer {held.text}" else None
        return f"Bearer {(await self._current(refused=known)).text}"

    async def _current(self, refused: _AccessToken | None = None) -> _AccessToken:
        """Return a valid token. Raises `LoginFailed`."""
        async with self._fetching:
            held, now = self._token, self._clock()
            if held is not None and held is not refused and now < held.renew:
                return held
            try:
                self._token = await self._fetch(now)
            except LoginFailed as error:
                if held is None or held is refused or now >= held.ends:
                    raise
                log.warning("%s; the gateway uses the current token until it expires", error)
                return held
            return self._token

    async def _fetch(self, now: float) -> _AccessToken:
        login = self._login
        form = {"grant_type": "client_credentials", "resource": login.resource}
        if login.scopes:
            form["scope"] = " ".join(login.scopes)
        if login.in_body:
            form |= {"client_id": login.client_id, "client_secret": login.client_secret}
        auth: httpx2.Auth = httpx2.Auth()
        if not login.in_body:
            auth = httpx2.BasicAuth(quote(login.client_id, safe=""), quote(login.client_secret, safe=""))
        try:
            async with httpx2.AsyncClient(timeout=TIMEOUT_S) as http:
                answer = await http.post(login.token_url, data=form, auth=auth, headers={"Accept": "application/json"})
        except httpx2.HTTPError as error:
            raise LoginFailed(f"no token from {login.token_url}: {type(error).__name__}") from error
        if answer.status_code != httpx2.codes.OK:
            raise LoginFailed(f"no token from {login.token_url}: it answered {answer.status_code}")
        try:
            given = _TokenResponse.model_validate_json(answer.content)
        except ValidationError as error:
            raise LoginFailed(f"no token from {login.token_url}: its answer is not a token") from error
        if given.token_type.lower() != "bearer" or not given.access_token.isascii():
            raise LoginFailed(f"no token from {login.token_url}: not a bearer token")
        self._learn([given.access_token])
        lifetime = given.expires_in if given.expires_in is not None else DEFAULT_LIFETIME_S
        return _AccessToken(given.access_token, now + lifetime * RENEW_AT, now + lifetime)
