"""Identifies callers over HTTP: by our own token, by an access token of an authorization server, or without a login.

The identity of a call comes from the token on its own HTTP request. It never comes from an argument, another header or
the session. The SDK binds a session of a 2025 client to the caller who opened it.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from mcp.server.auth.middleware.auth_context import get_access_token
from mcp.server.auth.middleware.bearer_auth import AuthenticatedUser
from mcp.server.auth.provider import AccessToken
from mcp.server.auth.settings import AuthSettings
from mcp.server.context import ServerRequestContext
from mcp.server.transport_security import TransportSecuritySettings
from starlette.datastructures import QueryParams
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from lg_gateway.calls.call import Standing
from lg_gateway.identity.tokens import TokenTable
from lg_gateway.store.interface import Store, StoreError, Tx
from lg_policy.config.http import HttpSettings
from lg_policy.errors import PolicyDenied
from lg_policy.wire.repeated_log import once_per_kind

if TYPE_CHECKING:
    from lg_gateway.identity.jwt import JwtVerifier

log = once_per_kind(logging.getLogger(__name__))

Context = ServerRequestContext[Any, Any]
MCP_HEADERS = ("Mcp-Session-Id", "Mcp-Protocol-Version", "Mcp-Method", "Mcp-Name")
LOCAL = ("127.0.0.1", "localhost", "[::1]")
unknown_caller: ContextVar[list[Exception] | None] = ContextVar("unknown caller", default=None)
"""Where a request notes that its token could not be looked up. Its caller may be one that is known."""
EXPIRES = "lg-expires"
"""Our claim in an `AccessToken`: when it ends, as a float. The SDK's own field is a whole number."""


class Verifier:
    """The SDK's `TokenVerifier`: finds the caller that a token names. `clock` gives seconds since the epoch."""

    def __init__(
        self, store: Store, tokens: TokenTable, oauth: JwtVerifier | None, clock: Callable[[], float] = time.time
    ) -> None:
        self._store = store
        self._tokens = tokens
        self._oauth = oauth
        self._clock = clock

    async def verify_token(self, token: str) -> AccessToken | None:
        """Return the caller that a token names, `None` if it is not valid. An operator's token never is, here."""
        if token.startswith(("lgt_", "lgo_")):
            return await self._own(token)
        if self._oauth is None:
            return None
        principal = await self._oauth.verify(token)
        if principal is None:
            return None
        return AccessToken(
            token=token,
            client_id=principal.client_id,
            scopes=list(principal.scopes),
            expires_at=int(principal.expires),
            subject=principal.subject,
            claims={"iss": principal.issuer, EXPIRES: principal.expires, "identity": principal.identity},
        )

    async def _own(self, text: str) -> AccessToken | None:
        try:
            token = await self._store.read(lambda tx: self._tokens.check(tx, text, self._clock()))
        except StoreError as error:
            log.error("cannot look up a token, so its caller is refused: %s", error)  # noqa: TRY400  no traceback: it says all
            noted = unknown_caller.get()
            if noted is not None:
                noted.append(error)
            return None
        if token is None or token.role != "client":
            return None
        return AccessToken(
            token=text,
            client_id=token.id,
            scopes=list(token.scopes),
            expires_at=int(token.expires),
            subject=token.identity,
            claims={"identity": token.identity},
        )

    def standing(self, access: AccessToken) -> Standing:
        """Return a check that tells later whether this token is still valid."""
        return partial(self._still_good, access)

    def _still_good(self, access: AccessToken, tx: Tx) -> None:
        if access.token.startswith("lgt_"):
            good = self._tokens.check(tx, access.token, self._clock()) is not None
        else:
            good = self._clock() < float((access.claims or {}).get(EXPIRES, 0))
        if not good:
            raise PolicyDenied("the caller's token was revoked or has expired; nothing was done", hint="log in again")


@dataclass(frozen=True, kw_only=True)
class Authentication:
    """How callers over HTTP are identified, and what the serving code needs for it."""

    identify: Callable[[Context], str]
    standing: Callable[[Context], Standing | None]
    subject: Callable[[Context], str]
    """Returns the caller's access token of an authorization server, "" for any other login."""
    app_options: dict[str, Any]
    authenticated: bool
    middleware: tuple[Middleware, ...] = ()
    verify: Callable[[str], Awaitable[AccessToken | None]] | None = None
    """Returns the caller that a token names; `None` without a login."""


def open_authentication(local_identity: str) -> Authentication:
    """Return the authentication without a login: every caller is the local user."""
    return Authentication(
        identify=lambda _ctx: local_identity,
        standing=lambda _ctx: None,
        subject=lambda _ctx: "",
        app_options={},
        authenticated=False,
    )


def login_authentication(verifier: Verifier, settings: HttpSettings) -> Authentication:
    """Return the authentication that needs a token on every request."""
    return Authentication(
        identify=lambda ctx: str((_access(ctx).claims or {})["identity"]),
        standing=lambda ctx: verifier.standing(_access(ctx)),
        subject=lambda ctx: _exchangeable(_access(ctx)),
        app_options={
            "auth": _auth_settings(settings),
            "token_verifier": verifier,
            "transport_security": _transport_security(settings),
        },
        authenticated=True,
        middleware=(*_cross_origin(settings), Middleware(NoTokenInQuery)),
        verify=verifier.verify_token,
    )


class NoTokenInQuery:
    """Refuses a token in a URL, because proxies and browser histories keep URLs: OAuth 2.1, section 5.1.2."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer 400 to such a request; pass on any other."""
        if scope["type"] == "http":
            names = {name.lower() for name in QueryParams(scope.get("query_string", b""))}
            if names & {"access_token", "token", "authorization", "api_key"}:
                body = {"error": "invalid_request", "error_description": "a token belongs in the Authorization header"}
                await JSONResponse(body, status_code=400)(scope, receive, send)
                return
        await self._app(scope, receive, send)


def caller_of_request() -> str | None:
    """Return the caller whose token came with the HTTP request that is being answered; `None` without a login."""
    access = get_access_token()
    return str((access.claims or {})["identity"]) if access is not None else None


def _access(ctx: Context) -> AccessToken:
    """Return the token of the very request that carries this message. Raises `PolicyDenied` where there is none."""
    user = ctx.request.scope.get("user") if ctx.request is not None else None
    if not isinstance(user, AuthenticatedUser):
        raise PolicyDenied("this call carries no token")
    return user.access_token


def _exchangeable(access: AccessToken) -> str:
    """Return a token that an authorization server gave. Ours mean nothing to one."""
    return "" if access.token.startswith(("lgt_", "lgo_")) else access.token


def _auth_settings(settings: HttpSettings) -> AuthSettings:
    # The SDK wants an issuer; without a resource address it publishes none. Texts keep their form, addresses do not.
    issuer = settings.oauth.issuer if settings.oauth is not None else "http://127.0.0.1"
    values = {
        "issuer_url": issuer,
        "resource_server_url": settings.resource_url if settings.oauth is not None else None,
        "required_scopes": list(settings.required_scopes) or None,
        "validate_token_resource": False,  # the verifier checks the audience itself
    }
    return AuthSettings.model_validate(values)


def _transport_security(settings: HttpSettings) -> TransportSecuritySettings:
    hosts = [*LOCAL, *settings.allowed_hosts]
    origins = [f"{scheme}://{host}:*" for host in LOCAL for scheme in ("http", "https")]
    return TransportSecuritySettings(
        enable_dns_rebinding_protection=True,
        allowed_hosts=[form for host in hosts for form in ((host,) if _has_port(host) else (host, f"{host}:*"))],
        allowed_origins=[*origins, *settings.allowed_origins],
    )


def _cross_origin(settings: HttpSettings) -> tuple[Middleware, ...]:
    """Allow web pages of the configured origins: a browser asks first, and hides headers that are not exposed."""
    if not settings.allowed_origins:
        return ()
    return (
        Middleware(
            CORSMiddleware,
            allow_origins=list(settings.allowed_origins),
            allow_methods=["GET", "POST", "DELETE"],
            allow_headers=["Authorization", "Content-Type", "Last-Event-ID", *MCP_HEADERS],
            expose_headers=["Mcp-Session-Id", "WWW-Authenticate"],
        ),
    )


def _has_port(host: str) -> bool:
    return ":" in host.rpartition("]")[2]
