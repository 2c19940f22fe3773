"""What the HTTP front asks of callers: which hosts, origins and headers count, where a token may stand, until when."""

from __future__ import annotations

import time
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import httpx2
import pytest
from mcp.server.auth.middleware.auth_context import auth_context_var
from mcp.server.auth.middleware.bearer_auth import AuthenticatedUser
from mcp.server.auth.provider import AccessToken
from starlette.applications import Starlette
from starlette.requests import Request

from lg_gateway.identity.authentication import (
    EXPIRES,
    Authentication,
    Verifier,
    caller_of_request,
    login_authentication,
    open_authentication,
    unknown_caller,
)
from lg_gateway.identity.jwt import JwtVerifier
from lg_gateway.identity.tokens import TokenTable
from lg_gateway.ledger.head import HeadFile
from lg_gateway.ledger.ledger import Ledger
from lg_gateway.store.factory import StorePlace, open_store
from lg_gateway.store.interface import StoreDown
from lg_policy.config.http import HttpSettings, OAuthSettings
from lg_policy.errors import PolicyDenied
from tests.gateway.identity.authorization_server import authorization_server

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from lg_gateway.store.interface import Store

pytestmark = pytest.mark.anyio
PAGE = "https://app.test"


@pytest.fixture
def store(tmp_path: Path) -> Iterator[tuple[Store, TokenTable]]:
    ledger = Ledger(HeadFile(tmp_path / "head", b"s" * 32), b"k" * 32)
    place = StorePlace(path=tmp_path / "store.sqlite", url=None, lock_path=tmp_path / "head.lock")
    opened = open_store(place, guard=ledger)
    yield opened, TokenTable(b"t" * 32, ledger)
    opened.close()


def login(store: tuple[Store, TokenTable], **settings: object) -> Authentication:
    return login_authentication(Verifier(*store, None), HttpSettings.model_validate(settings))


async def asked(authentication: Authentication, method: str, url: str, **headers: str) -> httpx2.Response:
    app = Starlette(middleware=list(authentication.middleware))
    async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app=app), base_url="http://127.0.0.1") as client:
        return await client.request(
            method, url, headers={name.replace("_", "-"): text for name, text in headers.items()}
        )


async def test_the_access_of_an_authorization_server_ends_at_its_moment(store: tuple[Store, TokenTable]) -> None:
    now = [1_000.0]
    verifier = Verifier(*store, None, clock=lambda: now[0])

    def access(claims: dict[str, object] | None) -> AccessToken:
        return AccessToken(token="jwt", client_id="c", scopes=[], claims=claims)

    standing = verifier.standing(access({EXPIRES: 1_000.5}))
    await store[0].read(standing)
    now[0] = 1_000.5
    with pytest.raises(PolicyDenied, match="revoked or has expired"):
        await store[0].read(standing)
    now[0] = 0.5
    without: tuple[dict[str, object] | None, ...] = (None, {})
    for claims in without:
        with pytest.raises(PolicyDenied):
            await store[0].read(verifier.standing(access(claims)))


async def test_a_clients_token_names_its_caller_and_an_operators_nobody(store: tuple[Store, TokenTable]) -> None:
    made = {}
    for role in ("client", "operator"):
        given: dict[str, Any] = {"role": role, "scopes": ("a", "b"), "lifetime_s": 60, "now": 1_000.5, "by": "me"}
        made[role] = await store[0].write(partial(store[1].create, name="ci", **given))
    verifier = Verifier(*store, None, clock=lambda: 1_001.0)
    token, text = made["client"]
    known = await verifier.verify_token(text)
    assert known is not None
    assert (known.token, known.client_id, known.scopes, known.expires_at) == (text, token.id, ["a", "b"], 1_060)
    assert (known.subject, known.claims) == ("token:ci", {"identity": "token:ci"})
    await store[0].read(verifier.standing(known))
    for other in (made["operator"][1], "lgt_nonsense", "some.other.token"):
        assert await verifier.verify_token(other) is None


async def test_a_token_of_an_issuer_is_known_with_what_it_says(store: tuple[Store, TokenTable]) -> None:
    with authorization_server() as issuer:
        settings = OAuthSettings.model_validate({"issuer": issuer.url, "clock_skew_s": 30})
        verifier = Verifier(*store, JwtVerifier(settings, "https://gw.test/mcp"))
        ends = int(time.time()) + 100
        text = issuer.token(sub="alice", scope="a b", client_id="app", exp=ends)
        known = await verifier.verify_token(text)
        assert await verifier.verify_token(f"{text}x") is None
    assert known is not None
    assert (known.token, known.client_id, known.scopes, known.expires_at) == (text, "app", ["a", "b"], ends + 30)
    assert known.subject == "alice"
    assert known.claims == {"iss": issuer.url, EXPIRES: ends + 30.0, "identity": "oauth:alice"}


@dataclass(frozen=True)
class Message:
    """What of a message's context says who sent it."""

    request: Request | None


async def test_a_call_has_the_identity_of_the_token_on_its_own_request(store: tuple[Store, TokenTable]) -> None:
    def sent(access: AccessToken | None) -> Any:
        user = AuthenticatedUser(access) if access is not None else "a name"
        return Message(Request({"type": "http", "user": user}))

    front = login(store)
    own = AccessToken(token="lgt_x", client_id="c", scopes=[], claims={"identity": "token:ci"})
    operator = own.model_copy(update={"token": "lgo_x"})
    foreign = AccessToken(token="a.b.c", client_id="c", scopes=[], claims={"identity": "oauth:alice"})
    assert [front.identify(sent(access)) for access in (own, foreign)] == ["token:ci", "oauth:alice"]
    assert [front.subject(sent(access)) for access in (own, operator, foreign)] == ["", "", "a.b.c"]
    without_a_request: Any = Message(None)
    for nobody in (sent(None), without_a_request):
        with pytest.raises(PolicyDenied, match="no token"):
            front.identify(nobody)
    assert caller_of_request() is None
    reset = auth_context_var.set(AuthenticatedUser(foreign))
    assert caller_of_request() == "oauth:alice"
    auth_context_var.reset(reset)
    local = open_authentication("local:me")
    assert (local.identify(sent(None)), local.standing(sent(None)), local.subject(sent(own))) == ("local:me", None, "")


def test_the_sdk_is_told_who_issues_tokens_for_which_address_and_to_leave_the_audience_to_us(
    store: tuple[Store, TokenTable],
) -> None:
    verifier = Verifier(*store, None)
    options = login_authentication(verifier, HttpSettings()).app_options
    assert options["token_verifier"] is verifier
    own = options["auth"]
    assert (str(own.issuer_url).rstrip("/"), own.resource_server_url) == ("http://127.0.0.1", None)
    assert (own.required_scopes, own.validate_token_resource) == (None, False)
    oauth = {"issuer": "https://id.test", "audience": "x"}
    told = login(store, oauth=oauth, resource_url="https://gw.test/mcp", required_scopes=["use"]).app_options["auth"]
    assert (str(told.issuer_url).rstrip("/"), str(told.resource_server_url)) == (
        "https://id.test",
        "https://gw.test/mcp",
    )
    assert told.required_scopes == ["use"]


async def test_a_token_that_cannot_be_looked_up_is_noted_and_one_that_is_unknown_is_not(
    store: tuple[Store, TokenTable],
) -> None:
    verifier, noted, text = Verifier(*store, None), list[Exception](), f"lgt_{'0' * 12}_{'x' * 43}"
    unknown_caller.set(noted)
    assert await verifier.verify_token(text) is None
    assert noted == []
    store[0].close()
    assert await verifier.verify_token(text) is None
    unknown_caller.set(None)
    assert [type(error) for error in noted] == [StoreDown]


def test_only_a_login_authenticates(store: tuple[Store, TokenTable]) -> None:
    assert login(store).authenticated is True
    assert open_authentication("local:me").authenticated is False


def test_this_machine_and_the_configured_hosts_count_with_any_port_of_theirs(store: tuple[Store, TokenTable]) -> None:
    given = login(store, allowed_hosts=["gw.test", "other.test:8443"]).app_options["transport_security"]
    local = ["127.0.0.1", "localhost", "[::1]", "gw.test"]
    assert given.enable_dns_rebinding_protection is True
    assert sorted(given.allowed_hosts) == sorted([*local, *(f"{host}:*" for host in local), "other.test:8443"])
    origins = {f"{scheme}://{host}:*" for host in local[:3] for scheme in ("http", "https")}
    assert set(given.allowed_origins) == origins


@pytest.mark.parametrize("name", ["access_token", "token", "Authorization", "API_KEY"])
async def test_a_token_in_an_address_is_refused_with_the_reason(store: tuple[Store, TokenTable], name: str) -> None:
    answer = await asked(login(store), "GET", f"/mcp?x=1&{name}=lgt_secret")
    assert answer.status_code == 400
    assert answer.json() == {
        "error": "invalid_request", "error_description": "a token belongs in the Authorization header",
    }  # fmt: skip
    assert (await asked(login(store), "GET", "/mcp?tokens=1")).status_code == 404, "passed on"


@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
async def test_a_page_of_a_configured_origin_may_send_what_a_client_sends(
    store: tuple[Store, TokenTable], method: str
) -> None:
    names = (
        "Authorization", "Content-Type", "Last-Event-ID", "Mcp-Session-Id", "Mcp-Protocol-Version", "Mcp-Method",
        "Mcp-Name",
    )  # fmt: skip
    front = login(store, allowed_origins=[PAGE])
    for name in names:
        wanted = {"Access_Control_Request_Method": method, "Access_Control_Request_Headers": name}
        answer = await asked(front, "OPTIONS", "/mcp", Origin=PAGE, **wanted)
        assert answer.status_code == 200, (name, answer.text)
        assert answer.headers["access-control-allow-origin"] == PAGE
    shown = await asked(front, "GET", "/mcp", Origin=PAGE)
    assert shown.headers["access-control-expose-headers"] == "Mcp-Session-Id, WWW-Authenticate"
    odd = {"Access_Control_Request_Method": method, "Access_Control_Request_Headers": "X-Other"}
    assert (await asked(front, "OPTIONS", "/mcp", Origin=PAGE, **odd)).status_code == 400
    stranger = await asked(front, "GET", "/mcp", Origin="https://evil.test")
    assert "access-control-allow-origin" not in stranger.headers
    assert len(login(store).middleware) == 1, "without origins, no page is answered"
