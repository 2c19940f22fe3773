"""Servers that die, hang, forget, change and loop: only they suffer."""

from __future__ import annotations

import gzip
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import httpx2
import pytest

from lg_gateway.processes.child_process import BoundedLog
from lg_gateway.upstreams.bounded_http import BoundedTransport
from lg_gateway.upstreams.child_stdio import MESSAGE_BYTES
from lg_gateway.upstreams.restart_policy import Backoff
from lg_gateway.upstreams.upstream import UpstreamState
from tests.gateway.misbehaving import misbehaving, named
from tests.gateway.rig import (
    ALLOW_ALL,
    alive,
    call,
    gateway_of,
    http_server,
    journal,
    records,
    server,
    text_of,
    until,
)

pytestmark = pytest.mark.anyio


async def pid_of(gateway: Any, name: str) -> int:
    answer = await call(gateway, f"{name}__meta")
    return int(answer.structured_content["pid"])


@pytest.mark.parametrize("era", ["both", "legacy"])
async def test_a_killed_server_comes_back_and_answers_again(tmp_path: Path, era: str) -> None:
    async with gateway_of(tmp_path, server("a", "--era", era), server("b"), ALLOW_ALL) as gateway:
        first = await pid_of(gateway, "a")
        os.kill(first, signal.SIGKILL)
        await until(lambda: gateway.upstreams["a"].restarts >= 1 and gateway.upstreams["a"].state is UpstreamState.UP)
        second = await pid_of(gateway, "a")
        other = await call(gateway, "b__echo", text="fine")

    assert second != first
    assert other.content[0].text == "fine"


async def test_a_call_in_flight_when_its_server_dies_is_outcome_unknown_at_once(tmp_path: Path) -> None:
    async with gateway_of(tmp_path, server("a"), ALLOW_ALL) as gateway:
        result = await call(gateway, "a__die")
        record = records(gateway)[-1]

    assert result.structured_content["error"]["code"] == "outcome_unknown"
    assert (record["outcome"], record["error_code"]) == ("unknown", "outcome_unknown")


async def test_a_read_only_call_of_a_trusted_server_lost_in_flight_may_simply_be_repeated(tmp_path: Path) -> None:
    log = tmp_path / "journal"
    async with gateway_of(tmp_path, server("a", "--journal", str(log), trusted=True), ALLOW_ALL) as gateway:
        pid = await pid_of(gateway, "a")
        answers: list[Any] = []

        async def slow() -> None:
            answers.append(await call(gateway, "a__slow_read"))

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(slow)
            await until(lambda: len(journal(log)) == 2)
            os.kill(pid, signal.SIGKILL)

    assert answers[0].structured_content["error"]["code"] == "upstream_unavailable"


async def test_a_server_that_cannot_start_does_not_keep_the_others_from_serving(tmp_path: Path) -> None:
    missing = '[gateway.servers.missing]\ncommand = "no-such-program-anywhere"\n'
    parts = (missing, server("gone", "--exit", "3"), server("ok"), ALLOW_ALL)
    async with gateway_of(tmp_path, *parts) as gateway:
        result = await call(gateway, "ok__echo", text="here")
        errors = {name: upstream.error for name, upstream in gateway.upstreams.items()}

    assert result.content[0].text == "here"
    assert "'no-such-program-anywhere' is not installed" in errors["missing"]
    assert "exited with status 3 (the fixture gives up)" in errors["gone"]


async def test_a_server_that_never_answers_is_given_up_at_its_deadline(tmp_path: Path) -> None:
    async with gateway_of(tmp_path, server("a", "--hang", connect_timeout_s=1.0), server("ok"), ALLOW_ALL) as gateway:
        result = await call(gateway, "ok__echo", text="here")
        await until(lambda: "no answer within 1 s" in gateway.upstreams["a"].error)

    assert result.content[0].text == "here"


async def test_a_server_that_flaps_and_one_that_answers_nothing_cost_only_themselves(tmp_path: Path) -> None:
    stuck = misbehaving(tmp_path, "stuck", tools=named("hang", "echo"))
    flaps = misbehaving(tmp_path, "flaps", tools=named("die", "echo"))
    ended: list[Any] = []

    async with gateway_of(tmp_path, stuck, flaps, server("ok"), ALLOW_ALL) as gateway:
        before = await pid_of(gateway, "ok")

        async def wait_for_nothing() -> None:
            ended.append(await call(gateway, "stuck__hang"))

        async def crash_again_and_again() -> None:
            while True:
                await call(gateway, "flaps__die")

        async with anyio.create_task_group() as tasks:
            for _ in range(40):
                tasks.start_soon(wait_for_nothing)
            tasks.start_soon(crash_again_and_again)
            await until(lambda: gateway.upstreams["flaps"].restarts >= 2)
            answers = [text_of(await call(gateway, "ok__echo", text=str(number))) for number in range(60)]
            tools = {entry.name for entry in gateway.catalog.entries()}
            tasks.cancel_scope.cancel()
        after = await pid_of(gateway, "ok")

    assert answers == [str(number) for number in range(60)]
    assert not ended
    assert before == after
    assert {"stuck__echo", "flaps__echo", "ok__echo"} <= tools, "what they offer stays listed"


async def test_a_server_that_keeps_crashing_is_left_alone_until_somebody_asks(tmp_path: Path) -> None:
    pace = "[gateway]\nrestart_backoff_s = 0.01\nrestart_backoff_max_s = 0.05\n"
    marker = tmp_path / "starts"
    script = f"import sys; open({str(marker)!r}, 'a').write('x'); sys.exit(1)"
    part = f'[gateway.servers.a]\ncommand = "{sys.executable}"\nargs = ["-S", "-c", {script!r}]\n'
    async with gateway_of(tmp_path, pace, part, ALLOW_ALL) as gateway:
        upstream = gateway.upstreams["a"]
        await until(lambda: upstream.state is UpstreamState.FAILED)
        starts = len(marker.read_text())
        listed = gateway.catalog.entries()

    assert starts == 9, "eight failures, and one more start with the older handshake"
    assert listed == ()


def knows(gateway: Any, name: str) -> bool:
    return gateway.catalog.find(name) is not None


async def test_a_changed_tool_list_is_taken_over_from_both_eras(tmp_path: Path) -> None:
    heard: list[int] = []

    async def listener(_changed: object) -> None:
        heard.append(1)

    async with gateway_of(tmp_path, server("a"), server("b", "--era", "legacy"), ALLOW_ALL) as gateway:
        gateway.on_list_changed(listener)
        for name in ("a", "b"):
            await call(gateway, f"{name}__grow")
            await until(partial(knows, gateway, f"{name}__grown"))

    assert len(heard) == 2


async def test_every_page_of_a_servers_list_is_read(tmp_path: Path) -> None:
    async with gateway_of(tmp_path, server("a", "--filler", "25", "--page", "4"), ALLOW_ALL) as gateway:
        names = [entry.tool for entry in gateway.catalog.entries()]

    assert sum(name.startswith("filler_") for name in names) == 25


async def test_a_noisy_server_fills_its_own_bounded_log_only(tmp_path: Path) -> None:
    async with gateway_of(tmp_path, server("a", "--noise", "3000000"), ALLOW_ALL) as gateway:
        result = await call(gateway, "a__echo", text="still here")
        logs = sorted((gateway.setup.state.path / "logs").iterdir())
        sizes = [path.stat().st_size for path in logs]

    assert result.content[0].text == "still here"
    assert {path.name for path in logs} <= {"a.log", "a.log.1"}
    assert all(size <= 1_000_000 for size in sizes)


def test_a_full_log_becomes_the_one_before(tmp_path: Path) -> None:
    log = BoundedLog(tmp_path / "a.log", 1_000)
    for letter in (b"a", b"b", b"c"):
        log.write(letter * 899 + b"\n")
    log.close()

    assert {path.name: path.read_bytes()[:1] for path in tmp_path.iterdir()} == {"a.log": b"c", "a.log.1": b"b"}


async def test_what_a_server_started_ends_with_it_even_when_it_ignores_the_end_of_its_input(tmp_path: Path) -> None:
    async with gateway_of(tmp_path, server("a", "--ignore-eof"), ALLOW_ALL) as gateway:
        own = await pid_of(gateway, "a")
        answer = await call(gateway, "a__leave_child")
        child = int(answer.structured_content["pid"])
        assert alive(child)

    await until(lambda: not alive(own) and not alive(child))


async def test_children_get_no_environment_beyond_what_was_configured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MY_TOKEN", "expanded-value")
    monkeypatch.setenv("UNRELATED_SECRET", "s3cret")
    part = '[gateway]\nmask_results = "none"\n' + server("a") + '[gateway.servers.a.env]\nGIVEN = "pre-${MY_TOKEN}"\n'
    async with gateway_of(tmp_path, part, ALLOW_ALL) as gateway:
        answer = await call(gateway, "a__meta")

    environment = answer.structured_content["environment"]
    assert environment["GIVEN"].startswith("pre-")
    assert "UNRELATED_SECRET" not in environment
    assert "MY_TOKEN" not in environment


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.mark.parametrize("mode", ["auto", "legacy"])
async def test_an_http_server_that_is_restarted_is_found_again(tmp_path: Path, mode: str) -> None:
    port = free_port()
    pace = "[gateway]\nrestart_backoff_s = 0.05\nrestart_backoff_max_s = 0.2\n"
    part = f'[gateway.servers.a]\nurl = "http://127.0.0.1:{port}/mcp"\nmode = "{mode}"\ntrusted = true\n'
    with http_server(port):
        stack = gateway_of(tmp_path, pace, part, ALLOW_ALL)
        gateway = await stack.__aenter__()
        await until(lambda: gateway.catalog.find("a__peek") is not None)  # it says its port before it listens
        first = await call(gateway, "a__peek", text="one")
    try:
        with http_server(port):
            answers: list[Any] = []

            async def again() -> None:
                while not answers or answers[-1].is_error:
                    answers.append(await call(gateway, "a__peek", text="two"))
                    await anyio.sleep(0.05)

            with anyio.fail_after(60):
                await again()
    finally:
        await stack.__aexit__(None, None, None)

    assert first.content[0].text == "one"
    assert answers[-1].content[0].text == "two"
    assert {answer.structured_content["error"]["code"] for answer in answers[:-1]} <= {"upstream_unavailable"}


def test_pauses_between_restarts_double_up_to_the_longest() -> None:
    backoff = Backoff(first_s=0.2, longest_s=1.0)

    assert [backoff.pause(n) for n in range(1, 6)] == [0.2, 0.4, 0.8, 1.0, 1.0]


async def test_a_server_that_floods_is_ended_and_the_rest_goes_on(tmp_path: Path) -> None:
    async with gateway_of(tmp_path, server("a"), server("b"), ALLOW_ALL) as gateway:
        flood = await call(gateway, "a__big", size=MESSAGE_BYTES + 4_000_000)
        other = await call(gateway, "b__echo", text="here")
        await until(lambda: gateway.upstreams["a"].restarts == 1 and gateway.upstreams["a"].state is UpstreamState.UP)
        again = await call(gateway, "a__echo", text="back")

    assert flood.structured_content["error"]["code"] == "outcome_unknown"
    assert (text_of(other), text_of(again)) == ("here", "back")


STREAM, JSON = {"content-type": "text/event-stream"}, {"content-type": "application/json"}


@pytest.mark.parametrize(
    ("headers", "event", "count", "why"),
    [
        (STREAM, b"x" * 30 + b"\n\n", 100, ""),
        (STREAM, b"x" * 30, 5, "100 bytes"),
        (JSON, b"x" * 30, 3, ""),
        (JSON, b"1,\n\n", 40, "100 bytes"),  # empty lines are white space there
        (JSON | {"content-encoding": "gzip"}, gzip.compress(bytes(10_000_000)), 1, "compressed"),
    ],
)
async def test_an_answer_over_http_may_have_many_messages_and_none_too_long(
    headers: dict[str, str], event: bytes, count: int, why: str
) -> None:
    async def body() -> AsyncIterator[bytes]:
        for _ in range(count):
            yield event

    inner = httpx2.MockTransport(lambda _request: httpx2.Response(200, headers=headers, content=body()))
    async with httpx2.AsyncClient(transport=BoundedTransport(inner, limit=100)) as client:
        if not why:
            assert (await client.get("http://a.example")).content == event * count
        else:
            with pytest.raises(httpx2.ReadError, match=why):
                await client.get("http://a.example")


@pytest.mark.parametrize("era", ["both", "legacy"])
async def test_a_server_that_announces_changes_without_end_is_listed_now_and_then(tmp_path: Path, era: str) -> None:
    async with gateway_of(tmp_path, server("a", "--era", era), ALLOW_ALL) as gateway:
        await call(gateway, "a__grow", times=500)
        await until(lambda: gateway.catalog.find("a__grown") is not None)
        answer = await call(gateway, "a__meta")

    assert answer.structured_content["lists"] < 10
