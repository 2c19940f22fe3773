"""Checks access tokens of an authorization server: JWTs that it signed with one of the keys that it publishes.

Checks the signature, issuer, audience, time and token type. Only the algorithms in the settings are allowed. A key
counts only for its own algorithm, and nothing in a token says where keys come from. Does not detect that the server
revoked a token before it expired: the gateway would have to ask the server.

Sources: RFC 9068 and RFC 8725 for the checks, RFC 8414 and OpenID Connect Discovery for finding the keys. PyJWT checks
the signature and caches the keys. They are fetched as all documents of an issuer are: `lg_policy.outgoing`.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from threading import Lock
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import anyio
import jwt

from lg_policy.config.http import OAuthSettings, safe_url
from lg_policy.outgoing.checked_http import RequestFailed, shown
from lg_policy.outgoing.issuer_keys import IssuerKeys, IssuerRequests
from lg_policy.wire.repeated_log import once_per_kind

log = once_per_kind(logging.getLogger(__name__))

TYPES = (None, "jwt", "at+jwt", "application/at+jwt")
NAME_LENGTH = 200
AT_ONCE = 4
"""Tokens that are checked at once. A slow issuer keeps no more threads than that from other work."""
_OK, _MISSING = 200, 404


@dataclass(frozen=True, kw_only=True)
class Principal:
    """The caller that a valid token names. `expires` is in seconds since the epoch and includes the allowed skew."""

    name: str
    subject: str
    client_id: str
    issuer: str
    scopes: tuple[str, ...]
    expires: float
    group: str = ""
    """The group that it counts for; "" for none."""

    @property
    def identity(self) -> str:
        """Who calls, for rules and records. No name of a caller can imitate a group: the beginning is ours."""
        return f"oauth-group:{self.group}/{self.name}" if self.group else f"oauth:{self.name}"


class JwtVerifier:
    """Checks access tokens. `audience` is the address they must be issued for; `clock` is monotonic."""

    def __init__(self, settings: OAuthSettings, audience: str, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._settings = settings
        self._audience = audience
        self._clock = clock
        trusted = (settings.issuer, settings.jwks_url) if settings.jwks_url else (settings.issuer,)
        self._requests = IssuerRequests(trusted, settings.timeout_s)
        self._client: IssuerKeys | None = None
        self._turns: anyio.CapacityLimiter | None = None
        self._finding = Lock()
        self._failed_at: float | None = None

    async def verify(self, token: str) -> Principal | None:
        """Return the caller that a token names, or `None` if it is not valid. The log says why, never the token."""
        self._turns = self._turns or anyio.CapacityLimiter(AT_ONCE)
        try:
            # Fetching the keys blocks the calling thread.
            return await anyio.to_thread.run_sync(self._verify, token, limiter=self._turns)
        except (jwt.PyJWTError, RequestFailed, ValueError) as error:
            message = f"refused an access token ({type(error).__name__}): %s"
            log.info(message, str(error)[:300])
            return None

    def keys(self) -> int:
        """Fetch the keys, return how many there are. Blocks. Raises `PyJWTError`, `RequestFailed`, `ValueError`."""
        return len(self._keys().get_signing_keys(refresh=True))

    def _verify(self, token: str) -> Principal:
        settings = self._settings
        header = jwt.get_unverified_header(token)
        kind = header.get("typ")
        if (kind.lower() if isinstance(kind, str) else kind) not in TYPES:
            raise ValueError(f"a token of type {kind!r} is not an access token")
        if header.get("alg") not in settings.algorithms:
            raise ValueError(f"the algorithm {header.get('alg')!r} is not allowed")
        key = self._keys().get_signing_key(_key_id(header))
        claims = jwt.decode(
            token,
            key,
            algorithms=list(settings.algorithms),
            issuer=settings.issuer,
            audience=self._audience,
            leeway=settings.clock_skew_s,
            options={"require": ["exp", "iss", "aud", "sub"]},
        )
        return Principal(
            name=_name(claims, settings.identity_claim),
            subject=str(claims["sub"]),
            client_id=str(claims.get("client_id") or claims.get("azp") or claims["sub"]),
            issuer=settings.issuer,
            scopes=_scopes(claims),
            expires=float(claims["exp"]) + settings.clock_skew_s,
            group=_group(claims, settings),
        )

    def _keys(self) -> IssuerKeys:
        with self._finding:
            if self._client is None:
                cooldown = self._settings.keys_cooldown_s
                if self._failed_at is not None and self._clock() - self._failed_at < cooldown:
                    raise ValueError("the authorization server did not say where its keys are; trying again later")
                try:
                    url = self._settings.jwks_url or self._discover()
                except (RequestFailed, ValueError):
                    self._failed_at = self._clock()
                    raise
                lifespan = self._settings.keys_ttl_s
                self._client = IssuerKeys(url, self._requests, lifespan=lifespan, cooldown=cooldown, clock=self._clock)
            return self._client

    def _discover(self) -> str:
        """Ask the issuer where its keys are. Raises `RequestFailed` or `ValueError`."""
        for url in metadata_urls(self._settings.issuer):
            answer = self._requests.get(url)
            if answer.status == _MISSING:
                continue
            found = answer.body
            if answer.status != _OK or found is None or found.get("issuer") != self._settings.issuer:
                raise ValueError(f"{shown(url)} is not the metadata of the issuer {self._settings.issuer}")
            return safe_url(str(found.get("jwks_uri")))
        raise ValueError(f"{self._settings.issuer} publishes no metadata; set gateway.http.oauth.jwks_url")


def metadata_urls(issuer: str) -> tuple[str, ...]:
    """Return the addresses to try for an issuer's metadata: RFC 8414, section 3.1, then OpenID Connect Discovery."""
    parts = urlsplit(issuer)
    path = parts.path.rstrip("/")

    def at(whole: str) -> str:
        return urlunsplit((parts.scheme, parts.netloc, whole, "", ""))

    return (
        at(f"/.well-known/oauth-authorization-server{path}"),
        at(f"{path}/.well-known/openid-configuration"),
    )


def _key_id(header: Mapping[str, Any]) -> str:
    kid = header.get("kid")
    if not isinstance(kid, str) or not kid:
        raise ValueError("the token does not say which key signed it")
    return kid


def _name(claims: Mapping[str, Any], claim: str) -> str:
    name = claims.get(claim)
    if not isinstance(name, str) or not name or len(name) > NAME_LENGTH or not name.isprintable():
        raise ValueError(f"the claim {claim!r} does not name a caller")
    return name


def _group(claims: Mapping[str, Any], settings: OAuthSettings) -> str:
    """Return the first group of the settings that a token lists. Some servers write a slash before each."""
    given = claims.get(settings.groups_claim) if settings.groups_claim else None
    listed = [given] if isinstance(given, str) else given if isinstance(given, list) else []
    names = {name.removeprefix("/") for name in listed if isinstance(name, str)}
    return next((group for group in settings.groups if group in names), "")


def _scopes(claims: Mapping[str, Any]) -> tuple[str, ...]:
    given = claims.get("scope", claims.get("scp", ""))
    words = given.split() if isinstance(given, str) else given if isinstance(given, list) else []
    return tuple(word for word in words if isinstance(word, str))
