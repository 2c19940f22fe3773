"""Says how the gateway logs in at one server. Imports little: it is read before servers start."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

Grant = Literal["authorization_code", "client_credentials", "token_exchange"]


@dataclass(frozen=True, kw_only=True)
class LoginSpec:
    """How to get a token for one server."""

    server: str
    """The server's name in the settings."""
    url: str
    resource: str
    """What a token is for (RFC 8707)."""
    grant: Grant = "authorization_code"
    issuer: str | None = None
    """The only authorization server that is used; `None`: the one that the server names."""
    token_url: str | None = None
    client_id: str | None = None
    client_secret: str = field(default="", repr=False)
    client_key: str = field(default="", repr=False)
    """A private key instead, as PEM or JWK."""
    client_metadata_url: str | None = None
    scopes: tuple[str, ...] = ()
    in_body: bool = False
    """Send id and secret in the form rather than as HTTP Basic."""
    per_caller: bool = False
    redirect_port: int = 0

    @property
    def credential(self) -> str:
        """The client's secret or its private key, "" without one."""
        return self.client_secret or self.client_key

    def trusted_addresses(self) -> tuple[str, ...]:
        """Return the addresses that a person wrote down. Whatever else a server names must be on the public network."""
        return tuple(address for address in (self.url, self.issuer, self.token_url) if address)

    def holder(self, identity: str) -> str:
        """Return whose login a call of this identity uses: its own, or "" for the one that all share."""
        return identity if self.per_caller else ""
