"""Where a server's callers log in is found at every address that the standards allow, and as whom is decided."""

from __future__ import annotations

import os
from typing import Any

import httpx2
import pytest

from lg_gateway.upstream_login.challenges import bearer_challenge, refusal_of
from lg_gateway.upstream_login.client_credentials import ClientCredentials
from lg_gateway.upstream_login.discovery import discover
from lg_gateway.upstream_login.login_errors import LoginFailed
from lg_gateway.upstream_login.login_http import LoginHttp
from lg_gateway.upstream_login.login_spec import LoginSpec
from lg_gateway.upstream_login.login_store import LoginStore
from lg_gateway.upstream_login.person_login import begin_login
from tests.attacks.programmed_site import ProgrammedSite, answer, programmed_site
from tests.gateway.identity.authorization_server import authorization_server
from tests.gateway.upstream_login.protected_site import query_of

pytestmark = pytest.mark.anyio


def spec(site: ProgrammedSite, **changes: Any) -> LoginSpec:
    return LoginSpec(**({"server": "w", "url": site.url, "resource": site.url} | changes))


async def found(site: ProgrammedSite, **changes: Any) -> Any:
    wanted = spec(site, **changes)
    return await discover(wanted, LoginHttp(wanted.trusted_addresses()))


@pytest.mark.parametrize("path", ["", "/mcp"])
async def test_a_servers_metadata_is_found_with_its_path_and_without(path: str) -> None:
    async with programmed_site() as site:
        site.challenge = 'Bearer realm="x"'
        site.pages[f"/.well-known/oauth-protected-resource{path}"] = site.pages.pop("/resource")
        site.resource |= {"resource": f"{site.origin}{path}", "scopes_supported": ["read", "write"]}
        place = await found(site)
    assert place.resource == f"{site.origin}{path}"
    assert place.scopes == ("read", "write")


@pytest.mark.parametrize(
    "form",
    [
        "/.well-known/oauth-authorization-server/tenant",
        "/.well-known/openid-configuration/tenant",
        "/tenant/.well-known/openid-configuration",
    ],
)
async def test_an_issuer_with_a_path_is_found_at_every_form(form: str) -> None:
    async with programmed_site() as site:
        site.pages[form] = site.pages.pop("/.well-known/oauth-authorization-server")
        site.metadata["issuer"] = f"{site.origin}/tenant"
        site.resource["authorization_servers"] = [f"{site.origin}/tenant"]
        assert (await found(site)).server.issuer == f"{site.origin}/tenant"


async def test_a_server_of_2025_03_without_metadata_is_its_own_issuer_and_one_without_a_login_is_none() -> None:
    async with programmed_site() as site:
        site.challenge = "Bearer"
        del site.pages["/resource"]
        assert (await found(site)).server.issuer == site.origin
        site.pages["/mcp"] = lambda _request: answer({})
        with pytest.raises(LoginFailed, match="asks for no login"):
            await found(site)


async def test_the_refusals_scopes_count_before_the_metadatas_and_the_settings_before_both() -> None:
    async with programmed_site() as site:
        site.resource["scopes_supported"] = ["all"]
        site.challenge += ', error="invalid_token", scope="files:read files:write"'
        assert (await found(site)).scopes == ("files:read", "files:write")
        assert (await found(site, scopes=("mine",))).scopes == ("mine",)


@pytest.mark.parametrize(
    ("changes", "client_id"),
    [
        ({"client_id": "known"}, "known"),
        ({"client_metadata_url": "https://us.example/client.json"}, "https://us.example/client.json"),
        ({}, "made"),
    ],
)
async def test_the_client_of_the_settings_goes_before_a_document_and_that_before_registration(
    changes: dict[str, Any], client_id: str
) -> None:
    async with programmed_site() as site:
        site.metadata["client_id_metadata_document_supported"] = True
        async with begin_login(spec(site, **changes), "", LoginStore(os.environ)) as begun:
            assert query_of(begun.url)["client_id"] == client_id
        assert ("/register" in site.paths()) is (client_id == "made")
        del site.metadata["registration_endpoint"]
        site.metadata["client_id_metadata_document_supported"] = False
        if "client_id" not in changes:
            with pytest.raises(LoginFailed, match="registers no clients"):
                async with begin_login(spec(site, **changes), "", LoginStore(os.environ)):
                    pass


async def test_a_client_finds_its_token_endpoint_and_asks_for_the_scopes_that_a_call_lacks() -> None:
    with authorization_server() as issuer:
        issuer.clients["gw"] = "secret"
        wanted = LoginSpec(
            server="w", url=f"{issuer.url}/mcp", resource=f"{issuer.url}/mcp", grant="client_credentials",
            issuer=issuer.url, client_id="gw", client_secret="secret", scopes=("read",),
        )  # fmt: skip

        def serve(request: httpx2.Request) -> httpx2.Response:
            if "admin" in issuer.forms[-1]["scope"].split():
                return httpx2.Response(200)
            challenge = 'Bearer error="insufficient_scope", scope="admin"'
            return httpx2.Response(403, headers={"www-authenticate": challenge})

        auth = ClientCredentials(wanted, lambda _secrets: None)
        async with httpx2.AsyncClient(auth=auth, transport=httpx2.MockTransport(serve)) as http:
            assert (await http.get("http://server.test/")).status_code == 200
            assert (await http.get("http://server.test/")).status_code == 200
        assert [form["scope"] for form in issuer.forms] == ["read", "read admin"]


def test_a_challenge_is_read_wherever_it_stands_and_however_it_is_written() -> None:
    text = 'Basic realm="Bearer scope=no", bearer  SCOPE = "a b" , error=insufficient_scope, resource_metadata="https://x/\\"y"'
    challenge = bearer_challenge(text)
    assert (challenge.scopes, challenge.error) == (("a", "b"), "insufficient_scope")
    assert challenge.resource_metadata == 'https://x/"y'
    assert bearer_challenge('Negotiate abc==, Digest scope="c"').scopes == ()
    assert refusal_of(403, text).wants_more_scopes
    assert not refusal_of(401, text).wants_more_scopes
