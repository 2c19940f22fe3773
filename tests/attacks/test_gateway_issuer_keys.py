"""What an authorization server tries that is to hand over its keys, and whoever can answer in its place."""

from __future__ import annotations

from typing import Any

import anyio
import anyio.to_thread
import jwt
import pytest

from lg_gateway.identity.jwt import JwtVerifier
from lg_policy.config.http import OAuthSettings
from lg_policy.outgoing.checked_http import ANSWER_BYTES, RequestFailed
from tests.attacks.programmed_site import ProgrammedSite, answer, dripping, endless, programmed_site, redirect
from tests.gateway.identity.authorization_server import AuthorizationServer

pytestmark = pytest.mark.anyio
AUDIENCE = "https://gw.test/mcp"
KEYS = "/keys"


async def refusal(site: ProgrammedSite, **settings: Any) -> str:
    """Return why the keys of this issuer cannot be had; "" if they can. A good token counts only then."""
    given = {"issuer": site.origin, "jwks_url": f"{site.origin}{KEYS}"} | settings
    signer = AuthorizationServer(1)
    site.pages.setdefault(KEYS, lambda _request: answer(signer.published()))
    check = JwtVerifier(OAuthSettings.model_validate(given), AUDIENCE)
    why = ""
    try:
        await anyio.to_thread.run_sync(check.keys)
    except (jwt.PyJWTError, RequestFailed, ValueError) as error:
        why = str(error)
    assert (await check.verify(signer.token(iss=site.origin)) is None) == bool(why)
    return why


@pytest.mark.attack("Login", "keys of 100 MB, keys that never end, keys in a redirect, nested, of no kind")
async def test_keys_of_an_issuer_are_read_within_limits() -> None:
    async with programmed_site() as site, programmed_site() as other:
        assert await refusal(site) == ""
        site.pages[KEYS] = lambda _request: endless(100)
        assert f"more than {ANSWER_BYTES} bytes" in await refusal(site)
        assert site.sent < 20_000_000
        site.pages[KEYS] = lambda _request: dripping()
        assert "did not answer within 0.2 s" in await refusal(site, timeout_s=0.2)
        site.pages[KEYS] = lambda _request: redirect(f"{other.origin}{KEYS}")
        assert "leads to another host" in await refusal(site)
        assert other.asked == []
        site.pages[KEYS] = lambda _request: answer([{"keys": []}])
        assert "no JSON object" in await refusal(site)


@pytest.mark.attack(
    "Login", "an issuer elsewhere that says its keys are on this machine, on its networks, or in a file"
)
@pytest.mark.parametrize(
    "named",
    ["https://10.0.0.1/keys", "https://169.254.169.254/latest", "http://idp.example/keys", "file:///etc/passwd", "", 7],
)
async def test_keys_are_not_fetched_from_where_the_issuer_may_not_lead(named: Any) -> None:
    async with programmed_site() as site:
        site.metadata["jwks_uri"] = named
        said = await refusal(site, jwks_url=None)
    assert "which is not on the public network" in said or "must be an https address" in said


@pytest.mark.attack("Login", "a flood of tokens while the keys cannot be fetched, to have the issuer asked for each")
async def test_an_issuer_that_fails_is_not_asked_for_each_token() -> None:
    now = [1_000.0]
    async with programmed_site() as site:
        settings = OAuthSettings.model_validate({"issuer": site.origin, "jwks_url": f"{site.origin}{KEYS}"})
        check = JwtVerifier(settings, AUDIENCE, clock=lambda: now[0])
        signer = AuthorizationServer(1)
        async with anyio.create_task_group() as tasks:
            for number in range(30):
                tasks.start_soon(check.verify, signer.token(iss=site.origin, header={"kid": f"key-{number}"}))
        assert len(site.asked) == 1
        site.pages[KEYS] = lambda _request: answer(signer.published())
        now[0] += 5.0
        assert await check.verify(signer.token(iss=site.origin)) is not None
