"""Forgets a login, and has its authorization server end it where it can (RFC 7009)."""

from __future__ import annotations

from urllib.parse import urlencode

from anyio.to_thread import run_sync

from lg_gateway.upstream_login.login_errors import LoginFailed
from lg_gateway.upstream_login.login_http import LoginHttp
from lg_gateway.upstream_login.login_spec import LoginSpec
from lg_gateway.upstream_login.login_store import Login, LoginStore, login_id
from lg_gateway.upstream_login.token_endpoint import client_fields
from lg_policy.errors import ConfigError
from lg_policy.outgoing.checked_http import shown

_OK = 200


async def log_out(spec: LoginSpec, holder: str, store: LoginStore) -> tuple[Login | None, str]:
    """Return the login that was forgotten, `None` if there was none, and what its authorization server knows of it."""
    key = login_id(spec.url, holder)
    async with store.locked(key):
        try:
            login = await run_sync(store.read, key)
        except ConfigError:
            login = None  # it cannot be read, and can be removed
        if not await run_sync(store.remove, key):
            return None, ""
    if login is None or not login.revocation_endpoint:
        return login, "its authorization server takes no notice of that; the tokens end by themselves"
    try:
        await _revoke(spec, login)
    except LoginFailed as error:
        return login, f"its authorization server was not told: {error}"
    return login, f"{shown(login.issuer)} has ended its tokens"


async def _revoke(spec: LoginSpec, login: Login) -> None:
    http = LoginHttp(spec.trusted_addresses())
    fields, headers = client_fields(login.client(spec.client_id, spec.credential), always_named=True)
    for token, kind in ((login.refresh, "refresh_token"), (login.access, "access_token")):
        if token:
            body = urlencode({"token": token, "token_type_hint": kind, **fields}).encode("ascii")
            answer = await http.post(login.revocation_endpoint, body, headers)
            if answer.status != _OK:
                raise LoginFailed(f"{shown(login.revocation_endpoint)} answered {answer.status}")
