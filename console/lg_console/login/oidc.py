"""Logs people in with an OpenID Connect provider: authorization code with PKCE, state and nonce.

The ID token comes straight from the provider's token endpoint, in exchange for a code that belongs to this browser's
login. No address of the console takes a token of the provider, so an agent's access token logs nobody in.

Sources: OpenID Connect Core 3.1 and Discovery, RFC 7636 (PKCE), RFC 9207 (`iss` in the answer). PyJWT checks
signatures.
"""

from __future__ import annotations

import base64
import hmac
import logging
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import quote_plus, urlencode, urlsplit

import anyio.to_thread

from lg_console.sources.people import LoggedInBy, Person, Role
from lg_policy.config.http import is_loopback, safe_url
from lg_policy.errors import PolicyDenied, UpstreamUnavailable

if TYPE_CHECKING:
    import jwt

    from lg_policy.config.console import OidcSettings
    from lg_policy.outgoing.issuer_keys import IssuerRequests

log = logging.getLogger(__name__)
T = TypeVar("T")

GROUPS = 1_000
"""Groups of one person that are looked at."""
NAME_CHARACTERS = 200
_WHO = {"issuer", "client_id", "roles", "groups_claim", "name_claim"}
_RANKED = (Role.OPERATOR, Role.APPROVER, Role.VIEWER)


@dataclass(frozen=True, kw_only=True)
class BegunLogin:
    """What belongs to one login until the provider has answered. `cookie` ties it to a browser."""

    state: str
    nonce: str
    verifier: str
    cookie: str

    @classmethod
    def new(cls) -> BegunLogin:
        """Return one with fresh secrets."""
        return cls(**{name: secrets.token_urlsafe(32) for name in ("state", "nonce", "verifier", "cookie")})


class ProviderLogin:
    """One provider. `secret` is the client's, "" for a public client."""

    def __init__(self, settings: OidcSettings, secret: str, address: str | None = None) -> None:
        self._settings = settings
        self._secret = secret
        self.address = address
        self.named = sha256(settings.model_dump_json(include=_WHO).encode()).hexdigest()[:16]
        """Changes with what the settings say about who may log in as what."""
        self._known: dict[str, str] | None = None
        self._requests: IssuerRequests | None = None
        self._keys: jwt.PyJWKClient | None = None

    async def address_of(self, begun: BegunLogin, callback: str) -> str:
        """Return where the browser goes to log in. Raises `UpstreamUnavailable`."""
        known = await anyio.to_thread.run_sync(self._safely, self._discovered)
        challenge = base64.urlsafe_b64encode(sha256(begun.verifier.encode()).digest()).decode().rstrip("=")
        asked = {
            "response_type": "code",
            "client_id": self._settings.client_id,
            "redirect_uri": callback,
            "scope": " ".join(self._settings.scopes),
            "state": begun.state,
            "nonce": begun.nonce,
            "code_challenge": challenge,
            "code_challenge_method": "S256",
        }
        place = known["authorization_endpoint"]
        return f"{place}{'&' if '?' in place else '?'}{urlencode(asked)}"

    async def person(self, begun: BegunLogin, answer: Mapping[str, str], callback: str) -> Person:
        """Return who has logged in. Raises `PolicyDenied`, `UpstreamUnavailable`."""
        if answer.get("iss", self._settings.issuer) != self._settings.issuer:
            raise PolicyDenied("another provider answered", hint="log in again")
        code = answer.get("code", "")
        if not code or answer.get("error"):
            raise PolicyDenied(
                f"the provider refused: {answer.get('error', 'it sent no code')[:100]}", hint="try again"
            )
        return await anyio.to_thread.run_sync(self._safely, lambda: self._exchanged(begun, code, callback))

    def _exchanged(self, begun: BegunLogin, code: str, callback: str) -> Person:
        form = {"grant_type": "authorization_code", "code": code, "redirect_uri": callback}
        form |= {"code_verifier": begun.verifier, "client_id": self._settings.client_id}
        headers = {}
        if self._secret:
            pair = f"{quote_plus(self._settings.client_id)}:{quote_plus(self._secret)}"
            headers["Authorization"] = f"Basic {base64.b64encode(pair.encode()).decode()}"
        found = self._asked().post(self._discovered()["token_endpoint"], form, headers)
        token = found.get("id_token")
        if not isinstance(token, str):
            raise PolicyDenied("the provider sent no ID token", hint="does `console.oidc.scopes` contain openid?")
        return self._named(self._claims(token, begun.nonce))

    def _claims(self, token: str, nonce: str) -> dict[str, Any]:
        import jwt

        settings = self._settings
        try:
            header = jwt.get_unverified_header(token)
            if str(header.get("typ") or "jwt").lower() != "jwt" or header.get("alg") not in settings.algorithms:
                raise PolicyDenied("the provider's answer is no ID token that may be used here")
            claims: dict[str, Any] = jwt.decode(
                token,
                self._signed_by().get_signing_key_from_jwt(token),
                algorithms=list(settings.algorithms),
                issuer=settings.issuer,
                audience=settings.client_id,
                leeway=settings.clock_skew_s,
                options={"require": ["exp", "iat", "iss", "aud", "sub", "nonce"]},
            )
        except jwt.PyJWKClientConnectionError as error:
            raise ValueError(str(error)) from error
        except (jwt.PyJWTError, OverflowError) as error:
            log.info("an ID token was refused (%s): %.300s", type(error).__name__, error)
            raise PolicyDenied("the provider's ID token is not valid", hint="the log says why") from error
        if not hmac.compare_digest(str(claims["nonce"]).encode(), nonce.encode()):
            raise PolicyDenied("the provider's ID token belongs to another login")
        if claims.get("azp", settings.client_id) != settings.client_id or (
            isinstance(claims["aud"], list) and len(claims["aud"]) > 1 and "azp" not in claims
        ):
            raise PolicyDenied("the provider's ID token was made for another program")
        return claims

    def _named(self, claims: Mapping[str, Any]) -> Person:
        name, given = claims.get(self._settings.name_claim), claims.get(self._settings.groups_claim)
        if not isinstance(name, str) or not name or len(name) > NAME_CHARACTERS or not name.isprintable():
            raise PolicyDenied(f"the claim {self._settings.name_claim!r} of the ID token names nobody")
        listed = [given] if isinstance(given, str) else given if isinstance(given, list) else []
        has = {self._settings.roles.get(group) for group in listed[:GROUPS] if isinstance(group, str)}
        role = next((role for role in _RANKED if role.value in has), None)
        if role is None:
            raise PolicyDenied(
                f"{name} is in no group that may use this console",
                hint="an operator of the console adds a group to `console.oidc.roles`",
            )
        return Person(name=f"oidc:{name}", role=role, by=LoggedInBy.PROVIDER, provider=self.named)

    def _discovered(self) -> dict[str, str]:
        """Return the provider's addresses. Blocks, at the first login."""
        if self._known is None:
            place = f"{self._settings.issuer.rstrip('/')}/.well-known/openid-configuration"
            found = self._asked().document(place)
            if found.get("issuer") != self._settings.issuer:
                raise ValueError(f"{place} speaks for another issuer")
            names = ("authorization_endpoint", "token_endpoint", "jwks_uri")
            self._known = {name: provider_place(str(found.get(name)), self._settings.issuer) for name in names}
        return self._known

    def _signed_by(self) -> jwt.PyJWKClient:
        from lg_policy.outgoing.issuer_keys import IssuerKeys

        if self._keys is None:
            self._keys = IssuerKeys(self._discovered()["jwks_uri"], self._asked())
        return self._keys

    def _asked(self) -> IssuerRequests:
        """Return the way to ask the provider; its limits are those of all requests to issuers."""
        from lg_policy.outgoing.issuer_keys import IssuerRequests

        if self._requests is None:
            self._requests = IssuerRequests((self._settings.issuer,), self._settings.timeout_s)
        return self._requests

    def _safely(self, work: Callable[[], T]) -> T:
        """Do something with the provider; its failures are told in words."""
        from lg_policy.outgoing.checked_http import RequestFailed

        try:
            return work()
        except (RequestFailed, ValueError) as error:
            log.warning("the identity provider %s cannot be used: %.300s", self._settings.issuer, error)
            raise UpstreamUnavailable(
                "the identity provider cannot be reached, or its answer cannot be read",
                hint="try again; the log of the console says why",
            ) from error


def provider_place(url: str, issuer: str) -> str:
    """Return an address of a provider. Raises `ValueError` for one on this machine that another one names."""
    if is_loopback(urlsplit(url).hostname or "") and not is_loopback(urlsplit(issuer).hostname or ""):
        raise ValueError(f"{issuer} names an address of this machine: {url}")
    return safe_url(url)
