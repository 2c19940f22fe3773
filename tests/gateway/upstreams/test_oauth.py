"""The gateway's own credentials at a server: fetched once, renewed, sent there alone, never shown."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import anyio
import httpx2
import pytest

from lg_gateway.serving.setup import GatewaySetup
from lg_gateway.upstream_login.client_credentials import ClientCredentials
from lg_gateway.upstream_login.login_errors import LoginFailed
from lg_gateway.upstream_login.login_spec import LoginSpec
from lg_policy.errors import ConfigError
from tests.gateway.commands.support_commands import run
from tests.gateway.identity.authorization_server import AuthorizationServer, authorization_server
from tests.gateway.rig import ALLOW_ALL, gateway_of, journal, make_setup, write_config
from tests.gateway.upstream_login.support_logins import recording_upstream

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("programs_by_fork")]
SECRET = "client-secret-that-nobody-sees"


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


class Resource:
    """An HTTP server that takes the tokens that were issued last, and no other."""

    def __init__(self, issuer: AuthorizationServer) -> None:
        self.issuer = issuer
        self.refuse: set[str] = set()
        self.seen: list[str] = []

    def answer(self, request: httpx2.Request) -> httpx2.Response:
        shown = request.headers.get("Authorization", "")
        self.seen.append(shown)
        good = shown.removeprefix("Bearer ") in self.issuer.issued and shown not in self.refuse
        return httpx2.Response(200 if good else 401)


def login(issuer: AuthorizationServer, **changes: Any) -> LoginSpec:
    issuer.clients["gw"] = SECRET
    given: dict[str, Any] = {
        "token_url": f"{issuer.url}/token", "client_id": "gw", "client_secret": SECRET, "scopes": ("a", "b"),
        "resource": "http://127.0.0.1/mcp", "server": "w", "url": "http://127.0.0.1/mcp",
        "grant": "client_credentials",
    }  # fmt: skip
    return LoginSpec(**(given | changes))


async def test_a_token_is_fetched_once_for_all_calls_renewed_before_it_ends_and_after_a_refusal() -> None:
    clock, learnt = Clock(), list[str]()
    with authorization_server() as issuer:
        issuer.lifetime_s = 100
        resource = Resource(issuer)
        auth = ClientCredentials(login(issuer), learnt.extend, clock=clock)
        async with httpx2.AsyncClient(auth=auth, transport=httpx2.MockTransport(resource.answer)) as http:
            async with anyio.create_task_group() as tasks:
                for _ in range(8):
                    tasks.start_soon(http.get, "http://server.test/")
            assert issuer.asked.count("/token") == 1
            assert issuer.forms[0]["scope"] == "a b"
            assert issuer.forms[0]["resource"] == "http://127.0.0.1/mcp"
            clock.now = 81
            assert (await http.get("http://server.test/")).status_code == 200
            assert issuer.asked.count("/token") == 2
            resource.refuse.add(f"Bearer {issuer.issued[-1]}")
            assert (await http.get("http://server.test/")).status_code == 200
            assert issuer.asked.count("/token") == 3
        assert learnt == issuer.issued


async def test_a_token_is_used_to_its_end_while_none_can_be_fetched() -> None:
    clock = Clock()
    with authorization_server() as issuer:
        issuer.lifetime_s = 100
        auth = ClientCredentials(login(issuer), lambda _: None, clock=clock)
        async with httpx2.AsyncClient(auth=auth, transport=httpx2.MockTransport(Resource(issuer).answer)) as http:
            assert (await http.get("http://server.test/")).status_code == 200
            issuer.up = False
            clock.now = 90
            assert (await http.get("http://server.test/")).status_code == 200
            clock.now = 101
            with pytest.raises(LoginFailed) as caught:
                await http.get("http://server.test/")
        assert SECRET not in str(caught.value)
        assert "503" in str(caught.value)


def test_a_server_gets_the_token_of_its_own_entry_and_the_secret_shows_up_nowhere(
    tmp_path: Path,
) -> None:
    headers = tmp_path / "headers"
    with authorization_server() as issuer, recording_upstream(headers) as url:
        issuer.clients["gw"] = SECRET
        token = issuer.next_token()
        entry = f'[gateway.servers.w]\nurl = "{url}"\n[gateway.servers.w.oauth]\ntoken_url = "{issuer.url}/token"\n'
        entry += 'client_id = "gw"\nclient_secret = "${GW_SECRET}"\n'
        config = write_config(tmp_path, entry, ALLOW_ALL)
        # A server may well say what it was sent; neither answer nor record nor log shows it.
        echo = json.dumps({"text": f"I was sent {token} and {SECRET}"})
        done = run("call", "w__echo", echo, "--config", str(config), "--log-level", "debug", GW_SECRET=SECRET)
        audit = run("audit", "export", "--config", str(config)).stdout
    assert done.returncode == 0, done.stderr
    assert issuer.asked.count("/token") == 1
    sent = {dict(request["headers"]).get("authorization") for request in journal(headers)}
    assert sent == {f"Bearer {token}"}
    for shown in (done.stdout, done.stderr, audit):
        assert "I was sent [secret:" in shown or shown is done.stderr
        assert token not in shown
        assert SECRET not in shown


async def test_a_server_that_sends_its_callers_elsewhere_does_not_send_credentials_there(tmp_path: Path) -> None:
    arrived: list[str] = []

    class Elsewhere(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            arrived.append(json.dumps(dict(self.headers)))
            self.send_response(404)
            self.end_headers()

        def log_message(self, *_args: Any) -> None:
            """Say nothing."""

    class Redirecting(Elsewhere):
        def do_POST(self) -> None:
            self.send_response(307)
            self.send_header("Location", f"http://127.0.0.1:{other.server_address[1]}/mcp")
            self.end_headers()

    with (
        ThreadingHTTPServer(("127.0.0.1", 0), Elsewhere) as other,
        ThreadingHTTPServer(("127.0.0.1", 0), Redirecting) as bad,
    ):
        for one in (other, bad):
            threading.Thread(target=one.serve_forever, daemon=True).start()
        entry = f'[gateway.servers.w]\nurl = "http://127.0.0.1:{bad.server_address[1]}/mcp"\n'
        entry += 'headers = { X-Key = "of-this-server-only" }\n'
        async with gateway_of(tmp_path, entry) as gateway:
            assert gateway.upstreams["w"].error
        other.shutdown()
        bad.shutdown()
    assert "of-this-server-only" not in "".join(arrived)


@pytest.mark.parametrize(
    ("entry", "why"),
    [
        ('url = "http://far.test/mcp"', "must be an https address"),
        ('command = "true"', "oauth needs a url"),
    ],
)
def test_credentials_do_not_travel_in_clear(tmp_path: Path, entry: str, why: str) -> None:
    text = f'[gateway.servers.w]\n{entry}\n[gateway.servers.w.oauth]\ntoken_url = "https://id.test/token"\n'
    with pytest.raises(ConfigError, match=why):
        make_setup(tmp_path, text + 'client_id = "a"\nclient_secret = "b"\n')


def test_what_describes_a_server_does_not_show_its_secret(tmp_path: Path) -> None:
    entry = '[gateway.servers.w]\nurl = "https://far.test/mcp"\n[gateway.servers.w.oauth]\n'
    entry += f'token_url = "https://id.test/token"\nclient_id = "a"\nclient_secret = "{SECRET}"\n'
    setup: GatewaySetup = make_setup(tmp_path, entry)
    assert SECRET not in repr(setup.specs)
    assert SECRET in setup.specs[0].secrets()
