"""Settings: who may call the gateway over HTTP. Part of the tree in `config`."""

from __future__ import annotations

import ipaddress
from contextlib import suppress
from typing import Annotated, Literal, Self, get_args
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, model_validator

from lg_policy.config.section import PositiveFloat, Section

Algorithm = Literal["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"]
ALGORITHMS: tuple[Algorithm, ...] = get_args(Algorithm)


def is_loopback(host: str) -> bool:
    """Return whether a host name or address means this machine alone."""
    if host == "localhost":
        return True
    with suppress(ValueError):
        return ipaddress.ip_address(host).is_loopback
    return False


def safe_url(url: str) -> str:
    """Return an address that secrets and keys may travel to: https, or http on this machine. Raises `ValueError`."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    if not host or parts.scheme not in ("http", "https") or (parts.scheme == "http" and not is_loopback(host)):
        raise ValueError(f"{url!r} must be an https address, or http on this machine")
    return url


SafeUrl = Annotated[str, AfterValidator(safe_url)]


class OAuthSettings(Section):
    """Access tokens of an OAuth 2.1 authorization server: JWTs, checked against its published keys."""

    issuer: SafeUrl
    """The authorization server, exactly as tokens name it in `iss`."""
    audience: str = ""
    """The value that tokens must name in `aud`; by default `gateway.http.resource_url`."""
    jwks_url: SafeUrl | None = None
    """Where its keys are; by default as its metadata says (RFC 8414, or OpenID Connect discovery)."""
    algorithms: tuple[Algorithm, ...] = ALGORITHMS
    """Accepted signature algorithms. Symmetric ones and `none` cannot be named."""
    identity_claim: str = "sub"
    """The claim that names the caller; the identity in rules and ledger is `oauth:<its value>`."""
    groups_claim: str = ""
    """The claim that lists the caller's groups, such as `groups`."""
    groups: tuple[Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9 ._@-]{0,99}$")], ...] = ()
    """Groups that count, in this order. A caller belongs to the first that its token lists, and its identity is then
    `oauth-group:<group>/<its name>`: rules, limits and profiles say `identities = ["oauth-group:platform/*"]`. A caller
    in none of them stays `oauth:<its name>`."""
    clock_skew_s: Annotated[float, Field(ge=0, le=600)] = 30
    """Seconds that the clocks of the two machines may differ."""
    keys_ttl_s: PositiveFloat = 300
    """Seconds until fetched keys are fetched again."""
    keys_cooldown_s: PositiveFloat = 30
    """Shortest time in seconds between two fetches for an unknown key. A new key may wait that long."""
    timeout_s: PositiveFloat = 5
    """Seconds for one request to the authorization server."""

    @model_validator(mode="after")
    def _groups_are_known(self) -> Self:
        if bool(self.groups) != bool(self.groups_claim):
            raise ValueError("groups and groups_claim need each other")
        return self


class HttpSettings(Section):
    """Who may call the gateway over HTTP. On stdio the caller is the local user."""

    login: Literal["required", "none"] = "required"
    """`required`: a token (`lg-gateway tokens create`, or OAuth). `none`: every program on this machine counts as the
    local user, and only loopback addresses are served. Also `serve --no-login`."""
    required_scopes: tuple[str, ...] = ()
    """Scopes that every token must carry."""
    resource_url: SafeUrl | None = None
    """The address that clients use, as tokens name it. OAuth needs it, and publishes it for discovery."""
    allowed_hosts: tuple[str, ...] = ()
    """`Host` values that are accepted besides loopback ones. Set it to listen on any other address. A value without a
    port accepts any port."""
    allowed_origins: tuple[str, ...] = ()
    """`Origin` values of web pages that may call with a token, such as `https://app.example.com`."""
    ready_needs: Literal["servers", "builtin", "store"] = "servers"
    """What must be up for `/readyz` to answer 200, besides the store. `servers`: every server of the settings.
    `builtin`: the built-in ones. `store`: nothing else. By default one server that is down takes the gateway out of a
    load balancer."""
    oauth: OAuthSettings | None = None
    """Accept access tokens of an authorization server."""

    @model_validator(mode="after")
    def _resource_is_known(self) -> Self:
        if self.oauth is not None and self.resource_url is None:
            raise ValueError("gateway.http.oauth needs gateway.http.resource_url: the address that clients use")
        return self
