"""Asks an authorization server for tokens: the requests and answers of RFC 6749, checked and limited."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import quote, urlencode

from lg_gateway.upstream_login.challenges import scopes_of
from lg_gateway.upstream_login.client_assertion import ASSERTION, signed_assertion
from lg_gateway.upstream_login.login_errors import LoginFailed, TokenRefused
from lg_gateway.upstream_login.login_http import LoginHttp
from lg_policy.outgoing.checked_http import shown
from lg_policy.printing import visible

TOKEN_CHARACTERS = 32_000
LIFETIME_S = 300.0
"""How long a token counts as good whose lifetime the server does not say."""
LONGEST_S = 10 * 365 * 86_400.0
PRIVATE_KEY = "private_key_jwt"
_OF_PEOPLE = ("authorization_code", "refresh_token")
_OK, _REFUSED = 200, (400, 401, 403)


@dataclass(frozen=True, kw_only=True)
class Client:
    """How the gateway names itself at an authorization server. `method` is one of RFC 7591."""

    client_id: str
    secret: str = field(default="", repr=False)
    method: str = "none"
    audience: str = ""
    """The authorization server that may take what the client signs with its key, which then is the secret."""


@dataclass(frozen=True, kw_only=True)
class Tokens:
    """The tokens of one answer. `lifetime_s` counts from the answer."""

    access: str = field(repr=False)
    refresh: str = field(default="", repr=False)
    lifetime_s: float = LIFETIME_S
    scopes: tuple[str, ...] = ()
    """What the token is good for, where that differs from what was asked."""


async def ask_for_tokens(http: LoginHttp, url: str, client: Client, form: Mapping[str, str]) -> Tokens:
    """Send one request to a token endpoint. Raises `TokenRefused`, or `LoginFailed` where it is not known why."""
    fields, headers = client_fields(client, always_named=form["grant_type"] in _OF_PEOPLE)
    fields = {**form, **fields}
    answer = await http.post(url, urlencode(fields).encode("ascii"), headers)
    body = answer.body or {}
    if answer.status != _OK:
        code = _word(body.get("error"))
        said = f"{answer.status} {code}".strip()
        if code and answer.status in _REFUSED:
            raise TokenRefused(f"no token from {shown(url)}: it answered {said}", code)
        raise LoginFailed(f"no token from {shown(url)}: it answered {said}")
    return _tokens(body, url)


def client_fields(client: Client, *, always_named: bool) -> tuple[dict[str, str], dict[str, str]]:
    """Return the fields of a form and the headers that say which client asks.

    Raises `LoginFailed` for a private key that cannot sign.

    `always_named`: the form has its id even with HTTP Basic, since servers made with the MCP SDKs read it there.
    """
    fields, headers = {}, {"Content-Type": "application/x-www-form-urlencoded"}
    if client.method == "client_secret_basic":
        pair = f"{quote(client.client_id, safe='')}:{quote(client.secret, safe='')}"
        headers["Authorization"] = f"Basic {base64.b64encode(pair.encode()).decode('ascii')}"
    elif client.method == "client_secret_post":
        fields["client_secret"] = client.secret
    elif client.method == PRIVATE_KEY:
        fields["client_assertion_type"] = ASSERTION
        fields["client_assertion"] = signed_assertion(client.client_id, client.secret, client.audience)
    if always_named or client.method != "client_secret_basic":
        fields["client_id"] = client.client_id
    return fields, headers


def _tokens(body: Mapping[str, object], url: str) -> Tokens:
    access, kind = body.get("access_token"), body.get("token_type")
    if not isinstance(access, str) or not isinstance(kind, str):
        raise LoginFailed(f"no token from {shown(url)}: its answer is not a token")
    if kind.lower() != "bearer" or not _sendable(access):
        raise LoginFailed(f"no token from {shown(url)}: not a bearer token")
    refresh = body.get("refresh_token")
    return Tokens(
        access=access,
        refresh=refresh if isinstance(refresh, str) and _sendable(refresh) else "",
        lifetime_s=_lifetime(body.get("expires_in")),
        scopes=scopes_of(body.get("scope")),
    )


def _sendable(token: str) -> bool:
    """Return whether a token can stand in a header: RFC 6750 has fewer characters still."""
    return 0 < len(token) <= TOKEN_CHARACTERS and token.isascii() and token.isprintable() and " " not in token


def _lifetime(value: object) -> float:
    try:
        seconds = float(value) if isinstance(value, int | float | str) and not isinstance(value, bool) else LIFETIME_S
    except (ValueError, OverflowError):  # the latter for a whole number of hundreds of digits
        return LIFETIME_S
    return min(max(seconds, 0.0), LONGEST_S) if seconds == seconds else LIFETIME_S


def _word(value: object) -> str:
    return visible(value[:100]) if isinstance(value, str) else ""
