"""Logging in to the console with an identity provider, and attacks on it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from typing import Any
from urllib.parse import parse_qs, urlsplit

import anyio
import httpx2
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from playwright.sync_api import expect, sync_playwright

from lg_console.login.begun_logins import OF_ALL, OF_ONE, BegunLogins
from lg_console.login.guard import Guard, Visitor
from lg_console.login.memory import MemoryRows
from lg_console.login.oidc import BegunLogin, ProviderLogin, provider_place
from lg_console.login.sessions import SessionTable
from lg_console.sources.people import Person
from lg_gateway.serving.setup import GatewaySetup
from lg_policy.config.console import ConsoleSettings, OidcSettings
from lg_policy.errors import LimitExceeded, UpstreamUnavailable
from lg_policy.outgoing.checked_http import ANSWER_BYTES
from tests.console.conftest import launched
from tests.console.oidc_provider import CLIENT, SECRET, Provider, oidc_provider
from tests.console.served import ServedConsole, served_console
from tests.gateway.rig import records, server

CODE = '<img src=x onerror="alert(1)"><script>alert(2)</script>'
SETTINGS = """
[console.oidc]
issuer = "{issuer}"
client_id = "lg-console"
client_secret = "${{CONSOLE_SECRET}}"
name_claim = "name"
[console.oidc.roles]
platform = "operator"
staff = "viewer"
"""


@pytest.fixture(scope="module")
def provider() -> Iterator[Provider]:
    with oidc_provider() as made:
        yield made


@pytest.fixture(scope="module")
def served(provider: Provider, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServedConsole]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CONSOLE_SECRET", SECRET)
        parts = (server("a"), SETTINGS.format(issuer=provider.issuer.url))
        with served_console(tmp_path_factory.mktemp("oidc"), *parts) as made:
            yield made


@pytest.fixture(autouse=True)
def ann(provider: Provider) -> None:
    provider.claims = {"name": "ann", "groups": ["staff", "platform"]}
    provider.header, provider.key = {}, None


def login(client: httpx2.Client, path: str = "/login/provider") -> httpx2.Response:
    """Go to the provider and back, as a browser would."""
    to_provider = client.get(path)
    assert to_provider.status_code == 303, to_provider.text
    back = httpx2.get(to_provider.headers["location"]).headers["location"]
    return client.get(urlsplit(back)._replace(scheme="", netloc="").geturl())


@pytest.mark.attack("login", "names and groups of an identity provider hold markup; its callback leads to another site")
def test_a_person_logs_in_with_the_provider_in_a_browser(provider: Provider, served: ServedConsole) -> None:
    provider.claims = {"name": CODE, "groups": [CODE, "platform"]}
    with sync_playwright() as playwright, launched(playwright) as browser:
        context = browser.new_context()
        context.set_default_timeout(60_000)
        page = context.new_page()
        alerts: list[str] = []
        page.on("dialog", lambda dialog: alerts.append(dialog.message))
        page.goto(f"{served.address}/login?next=/audit")
        page.get_by_role("link", name="Log in with your organisation").click()
        page.wait_for_url(f"{served.address}/audit")
        expect(page.locator(".who")).to_have_text(f"oidc:{CODE} (operator)")
        assert page.locator("img, script:not([src])").count() == 0
        (cookie,) = context.cookies()
        assert (cookie["httpOnly"], cookie["sameSite"], cookie["name"].startswith("lg-console-")) == (
            True,
            "Strict",
            True,
        )
        page.get_by_role("button", name="Log out").click()
        page.wait_for_url("**/login")
        context.close()
    assert not alerts
    assert any(note["outcome"] == "console login" and note["identity"] == f"oidc:{CODE}" for note in notes(served))


@pytest.mark.attack(
    "login", "an answer of the provider is used twice, in another browser, or with a state that nobody asked"
)
def test_an_answer_of_the_provider_counts_once_and_in_the_browser_that_asked(
    provider: Provider, served: ServedConsole
) -> None:
    with served.http() as mine, served.http() as other:
        back = urlsplit(httpx2.get(mine.get("/login/provider").headers["location"]).headers["location"])
        answer = f"{back.path}?{back.query}"
        stolen = other.get(answer)
        late = mine.get(answer)
        assert (stolen.status_code, late.status_code) == (403, 403), "a stolen answer ends the login"
        assert login(mine).status_code == 200
        assert mine.get("/v1/approvals").status_code == 200
        assert mine.get("/login/callback?code=x&state=y").status_code == 403
        assert mine.get("/login/callback").status_code == 403
        assert other.get("/v1/approvals").status_code == 401
        act = mine.post("/v1/policy/explain", json={"tool": "a__echo"}, headers={"origin": served.address})
        assert act.status_code == 403, "the cookie alone changes nothing after this login either"


@pytest.mark.attack("login", "somebody in no group of the settings, or with a claim of another shape, logs in")
def test_groups_decide_the_role_and_nobody_without_one_gets_in(provider: Provider, served: ServedConsole) -> None:
    for groups, found in ((["staff"], "(viewer)"), ("platform", "(operator)")):
        provider.claims["groups"] = groups
        with served.http() as client:
            assert login(client).status_code == 200
            assert f"oidc:ann {found}" in client.get("/approvals", headers={"accept": "text/html"}).text
    for nothing in ([], ["Platform"], [["platform"]], None, {"platform": 1}, ["platform "]):
        provider.claims["groups"] = nothing
        with served.http() as client:
            refused = login(client)
            assert (refused.status_code, "set-cookie" in refused.headers) == (403, False), nothing
            assert client.get("/v1/approvals").status_code == 401


@pytest.mark.attack("login", "a forged, foreign or expired ID token, or an agent's access token, logs in")
def test_no_token_that_is_not_this_logins_own_logs_anybody_in(provider: Provider, served: ServedConsole) -> None:
    foreign = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    now = int(time.time())
    wrong: tuple[dict[str, Any], ...] = (
        {"nonce": "other"}, {"aud": "another-program"}, {"iss": "https://evil.example"}, {"exp": now - 600},
        {"aud": [CLIENT, "other"]}, {"aud": [CLIENT, "other"], "azp": "other"}, {"name": ""}, {"name": "a\nb"},
        {"name": 7}, {"name": "x" * 300}, {"nonce": None},
    )  # fmt: skip
    good = dict(provider.claims)
    for claims in wrong:
        provider.claims = good | claims
        with served.http() as client:
            assert login(client).status_code == 403, claims
    provider.claims = good
    for header, key in (({"typ": "at+jwt"}, None), ({}, foreign)):
        provider.header, provider.key = header, key
        with served.http() as client:
            assert login(client).status_code == 403, header
    provider.header, provider.key = {}, None
    agent = provider.issuer.token(sub="agent", aud=CLIENT, groups=["platform"], name="agent")
    with served.http(origin=served.address) as client:
        assert client.post("/login/token", json={"token": agent}).status_code in (400, 403)
        assert client.get("/v1/approvals", headers={"authorization": f"Bearer {agent}"}).status_code == 401
    assert not any("agent" in note["identity"] for note in notes(served))


class Nobody:
    """Holds no token."""

    async def operator(self, token: str) -> Person | None:
        return None

    async def stands(self, person: Person) -> bool:
        return False

    async def note(self, what: str, person: str, detail: str = "") -> None:
        pass


def direct(provider: Provider, **changed: Any) -> ProviderLogin:
    settings = {"issuer": provider.issuer.url, "client_id": CLIENT, "roles": {"platform": "operator"}, **changed}
    return ProviderLogin(OidcSettings.model_validate(settings), SECRET)


def logged_in(provider: Provider, known: ProviderLogin) -> Person:
    async def login() -> Person:
        begun = BegunLogin.new()
        asked = parse_qs(urlsplit(await known.address_of(begun, "http://127.0.0.1:1/login/callback")).query)
        back = urlsplit(provider.authorize({name: values[0] for name, values in asked.items()}))
        return await known.person(begun, {"code": parse_qs(back.query)["code"][0]}, "http://127.0.0.1:1/login/callback")

    return anyio.run(login)


@pytest.mark.attack("login", "a provider answers with more than fits, or with JSON that is nested without end")
@pytest.mark.parametrize("path", ["/.well-known/openid-configuration", "/keys", "/token"])
@pytest.mark.parametrize("padding", [" " * 2 * ANSWER_BYTES, '{"a":' * 30_000], ids=["large", "deep"])
def test_an_answer_of_the_provider_has_limits(provider: Provider, path: str, padding: str) -> None:
    provider.padding = {path: padding}
    try:
        with pytest.raises(UpstreamUnavailable):
            logged_in(provider, direct(provider, name_claim="name"))
    finally:
        provider.padding = {}


@pytest.mark.attack("login", "a provider elsewhere names addresses of this machine")
def test_a_provider_elsewhere_cannot_name_addresses_of_this_machine() -> None:
    for url in ("http://127.0.0.1:8080/token", "https://localhost/keys", "http://[::1]/token", "http://idp.example/t"):
        with pytest.raises(ValueError, match="address"):
            provider_place(url, "https://idp.example")
    assert provider_place("https://keys.example/k", "https://idp.example") == "https://keys.example/k"


@pytest.mark.attack("login", "who lost their role in the settings goes on with the session that they have")
def test_a_session_ends_when_the_settings_say_otherwise_about_who_may_log_in(provider: Provider) -> None:
    before = direct(provider, name_claim="name")
    ann = logged_in(provider, before)
    less = direct(provider, name_claim="name", roles={"platform": "viewer"})
    same = direct(provider, name_claim="name", timeout_s=9)

    async def stands(now: ProviderLogin | None) -> bool:
        store = MemoryRows()
        table = SessionTable(store)
        cookie = (await table.begin(ann)).cookie
        session = await table.find(cookie)
        assert session is not None and session.person == ann
        guard = Guard(table, Nobody(), provider=lambda: now.named if now is not None else "")
        return await guard.lasts(Visitor(person=session.person, session=session))

    assert [anyio.run(stands, now) for now in (before, same, less, None)] == [True, True, False, False]


@pytest.mark.attack("login", "who lost their role in the settings of a console that runs keeps it until a restart")
def test_roles_of_a_console_that_runs_change_with_the_settings(provider: Provider, served: ServedConsole) -> None:
    with served.http() as client:
        assert login(client).status_code == 200
        assert client.get("/approvals").status_code == 200
        gateway, before = served.gateway, served.gateway.setup
        console = before.settings.console
        assert console.oidc is not None
        less = console.model_copy(update={"oidc": console.oidc.model_copy(update={"roles": {"platform": "viewer"}})})
        try:
            gateway.setup = with_console(before, less)
            assert client.get("/approvals", follow_redirects=False).status_code != 200
            assert login(client).status_code == 200
            assert "(viewer)" in client.get("/approvals").text
            none = console.model_copy(update={"oidc": None})
            gateway.setup = with_console(before, none)
            assert client.get("/approvals", follow_redirects=False).status_code != 200
            assert client.get("/login/provider").status_code == 404
        finally:
            gateway.setup = before


@pytest.mark.attack("login", "a stranger begins so many logins with the provider that nobody else can log in")
def test_whoever_begins_many_logins_keeps_nobody_else_out() -> None:
    now = [0.0]
    begun = BegunLogins(lambda: now[0])
    begun.succeeded("192.0.2.1")
    for _ in range(OF_ONE):
        begun.begin("2001:db8:1::1")
    for stranger in ("2001:db8:1::1", "2001:db8:1:ffff::2"):
        with pytest.raises(LimitExceeded):
            begun.begin(stranger)
    begun.begin("192.0.2.7")
    for number in range(OF_ALL):
        with suppress(LimitExceeded):
            begun.begin(f"198.51.{number // 250}.{number % 250}")
    with pytest.raises(LimitExceeded):
        begun.begin("203.0.113.1")
    begun.begin("192.0.2.1")
    begun.begin("::ffff:192.0.2.1")
    now[0] = 61.0
    begun.begin("2001:db8:1::1")
    begun.begin("not an address")


def with_console(setup: GatewaySetup, console: ConsoleSettings) -> GatewaySetup:
    """What a reload makes of other settings of the console."""
    settings = setup.settings.model_copy(update={"console": console})
    return replace(setup, loaded=replace(setup.loaded, settings=settings))


def notes(served: ServedConsole) -> list[dict[str, Any]]:
    return records(served.gateway, notes=True)
