"""Decides how the gateway names itself at an authorization server.

In this order: the `client_id` of the settings; the address of a document about the client, where the server reads
such documents; registration (RFC 7591), where the server offers it. A registered id is used at its own server only.
"""

from __future__ import annotations

import json

from lg_gateway.upstream_login.discovery import AuthorizationServer
from lg_gateway.upstream_login.login_errors import LoginFailed
from lg_gateway.upstream_login.login_http import LoginHttp
from lg_gateway.upstream_login.login_spec import LoginSpec
from lg_gateway.upstream_login.token_endpoint import PRIVATE_KEY, Client
from lg_policy.outgoing.checked_http import shown
from lg_policy.printing import visible

CLIENT_NAME = "lg-gateway"
ID_CHARACTERS = 2_000
_CREATED = (200, 201)
_METHODS = ("none", "client_secret_basic", "client_secret_post")


async def client_at(
    spec: LoginSpec, server: AuthorizationServer, http: LoginHttp, *, redirect_uri: str, scopes: tuple[str, ...]
) -> Client:
    """Return the client to be. Raises `LoginFailed` where there is no way to be one."""
    if spec.client_id is not None:
        return configured_client(spec)
    if spec.client_metadata_url is not None and server.metadata_documents:
        return Client(client_id=spec.client_metadata_url)
    if server.registration_endpoint:
        return await _registered(server, http, redirect_uri, scopes)
    raise LoginFailed(
        f"the authorization server {shown(server.issuer)} registers no clients; register the gateway there, and set"
        f" gateway.servers.{spec.server}.oauth.client_id"
    )


def configured_client(spec: LoginSpec) -> Client:
    """Return the client of the settings."""
    if spec.client_key:
        audience = spec.issuer or spec.token_url or ""
        return Client(client_id=spec.client_id or "", secret=spec.client_key, method=PRIVATE_KEY, audience=audience)
    secret = "client_secret_post" if spec.in_body else "client_secret_basic"
    return Client(
        client_id=spec.client_id or "",
        secret=spec.client_secret,
        method=secret if spec.client_secret else "none",
    )


async def _registered(
    server: AuthorizationServer, http: LoginHttp, redirect_uri: str, scopes: tuple[str, ...]
) -> Client:
    wanted = next((method for method in _METHODS if method in server.client_auth), "none")
    about = {
        "client_name": CLIENT_NAME,
        "application_type": "native",
        "redirect_uris": [redirect_uri],
        "grant_types": ["authorization_code", "refresh_token"],
        "response_types": ["code"],
        "token_endpoint_auth_method": wanted,
        **({"scope": " ".join(scopes)} if scopes else {}),
    }
    body = json.dumps(about).encode("ascii")
    answer = await http.post(server.registration_endpoint, body, {"Content-Type": "application/json"})
    given = answer.body or {}
    client_id, secret = given.get("client_id"), given.get("client_secret") or ""
    if answer.status not in _CREATED or not _is_sendable(client_id):
        error = given.get("error_description") or given.get("error") or ""
        words = f": {visible(str(error)[:200])}" if error else ""
        raise LoginFailed(
            f"{shown(server.registration_endpoint)} did not register the gateway: it answered {answer.status}{words}"
        )
    assumed = "none" if not secret else wanted if wanted != "none" else "client_secret_basic"
    method = given.get("token_endpoint_auth_method") or assumed
    if method not in _METHODS or (secret and not _is_sendable(secret)) or (method != "none" and not secret):
        raise LoginFailed(
            f"{shown(server.registration_endpoint)} registered the gateway for the login method"
            f" {visible(str(method)[:100])!r}, which it does not know"
        )
    return Client(client_id=str(client_id), secret=str(secret) if method != "none" else "", method=str(method))


def _is_sendable(text: object) -> bool:
    """Return whether an id or a secret can be sent back: JSON has texts that no encoding has, such as half a pair."""
    return isinstance(text, str) and 0 < len(text) <= ID_CHARACTERS and text.isprintable()
