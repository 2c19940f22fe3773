"""Calls and lists of an HTTP client, handled without the layers in between: nobody must be able to tell."""

from __future__ import annotations

import http.client
import itertools
import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any

import pytest

from tests.policy.wire.direct_messages import ENVELOPE, REQUESTS, call, meta
from tests.policy.wire.programs import DIRECT_SERVER

ERAS = pytest.mark.parametrize("era", ["2025-11-25", "2026-07-28"])
Answered = tuple[int, list[tuple[str, str]], bytes]

pytestmark = pytest.mark.usefixtures("servers_by_fork")


class Posting:
    """A client that sends the requests that it is told to, with the headers of its era."""

    def __init__(self, port: int, era: str) -> None:
        self.port = port
        self.modern = era.startswith("2026")
        self.headers = {
            "content-type": "application/json",
            "accept": "application/json, text/event-stream",
            "mcp-protocol-version": era,
        }
        self.number = 0
        self._others: list[http.client.HTTPConnection] = []
        self._kept = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        if not self.modern:
            about = {"protocolVersion": era, "capabilities": {}, "clientInfo": {"name": "tester", "version": "1"}}
            self.headers["mcp-session-id"] = self._session(self.made({"method": "initialize", "params": about}))
            self.post({"method": "notifications/initialized"}, number=False)
        self.post(call("echo"))

    def _session(self, opening: dict[str, Any]) -> str:
        self._kept.request("POST", "/mcp", json.dumps(opening), self.headers)
        response = self._kept.getresponse()
        response.read()
        return str(response.getheader("mcp-session-id"))

    def close(self) -> None:
        for connection in (self._kept, *self._others):
            connection.close()

    def begin(self, message: dict[str, Any]) -> http.client.HTTPConnection:
        """Send a request over a connection of its own, and do not wait for the answer."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        self._others.append(connection)
        connection.request("POST", "/mcp", json.dumps(message), {**self.headers, **self.routing(message)})
        return connection

    def made(self, message: dict[str, Any], *, number: bool = True) -> dict[str, Any]:
        self.number += 1
        made = {"jsonrpc": "2.0", **({"id": self.number} if number else {}), **message}
        params = made.get("params")
        if self.modern and number and (params is None or isinstance(params, dict)):
            given = (params or {}).get("_meta", {})
            made["params"] = {**(params or {}), "_meta": {**ENVELOPE, **given} if isinstance(given, dict) else given}
        return made

    def routing(self, message: dict[str, Any]) -> dict[str, str]:
        """Return the headers that a 2026 client repeats from the body."""
        params = message.get("params")
        name = params.get("name") if isinstance(params, dict) else None
        if not self.modern:
            return {}
        return {"mcp-method": message["method"]} | ({"mcp-name": name} if isinstance(name, str) else {})

    def post(
        self,
        message: dict[str, Any],
        *,
        number: bool = True,
        more: dict[str, str | None] | None = None,
        path: str = "/mcp",
    ) -> Answered:
        made = self.made(message, number=number)
        return self.post_bytes(json.dumps(made).encode(), {**self.routing(made), **(more or {})}, path)

    def post_bytes(self, body: bytes, more: dict[str, str | None], path: str = "/mcp") -> Answered:
        headers = {name: value for name, value in {**self.headers, **more}.items() if value is not None}
        self._kept.request("POST", path, body, headers)
        response = self._kept.getresponse()
        found = {name.lower(): value for name, value in response.getheaders()}
        del found["date"]
        if found.get("mcp-session-id", "") != self.headers.get("mcp-session-id", ""):
            found["mcp-session-id"] = "a new one"
        return response.status, list(found.items()), response.read()

    def end_session(self) -> int:
        self._kept.request("DELETE", "/mcp", None, self.headers)
        response = self._kept.getresponse()
        response.read()
        return response.status

    def both(self, message: dict[str, Any], more: dict[str, str | None] | None = None) -> tuple[Answered, Answered]:
        """Return the answers to a request by the usual layers, which an address with a query needs, and directly."""
        usual = self.post(message, more=more, path="/mcp?usual")
        self.number -= 1
        return usual, self.post(message, more=more)


@contextmanager
def serving() -> Iterator[int]:
    """Start the server, and give its port."""
    command = [sys.executable, "-P", str(DIRECT_SERVER), "http"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stderr is not None
            yield int(process.stderr.readline().split(":")[-1].removesuffix("/mcp\n"))
        finally:
            process.kill()


@contextmanager
def posting(era: str) -> Iterator[Posting]:
    """Give a client of a server of its own, for a test that counts the calls that wait there."""
    with serving() as port, closing(Posting(port, era)) as client:
        yield client


@pytest.fixture(scope="module")
def port(servers_by_fork: None) -> Iterator[int]:
    with serving() as found:
        yield found


@pytest.fixture(params=["2025-11-25", "2026-07-28"])
def client(port: int, request: pytest.FixtureRequest) -> Iterator[Posting]:
    """Give a client of the server that all tests of this file share."""
    with closing(Posting(port, request.param)) as found:
        yield found


def told(answer: Answered) -> Any:
    body = answer[2].decode()
    data = body.partition("data: ")[2] if body.startswith("event: ") else body
    return json.loads(data)["result"]["structuredContent"]


def test_every_request_is_answered_as_the_usual_layers_answer_it(client: Posting) -> None:
    for what, request in REQUESTS.items():
        usual, direct = client.both(request)
        assert direct == usual, what


HEADERS: dict[str, dict[str, str | None]] = {
    "a foreign host": {"host": "evil.example"},
    "a host with another port": {"host": "localhost:1"},
    "a foreign origin": {"origin": "http://evil.example"},
    "an origin of this machine": {"origin": "http://localhost:5173"},
    "no accept": {"accept": None},
    "JSON only": {"accept": "application/json"},
    "anything": {"accept": "*/*"},
    "events only": {"accept": "text/event-stream"},
    "kinds with qualities": {"accept": "text/event-stream;q=0.5, Application/JSON"},
    "no content type": {"content-type": None},
    "text": {"content-type": "text/plain"},
    "a character set": {"content-type": "application/json; charset=utf-8"},
    "no version": {"mcp-protocol-version": None},
    "an older version": {"mcp-protocol-version": "2025-06-18"},
    "a version to come": {"mcp-protocol-version": "2031-01-01"},
    "another method": {"mcp-method": "tools/list"},
    "another name": {"mcp-name": "crash"},
    "the name in base64": {"mcp-name": "=?base64?ZWNobw==?="},
    "a wrong name in base64": {"mcp-name": "=?base64?Y3Jhc2g=?="},
    "a marked argument": {"mcp-param-x": "1"},
    "an unknown session": {"mcp-session-id": "0" * 32},
    "a session that is none": {"mcp-session-id": "\u00e9"},
    "to be closed": {"connection": "close"},
    "an event id": {"last-event-id": "1"},
}


def test_every_head_of_a_request_is_taken_as_the_usual_layers_take_it(client: Posting) -> None:
    for what, headers in HEADERS.items():
        usual, direct = client.both(call("echo", text="x"), headers)
        assert direct == usual, what
        again, listed = client.both({"method": "tools/list"}, headers)
        assert listed == again, what


NUMBERS: list[Any] = ["x", "", "7", "\u00e9\ud83d\ude00", -1, 0, 10**30, 1.0, 1.5, True, None, [1], {"a": 1}]


SPOILED: list[dict[str, Any]] = [{}, {"jsonrpc": "1.0"}, {"jsonrpc": None}, {"method": "tools/call "}, {"result": {}}]


def test_every_number_and_version_of_a_request_is_taken_alike(client: Posting) -> None:
    for number, spoiled in itertools.product(NUMBERS, SPOILED):
        usual, direct = client.both({**call("echo", text="x"), "id": number, **spoiled})
        assert direct == usual, (number, spoiled)


BODIES = [b"", b"{", b"[]", b"null", b'{"method": "tools/call"', b"\xff\xfe", b'"tools/' + b"[" * 90_000, b"1" * 5000]


def test_a_body_that_is_no_request_is_refused_alike(client: Posting) -> None:
    for body in BODIES:
        direct, usual = (client.post_bytes(body, {"mcp-method": "tools/call"}, path) for path in ("/mcp", "/mcp?x"))
        assert direct == usual, body[:20]
        assert direct[0] >= 400, body[:20]


def test_only_a_plain_request_goes_past_the_usual_layers(client: Posting) -> None:
    tasks = [told(client.post({**call("way"), **more})) for more in ({}, {"x-unknown": 0})]
    report = client.post(meta("progress", progressToken="p"))[2]

    assert ["DirectPosts" in task["stack"] for task in tasks] == [True, False]
    assert report.count(b"notifications/progress") == 2


@ERAS
def test_a_client_that_goes_away_cancels_its_call_only_in_2026(era: str) -> None:
    for plain in ({}, {"x-unknown": 0}):
        with posting(era) as client:
            waiting = client.made({**call("wait"), **plain})
            gone = client.begin(waiting)
            while told(client.post(call("waiting"))) != {"waiting": 1}:
                pass
            gone.close()
            for _ in range(200 if client.modern else 20):
                left = told(client.post(call("waiting")))
                if left == {"waiting": 0}:
                    break
            assert left == {"waiting": 0 if client.modern else 1}


def test_a_cancelled_call_in_a_session_ends_with_an_error() -> None:
    found = []
    for plain in ({}, {"x-unknown": 0}):
        with posting("2025-11-25") as client:
            waiting = client.made({**call("wait"), **plain})
            other = client.begin(waiting)
            while told(client.post(call("waiting"))) != {"waiting": 1}:
                pass
            told_off = {"method": "notifications/cancelled", "params": {"requestId": waiting["id"]}}
            assert client.post(told_off, number=False)[0] == 202
            response = other.getresponse()
            found.append((response.status, response.read(), told(client.post(call("waiting")))))

    assert found[0] == found[1]
    assert found[0][0] == 200
    assert b"-32800" in found[0][1]


def test_a_session_that_is_ended_ends_its_calls() -> None:
    found = []
    for plain in ({}, {"x-unknown": 0}):
        with posting("2025-11-25") as client:
            waiting = client.made({**call("wait"), **plain})
            other = client.begin(waiting)
            while told(client.post(call("waiting"))) != {"waiting": 1}:
                pass
            assert client.end_session() == 200
            response = other.getresponse()
            after = client.post(call("echo"))
            found.append((response.status, response.read(), after))
            with closing(Posting(client.port, "2025-11-25")) as later:
                assert told(later.post(call("waiting"))) == {"waiting": 0}

    assert found[0] == found[1]
    assert found[0][2][0] == 404


@ERAS
def test_calls_are_carried_out_side_by_side(era: str) -> None:
    with posting(era) as client:
        for _ in range(3):
            client.begin(client.made(call("wait")))
        while told(client.post(call("waiting"))) != {"waiting": 3}:
            pass
