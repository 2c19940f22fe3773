"""One login by a person: the address to open, and what is checked of the response before its code is used.

Each login has its own state and its own PKCE verifier, and both end with it. The response must name the issuer it was
asked of, where it names one (RFC 9207), so a code of another server is never sent to this one.

Source: RFC 6749, section 4.1, as OAuth 2.1 has it; RFC 7636; RFC 8707; RFC 9207.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from lg_gateway.upstream_login.discovery import AuthorizationServer, Found
from lg_gateway.upstream_login.login_errors import LoginFailed
from lg_gateway.upstream_login.login_http import LoginHttp, checked_address
from lg_gateway.upstream_login.token_endpoint import Client, Tokens, ask_for_tokens
from lg_policy.config.http import is_loopback
from lg_policy.outgoing.checked_http import shown
from lg_policy.printing import visible

SECRET_BYTES = 32
CODE_CHARACTERS = 8_000
SAID_CHARACTERS = 300
REFRESHABLE = "offline_access"
"""The scope with which many servers give a refresh token (OpenID Connect Core, section 11)."""


def _secret() -> str:
    return secrets.token_urlsafe(SECRET_BYTES)


@dataclass(frozen=True, kw_only=True)
class AuthorizationRequest:
    """One login that was begun."""

    found: Found
    client: Client
    redirect_uri: str
    scopes: tuple[str, ...]
    state: str = field(default_factory=_secret, repr=False)
    verifier: str = field(default_factory=_secret, repr=False)

    def url(self) -> str:
        """Return the address that the person opens."""
        challenge = base64.urlsafe_b64encode(hashlib.sha256(self.verifier.encode("ascii")).digest())
        query = {
            "response_type": "code",
            "client_id": self.client.client_id,
            "redirect_uri": self.redirect_uri,
            "state": self.state,
            "code_challenge": challenge.rstrip(b"=").decode("ascii"),
            "code_challenge_method": "S256",
            "resource": self.found.resource,
        }
        if self.scopes:
            query["scope"] = " ".join(self.scopes)
        if REFRESHABLE in self.scopes:
            query["prompt"] = "consent"  # without it, no refresh token (OpenID Connect Core, section 11)
        parts = urlsplit(self.found.server.authorization_endpoint)
        kept = [(name, value) for name, value in parse_qsl(parts.query) if name not in query]
        return urlunsplit((parts.scheme, parts.netloc, parts.path, urlencode([*kept, *query.items()]), ""))

    def is_answered_by(self, response: Mapping[str, str]) -> bool:
        """Return whether a response belongs to this login."""
        return hmac.compare_digest(response.get("state", "").encode(), self.state.encode())

    def code_of(self, response: Mapping[str, str]) -> str:
        """Return the code of a response that belongs to this login. Raises `LoginFailed` for any other."""
        server = self.found.server
        if not self.is_answered_by(response):
            raise LoginFailed("the response belongs to another login; its state is not that of this one")
        issuer = response.get("iss")
        if issuer is None and server.names_itself:
            raise LoginFailed(f"the response does not say that it comes from {shown(server.issuer)}, which always does")
        if issuer is not None and issuer != server.issuer:
            raise LoginFailed(f"the response comes from {shown(issuer)}, not from {shown(server.issuer)}")
        if "error" in response:
            said = response["error"] + (f": {words}" if (words := response.get("error_description")) else "")
            raise LoginFailed(f"{shown(server.issuer)} gave no login: {visible(said[:SAID_CHARACTERS])}")
        code = response.get("code", "")
        if not 0 < len(code) <= CODE_CHARACTERS:
            raise LoginFailed("the response holds no code")
        return code

    async def exchange(self, code: str, http: LoginHttp) -> Tokens:
        """Return the tokens for a code. Raises `LoginFailed`."""
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": self.redirect_uri,
            "code_verifier": self.verifier,
            "resource": self.found.resource,
        }
        return await ask_for_tokens(http, self.found.server.token_endpoint, self.client, form)


def check_server(server: AuthorizationServer, url: str) -> None:
    """Raise `LoginFailed` if a person cannot log in there safely. `url` is the MCP server's address."""
    if not server.authorization_endpoint:
        raise LoginFailed(f"the authorization server {shown(server.issuer)} has no page to log in at")
    checked_address(server.authorization_endpoint)
    if not server.pkce:
        raise LoginFailed(
            f"the authorization server {shown(server.issuer)} does not say that it supports PKCE with S256, without"
            " which a stolen code could be used; the gateway does not log in there"
        )
    local = is_loopback(urlsplit(server.authorization_endpoint).hostname or "")
    if local and not is_loopback(urlsplit(url).hostname or ""):
        raise LoginFailed(
            "the server is on the network, and its page to log in at is on this machine; it is not opened"
        )


def scopes_to_ask(found: Found, wanted: tuple[str, ...] = ()) -> tuple[str, ...]:
    """Return the scopes of a login: those found, those that were missing before, and that for a refresh token."""
    scopes = dict.fromkeys((*wanted, *found.scopes))
    if scopes and REFRESHABLE in found.server.scopes:
        scopes[REFRESHABLE] = None
    return tuple(scopes)
