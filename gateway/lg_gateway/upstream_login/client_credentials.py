"""Logs the gateway in by itself, without a person: OAuth 2.1 client credentials, separate from every caller's login.

One token serves all calls. The gateway renews it before it expires and when the server refuses it; if a call needs
more scopes, it asks for these too. It never logs the token, and masks it wherever it appears. The secret goes only to
the authorization server that the settings name, so the server cannot decide who gets it.

Source: RFC 6749, section 4.4; RFC 8707 for `resource`.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import anyio

from lg_gateway.upstream_login.challenges import Refusal
from lg_gateway.upstream_login.client_identity import configured_client
from lg_gateway.upstream_login.discovery import discover
from lg_gateway.upstream_login.login_errors import LoginFailed
from lg_gateway.upstream_login.login_http import LoginHttp
from lg_gateway.upstream_login.login_spec import LoginSpec
from lg_gateway.upstream_login.token_endpoint import ask_for_tokens
from lg_gateway.upstream_login.upstream_auth import Learn, UpstreamAuth

log = logging.getLogger(__name__)

RENEW_AT = 0.8
"""The part of a token's lifetime after which it is renewed. If that fails, the old one is used until it expires."""
SCOPES = 200


@dataclass(frozen=True)
class _AccessToken:
    text: str = field(repr=False)
    renew: float
    ends: float


class ClientCredentials(UpstreamAuth):
    """The login of one server. `clock` is monotonic; `learn` gets each new token."""

    def __init__(self, spec: LoginSpec, learn: Learn, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._spec = spec
        self._learn = learn
        self._clock = clock
        self._http = LoginHttp(spec.trusted_addresses())
        self._token: _AccessToken | None = None
        self._token_url = spec.token_url
        self._resource = spec.resource
        self._scopes = spec.scopes
        self._fetching = anyio.Lock()
        self.login = f"client {spec.client_id}"

    async def header(self) -> str:
        """Return the value of an `Authorization` header. Raises `LoginFailed`."""
        return f"Bearer {(await self._current()).text}"

    async def again(self, sent: str, refusal: Refusal) -> str:
        """Return a header with a new token, where a new one may help."""
        if not refusal.is_about_a_login:
            return ""
        if refusal.wants_more_scopes:
            wider = tuple(dict.fromkeys((*self._scopes, *refusal.challenge.scopes)))[:SCOPES]
            if set(wider) == set(self._scopes):
                return ""  # it was asked for, and the authorization server did not give it
            self._scopes = wider
        return f"Bearer {(await self._current(refused=sent)).text}"

    def advice(self, refusal: Refusal) -> str:
        """Return what a person can do."""
        server = self._spec.server
        if refusal.wants_more_scopes:
            return f"allow the client more at its authorization server, or see gateway.servers.{server}.oauth.scopes"
        return f"check gateway.servers.{server}.oauth"

    async def changed(self) -> None:
        """Wait for ever: only other settings change it."""
        await anyio.sleep_forever()

    async def _current(self, refused: str | None = None) -> _AccessToken:
        """Return a valid token. Raises `LoginFailed`."""
        async with self._fetching:
            held, now = self._token, self._clock()
            bad = held is not None and refused == f"Bearer {held.text}"
            if held is not None and not bad and now < held.renew:
                return held
            try:
                self._token = await self._fetch(now)
            except LoginFailed as error:
                if held is None or bad or now >= held.ends:
                    raise
                log.warning("%s; the gateway uses the current token until it expires", error)
                return held
            return self._token

    async def _fetch(self, now: float) -> _AccessToken:
        if self._token_url is None:
            found = await discover(self._spec, self._http)
            self._token_url, self._resource = found.server.token_endpoint, found.resource
            self._scopes = self._scopes or found.scopes
        form = {"grant_type": "client_credentials", "resource": self._resource}
        if self._scopes:
            form["scope"] = " ".join(self._scopes)
        given = await ask_for_tokens(self._http, self._token_url, configured_client(self._spec), form)
        self._learn([given.access])
        return _AccessToken(given.access, now + given.lifetime_s * RENEW_AT, now + given.lifetime_s)
