"""Each identity has its own login at a server, and never gets an answer that was meant for another."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import mcp_types as t
import pytest
from conformance.probing.prober import Seen

from tests.gateway.elicitation.clients_of_servers import answering
from tests.gateway.identity.authorization_server import AuthorizationServer, authorization_server
from tests.gateway.rig import ALLOW_ALL, gateway_of, journal, records, send, text_of, until
from tests.gateway.upstream_login.protected_site import browse, protected_site, settings
from tests.gateway.upstream_login.support_logins import PER_CALLER, log_in, recording_upstream, whoami

pytestmark = pytest.mark.anyio


async def test_each_identity_calls_with_its_own_login_and_the_ledger_says_which(tmp_path: Path) -> None:
    async with protected_site() as site:
        for person, holder in (("ann", "token:ann"), ("bob", "token:bob")):
            await log_in(tmp_path, site, PER_CALLER, person=person, holder=holder)
        async with gateway_of(tmp_path, settings(site, PER_CALLER), ALLOW_ALL) as gateway:
            local = gateway.setup.identity
            assert f"log in with `lg-gateway login notes --identity {local}`" in gateway.upstreams["notes"].error
            await log_in(tmp_path, site, PER_CALLER, person="me", holder=local)
            await until(lambda: gateway.upstreams["notes"].state == "up")
            for identity, person in (("token:ann", "ann"), (local, "me"), ("token:bob", "bob"), ("token:ann", "ann")):
                assert text_of(await whoami(gateway, identity)) == person
            refused = await whoami(gateway, "token:eve")
            assert "token:eve has not logged in: log in with `lg-gateway login notes --identity token:eve`" in text_of(
                refused
            )
            ended = [record for record in records(gateway) if record["phase"] == "ended"]
            assert [record["upstream_login"] and record["upstream_login"].rpartition(" ")[0] for record in ended] == [
                "login of token:ann", f"login of {local}", "login of token:bob", "login of token:ann", None,
            ]  # fmt: skip


def exchanging(issuer: AuthorizationServer, url: str, *more: str) -> str:
    issuer.clients["gw"] = "client-secret"
    entry = [f'[gateway.servers.w]\nurl = "{url}"\n{PER_CALLER}\n[gateway.servers.w.oauth]\nauth = "token_exchange"']
    entry += ['client_id = "gw"\nclient_secret = "client-secret"', *more]
    return "\n".join([*entry, ""])


async def test_a_callers_token_is_exchanged_for_one_of_the_callers_own_and_never_passed_on(tmp_path: Path) -> None:
    headers = tmp_path / "headers"
    with authorization_server() as issuer, recording_upstream(headers) as url:
        tokens = {name: issuer.token(sub=name) for name in ("ann", "bob")}
        entry = exchanging(issuer, url, f'token_url = "{issuer.url}/token"')
        async with gateway_of(tmp_path, entry, ALLOW_ALL) as gateway:
            assert gateway.upstreams["w"].state == "up", gateway.upstreams["w"].error
            for name in ("ann", "bob", "ann"):
                answer = await send(
                    gateway, "w__echo", {"text": name}, identity=f"oauth:{name}", subject=partial(tokens.get, name)
                )
                assert text_of(answer) == name
            refused = await send(gateway, "w__echo", {"text": "x"}, identity="oauth:eve")
            assert "oauth:eve did not log in with a token that can be exchanged" in text_of(refused)
        shown = [dict(request["headers"]).get("authorization", "") for request in journal(headers)]
        assert len({value for value in shown if "exchanged-for-ann" in value}) == 1
        assert len({value for value in shown if "exchanged-for-bob" in value}) == 1
        assert not any(token in value for token in tokens.values() for value in shown)
        exchanges = [form for form in issuer.forms if form["grant_type"].endswith("token-exchange")]
        assert [form["subject_token"] for form in exchanges] == [tokens["ann"], tokens["bob"]]
        assert {form["resource"] for form in exchanges} == {url}


class Person:
    """Opens each page that a client shows, unless they do not want to."""

    def __init__(self, *, agrees: bool = True) -> None:
        self.pages: list[Any] = []
        self.agrees = agrees

    async def asked(self, _context: Any, params: Any) -> t.ElicitResult:
        self.pages.append(params)
        if self.agrees:
            await browse(params.url)
        return t.ElicitResult(action="accept" if self.agrees else "decline")


@pytest.mark.parametrize("mode", ["auto", "legacy"])
async def test_a_client_that_shows_pages_has_its_human_log_in_while_the_call_waits(tmp_path: Path, mode: str) -> None:
    async with protected_site() as site, gateway_of(tmp_path, settings(site, PER_CALLER), ALLOW_ALL) as gateway:
        await log_in(tmp_path, site, PER_CALLER, person="me", holder=gateway.setup.identity)
        await until(lambda: gateway.upstreams["notes"].state == "up")
        site.person = "cursor"
        person = Person()
        talking: dict[str, Any] = {"identity": "local:me/cursor", "elicitation_callback": person.asked}
        async with answering(gateway, mode, Seen(), **talking) as client:
            assert text_of(await client.call_tool("notes__whoami", {})) == "cursor"
            assert text_of(await client.call_tool("notes__whoami", {})) == "cursor"
        (page,) = person.pages
        assert page.url.startswith(f"{site.origin}/authorize?")
        assert page.message.splitlines()[:4] == [
            "A server wants you to log in. The gateway asks for it, to make this call.",
            "server: notes", "while running: whoami", "host: 127.0.0.1",
        ]  # fmt: skip
        unwilling = Person(agrees=False)
        talking = {"identity": "local:me/other", "elicitation_callback": unwilling.asked}
        async with answering(gateway, mode, Seen(), **talking) as client:
            refused = await client.call_tool("notes__whoami", {})
        assert "you did not" in text_of(refused)
        remote = Person()
        async with answering(gateway, mode, Seen(), identity="token:eve", elicitation_callback=remote.asked) as client:
            refused = await client.call_tool("notes__whoami", {})
        assert "log in with `lg-gateway login notes --identity token:eve`" in text_of(refused)
        assert remote.pages == []
