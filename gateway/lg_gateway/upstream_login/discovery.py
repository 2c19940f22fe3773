"""Finds out where a server's callers log in: from its refusal, its own metadata, and its authorization server's.

Nothing is believed that is not checked: metadata must be about the very server and the very issuer that were asked
for, every address must be https or on this machine, and PKCE must be offered.

Sources: RFC 9728 for the server's metadata, RFC 8414 and OpenID Connect Discovery for the authorization server's, and
the MCP specification of 2025-11-25 for the order in which addresses are tried.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from lg_gateway.upstream_login.challenges import Refusal, refusal_of, scopes_of
from lg_gateway.upstream_login.login_errors import LoginFailed
from lg_gateway.upstream_login.login_http import LoginHttp, checked_address
from lg_gateway.upstream_login.login_spec import LoginSpec
from lg_policy.outgoing.checked_http import Answered, origin_of, shown
from lg_policy.printing import visible

LISTED = 100
"""Entries of one list in metadata that are read."""
WORD_CHARACTERS = 200
_OK, _ELSEWHERE = 200, range(300, 500)
_PROBE = (
    b'{"jsonrpc":"2.0","id":"login","method":"initialize","params":{"protocolVersion":"2025-06-18",'
    b'"capabilities":{},"clientInfo":{"name":"lg-gateway","version":"0"}}}'
)
_PROBE_HEADERS = {"Content-Type": "application/json", "Accept": "application/json, text/event-stream"}


@dataclass(frozen=True, kw_only=True)
class AuthorizationServer:
    """An authorization server, as its checked metadata describes it."""

    issuer: str
    token_endpoint: str
    authorization_endpoint: str = ""
    registration_endpoint: str = ""
    revocation_endpoint: str = ""
    scopes: tuple[str, ...] = ()
    client_auth: tuple[str, ...] = ()
    grants: tuple[str, ...] = ()
    pkce: bool = False
    names_itself: bool = False
    """Whether it says `iss` in each response (RFC 9207), so that one without it is not its."""
    metadata_documents: bool = False
    """Whether the address of a document counts as the id of a client."""


@dataclass(frozen=True, kw_only=True)
class Found:
    """Where one server's callers log in, and for what."""

    resource: str
    server: AuthorizationServer
    scopes: tuple[str, ...]
    """What to ask for: what the refusal names, else what the server's metadata lists."""


async def discover(spec: LoginSpec, http: LoginHttp, refusal: Refusal | None = None) -> Found:
    """Return where to log in at a server. Raises `LoginFailed`, which says which check failed."""
    if refusal is None:
        refusal = await probe(spec, http)
    about = await _resource_metadata(spec, http, refusal)
    resource, named = spec.resource, _origin(spec.url)
    listed: tuple[str, ...] = ()
    if about is not None:
        resource = about["resource"] if spec.resource == spec.url else spec.resource
        listed = scopes_of(about.get("scopes_supported"))
        named = _chosen(spec, about)
    elif spec.issuer is None and refusal.status not in (401, 403):
        raise LoginFailed(f"server {spec.server} asks for no login: it took a request without one")
    server = await authorization_server(spec.issuer or named, http)
    scopes = spec.scopes or refusal.challenge.scopes or listed
    return Found(resource=resource, server=server, scopes=scopes)


async def probe(spec: LoginSpec, http: LoginHttp) -> Refusal:
    """Ask the server for something without a login, and return what it says. The request changes nothing there."""
    checked_address(spec.url)
    answer = await http.post(spec.url, _PROBE, _PROBE_HEADERS)
    return refusal_of(answer.status, answer.challenge)


async def authorization_server(issuer: str, http: LoginHttp) -> AuthorizationServer:
    """Fetch and check the metadata of an issuer. Raises `LoginFailed`."""
    checked_address(issuer)
    for url in metadata_urls(issuer):
        answer = await http.get(url)
        if answer.status in _ELSEWHERE:
            continue
        about = _document(answer, url)
        if about.get("issuer") not in _same_issuer(issuer):
            raise LoginFailed(
                f"{shown(url)} is the metadata of {_word(about.get('issuer'))!r}, not of the issuer {shown(issuer)}"
            )
        return _server(about, url)
    raise LoginFailed(f"the authorization server {shown(issuer)} publishes no metadata")


def _same_issuer(issuer: str) -> tuple[str, ...]:
    """Return how an issuer may spell its name. Only an empty path has two spellings (RFC 3986, section 6.2.3)."""
    return (issuer, issuer.rstrip("/"), f"{issuer}/") if urlsplit(issuer).path in ("", "/") else (issuer,)


def metadata_urls(issuer: str) -> tuple[str, ...]:
    """Return the addresses to try for an issuer's metadata, in the order of the MCP specification."""
    path = urlsplit(issuer).path.rstrip("/")
    forms = [f"/.well-known/oauth-authorization-server{path}", f"/.well-known/openid-configuration{path}"]
    if path:
        forms.append(f"{path}/.well-known/openid-configuration")
    return tuple(_at(issuer, form) for form in forms)


def resource_metadata_urls(url: str) -> tuple[str, ...]:
    """Return the addresses to try for a server's own metadata: with its path, then without."""
    path = urlsplit(url).path.rstrip("/")
    forms = dict.fromkeys((f"/.well-known/oauth-protected-resource{path}", "/.well-known/oauth-protected-resource"))
    return tuple(_at(url, form) for form in forms)


async def _resource_metadata(spec: LoginSpec, http: LoginHttp, refusal: Refusal) -> dict[str, Any] | None:
    """Return the server's metadata, checked; `None` where it publishes none."""
    named = refusal.challenge.resource_metadata
    for url in (named,) if named else resource_metadata_urls(spec.url):
        answer = await http.get(url)
        if answer.status in _ELSEWHERE and not named:
            continue
        about = dict(_document(answer, url))
        resource = about.get("resource")
        if not isinstance(resource, str) or not covers(resource, spec.url):
            raise LoginFailed(
                f"{shown(url)} is the metadata of {_word(resource)!r}, not of the server {shown(spec.url)}"
            )
        return about
    return None


def covers(resource: str, url: str) -> bool:
    """Return whether the resource that metadata names is the server: its origin, and its path or a part before it."""
    try:
        checked_address(resource)
        if origin_of(resource) != origin_of(url):
            return False
    except LoginFailed:
        return False
    wanted, given = (f"{urlsplit(address).path.rstrip('/')}/" for address in (url, resource))
    return wanted.startswith(given) and not urlsplit(resource).query


def _chosen(spec: LoginSpec, about: Mapping[str, Any]) -> str:
    """Return the authorization server to use: that of the settings, which the server must name too, or the first."""
    listed = about.get("authorization_servers")
    servers = [name for name in (listed if isinstance(listed, list) else [])[:LISTED] if isinstance(name, str)]
    if spec.issuer is not None:
        if not any(name in _same_issuer(spec.issuer) for name in servers):
            raise LoginFailed(
                f"server {spec.server} names the authorization server {_word(servers[0] if servers else None)!r}, and"
                f" the settings want {shown(spec.issuer)}"
            )
        return spec.issuer
    if not servers:
        raise LoginFailed(f"the metadata of server {spec.server} names no authorization server")
    return servers[0]


def _server(about: Mapping[str, Any], url: str) -> AuthorizationServer:
    def address(name: str, *, needed: bool = False) -> str:
        value = about.get(name)
        if value is None and not needed:
            return ""
        if not isinstance(value, str):
            raise LoginFailed(f"{shown(url)} names no {name}")
        return checked_address(value)

    return AuthorizationServer(
        issuer=str(about["issuer"]),
        token_endpoint=address("token_endpoint", needed=True),
        authorization_endpoint=address("authorization_endpoint"),
        registration_endpoint=address("registration_endpoint"),
        revocation_endpoint=address("revocation_endpoint"),
        scopes=scopes_of(about.get("scopes_supported")),
        client_auth=_words(about.get("token_endpoint_auth_methods_supported")) or ("client_secret_basic",),
        grants=_words(about.get("grant_types_supported")) or ("authorization_code",),
        pkce="S256" in _words(about.get("code_challenge_methods_supported")),
        names_itself=about.get("authorization_response_iss_parameter_supported") is True,
        metadata_documents=about.get("client_id_metadata_document_supported") is True,
    )


def _document(answer: Answered, url: str) -> Mapping[str, Any]:
    if answer.status != _OK:
        raise LoginFailed(f"{shown(url)} answered {answer.status}")
    if answer.body is None:
        raise LoginFailed(f"{shown(url)} did not answer with a JSON object")
    return answer.body


def _words(value: object) -> tuple[str, ...]:
    words: Iterable[object] = value[:LISTED] if isinstance(value, list) else ()
    return tuple(word for word in words if isinstance(word, str) and len(word) <= WORD_CHARACTERS)


def _word(value: object) -> str:
    return visible(str(value)[:WORD_CHARACTERS])


def _origin(url: str) -> str:
    parts = urlsplit(url)
    return urlunsplit((parts.scheme, parts.netloc, "", "", ""))


def _at(url: str, path: str) -> str:
    parts = urlsplit(url)
    return urlunsplit((parts.scheme, parts.netloc, path, "", ""))
