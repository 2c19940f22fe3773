"""A site of the SDK's own parts: an authorization server, and an MCP server over HTTP that demands its tokens.

`person` is who sits in front of the browser. A refresh token is good for one use: using it twice ends the login.
"""

from __future__ import annotations

import json
import secrets
import socket
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

import anyio
import httpx2
import uvicorn
from mcp.server.auth.middleware.auth_context import get_access_token
from mcp.server.auth.provider import (
    AccessToken,
    AuthorizationCode,
    AuthorizationParams,
    OAuthAuthorizationServerProvider,
    RefreshToken,
    TokenError,
)
from mcp.server.auth.settings import AuthSettings, ClientRegistrationOptions
from mcp.server.mcpserver import MCPServer
from mcp.shared.auth import OAuthClientInformationFull, OAuthToken
from pydantic import AnyHttpUrl
from starlette.types import ASGIApp, Message, Receive, Scope, Send

SCOPES = ["read", "admin"]


class Site(OAuthAuthorizationServerProvider[AuthorizationCode, RefreshToken, AccessToken]):
    """The state of both servers. `seen` has the path, the form and the `Authorization` header of each request."""

    def __init__(self, port: int) -> None:
        self.origin = f"http://127.0.0.1:{port}"
        self.url = f"{self.origin}/mcp"
        self.person = "ann"
        self.lifetime_s = 3600
        self.names_itself: str | None = None
        self.grace = 0
        """How often a refresh token that was used may be used again."""
        self.hold = anyio.Event()
        self.hold.set()
        self.refreshing = anyio.Event()
        self.clients: dict[str, OAuthClientInformationFull] = {}
        self.codes: dict[str, AuthorizationCode] = {}
        self.access: dict[str, AccessToken] = {}
        self.refresh: dict[str, RefreshToken] = {}
        self.used: dict[str, int] = {}
        self.refreshes = 0
        self.asked: list[dict[str, str]] = []
        self.shown: list[str] = []

    async def get_client(self, client_id: str) -> OAuthClientInformationFull | None:
        return self.clients.get(client_id)

    async def register_client(self, client_info: OAuthClientInformationFull) -> None:
        self.clients[client_info.client_id] = client_info

    async def authorize(self, client: OAuthClientInformationFull, params: AuthorizationParams) -> str:
        code = AuthorizationCode(
            code=secrets.token_urlsafe(24), scopes=params.scopes or ["read"], expires_at=time.time() + 60,
            client_id=client.client_id, code_challenge=params.code_challenge, redirect_uri=params.redirect_uri,
            redirect_uri_provided_explicitly=True, resource=params.resource, subject=self.person,
        )  # fmt: skip
        self.codes[code.code] = code
        answer = {"code": code.code, "state": params.state or ""}
        if self.names_itself is not None:
            answer["iss"] = self.names_itself
        return f"{params.redirect_uri}?{urlencode(answer)}"

    async def load_authorization_code(
        self, client: OAuthClientInformationFull, authorization_code: str
    ) -> AuthorizationCode | None:
        return self.codes.get(authorization_code)

    async def exchange_authorization_code(
        self, client: OAuthClientInformationFull, authorization_code: AuthorizationCode
    ) -> OAuthToken:
        code = self.codes.pop(authorization_code.code)
        return self._given(client.client_id, code.scopes, code.resource, code.subject)

    async def load_refresh_token(self, client: OAuthClientInformationFull, refresh_token: str) -> RefreshToken | None:
        return self.refresh.get(refresh_token)

    async def exchange_refresh_token(
        self, client: OAuthClientInformationFull, refresh_token: RefreshToken, scopes: list[str]
    ) -> OAuthToken:
        self.refreshes += 1
        self.used[refresh_token.token] = self.used.get(refresh_token.token, 0) + 1
        if self.used[refresh_token.token] > 1 + self.grace:
            self.refresh.clear()
            self.access.clear()
            raise TokenError("invalid_grant", "used twice: everybody is logged out")
        given = self._given(client.client_id, scopes, refresh_token.resource, refresh_token.subject)
        self.refreshing.set()
        await self.hold.wait()
        return given

    async def load_access_token(self, token: str) -> AccessToken | None:
        return self.access.get(token)

    async def revoke_token(self, token: AccessToken | RefreshToken) -> None:
        self.access.pop(token.token, None)

    def _given(self, client_id: str, scopes: list[str], resource: str | None, subject: str | None) -> OAuthToken:
        access, refresh = f"access-{secrets.token_urlsafe(24)}", f"refresh-{secrets.token_urlsafe(24)}"
        kept: dict[str, Any] = {"client_id": client_id, "scopes": scopes, "resource": resource, "subject": subject}
        self.access[access] = AccessToken(token=access, **kept)
        self.refresh[refresh] = RefreshToken(token=refresh, **kept)
        return OAuthToken(
            access_token=access, refresh_token=refresh, expires_in=self.lifetime_s, scope=" ".join(scopes)
        )

    def app(self, *, sse: bool) -> ASGIApp:
        auth = AuthSettings(
            issuer_url=AnyHttpUrl(self.origin), resource_server_url=AnyHttpUrl(self.url), required_scopes=["read"],
            client_registration_options=ClientRegistrationOptions(
                enabled=True, valid_scopes=SCOPES, default_scopes=SCOPES
            ),
            validate_token_resource=True,
        )  # fmt: skip
        server = MCPServer("protected", auth_server_provider=self, auth=auth)

        @server.tool()
        def whoami() -> str:
            token = get_access_token()
            return str(token.subject) if token is not None else "nobody"

        @server.tool()
        def admin() -> str:
            return "done"

        return _Watched(self, server.sse_app(sse_path="/mcp") if sse else server.streamable_http_app())


class _Watched:
    """Notes what arrives, and lets nobody call `admin` without the scope."""

    def __init__(self, site: Site, app: ASGIApp) -> None:
        self._site = site
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        first = await receive()
        body: bytes = first.get("body", b"")
        headers = {name.decode(): value.decode() for name, value in scope["headers"]}
        authorization = headers.get("authorization", "")
        self._site.shown.append(authorization)
        self._site.asked.append({"path": scope["path"], **dict(parse_qsl(body.decode("utf-8", "replace")))})
        token = self._site.access.get(authorization.removeprefix("Bearer "))
        if scope["path"] == "/mcp" and b'"admin"' in body and token is not None and "admin" not in token.scopes:
            challenge = b'Bearer error="insufficient_scope", scope="admin"'
            await send({"type": "http.response.start", "status": 403, "headers": [(b"www-authenticate", challenge)]})
            await send({"type": "http.response.body", "body": b""})
            return
        given = [first]

        async def again() -> Message:
            return given.pop() if given else await receive()

        await self._app(scope, again, send)


@asynccontextmanager
async def protected_site(*, sse: bool = False) -> AsyncIterator[Site]:
    """Serve both on one port of this machine for the length of the block."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        site = Site(listener.getsockname()[1])
        config = uvicorn.Config(site.app(sse=sse), log_level="critical", lifespan="on", timeout_graceful_shutdown=1)
        server = uvicorn.Server(config)
        server.install_signal_handlers = lambda: None  # type: ignore[attr-defined]  # the test's own stay
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(server.serve, [listener])
            try:
                yield site
            finally:
                server.should_exit = True


async def browse(url: str) -> httpx2.Response:
    """Open a page as a browser does, following redirects, and return the last one."""
    async with httpx2.AsyncClient(follow_redirects=True, trust_env=False) as browser:
        return await browser.get(url)


def settings(site: Site, *more: str, name: str = "notes") -> str:
    """Return a server's entry."""
    return "\n".join([f"[gateway.servers.{name}]", f'url = "{site.url}"', *more, ""])


def query_of(url: str) -> dict[str, str]:
    return dict(parse_qsl(urlsplit(url).query))


def kept_text(folder: Any) -> str:
    """Return all that is in the files below a folder."""
    return json.dumps([path.read_bytes().decode("latin-1") for path in folder.rglob("*") if path.is_file()])
