"""The stdio transport as a client meets it: whole messages however they are cut, and an end in every case."""

from __future__ import annotations

import json
import os
import pty
import shlex
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import IO, Any

import pytest

COMMAND = [sys.executable, "-m", "tests.policy.wire.fixture_server"]
HELLO = {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}}
WAIT_S = 60

pytestmark = pytest.mark.usefixtures("servers_by_fork")


def message(number: int | None, method: str, params: dict[str, Any] | None = None) -> bytes:
    fields = {"jsonrpc": "2.0", "method": method, **({} if number is None else {"id": number})}
    return json.dumps(fields | ({} if params is None else {"params": params})).encode() + b"\n"


def echo(number: int, text: str) -> bytes:
    return message(number, "tools/call", {"name": "echo", "arguments": {"text": text}})


OPENING = message(0, "initialize", HELLO) + message(None, "notifications/initialized")


@contextmanager
def server(**streams: Any) -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen(COMMAND, **{"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, **streams}) as process:
        try:
            yield process
        finally:
            process.kill()


def answer(source: IO[bytes] | None) -> dict[str, Any]:
    assert source is not None
    found = json.loads(source.readline())
    assert isinstance(found, dict)
    return found


def send(process: subprocess.Popen[bytes], data: bytes) -> None:
    assert process.stdin is not None
    process.stdin.write(data)
    process.stdin.flush()


def test_messages_are_found_however_the_bytes_are_cut_and_garbage_costs_nothing_else() -> None:
    with server() as process:
        send(process, OPENING)
        assert answer(process.stdout)["id"] == 0
        whole = b"this is no message\n\n" + echo(1, "é" * 1_000) + echo(2, "two")
        for start in range(0, len(whole), 997):
            send(process, whole[start : start + 997])
        answers = {message["id"]: message for message in (answer(process.stdout), answer(process.stdout))}
    assert answers[1]["result"]["structuredContent"]["text"] == "é" * 1_000
    assert answers[2]["result"]["structuredContent"]["text"] == "two"


def test_a_last_message_without_a_line_break_counts() -> None:
    with server() as process:
        out, _ = process.communicate(OPENING + message(1, "ping").removesuffix(b"\n"), timeout=WAIT_S)
        assert process.returncode == 0
    assert [json.loads(line)["id"] for line in out.splitlines()] == [0, 1]


def test_large_answers_reach_a_reader_that_begins_late_each_whole_and_in_one_line() -> None:
    texts = {number: chr(96 + number) * 700_000 for number in range(1, 6)}
    with server() as process:
        send(process, OPENING)
        assert answer(process.stdout)["id"] == 0
        for number, text in texts.items():
            send(process, echo(number, text))
        # Cancelled while its answer waits for room in the pipe: half an answer would break all that follow.
        send(process, message(None, "notifications/cancelled", {"requestId": 1}) + echo(6, "last"))
        seen: dict[int, str] = {}
        while 6 not in seen:
            one = answer(process.stdout)
            seen[one["id"]] = one["result"]["structuredContent"]["text"]
    assert {number: text for number, text in seen.items() if number not in (1, 6)} == {
        number: text for number, text in texts.items() if number != 1
    }
    assert seen.get(1, texts[1]) == texts[1]


def test_a_client_that_reads_no_more_ends_the_server_when_it_leaves() -> None:
    with server() as process:
        assert process.stdout is not None
        assert process.stdin is not None
        send(process, OPENING)
        assert answer(process.stdout)["id"] == 0
        process.stdout.close()
        send(process, echo(1, "x" * 100_000) + echo(2, "y"))
        process.stdin.close()
        assert process.wait(timeout=WAIT_S) == 0


@pytest.mark.parametrize("ends", [1, 2])
def test_sockets_serve_as_standard_streams_too_also_one_for_both(ends: int) -> None:
    pairs = [socket.socketpair() for _ in range(ends)]
    (near, _), (near_out, _) = pairs[0], pairs[-1]
    with closing(near), closing(near_out), server(stdin=pairs[0][1], stdout=pairs[-1][1]):
        for _, far in pairs:
            far.close()
        near.sendall(OPENING + echo(1, "x" * 300_000))
        near_out.settimeout(WAIT_S)
        with near_out.makefile("rb") as source:
            assert answer(source)["id"] == 0
            assert answer(source)["result"]["structuredContent"]["text"] == "x" * 300_000


def test_a_pipe_that_is_shared_is_left_blocking_as_it_was() -> None:
    readable, writable = os.pipe()
    with os.fdopen(readable, "rb") as source, os.fdopen(writable, "wb") as shared:
        with server(stdout=shared) as process:
            assert process.stdin is not None
            send(process, OPENING)
            assert answer(source)["id"] == 0
            assert not os.get_blocking(shared.fileno())
            process.stdin.close()
            assert process.wait(timeout=WAIT_S) == 0
        assert os.get_blocking(shared.fileno())


def test_sigint_ends_a_server_that_waits_for_somebody_to_type() -> None:
    keyboard, terminal = pty.openpty()
    with os.fdopen(keyboard, "wb", buffering=0) as typing, os.fdopen(terminal, "rb", buffering=0) as shared:
        with server(stdin=shared) as process:
            typing.write(message(0, "initialize", HELLO))
            assert answer(process.stdout)["id"] == 0
            process.send_signal(signal.SIGINT)
            assert process.wait(timeout=WAIT_S) == 0
        assert os.get_blocking(shared.fileno())


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        (rb"half a pair \ud83d.", "half a pair \ufffd."),
        (b"latin-1 \xe9.", "latin-1 \ufffd."),
        (rb"a pair \ud83d\ude42 stays", "a pair 🙂 stays"),
    ],
)
def test_a_message_with_bad_bytes_is_answered_with_these_replaced(raw: bytes, text: str) -> None:
    with server() as process:
        send(process, OPENING + echo(1, "TEXT").replace(b"TEXT", raw))
        assert answer(process.stdout)["id"] == 0
        assert answer(process.stdout)["result"]["structuredContent"]["text"] == text


def test_a_number_of_thousands_of_digits_costs_its_own_call_only() -> None:
    with server() as process:
        send(process, OPENING + echo(1, "TEXT").replace(b'"TEXT"', b"9" * 5000) + echo(2, "two"))
        assert answer(process.stdout)["id"] == 0
        answers = {reply["id"]: reply["result"] for reply in (answer(process.stdout), answer(process.stdout))}
    assert answers[1]["structuredContent"]["text"] == "9" * 5000  # as text, which no schema takes for a number
    assert answers[2]["structuredContent"]["text"] == "two"


def test_messages_in_one_array_are_answered_each() -> None:
    with server() as process:
        lines = [line.strip() for line in (echo(1, "one"), message(2, "ping"), message(None, "notifications/x"))]
        send(process, OPENING + b"[" + b",".join(lines) + b",3,[]]\n")
        assert answer(process.stdout)["id"] == 0
        assert {answer(process.stdout)["id"], answer(process.stdout)["id"]} == {1, 2}


def test_a_request_that_is_no_message_is_answered_at_once_under_its_id() -> None:
    with server() as process:
        send(process, OPENING + b'{"jsonrpc":"2.0","id":"a","method":"ping","params":[1]}\n{"id":7,"method":3}\n')
        assert answer(process.stdout)["id"] == 0
        for name in ("a", 7):
            reply = answer(process.stdout)
            assert reply["id"] == name
            assert reply["error"]["code"] == -32600


def test_arguments_as_one_json_text_are_taken_and_any_other_text_is_refused_in_words() -> None:
    with server() as process:
        send(process, OPENING)
        assert answer(process.stdout)["id"] == 0
        send(process, message(1, "tools/call", {"name": "echo", "arguments": json.dumps({"text": "hi"})}))
        assert answer(process.stdout)["result"]["structuredContent"]["text"] == "hi"
        send(process, message(2, "tools/call", {"name": "echo", "arguments": "hi"}))
        assert "must be a JSON object" in answer(process.stdout)["error"]["message"]


@pytest.mark.parametrize(("redirection", "words"), [("<&-", "standard input is"), (">&-", "standard output is")])
def test_a_closed_standard_stream_is_named_in_one_line(redirection: str, words: str) -> None:
    command = f"exec {shlex.join(COMMAND)} {redirection}"
    done = subprocess.run(["sh", "-c", command], stderr=subprocess.PIPE, timeout=WAIT_S, text=True)
    assert words in done.stderr
