"""A person logs in at a real authorization server, and the gateway calls a real MCP server with that login."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import anyio
import pytest

from lg_gateway.serving.gateway import Gateway
from lg_gateway.upstream_login.login_errors import LoginFailed
from lg_gateway.upstream_login.login_store import LoginStore
from lg_gateway.upstream_login.person_login import begin_login
from tests.gateway.rig import ALLOW_ALL, gateway_of, program_environment, records, send, text_of, until
from tests.gateway.upstream_login.protected_site import browse, protected_site, query_of, settings
from tests.gateway.upstream_login.support_logins import log_in, spec_of, whoami

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("programs_by_fork")]


async def test_a_server_that_wants_a_login_says_so_and_is_up_by_itself_once_somebody_logged_in(tmp_path: Path) -> None:
    async with protected_site() as site, gateway_of(tmp_path, settings(site), ALLOW_ALL) as gateway:
        error = gateway.upstreams["notes"].error
        assert "HTTP 401 Unauthorized, WWW-Authenticate: Bearer" in error
        assert "log in with `lg-gateway login notes`" in error
        await log_in(tmp_path, site)
        await until(lambda: gateway.upstreams["notes"].state == "up")
        answer = await whoami(gateway)
        assert text_of(answer) == "ann"
        (ended,) = [record for record in records(gateway) if record["phase"] == "ended"]
        assert ended["upstream_login"].startswith("shared login ")


async def test_a_login_asks_with_pkce_for_the_resource_and_keeps_its_tokens_encrypted(
    tmp_path: Path, clean_environment: Path
) -> None:
    async with protected_site() as site:
        async with begin_login(spec_of(tmp_path, site), "", LoginStore(os.environ)) as begun:
            query = query_of(begun.url)
            await browse(begun.url)
            login, _ = await begun.finish()
        assert query["resource"] == site.url
        assert query["code_challenge_method"] == "S256"
        assert query["redirect_uri"].startswith("http://127.0.0.1:")
        token_request = next(asked for asked in site.asked if asked["path"] == "/token")
        assert token_request["resource"] == site.url
        assert token_request["code_verifier"]
        kept = b"".join(path.read_bytes() for path in clean_environment.rglob("*") if path.is_file())
        for secret in (login.access, login.refresh, login.client_secret):
            assert secret
            assert secret.encode() not in kept
            assert secret not in repr(login)


async def test_a_login_is_renewed_before_it_ends_and_once_when_the_server_refuses_it(tmp_path: Path) -> None:
    async with protected_site() as site:
        site.lifetime_s = 0
        await log_in(tmp_path, site)
        async with gateway_of(tmp_path, settings(site), ALLOW_ALL) as gateway:
            assert gateway.upstreams["notes"].state == "up", gateway.upstreams["notes"].error
            before = site.refreshes
            assert before
            site.lifetime_s = 3600
            assert text_of(await whoami(gateway)) == "ann"
            assert text_of(await whoami(gateway)) == "ann"
            assert site.refreshes == before + 1
            site.access.clear()
            assert text_of(await whoami(gateway)) == "ann"
            assert site.refreshes == before + 2
            site.access.clear()
            site.refresh.clear()
            refused = await whoami(gateway)
            assert refused.structured_content["error"]["code"] == "upstream_unavailable"
            assert "log in with `lg-gateway login notes`" in text_of(refused)


async def test_two_gateways_that_renew_one_login_at_once_use_its_refresh_token_once(tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    for folder in (one, two):
        folder.mkdir()
    async with protected_site() as site:
        await log_in(tmp_path, site)
        async with (
            gateway_of(one, settings(site), ALLOW_ALL) as first,
            gateway_of(two, settings(site), ALLOW_ALL) as second,
        ):
            site.access.clear()
            answers: list[Any] = []

            async def ask(gateway: Gateway) -> None:
                answers.append(await whoami(gateway))

            async with anyio.create_task_group() as tasks:
                for gateway in (first, second, first, second):
                    tasks.start_soon(ask, gateway)
        assert [text_of(answer) for answer in answers] == ["ann"] * 4
        assert site.refreshes == 1


async def test_a_call_that_is_given_up_during_a_renewal_does_not_lose_the_new_tokens(tmp_path: Path) -> None:
    async with protected_site() as site:
        await log_in(tmp_path, site)
        async with gateway_of(tmp_path, settings(site), ALLOW_ALL) as gateway:
            site.access.clear()
            site.hold = anyio.Event()
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(whoami, gateway)
                await site.refreshing.wait()
                tasks.cancel_scope.cancel()
                site.hold.set()
            assert text_of(await whoami(gateway)) == "ann"
        assert site.refreshes == 1


@pytest.mark.parametrize("grace", [0, 1])
async def test_a_gateway_that_is_killed_during_a_renewal_leaves_a_login_that_works_or_says_why_not(
    tmp_path: Path, grace: int
) -> None:
    async with protected_site() as site:
        site.grace = grace
        await log_in(tmp_path, site)
        site.access.clear()
        site.hold = anyio.Event()
        argv = [sys.executable, "-P", "-m", "lg_gateway", "tools", "--config", str(tmp_path / "gateway.toml")]
        with subprocess.Popen(argv, env=program_environment(), stdout=subprocess.DEVNULL) as killed:
            await site.refreshing.wait()  # the old refresh token is used up, and the answer is on its way
            killed.kill()
        site.hold.set()
        for token in [token for token in site.refresh if token not in site.used]:
            del site.refresh[token]  # nobody has it
        async with gateway_of(tmp_path, settings(site), ALLOW_ALL) as gateway:
            if grace:
                assert text_of(await whoami(gateway)) == "ann"
            else:
                error = gateway.upstreams["notes"].error
                assert "a gateway was killed while it renewed it: log in with `lg-gateway login notes`" in error


async def test_a_call_that_lacks_a_permission_says_so_and_the_next_login_asks_for_it(tmp_path: Path) -> None:
    scopes = "[gateway.servers.notes.oauth]\nscopes = ['read']"
    async with protected_site() as site:
        await log_in(tmp_path, site, scopes)
        async with gateway_of(tmp_path, settings(site, scopes), ALLOW_ALL) as gateway:
            refused = await send(gateway, "notes__admin", {})
            assert "wants more permissions: HTTP 403 Forbidden" in text_of(refused)
            assert "log in with `lg-gateway login notes`" in text_of(refused)
            login = await log_in(tmp_path, site, scopes)
            assert set(login.scopes) == {"read", "admin"}
            assert text_of(await send(gateway, "notes__admin", {})) == "done"


async def test_a_login_that_nobody_makes_ends_after_its_deadline(tmp_path: Path) -> None:
    async with protected_site() as site:
        async with begin_login(spec_of(tmp_path, site), "", LoginStore(os.environ)) as begun:
            with pytest.raises(LoginFailed, match="nobody logged in within"):
                await begun.finish(0.01)
        assert LoginStore(os.environ).ids() == []


@pytest.mark.parametrize("transport", ["sse", "auto"])
async def test_a_login_works_over_the_older_transport_too(tmp_path: Path, transport: str) -> None:
    async with protected_site(sse=transport == "sse") as site:
        more = f'transport = "{transport}"'
        await log_in(tmp_path, site, more)
        async with gateway_of(tmp_path, settings(site, more), ALLOW_ALL) as gateway:
            assert text_of(await whoami(gateway)) == "ann"
            site.access.clear()
            assert text_of(await whoami(gateway)) == "ann"
            assert site.refreshes == 1
