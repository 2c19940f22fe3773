"""Calls to a server over HTTP: each odd answer means the same on the direct way and on the SDK's."""

from __future__ import annotations

import asyncio
import socket
import ssl
import struct
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import anyio
import httpx2
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from lg_gateway.http_client.connection import KeptConnection
from lg_gateway.http_client.pool import KEPT, HttpPool
from lg_gateway.serving.gateway import Gateway
from lg_gateway.upstreams.bounded_http import BoundedTransport
from lg_gateway.upstreams.direct_calls import FIRST_NUMBER
from tests.gateway.identity.authorization_server import authorization_server
from tests.gateway.rig import ALLOW_ALL, code_of, gateway_of, send, text_of, until
from tests.gateway.upstreams.support_http import RawServer, raw_server, settings

pytestmark = pytest.mark.anyio

DIRECT = pytest.mark.parametrize("direct", [True, False])


async def ask(gateway: Gateway, name: str) -> Any:
    return await send(gateway, f"raw__{name}", {})


ANSWERED = {
    "plain": "plain",
    "stream": "stream",
    "torn": "torn",
    "early_words": "at last",
    "old_protocol": "old",
    "closing": "closing",
    "closed_in_silence": "closed",
    "notes_first": "noted",
    "continued": "resumed",
}


@DIRECT
@pytest.mark.parametrize("session", [True, False])
async def test_an_answer_in_any_form_of_http_arrives(tmp_path: Path, direct: bool, session: bool) -> None:
    async with (
        raw_server(session=session) as state,
        gateway_of(tmp_path, settings(state, direct=direct), ALLOW_ALL) as gateway,
    ):
        for name, text in ANSWERED.items():
            for _ in range(2):
                assert text_of(await ask(gateway, name)) == text, name
        restarts = gateway.upstreams["raw"].restarts

    assert state.calls == [name for name in ANSWERED for _ in range(2)]
    assert {said["id"] >= FIRST_NUMBER for said in state.said if said.get("method") == "tools/call"} == {direct}
    assert restarts == 0


FAILED = {
    "killed": ("outcome_unknown", "the connection to server raw broke during the call"),
    "cut_head": ("outcome_unknown", "the connection to server raw broke during the call"),
    "endless_head": ("outcome_unknown", "the connection to server raw broke during the call"),
    "noise": ("outcome_unknown", "the connection to server raw broke during the call"),
    "no_last_line_break": ("outcome_unknown", "the connection to server raw broke during the call"),
    "cut_body": ("outcome_unknown", "its answer broke off"),
    "cut_stream": ("outcome_unknown", "its answer broke off"),
    "compressed": ("outcome_unknown", "the answer is compressed"),
    "forbidden": ("internal", "HTTP 403 Forbidden (-32603)"),
    "log_in_first": (
        "upstream_unavailable",
        'HTTP 401 Unauthorized, WWW-Authenticate: Bearer (resource_metadata="http://x.example")',
    ),
    "moved": ("internal", "Redirect to http://elsewhere.example/mcp not followed"),
    "done_elsewhere": ("outcome_unknown", "HTTP 303: Redirect to http://elsewhere.example/done not followed"),
}


@DIRECT
@pytest.mark.parametrize("name", FAILED)
async def test_a_failure_is_told_apart_and_the_call_is_not_repeated(tmp_path: Path, direct: bool, name: str) -> None:
    pace = "[gateway]\nrestart_backoff_s = 0.01\n"
    async with raw_server() as state, gateway_of(tmp_path, pace, settings(state, direct=direct), ALLOW_ALL) as gateway:
        await ask(gateway, "plain")
        failed = await ask(gateway, name)
        again = await ask(gateway, "plain")
        restarts = gateway.upstreams["raw"].restarts

    code, words = FAILED[name]
    assert (code_of(failed), words in text_of(failed)) == (code, True), text_of(failed)
    assert text_of(again) == "plain"
    # A front that wants the same request elsewhere has not looked at the call, so the SDK may send it once more.
    assert state.calls == ["plain", *[name] * (2 if name == "moved" and direct else 1), "plain"]
    assert restarts == (1 if name in ("killed", "cut_head", "endless_head", "noise") else 0)


@DIRECT
async def test_reports_of_progress_reach_the_caller_of_their_call(tmp_path: Path, direct: bool) -> None:
    heard: list[Any] = []

    async def report(progress: float, total: float | None, message: str | None) -> None:
        heard.append((progress, total, message))

    async with raw_server() as state, gateway_of(tmp_path, settings(state, direct=direct), ALLOW_ALL) as gateway:
        answer = await send(gateway, "raw__reports", {}, progress=report)
        await until(lambda: bool(heard))

    assert text_of(answer) == "reported"
    assert heard == [(1.0, 2.0, "half")]


@DIRECT
async def test_a_read_that_was_lost_may_be_repeated(tmp_path: Path, direct: bool) -> None:
    async with (
        raw_server() as state,
        gateway_of(tmp_path, settings(state, "trusted = true", direct=direct), ALLOW_ALL) as gateway,
    ):
        failed = await ask(gateway, "killed_read")

    assert code_of(failed) == "upstream_unavailable"


@DIRECT
async def test_a_call_whose_session_was_forgotten_is_sent_once_more_in_a_new_one(tmp_path: Path, direct: bool) -> None:
    async with (
        raw_server(session=True) as state,
        gateway_of(tmp_path, settings(state, direct=direct), ALLOW_ALL) as gateway,
    ):
        answer = await ask(gateway, "forgets_the_session")

    assert text_of(answer) == "plain"
    assert state.calls == ["forgets_the_session"] * 2


@DIRECT
async def test_a_server_that_does_not_answer_in_time_is_told_so_and_keeps_no_connection(
    tmp_path: Path, direct: bool
) -> None:
    async with raw_server() as state:
        part = settings(state, "call_timeout_s = 1.5", direct=direct)
        async with gateway_of(tmp_path, part, ALLOW_ALL) as gateway:
            answer = await ask(gateway, "silent")
            await until(lambda: any(said.get("method") == "notifications/cancelled" for said in state.said))
            if direct:
                await until(lambda: state.closed > 0)

    number = next(said["id"] for said in state.said if said.get("method") == "tools/call")
    told = [said["params"]["requestId"] for said in state.said if said.get("method") == "notifications/cancelled"]
    assert code_of(answer) == "timeout"
    assert told == [number]


@DIRECT
async def test_a_token_that_the_server_refuses_is_renewed_and_the_call_sent_once_more(
    tmp_path: Path, direct: bool
) -> None:
    with authorization_server() as issuer:
        issuer.clients["gw"] = "word"
        login = ["[gateway.servers.raw.oauth]", f'token_url = "{issuer.url}/token"', 'client_id = "gw"']
        async with raw_server() as state:
            part = settings(state, *login, 'client_secret = "word"', direct=direct)
            async with gateway_of(tmp_path, part, ALLOW_ALL) as gateway:
                await ask(gateway, "plain")
                state.refused.add(f"Bearer {issuer.issued[-1]}")
                answer = await ask(gateway, "plain")
                state.refused.add(f"Bearer {issuer.issued[-1]}")
                issuer.up = False
                failed = await ask(gateway, "plain")

    assert text_of(answer) == "plain"
    assert len(issuer.issued) == 2
    assert state.calls == ["plain", "plain"]
    assert code_of(failed) in ("upstream_unavailable", "outcome_unknown")
    assert not direct or code_of(failed) == "upstream_unavailable", "nothing was done with the call"


async def test_connections_are_kept_and_no_more_than_are_needed(tmp_path: Path) -> None:
    async with raw_server() as state, gateway_of(tmp_path, settings(state), ALLOW_ALL) as gateway:
        before = state.connections
        for _ in range(5):
            await ask(gateway, "plain")
            await ask(gateway, "stream")
        one_by_one = state.connections - before
        async with anyio.create_task_group() as tasks:
            for _ in range(KEPT + 10):
                tasks.start_soon(ask, gateway, "plain")
        at_once = state.connections - before
        await until(lambda: state.connections - state.closed <= KEPT + 1)

    assert one_by_one <= 1
    assert at_once <= KEPT + 11


async def test_a_stream_that_ends_late_does_not_hold_up_its_call(tmp_path: Path) -> None:
    async with raw_server() as state, gateway_of(tmp_path, settings(state), ALLOW_ALL) as gateway:
        answer = await ask(gateway, "stream_with_a_slow_end")
        state.go_on.set()

    assert text_of(answer) == "slow end"


CALLS_BEFORE_RESET = 5


class Peer:
    """A server on its own thread that does one step after another when it is told, while the event loop stands."""

    def __init__(self) -> None:
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]

    def run(self, steps: Any) -> None:
        thread = threading.Thread(target=steps)
        thread.start()
        thread.join(30)
        assert not thread.is_alive()


async def connected(peer: Peer) -> tuple[KeptConnection, socket.socket]:
    loop = asyncio.get_running_loop()
    _, connection = await loop.create_connection(KeptConnection, "127.0.0.1", peer.port)
    accepted, _ = peer.listener.accept()
    return connection, accepted


@pytest.mark.parametrize("read_first", [False, True])
async def test_a_connection_that_ended_before_it_took_a_byte_has_lost_nothing(read_first: bool) -> None:
    peer = Peer()
    connection, accepted = await connected(peer)
    assert connection.usable
    headers = [(b"Host", b"x"), (b"Content-Length", b"2")]
    if not read_first:
        peer.run(accepted.close)
        assert not connection.usable, "the system knows before the event loop does"
        await connection.send(b"POST", b"/", headers, b"{}", 10)
    else:
        await connection.send(b"POST", b"/", headers, b"{}", 10)

        def read_and_close() -> None:
            assert accepted.recv(10_000).endswith(b"{}")
            accepted.close()

        peer.run(read_and_close)
    with pytest.raises(httpx2.TransportError):
        await connection.head(10)

    assert connection.took_nothing is not read_first
    connection.close()
    peer.listener.close()


async def test_a_request_that_a_server_took_and_answered_with_a_reset_is_not_sent_again() -> None:
    taken: list[bytes] = []
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        accepted, _ = listener.accept()
        for number in range(CALLS_BEFORE_RESET + 1):
            said = b""
            while not said.endswith(b"\r\n\r\n"):
                said += accepted.recv(10_000)
            taken.append(said.partition(b" HTTP")[0])
            if number < CALLS_BEFORE_RESET:
                accepted.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        accepted.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        accepted.close()
        listener.close()

    thread = threading.Thread(target=serve)
    thread.start()
    async with httpx2.AsyncClient(transport=HttpPool()) as client:
        # The first requests are acknowledged at once; those on a connection in use are not.
        for number in range(CALLS_BEFORE_RESET):
            await client.get(f"http://127.0.0.1:{listener.getsockname()[1]}/{number}")
        with pytest.raises(httpx2.ReadError):
            await client.get(f"http://127.0.0.1:{listener.getsockname()[1]}/last")
    thread.join(30)

    assert taken == [*(b"GET /%d" % number for number in range(CALLS_BEFORE_RESET)), b"GET /last"]


async def test_a_request_that_nobody_took_is_sent_again_over_a_new_connection() -> None:
    async with raw_server() as state:
        pool = HttpPool()
        async with httpx2.AsyncClient(transport=pool) as client:
            for _ in range(3):
                sent = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "closed_in_silence"}}
                assert (await client.post(state.url, json=sent)).json()["result"]["content"][0]["text"] == "closed"

    assert state.calls == ["closed_in_silence"] * 3


async def test_a_server_that_is_not_there_has_not_got_the_request() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    async with httpx2.AsyncClient(transport=HttpPool()) as client:
        with pytest.raises(httpx2.ConnectError):
            await client.post(f"http://127.0.0.1:{port}/mcp", json={})


@pytest.mark.parametrize("kind", ["application/json", "text/event-stream"])
async def test_an_endless_answer_over_a_real_connection_ends_at_its_limit(kind: str) -> None:
    async def endless(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"{}")
        writer.write(f"HTTP/1.1 200 OK\r\ncontent-type: {kind}\r\n\r\n".encode())
        try:
            while not writer.is_closing():
                writer.write(b"x" * 100_000)
                await writer.drain()
        except ConnectionError:
            pass

    server = await asyncio.start_server(endless, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    with anyio.fail_after(60):
        async with httpx2.AsyncClient(transport=BoundedTransport(HttpPool(), limit=3_000_000)) as client:
            with pytest.raises(httpx2.ReadError, match="3000000 bytes"):
                await client.post(f"http://127.0.0.1:{port}/mcp", json={})
    server.close()


def certificate(directory: Path) -> Path:
    """Write a certificate of this machine, signed by itself, and its key into one file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    path = directory / "localhost.pem"
    secret = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    path.write_bytes(made.public_bytes(Encoding.PEM) + secret)
    return path


@pytest.mark.parametrize("trusted", [True, False])
async def test_a_server_must_have_a_certificate_that_the_system_trusts(
    tmp_path: Path, trusted: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = certificate(tmp_path)
    if trusted:
        monkeypatch.setenv("SSL_CERT_FILE", str(path))
    else:
        monkeypatch.delenv("SSL_CERT_FILE", raising=False)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(path)
    state = RawServer(session=False)
    server = await asyncio.start_server(state.serve, "localhost", 0, ssl=context, family=socket.AF_INET)
    url = f"https://localhost:{server.sockets[0].getsockname()[1]}/mcp"
    sent = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "stream"}}
    async with httpx2.AsyncClient(transport=HttpPool()) as client:
        if trusted:
            for _ in range(3):
                assert "stream" in (await client.post(url, json=sent)).text
        else:
            with pytest.raises(httpx2.ConnectError, match="certificate"):
                await client.post(url, json=sent)
    server.close()

    assert state.calls == ["stream"] * (3 if trusted else 0)
    assert state.connections == (1 if trusted else 0)
