"""Settings: who may log in to the console besides holders of a link or a token. Part of the tree in `config`."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from lg_policy.config.http import ALGORITHMS, Algorithm, SafeUrl
from lg_policy.config.section import PositiveFloat, Section


class OidcSettings(Section):
    """An OpenID Connect provider that people log in with: authorization code with PKCE."""

    issuer: SafeUrl
    """The provider, exactly as its ID tokens name it in `iss`. Its addresses come from discovery."""
    client_id: Annotated[str, Field(min_length=1, max_length=500)]
    """What the provider calls the console. Register `<the console's address>/login/callback` there."""
    client_secret: Annotated[str, Field(pattern=r"^(\$\{[^{}]{1,200}\})?$")] = ""
    """`${NAME}` takes it from the environment, `${secret:NAME}` from the keyring (`lg-gateway secrets set NAME`). Leave
    it out for a public client."""
    roles: dict[str, Literal["viewer", "approver", "operator"]]
    """Roles by group, such as `{ platform = "operator", staff = "viewer" }`. A person has the highest role of their
    groups. Whoever is in none of them cannot log in."""
    groups_claim: Annotated[str, Field(min_length=1)] = "groups"
    """The claim of the ID token that lists groups."""
    name_claim: Annotated[str, Field(min_length=1)] = "sub"
    """The claim that names the person: the ledger says `oidc:<its value>`. It must be one that people cannot choose."""
    scopes: tuple[Annotated[str, Field(pattern=r"^[!#-\[\]-~]{1,100}$")], ...] = ("openid",)
    """Scopes to ask for. Some providers list groups only when asked, with `groups`."""
    algorithms: tuple[Algorithm, ...] = ALGORITHMS
    """Accepted signature algorithms."""
    clock_skew_s: Annotated[float, Field(ge=0, le=600)] = 30
    """Seconds that the clocks of the two machines may differ."""
    timeout_s: PositiveFloat = 5
    """Seconds for one request to the provider."""

    @model_validator(mode="after")
    def _asks_for_openid(self) -> Self:
        if "openid" not in self.scopes:
            raise ValueError("scopes must contain openid")
        return self


class ConsoleSettings(Section):
    """The console."""

    address: SafeUrl | None = None
    """Its address as browsers have it, such as `https://lg.example.com`. Needed for `oidc` behind a TLS proxy."""
    oidc: OidcSettings | None = None
    """Let people log in with an OpenID Connect provider."""
