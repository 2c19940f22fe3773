"""Calls and lists of a stdio client, handled without the SDK's dispatcher: nobody must be able to tell."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from tests.forked import Program, by_fork
from tests.policy.wire import direct_server
from tests.policy.wire.direct_messages import ENVELOPE, REQUESTS, call
from tests.policy.wire.programs import DIRECT_SERVER

ERAS = pytest.mark.parametrize("era", ["2025-11-25", "2026-07-28"])


class Wire:
    """A client that writes the lines that it is told to."""

    def __init__(self, process: subprocess.Popen[bytes], era: str) -> None:
        self.process = process
        self.modern = era.startswith("2026")
        self._number = 0
        if not self.modern:
            about = {"protocolVersion": era, "capabilities": {}, "clientInfo": {"name": "tester", "version": "1"}}
            self.ask({"method": "initialize", "params": about}, stamp=False)
            self.write({"jsonrpc": "2.0", "method": "notifications/initialized"})
        self.ask({"method": "tools/call", "params": {"name": "echo", "arguments": {}}})

    def write(self, message: dict[str, Any]) -> None:
        self.write_part(json.dumps(message).encode() + b"\n")

    def write_part(self, data: bytes) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(data)
        self.process.stdin.flush()

    def read(self) -> Any:
        assert self.process.stdout is not None
        return json.loads(self.process.stdout.readline())

    def numbered(self, message: dict[str, Any], *, stamp: bool = True) -> dict[str, Any]:
        self._number += 1
        made: dict[str, Any] = {"jsonrpc": "2.0", "id": self._number, **message}
        params = made.get("params")
        if stamp and self.modern and (params is None or isinstance(params, dict)):
            meta = (params or {}).get("_meta", {})
            made["params"] = {**(params or {}), "_meta": {**ENVELOPE, **meta} if isinstance(meta, dict) else meta}
        return made

    def ask(self, message: dict[str, Any], *, stamp: bool = True) -> Any:
        """Send a request, and return all messages up to its answer, which comes last and without its number."""
        request = self.numbered(message, stamp=stamp)
        self.write(request)
        found = []
        while True:
            found.append(self.read())
            if found[-1].get("id") == request["id"]:
                del found[-1]["id"]
                return found

    def ask_until_waiting(self, count: int) -> None:
        """Ask until so many calls wait: a call that the SDK dispatches may begin after a later direct one."""
        while self.ask(call("waiting"))[-1]["result"]["structuredContent"] != {"waiting": count}:
            pass


@contextmanager
def connected(era: str) -> Iterator[Wire]:
    def direct(words: list[str]) -> Program | None:
        return direct_server.main if words == [str(DIRECT_SERVER)] else None

    with by_fork(direct), subprocess.Popen([DIRECT_SERVER], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        try:
            yield Wire(process, era)
        finally:
            process.kill()


@ERAS
def test_every_request_is_answered_as_the_sdk_answers_it(era: str) -> None:
    with connected(era) as wire:
        for what, request in REQUESTS.items():
            # An unknown member makes it one for the SDK, which takes no notice of it.
            by_sdk = wire.ask({**request, "x-unknown": 0})
            assert [wire.ask(request), wire.ask(request)] == [by_sdk] * 2, what


NUMBERS: list[Any] = ["x", "", "7", "\u00e9\ud83d\ude00", -1, 0, 10**30, 1.0, 1.5, True, None, [1], {"a": 1}]


@ERAS
@pytest.mark.parametrize(
    "spoiled", [{}, {"jsonrpc": "1.0"}, {"jsonrpc": None}, {"method": "tools/call "}, {"result": {}}]
)
def test_every_number_and_version_of_a_request_is_taken_as_the_sdk_takes_it(era: str, spoiled: dict[str, Any]) -> None:
    with connected(era) as wire:
        for number in NUMBERS:
            heard = []
            for more in ({"x-unknown": 0}, {}):
                wire.write({**wire.numbered(call(text="x")), "id": number, **spoiled, **more})
                # Answers come in any order, so this waits for them by asking until nothing more comes.
                heard.append(sorted(json.dumps(message) for _ in range(3) for message in wire.ask(call("who"))))
            assert heard[0] == heard[1], number


@ERAS
def test_only_a_plain_request_goes_past_the_sdk(era: str) -> None:
    with connected(era) as wire:
        tasks = [
            wire.ask({**call("way"), **more})[-1]["result"]["structuredContent"]["task"] for more in ({}, {"x": 0})
        ]
    assert ["DirectRequests" in task for task in tasks] == [True, False]


@ERAS
@pytest.mark.parametrize("plain", [True, False])
def test_a_cancelled_call_ends_and_gets_no_answer(era: str, plain: bool) -> None:
    with connected(era) as wire:
        waiting = wire.numbered({**call("wait"), **({} if plain else {"x-unknown": 0})})
        wire.write(waiting)
        wire.ask_until_waiting(1)
        wire.write({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": waiting["id"]}})
        wire.ask_until_waiting(0)


@ERAS
def test_the_number_of_a_call_that_is_cancelled_before_it_begins_is_free_again(era: str) -> None:
    with connected(era) as wire:
        request = wire.numbered(call("wait"))
        notice = {"method": "notifications/cancelled", "params": {"requestId": request["id"]}}
        lines = [request, {"jsonrpc": "2.0", **notice}]
        wire.write_part(b"".join(json.dumps(message).encode() + b"\n" for message in lines))
        wire.ask_until_waiting(0)
        wire.write({**wire.numbered(call("way")), "id": request["id"]})
        answer = wire.read()
    assert answer["id"] == request["id"]
    assert "DirectRequests" in answer["result"]["structuredContent"]["task"]


@ERAS
def test_calls_are_carried_out_side_by_side_and_a_number_in_use_is_the_sdks(era: str) -> None:
    with connected(era) as wire:
        waiting = [wire.numbered(call("wait")) for _ in range(3)]
        for request in waiting:
            wire.write(request)
        wire.write({**waiting[0], "id": str(waiting[0]["id"])})
        wire.ask_until_waiting(4)


@ERAS
@pytest.mark.parametrize("plain", [True, False])
def test_the_end_of_input_ends_calls_and_says_so(era: str, plain: bool) -> None:
    with connected(era) as wire:
        waiting = wire.numbered({**call("wait"), **({} if plain else {"x-unknown": 0})})
        wire.write(waiting)
        wire.ask_until_waiting(1)
        assert wire.process.stdin is not None
        wire.process.stdin.close()
        said = wire.read()
        assert (said["id"], said["error"]["code"]) == (waiting["id"], -32000)
        assert wire.process.wait(timeout=60) == 0


@ERAS
def test_lines_in_pieces_and_several_in_one_are_read_alike(era: str) -> None:
    with connected(era) as wire:
        requests = [wire.numbered(call(text=str(number))) for number in range(5)]
        data = b"".join(json.dumps(request).encode() + b"\n" for request in requests)
        for at in range(0, len(data), 50):
            wire.write_part(data[at : at + 50])
        answers = [wire.read() for _ in requests]
        texts = {answer["id"]: answer["result"]["structuredContent"]["text"] for answer in answers}
        assert texts == {request["id"]: str(number) for number, request in enumerate(requests)}
