"""Lies about who calls over HTTP, tried on a real gateway process by real clients."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import Any

import anyio
import httpx2
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from mcp.client import Client
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.exceptions import MCPError

from lg_policy.errors import ConfigError
from tests.attacks.login_site import LIST, Site, standing
from tests.gateway.commands.support_commands import run
from tests.gateway.rig import gateway_of, http_gateway, journal, make_setup, send, server, text_of
from tests.processes import Shared, answers

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("programs_by_fork")]
BOTH = pytest.mark.parametrize("mode", ["auto", "legacy"])


@pytest.fixture(scope="module")
def shared_site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shared[Site]]:
    with closing(Shared(lambda: standing(tmp_path_factory.mktemp("login")), lambda site: answers(site.url))) as shared:
        yield shared


@pytest.fixture
def site(shared_site: Shared[Site]) -> Site:
    return shared_site.get()


@pytest.fixture
def own_places(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """Commands of a test work on the site's state, not on the test's own."""
    for name in ("XDG_STATE_HOME", "XDG_CONFIG_HOME"):
        monkeypatch.setenv(name, str(site.config.parent / name))


@asynccontextmanager
async def client(site: Site, token: str, mode: str = "auto") -> AsyncIterator[Client]:
    # Headers by which proxies name a user mean nothing here.
    headers = {"Authorization": f"Bearer {token}", "X-Forwarded-User": "token:admin", "X-Identity": "token:admin"}
    with anyio.fail_after(60):
        async with (
            httpx2.AsyncClient(headers=headers, timeout=60) as http,
            Client(streamable_http_client(f"{site.url}/mcp", http_client=http), mode=mode) as connected,
        ):
            yield connected


@pytest.mark.attack("Identity", "another caller's name in metadata, baggage and headers")
@BOTH
@pytest.mark.usefixtures("own_places")
async def test_a_token_says_who_calls_and_no_argument_or_baggage_does(site: Site, mode: str) -> None:
    token = site.make("bob")
    lies: Any = {"identity": "token:admin", "baggage": "identity=token%3Aadmin,lg-run=r1", "lg/identity": "token:admin"}
    async with client(site, token, mode) as connected:
        listed = {tool.name for tool in (await connected.list_tools()).tools}
        answer = await connected.session.call_tool("a__echo", {"text": "hi"}, meta=lies)
        asked = await connected.session.call_tool("a__peek", {"text": "x"}, meta=lies)

    assert not answer.is_error
    assert asked.is_error, "what only the administrator may do is not done for one who says to be it"
    assert "a__meta" not in listed, "a tool that is denied to every token is not shown"
    assert {record["identity"] for record in site.audit() if record["tool"] == "a__echo"} >= {"token:bob"}
    assert not [record for record in site.audit() if record["identity"] == "token:admin" and record["tool"]]


def confused(site: Site) -> str:
    """A token signed with HMAC, the published key as the shared secret."""
    pem = site.issuer.keys["first"].public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)

    def part(value: Any) -> bytes:
        return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=")

    claims = jwt.decode(site.issuer.token(), options={"verify_signature": False})
    signed = part({"alg": "HS256", "kid": "first", "typ": "JWT"}) + b"." + part(claims)
    mac = base64.urlsafe_b64encode(hmac.new(pem, signed, hashlib.sha256).digest()).rstrip(b"=")
    return (signed + b"." + mac).decode()


def unsigned(site: Site) -> str:
    claims = jwt.decode(site.issuer.token(), options={"verify_signature": False})
    return jwt.encode(claims, "", algorithm="none", headers={"kid": "first"})


def nameless(site: Site) -> str:
    claims = jwt.decode(site.issuer.token(), options={"verify_signature": False})
    return jwt.encode(claims, site.issuer.keys["first"], algorithm="RS256")


STRANGER = rsa.generate_private_key(public_exponent=65537, key_size=2048)
NOW = int(time.time())
FORGERIES: dict[str, Any] = {
    "signed by a stranger": lambda site: site.issuer.token(key=STRANGER),
    "of another issuer": lambda site: site.issuer.token(iss="https://elsewhere.test"),
    "for another audience": lambda site: site.issuer.token(aud="https://other.test/mcp"),
    "for nobody": lambda site: site.issuer.token(aud=None),
    "expired": lambda site: site.issuer.token(exp=NOW - 120),
    "without an end": lambda site: site.issuer.token(exp=None),
    "not valid yet": lambda site: site.issuer.token(nbf=NOW + 3600),
    "about nobody": lambda site: site.issuer.token(sub=None),
    "with a name that redraws a terminal": lambda site: site.issuer.token(sub="a\x1b[2Jb"),
    "unsigned": unsigned,
    "signed with the public key as a secret": confused,
    "of a key that is not published": lambda site: site.issuer.token(key=STRANGER, header={"kid": "unknown"}),
    "that brings its own key": lambda site: site.issuer.token(
        key=STRANGER, header={"jwk": json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(STRANGER.public_key()))}
    ),
    "that says where its key is": lambda site: site.issuer.token(key=STRANGER, header={"jku": "http://127.0.0.1:9/k"}),
    "without a key id": nameless,
    "of another type": lambda site: site.issuer.token(header={"typ": "secevent+jwt"}),
    "with a critical extension": lambda site: site.issuer.token(header={"crit": ["b64x"], "b64x": True}),
    "that is no token": lambda site: "nonsense",
    "of ours with a wrong secret": lambda site: f"lgt_{'0' * 12}_{'x' * 43}",
}


@pytest.mark.attack(
    "Login",
    "no signature, the public key as a shared secret, foreign keys, issuers and audiences, expired and early tokens, "
    "missing or unknown key ids, keys and key addresses inside the token, other token types, wrong secrets",
)
@pytest.mark.parametrize("forgery", FORGERIES)
def test_an_access_token_that_was_not_made_for_here_is_refused(site: Site, forgery: str) -> None:
    answer = site.post(FORGERIES[forgery](site))
    assert answer.status_code == 401
    challenge = answer.headers["WWW-Authenticate"]
    assert 'error="invalid_token"' in challenge
    assert 'resource_metadata="https://gw.test/.well-known/oauth-protected-resource/mcp"' in challenge


@pytest.mark.attack("Login", "a valid token in the query string")
@pytest.mark.usefixtures("own_places")
def test_a_token_in_the_address_is_refused_even_beside_a_good_one(site: Site) -> None:
    token = site.make("query")
    assert site.post(None, f"?access_token={token}").status_code == 400
    assert site.post(token, f"?access_token={token}").status_code == 400
    assert site.post(token).status_code == 200


@pytest.mark.attack("Login", "an operator's token as a caller's, also with its prefix changed")
@pytest.mark.usefixtures("own_places")
def test_an_operators_token_is_never_a_clients(site: Site) -> None:
    operator = site.make("olga", "--role", "operator")
    assert operator.startswith("lgo_")
    assert site.post(operator).status_code == 401
    assert site.post(operator.replace("lgo_", "lgt_")).status_code == 401


@pytest.mark.attack("Login", "a token signed with one published key that names another")
@pytest.mark.usefixtures("own_places")
def test_a_token_counts_only_for_the_key_that_it_names_and_a_new_key_is_fetched(site: Site) -> None:
    site.issuer.add_key("second")
    assert site.post(site.issuer.token(kid="second")).status_code == 200
    swapped = site.issuer.token(key=site.issuer.keys["second"], header={"kid": "first"})
    assert site.post(swapped).status_code == 401


@pytest.mark.attack("Login", "going on in an open session after the token was revoked")
@BOTH
@pytest.mark.usefixtures("own_places")
async def test_a_revoked_token_ends_in_the_middle_of_a_session(site: Site, mode: str) -> None:
    name = f"guest-{mode}"
    async with client(site, site.make(name), mode) as connected:
        assert not (await connected.call_tool("a__echo", {"text": "before"})).is_error
        site.revoke(name)
        with pytest.raises(MCPError):
            await connected.call_tool("a__echo", {"text": "after"})
    calls = [record for record in site.audit() if record["identity"] == f"token:{name}" and record["tool"]]
    assert len(calls) == 2, "one call, begun and ended"


@pytest.mark.attack("Login", "another caller's session id with a valid token of one's own")
@pytest.mark.usefixtures("own_places")
def test_a_session_belongs_to_the_token_that_opened_it(site: Site) -> None:
    mine, other = site.make("mine"), site.make("other")
    opened = site.post(mine)
    listing = {"jsonrpc": "2.0", "id": 2, "method": "tools/list"}
    session = {"Mcp-Session-Id": opened.headers["mcp-session-id"], "Mcp-Protocol-Version": "2025-06-18"}
    session["Accept"] = "application/json, text/event-stream"

    def listed_by(token: str) -> int:
        headers = session | {"Authorization": f"Bearer {token}"}
        return httpx2.post(f"{site.url}/mcp", json=listing, headers=headers, timeout=60).status_code

    assert (listed_by(other), listed_by(mine)) == (404, 200)


@pytest.mark.attack("Credentials", "reading the caller's token as a server behind the gateway")
@BOTH
@pytest.mark.usefixtures("own_places")
async def test_callers_credentials_never_reach_an_upstream(site: Site, mode: str) -> None:
    token = site.make("carol")
    async with client(site, token, mode) as connected:
        answer = await connected.call_tool("up__meta", {})
    seen = json.dumps(journal(site.headers)) + json.dumps(answer.structured_content)
    secret = token.rsplit("_", 1)[0]
    assert secret not in seen
    assert "authorization" not in seen.lower()
    calls = [dict(request["headers"]) for request in journal(site.headers)]
    assert {headers.get("x-own") for headers in calls} == {"of-the-entry"}


@pytest.mark.attack("Login", "a web page that nobody named, before and with its request, also with a valid token")
@pytest.mark.usefixtures("own_places")
def test_only_pages_that_the_settings_name_may_call_and_only_with_a_token(site: Site) -> None:
    def asks(origin: str) -> httpx2.Response:
        headers = {"Origin": origin, "Access-Control-Request-Method": "POST"}
        headers["Access-Control-Request-Headers"] = "authorization,content-type,mcp-protocol-version"
        return httpx2.options(f"{site.url}/mcp", headers=headers)

    token = site.make("page")
    assert asks("https://app.test").headers["Access-Control-Allow-Origin"] == "https://app.test"
    assert "Access-Control-Allow-Origin" not in asks("https://evil.test").headers
    assert site.post(token, Origin="https://app.test").status_code == 200
    assert site.post(token, Origin="https://evil.test").status_code == 403
    assert site.post(None, Origin="https://app.test").status_code == 401


@pytest.mark.attack("Credentials", "looking for a token in everything that the gateway keeps on disk")
@pytest.mark.usefixtures("own_places")
def test_what_is_stored_is_no_token(site: Site) -> None:
    token = site.make("stored")
    listed = run("tokens", "list", "--json", "--config", str(site.config)).stdout
    secret = token[-43:]
    assert "token:stored" in listed
    assert secret not in listed
    for path in site.config.parent.rglob("*"):
        assert not path.is_file() or secret.encode() not in path.read_bytes(), path


@pytest.mark.attack("Credentials", "a longer life written into the store")
async def test_a_token_row_that_was_edited_counts_for_nothing(tmp_path: Path) -> None:
    async with gateway_of(tmp_path, server("a")) as gateway:

        def make(tx: Any) -> Any:
            return gateway.tokens.create(tx, "x", role="client", scopes=(), lifetime_s=60, now=100.0, by="me")

        token, text = await gateway.store.write(make)
        assert await gateway.store.read(lambda tx: gateway.tokens.check(tx, text, 159.0)) == token
        assert await gateway.store.read(lambda tx: gateway.tokens.check(tx, text, 160.0)) is None, "its end"
        sql = "UPDATE tokens SET body = replace(body, '\"expires\":160', '\"expires\":990')"
        await gateway.store.write(lambda tx: tx.execute(sql))
        assert await gateway.store.read(lambda tx: gateway.tokens.check(tx, text, 120.0)) is None


@pytest.mark.attack("Login", "a call that waits for approval while its token is revoked")
async def test_a_token_that_is_revoked_while_its_call_waits_does_nothing(tmp_path: Path) -> None:
    """The caller's credential is looked at again in the transaction that begins the call."""
    from mcp.server.auth.provider import AccessToken

    from lg_gateway.identity.authentication import Verifier

    seen = tmp_path / "journal"
    async with gateway_of(tmp_path, server("a", "--journal", str(seen))) as gateway:

        def make(tx: Any) -> Any:
            return gateway.tokens.create(tx, "x", role="client", scopes=(), lifetime_s=600, now=time.time(), by="me")

        token, text = await gateway.store.write(make)
        verifier = Verifier(gateway.store, gateway.tokens, None)
        access = await verifier.verify_token(text)
        assert isinstance(access, AccessToken)
        answers: list[Any] = []

        async def waiting() -> None:
            options: dict[str, Any] = {"identity": token.identity, "standing": verifier.standing(access)}
            answers.append(await send(gateway, "a__echo", {"text": "x"}, hold_s=30, **options))

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(waiting)
            asked: list[Any] = []
            while not asked:
                await anyio.sleep(0.02)
                asked = await gateway.store.read(lambda tx: gateway.approvals.pending(tx, time.time()))
            await gateway.store.write(lambda tx: gateway.tokens.revoke(tx, "x", now=time.time(), by="me"))
            await gateway.store.write(lambda tx: gateway.approvals.move(tx, asked[0], "approve", by="me"))
        assert text_of(answers[0]).startswith("policy_denied: the caller's token was revoked")
        assert journal(seen) == []


@pytest.mark.attack("Login", "a token without the scope that is required")
async def test_scopes_that_are_required_are_required_of_every_token(tmp_path: Path) -> None:
    config = tmp_path / "gateway.toml"
    config.write_text('[gateway.http]\nrequired_scopes = ["tools"]\n' + server("a"))
    bare = run("tokens", "create", "bare", "--config", str(config)).stdout.strip()
    full = run("tokens", "create", "full", "--scope", "tools", "--config", str(config)).stdout.strip()
    with http_gateway("--config", str(config), login=True) as (url, _process):

        def post(token: str) -> httpx2.Response:
            accept = {"Accept": "application/json, text/event-stream", "Authorization": f"Bearer {token}"}
            return httpx2.post(f"{url}/mcp", json=LIST, headers=accept, timeout=60)

        refused, taken = post(bare), post(full)
    assert (refused.status_code, taken.status_code) == (403, 200)
    assert 'error="insufficient_scope"' in refused.headers["WWW-Authenticate"]


@pytest.mark.attack("Login", "serving other machines without tokens, without host names, without a login")
def test_nobody_is_served_over_http_who_could_not_log_in(tmp_path: Path) -> None:
    config = tmp_path / "gateway.toml"
    config.write_text(server("a"))
    no_token = run("serve", "--transport", "http", "--config", str(config))
    assert no_token.returncode == 2
    assert "tokens create" in no_token.stderr
    run("tokens", "create", "x", "--config", str(config))
    no_hosts = run("serve", "--transport", "http", "--host", "0.0.0.0", "--config", str(config))
    assert no_hosts.returncode == 2
    assert "allowed_hosts" in no_hosts.stderr
    open_to_all = run("serve", "--transport", "http", "--host", "0.0.0.0", "--no-login", "--config", str(config))
    assert open_to_all.returncode == 2
    assert "without a login, the gateway serves only 127.0.0.1" in open_to_all.stderr


@pytest.mark.attack("Identity", "a name in the settings that reads like a token's or another user's")
@pytest.mark.parametrize("name", ["token:admin", "../root", "oauth:a", "a b", "x" * 65, "admin\\n"])
def test_a_configured_name_stays_beside_the_local_user(tmp_path: Path, name: str) -> None:
    assert make_setup(tmp_path, server("a"), '[gateway]\nidentity = "desktop"\n').identity.endswith("/desktop")
    with pytest.raises(ConfigError, match="identity"):
        make_setup(tmp_path, server("a"), f'[gateway]\nidentity = "{name}"\n')
