"""What a hostile server, a hostile web page or another caller tries against the gateway's logins at servers."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import anyio
import httpx2
import pytest

from lg_gateway.upstream_login.authorization_code import check_server
from lg_gateway.upstream_login.challenges import bearer_challenge
from lg_gateway.upstream_login.client_credentials import ClientCredentials
from lg_gateway.upstream_login.discovery import AuthorizationServer, discover
from lg_gateway.upstream_login.login_errors import LoginFailed
from lg_gateway.upstream_login.login_http import LoginHttp
from lg_gateway.upstream_login.login_spec import LoginSpec
from lg_gateway.upstream_login.login_store import LoginStore, login_id
from lg_gateway.upstream_login.person_login import BegunLogin, begin_login
from lg_gateway.upstream_login.token_endpoint import LIFETIME_S, Client, ask_for_tokens
from lg_policy.errors import ConfigError
from lg_policy.outgoing.checked_http import ANSWER_BYTES
from lg_policy.outgoing.networks import Network, network_of
from tests.attacks.programmed_site import ProgrammedSite, answer, dripping, endless, programmed_site, redirect
from tests.gateway.rig import ALLOW_ALL, gateway_of, make_setup, records, text_of
from tests.gateway.upstream_login.protected_site import browse, protected_site, query_of, settings
from tests.gateway.upstream_login.support_logins import PER_CALLER, log_in, spec_of, whoami

pytestmark = pytest.mark.anyio
SECRET = "client-secret-that-only-one-issuer-gets"


def spec(site: ProgrammedSite, **changes: Any) -> LoginSpec:
    return LoginSpec(**({"server": "w", "url": site.url, "resource": site.url} | changes))


async def found(site: ProgrammedSite, **changes: Any) -> Any:
    wanted = spec(site, **changes)
    return await discover(wanted, LoginHttp(wanted.trusted_addresses()))


async def respond(begun: BegunLogin, **parameters: str) -> httpx2.Response:
    """Send a response to the page that waits for one."""
    query = query_of(begun.url)
    given = {"state": query["state"], "code": "stolen"} | parameters
    return await browse(f"{query['redirect_uri']}?{urlencode(given)}")


@pytest.mark.attack("Upstream login", "a response of another issuer, or of none where the server always says who it is")
@pytest.mark.parametrize(
    ("advertised", "said", "why"),
    [(True, {}, "does not say that it comes from"), (False, {"iss": "https://evil.example"}, "not from")],
)
async def test_a_response_that_another_issuer_sent_is_not_exchanged(
    advertised: bool, said: dict[str, str], why: str
) -> None:
    async with programmed_site() as site:
        site.metadata["authorization_response_iss_parameter_supported"] = advertised
        async with begin_login(spec(site), "", LoginStore(os.environ)) as begun:
            await respond(begun, **said)
            with pytest.raises(LoginFailed, match=why):
                await begun.finish()
        assert "/token" not in site.paths()
        assert LoginStore(os.environ).ids() == []


@pytest.mark.attack("Upstream login", "a code that was stolen from another login, put into this one")
async def test_a_code_of_another_login_is_refused_for_its_verifier(tmp_path: Path) -> None:
    async with protected_site() as site:
        login = spec_of(tmp_path, site)
        async with begin_login(login, "", LoginStore(os.environ)) as theirs:
            async with httpx2.AsyncClient(trust_env=False) as browser:
                sent = await browser.get(theirs.url)
            stolen = query_of(sent.headers["location"])["code"]
        async with begin_login(login, "", LoginStore(os.environ)) as mine:
            assert (await respond(mine, code=stolen)).status_code == 200
            with pytest.raises(LoginFailed, match="invalid_grant"):
                await mine.finish()
        assert not site.access


@pytest.mark.attack(
    "Upstream login", "responses with a guessed, an old or no state; twice; with a parameter given twice"
)
async def test_only_the_logins_own_response_is_taken_and_only_once(tmp_path: Path) -> None:
    async with protected_site() as site:
        login, store = spec_of(tmp_path, site), LoginStore(os.environ)
        async with begin_login(login, "", store) as first:
            old = query_of(first.url)["state"]
        async with begin_login(login, "", store) as begun:
            for state in ("", "x", old):
                assert (await respond(begun, state=state)).status_code == 404
            query = query_of(begun.url)
            twice = await browse(f"{query['redirect_uri']}?code=a&code=b&state={query['state']}")
            assert twice.status_code == 404
            page = await browse(begun.url)
            assert page.status_code == 200
            assert (await respond(begun)).status_code == 404
            made, _ = await begun.finish()
            assert made.access in site.access


@pytest.mark.attack("Upstream login", "requests to the page that waits, from a web page under a name of its own")
async def test_the_waiting_page_answers_its_own_address_alone_and_repeats_nothing() -> None:
    async with programmed_site() as site, begin_login(spec(site), "", LoginStore(os.environ)) as begun:
        query = query_of(begun.url)
        target = f"{query['redirect_uri']}?{urlencode({'state': query['state'], 'code': 'stolen'})}"
        async with httpx2.AsyncClient(trust_env=False) as browser:
            assert (await browser.get(target, headers={"Host": "evil.example"})).status_code == 404
            assert (await browser.post(target)).status_code == 404
            assert (await browser.get(target.replace("/callback", "/"))).status_code == 404
        page = await respond(begun, error="access_denied", error_description="<script>alert(1)</script>")
        assert page.status_code == 200
        assert "script" not in page.text
        assert page.headers["content-security-policy"].startswith("default-src 'none'")
        assert page.headers["referrer-policy"] == "no-referrer"
        with pytest.raises(LoginFailed, match="access_denied"):
            await begun.finish()


def wrong(change: Callable[[ProgrammedSite], object], why: str) -> Any:
    return pytest.param(change, why, id=why)


@pytest.mark.attack(
    "Upstream login", "metadata about another server, another issuer, another machine, in clear or no PKCE"
)
@pytest.mark.parametrize(
    ("change", "why"),
    [
        wrong(lambda site: site.resource.update(resource="https://bank.example/mcp"), "not of the server"),
        wrong(lambda site: site.resource.update(resource=f"{site.origin}/mcp/admin"), "not of the server"),
        wrong(lambda site: site.resource.update(resource=None), "not of the server"),
        wrong(lambda site: site.resource.update(authorization_servers=[]), "names no authorization server"),
        wrong(lambda site: site.resource.update(authorization_servers=["file:///etc/passwd"]), "must be an https"),
        wrong(lambda site: site.metadata.update(issuer="https://bank.example"), "not of the issuer"),
        wrong(lambda site: site.metadata.update(issuer=f"{site.origin}/tenant"), "not of the issuer"),
        wrong(lambda site: site.metadata.update(token_endpoint="http://far.example/token"), "must be an https"),
        wrong(lambda site: site.metadata.update(token_endpoint="https://a:b@far.example/"), "user name"),
        wrong(lambda site: site.metadata.update(authorization_endpoint="javascript:alert(1)"), "must be an https"),
        wrong(lambda site: site.metadata.update(code_challenge_methods_supported=["plain"]), "PKCE with S256"),
        wrong(lambda site: site.metadata.pop("code_challenge_methods_supported"), "PKCE with S256"),
        wrong(lambda site: setattr(site, "challenge", 'Bearer resource_metadata="file:///x"'), "must be an https"),
    ],
)
async def test_metadata_that_fails_a_check_ends_the_login(change: Callable[[ProgrammedSite], object], why: str) -> None:
    async with programmed_site() as site:
        change(site)
        with pytest.raises(LoginFailed, match=why):
            async with begin_login(spec(site), "", LoginStore(os.environ)):
                pass
        assert not {"/register", "/token"} & set(site.paths())


@pytest.mark.attack("Upstream login", "a redirect of metadata or of the token endpoint to another host")
async def test_no_request_of_a_login_follows_a_redirect_to_another_host() -> None:
    async with programmed_site() as site, programmed_site() as other:
        well_known = "/.well-known/oauth-authorization-server"
        site.pages["/resource"] = lambda _request: redirect(f"{other.origin}/resource")
        with pytest.raises(LoginFailed, match="to another host"):
            await found(site)
        site.pages["/resource"] = lambda _request: redirect("/resource")
        with pytest.raises(LoginFailed, match="redirects more than"):
            await found(site)
        del site.pages["/resource"]
        site.challenge = "Bearer"
        site.pages[well_known] = lambda _request: redirect(f"{other.origin}{well_known}", 307)
        with pytest.raises(LoginFailed, match="to another host"):
            await found(site)
        site.pages["/token"] = lambda _request: redirect(f"{other.origin}/token", 307)
        fixed = {"issuer": site.origin, "token_url": f"{site.origin}/token", "client_id": "gw", "client_secret": SECRET}
        assert "it answered 307" in await refused_client(site, fixed)
        assert other.asked == []


async def refused_client(site: ProgrammedSite, oauth: dict[str, str]) -> str:
    """Return why the gateway got no token by itself."""
    auth = ClientCredentials(spec(site, grant="client_credentials", **oauth), lambda _secrets: None)
    with pytest.raises(LoginFailed) as caught:
        await auth.header()
    assert SECRET not in str(caught.value)
    return str(caught.value)


@pytest.mark.attack("Upstream login", "metadata of 100 MB, metadata that never ends, a server that says nothing")
async def test_long_and_slow_metadata_end_at_a_limit() -> None:
    async with programmed_site() as site:
        site.pages["/resource"] = lambda _request: endless(100)
        with pytest.raises(LoginFailed, match=f"more than {ANSWER_BYTES} bytes"):
            await found(site)
        assert site.sent < 20_000_000
        site.pages["/resource"] = lambda _request: dripping()
        with pytest.raises(LoginFailed, match="did not answer within"):
            await LoginHttp((site.url,), deadline_s=0.1).get(f"{site.origin}/resource")


@pytest.mark.attack("Upstream login", "a server on the Internet that names addresses of this machine and its networks")
async def test_a_server_elsewhere_cannot_have_this_machine_asked_for_it() -> None:
    async with programmed_site() as site:
        http = LoginHttp(("https://93.184.215.14/mcp",))
        for host in ("127.0.0.1", "localhost", "[::ffff:127.0.0.1]"):
            with pytest.raises(LoginFailed):
                await http.get(f"{site.origin.replace('127.0.0.1', host)}/resource")
        for host in ("10.0.0.1", "169.254.169.254", "[fd00::1]", "[64:ff9b::7f00:1]", "0.0.0.0", "[2002:7f00:1::]"):
            with pytest.raises(LoginFailed, match="not on the public network"):
                await http.get(f"https://{host}/latest/meta-data")
        assert site.asked == []
    server = AuthorizationServer(
        issuer="https://far.example", token_endpoint="https://far.example/t", pkce=True,
        authorization_endpoint="http://127.0.0.1:8080/reset",
    )  # fmt: skip
    with pytest.raises(LoginFailed, match="on this machine; it is not opened"):
        check_server(server, "https://far.example/mcp")


@pytest.mark.attack("Upstream login", "a server that names its own authorization server, to get the client's secret")
async def test_a_secret_goes_to_the_issuer_of_the_settings_alone(tmp_path: Path) -> None:
    entry = '[gateway.servers.w]\nurl = "https://w.example/mcp"\n[gateway.servers.w.oauth]\nclient_id = "a"\n'
    with pytest.raises(ConfigError, match="no server may say who gets the secret"):
        make_setup(tmp_path, entry + f'client_secret = "{SECRET}"\n')
    async with programmed_site() as site, programmed_site() as issuer:
        oauth = {"issuer": issuer.origin, "client_id": "gw", "client_secret": SECRET}
        assert "the settings want" in await refused_client(site, oauth)
        assert not any(SECRET.encode() in request for request in [*site.asked, *issuer.asked])


@pytest.mark.attack("Upstream login", "another identity's login: its name, its record, its connection")
async def test_no_identity_gets_at_the_login_of_another(tmp_path: Path) -> None:
    async with protected_site() as site:
        store = LoginStore(os.environ)
        ann, eve = (login_id(site.url, holder) for holder in ("token:ann", "token:eve"))
        await log_in(tmp_path, site, PER_CALLER, holder="token:ann")
        async with gateway_of(tmp_path, settings(site, PER_CALLER), ALLOW_ALL) as gateway:
            await log_in(tmp_path, site, PER_CALLER, person="me", holder=gateway.setup.identity)
            with anyio.fail_after(60):
                while gateway.upstreams["notes"].state != "up":
                    await anyio.sleep(0.02)
            assert text_of(await whoami(gateway, "token:ann")) == "ann"
            for identity in ("token:eve", "token:an", "token:ann ", "TOKEN:ANN", "token:ann\0"):
                refused = await whoami(gateway, identity)
                assert refused.is_error
                assert "has not logged in" in text_of(refused)
        folder = Path(os.environ["XDG_CONFIG_HOME"]) / "lg" / "keys" / "logins"
        record = json.loads((folder / f"{ann}.json").read_text())
        (folder / f"{eve}.json").write_text(json.dumps(record))
        with pytest.raises(ConfigError, match="cannot be decrypted"):
            store.read(eve)


@pytest.mark.attack("Upstream login", "looking for tokens in logs, ledger, settings and state")
async def test_no_token_is_in_a_log_a_record_or_a_file(
    tmp_path: Path, clean_environment: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    async with protected_site() as site:
        await log_in(tmp_path, site)
        async with gateway_of(tmp_path, settings(site), ALLOW_ALL) as gateway:
            site.access.clear()
            assert text_of(await whoami(gateway)) == "ann"
            kept = json.dumps(records(gateway))
        secrets = [*site.access, *site.refresh, *(client.client_secret or "" for client in site.clients.values())]
        for folder in (clean_environment, tmp_path):
            for path in folder.rglob("*"):
                kept += path.read_bytes().decode("latin-1") if path.is_file() else ""
        said = "\n".join(record.getMessage() for record in caplog.records if record.name.startswith("lg_"))
        assert len(secrets) >= 4
        for secret in secrets:
            assert secret not in kept
            assert secret not in said


@pytest.mark.attack("Upstream login", "a challenge of 8 kB that looks like thousands of parameters")
@pytest.mark.parametrize(
    "text", ["Bearer " + 'a="\\' * 4_000, "Bearer " + "a=," * 4_000, "Bearer " + " " * 8_000, "=" * 9_000]
)
def test_a_hostile_challenge_says_nothing(text: str) -> None:
    assert bearer_challenge(text).scopes == ()
    assert bearer_challenge(f"{text}, Bearer scope=x").resource_metadata == ""


@pytest.mark.attack("Upstream login", "a client id that no encoding has; a lifetime of hundreds of digits")
async def test_odd_values_of_an_authorization_server_end_a_login_or_are_read() -> None:
    async with programmed_site() as site:
        site.pages["/register"] = lambda _request: answer({"client_id": "half a pair: \ud800"}, status=201)
        with pytest.raises(LoginFailed, match="did not register the gateway"):
            async with begin_login(spec(site), "", LoginStore(os.environ)):
                pass
        given = {"access_token": "a", "token_type": "Bearer", "expires_in": 10**400}
        site.pages["/token"] = lambda _request: answer(given)
        client = Client(client_id="gateway")
        http = LoginHttp((site.url,))
        tokens = await ask_for_tokens(http, f"{site.origin}/token", client, {"grant_type": "refresh_token"})
        assert tokens.lifetime_s == LIFETIME_S


@pytest.mark.attack("Upstream login", "addresses that stand for this machine or a local network in an odd form")
@pytest.mark.parametrize("address", ["::127.0.0.1", "64:ff9b:1::7f00:1", "64:ff9b::a00:1", "fec0::1", "2002:a00:1::"])
def test_an_address_in_an_odd_form_is_not_on_the_public_network(address: str) -> None:
    assert network_of(address) is not Network.PUBLIC


@pytest.mark.attack("Upstream login", "a server's name that leads to this machine for a moment, to have it asked")
async def test_a_host_that_changes_its_network_during_a_login_is_not_asked() -> None:
    addresses = iter(["93.184.215.14", "127.0.0.1", "93.184.215.14"])

    async def resolve(_host: str, _port: int) -> list[str]:
        return [next(addresses)]

    http = LoginHttp(("https://evil.example/mcp",), resolve=resolve)
    for _ in range(2):
        with pytest.raises(LoginFailed, match="leads to another network than before"):
            await http.get("https://evil.example/metadata")
