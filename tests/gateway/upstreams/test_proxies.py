"""Requests of the gateway through a proxy of the environment: a proxy process, and names that only it knows."""

from __future__ import annotations

from pathlib import Path

import httpx2
import pytest

from lg_gateway.http_client.pool import HttpPool
from lg_gateway.identity.jwt import JwtVerifier
from lg_gateway.upstream_login.client_credentials import ClientCredentials
from lg_gateway.upstream_login.login_errors import LoginFailed
from lg_gateway.upstream_login.login_http import LoginHttp
from lg_gateway.upstream_login.login_spec import LoginSpec
from lg_policy.config.http import OAuthSettings
from tests.gateway.identity.authorization_server import authorization_server
from tests.gateway.rig import ALLOW_ALL, gateway_of, send, text_of
from tests.gateway.upstreams.support_http import raw_server, settings
from tests.policy.outgoing.small_proxy import small_proxy
from tests.policy.outgoing.tls_site import NAME, tls_in_front

pytestmark = pytest.mark.anyio
AUDIENCE = "https://gw.test/mcp"


async def test_a_server_behind_a_proxy_answers_calls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with small_proxy(tmp_path, "ann:p@ss") as proxy:
        monkeypatch.setenv("HTTP_PROXY", proxy.url.replace("//", "//ann:p%40ss@"))
        async with raw_server() as state:
            state.url = state.url.replace("127.0.0.1", "far.example.test")
            async with gateway_of(tmp_path, settings(state), ALLOW_ALL) as gateway:
                assert text_of(await send(gateway, "raw__plain", {})) == "plain"
                assert text_of(await send(gateway, "raw__stream", {})) == "stream"
    assert {line.split()[1] for line in proxy.asked} == {state.url}


async def test_a_login_and_the_keys_of_an_issuer_come_through_the_proxy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with small_proxy(tmp_path) as proxy, authorization_server() as issuer:
        async with tls_in_front(tmp_path, int(issuer.url.rpartition(":")[2]), monkeypatch) as port:
            monkeypatch.setenv("https_proxy", proxy.url)
            issuer.url = issuer.speaks_for = f"https://{NAME}:{port}"
            issuer.clients["gw"] = "very-secret"
            check = JwtVerifier(OAuthSettings.model_validate({"issuer": issuer.url}), AUDIENCE)
            known = await check.verify(issuer.token(sub="alice"))
            assert known is not None
            assert known.name == "alice"
            spec = LoginSpec(
                server="far", url=f"{issuer.url}/mcp", resource=f"{issuer.url}/mcp", grant="client_credentials",
                token_url=f"{issuer.url}/token", client_id="gw", client_secret="very-secret",
            )  # fmt: skip
            assert await ClientCredentials(spec, lambda _secrets: None).header() == f"Bearer {issuer.issued[0]}"
            assert set(proxy.asked) == {f"CONNECT {NAME}:{port}"}
            monkeypatch.setenv("NO_PROXY", "example.test")
            with pytest.raises(LoginFailed, match="has no address"):
                await LoginHttp((issuer.url,)).get(f"{issuer.url}/keys")


async def test_a_proxy_that_refuses_is_named_with_what_it_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with small_proxy(tmp_path, "ann:secret") as proxy:
        monkeypatch.setenv("HTTPS_PROXY", proxy.url)
        said = rf"the proxy 127.0.0.1:{proxy.port} \(HTTPS_PROXY\) refused a connection to {NAME}:443: 407"
        async with httpx2.AsyncClient(transport=HttpPool()) as client:
            with pytest.raises(httpx2.ConnectError, match=said):
                await client.get(f"https://{NAME}/")
        with pytest.raises(LoginFailed, match="write user and password"):
            await LoginHttp(()).get(f"https://{NAME}/keys")
    with pytest.raises(LoginFailed, match=r"cannot reach the proxy .* \(HTTPS_PROXY\)"):
        await LoginHttp(()).get(f"https://{NAME}/keys")
    monkeypatch.setenv("HTTPS_PROXY", "socks5://127.0.0.1:1080")
    async with httpx2.AsyncClient(transport=HttpPool()) as client:
        with pytest.raises(httpx2.ConnectError, match="HTTPS_PROXY names a proxy of the kind 'socks5'"):
            await client.get(f"https://{NAME}/")


@pytest.mark.attack("Upstream login", "a server elsewhere names addresses of this network, behind a proxy")
@pytest.mark.parametrize("host", ["10.0.0.1", "169.254.169.254", "[::ffff:10.0.0.1]", "[fd00::1]"])
async def test_a_proxy_is_not_asked_for_addresses_of_local_networks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, host: str
) -> None:
    with small_proxy(tmp_path) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", proxy.url)
        with pytest.raises(LoginFailed, match="not on the public network"):
            await LoginHttp(("https://93.184.215.14/mcp",)).get(f"https://{host}/latest/meta-data")
        assert proxy.asked == []
