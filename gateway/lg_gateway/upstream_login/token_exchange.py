"""Exchanges a caller's token for one of the caller's own at a server (RFC 8693): a login without a page to open.

The caller's token goes to the authorization server that the settings name, and never to the MCP server. The token that
comes back is kept in memory only, for this caller, and for as long as the caller shows the token it came from.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable

import anyio

from lg_gateway.upstream_login.challenges import Refusal
from lg_gateway.upstream_login.client_identity import configured_client
from lg_gateway.upstream_login.discovery import discover
from lg_gateway.upstream_login.login_errors import LoginFailed
from lg_gateway.upstream_login.login_http import LoginHttp
from lg_gateway.upstream_login.login_spec import LoginSpec
from lg_gateway.upstream_login.token_endpoint import Tokens, ask_for_tokens
from lg_gateway.upstream_login.upstream_auth import Learn, UpstreamAuth
from lg_policy.outgoing.checked_http import shown

GRANT = "urn:ietf:params:oauth:grant-type:token-exchange"
TOKEN_TYPE = "urn:ietf:params:oauth:token-type:access_token"  # noqa: S105  a name of the protocol
RENEW_AT = 0.8


class TokenExchange(UpstreamAuth):
    """The login of one caller at one server. `clock` is monotonic; `learn` gets each new token."""

    def __init__(
        self, spec: LoginSpec, holder: str, learn: Learn, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._spec = spec
        self._holder = holder
        self._learn = learn
        self._clock = clock
        self._http = LoginHttp(spec.trusted_addresses())
        self._subject = ""
        self._given: Tokens | None = None
        self._made = 0.0
        self._made_from = b""
        self._fetching = anyio.Lock()
        self.login = f"token exchange for {holder}"

    def use(self, subject: str) -> None:
        """Take the token that the caller showed last."""
        self._subject = subject or self._subject

    async def header(self) -> str:
        """Return the value of an `Authorization` header. Raises `LoginFailed`."""
        return await self._current("")

    async def again(self, sent: str, refusal: Refusal) -> str:
        """Return a header with a new token, where the server does not accept the one sent."""
        if not refusal.is_about_a_login or refusal.wants_more_scopes:
            return ""
        return await self._current(sent)

    def advice(self, refusal: Refusal) -> str:
        """Return what a person can do."""
        if refusal.wants_more_scopes:
            return f"the exchanged token lacks a permission: see gateway.servers.{self._spec.server}.oauth.scopes"
        return f"the server does not accept the exchanged token: check gateway.servers.{self._spec.server}.oauth"

    async def changed(self) -> None:
        """Wait for ever: a call brings the next token."""
        await anyio.sleep_forever()

    async def _current(self, refused: str) -> str:
        async with self._fetching:
            given, now = self._given, self._clock()
            made_from = hashlib.sha256(self._subject.encode()).digest()
            fresh = given is not None and now < self._made + given.lifetime_s * RENEW_AT
            if given is None or not fresh or made_from != self._made_from or refused == f"Bearer {given.access}":
                given = self._given = await self._exchanged()
                self._made, self._made_from = now, made_from
            return f"Bearer {given.access}"

    async def _exchanged(self) -> Tokens:
        if not self._subject:
            raise LoginFailed(f"{self._holder} did not log in with a token that can be exchanged")
        url, resource, scopes = self._spec.token_url, self._spec.resource, self._spec.scopes
        if url is None:
            found = await discover(self._spec, self._http)
            if GRANT not in found.server.grants:
                raise LoginFailed(f"the authorization server {shown(found.server.issuer)} does not exchange tokens")
            url, resource, scopes = found.server.token_endpoint, found.resource, found.scopes
        form = {
            "grant_type": GRANT,
            "subject_token": self._subject,
            "subject_token_type": TOKEN_TYPE,
            "requested_token_type": TOKEN_TYPE,
            "resource": resource,
            **({"scope": " ".join(scopes)} if scopes else {}),
        }
        given = await ask_for_tokens(self._http, url, configured_client(self._spec), form)
        if given.access == self._subject:
            raise LoginFailed(f"{shown(url)} gave the caller's own token back; it is not sent to a server")
        self._learn([given.access])
        return given
