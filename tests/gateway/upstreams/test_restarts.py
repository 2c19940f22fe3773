"""When a server that ended is started again, and what its callers see of that."""

from __future__ import annotations

import json
import os
import signal
import sys
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from lg_gateway.upstreams.handshake_memory import HandshakeMemory
from lg_gateway.upstreams.restart_policy import CRASH_LOOP, RETRY_S, Backoff, Restart, restart
from lg_gateway.upstreams.upstream import UpstreamState
from tests.gateway.misbehaving import misbehaving, named, said
from tests.gateway.rig import (
    ALLOW_ALL,
    call,
    client_of,
    gateway_of,
    journal,
    send,
    server,
    text_of,
    until,
    write_config,
)

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("programs_by_fork")]

ASKS = (
    '{"jsonrpc":"2.0","id":"q1","method":"elicitation/create","params":'
    '{"message":"Which?","requestedSchema":{"type":"object","properties":{}}}}\n' + said("done")
)
PACE = "[gateway]\nrestart_backoff_s = 0.01\nrestart_backoff_max_s = 0.05\n"


def test_the_restart_policy_is_one_function_of_failures_and_lifetime() -> None:
    backoff = Backoff(first_s=0.2, longest_s=30.0)

    assert restart(0, 0.0, backoff) == Restart(failures=1, at_least_s=0.2, at_most_s=0.2, given_up=False)
    assert restart(5, 0.0, backoff) == Restart(failures=6, at_least_s=1.0, at_most_s=6.4, given_up=False)
    had_been_up = restart(5, 60.0, backoff)
    assert had_been_up == Restart(failures=1, at_least_s=0.0, at_most_s=0.0, given_up=False), "nobody waits for it"
    assert restart(had_been_up.failures, 0.0, backoff).at_least_s == 0.4, "but for one that ends again at once"
    assert restart(7, 0.0, backoff) == Restart(failures=8, at_least_s=1.0, at_most_s=RETRY_S, given_up=True)
    assert restart(0, 0.0, backoff, startable=False).at_most_s is None, "only a call or a reload starts it"


async def test_the_next_call_after_a_crash_waits_for_the_short_restart(tmp_path: Path) -> None:
    async with gateway_of(tmp_path, misbehaving(tmp_path, tools=named("die", "echo")), ALLOW_ALL) as gateway:
        lost = await call(gateway, "odd__die")
        answers = [await call(gateway, "odd__echo", n=n) for n in range(3)]

    assert lost.structured_content["error"]["code"] == "outcome_unknown"
    assert lost.structured_content["error"]["message"].startswith("server odd ended during the call")
    assert [json.loads(text_of(answer))["arguments"] for answer in answers] == [{"n": 0}, {"n": 1}, {"n": 2}]


async def test_a_server_that_closed_its_input_and_lives_on_is_started_again(tmp_path: Path) -> None:
    async with gateway_of(tmp_path, PACE, misbehaving(tmp_path, tools=named("deaf", "echo")), ALLOW_ALL) as gateway:
        await call(gateway, "odd__deaf")
        with anyio.fail_after(60):
            while (await call(gateway, "odd__echo")).is_error:
                pass
        assert gateway.upstreams["odd"].restarts == 1


@pytest.mark.parametrize("progress", [False, True], ids=["plain", "with progress"])
@pytest.mark.parametrize("discover", ["modern", "error"], ids=["2026", "2025"])
async def test_a_call_that_a_server_never_read_is_said_not_to_be_sent_and_is_not_kept_for_it(
    tmp_path: Path, discover: str, progress: bool
) -> None:
    async def report(*_: Any) -> None: ...

    log = tmp_path / "journal"
    plan: dict[str, Any] = {"tools": named("unread", "echo"), "journal": str(log), "discover": discover}
    part = misbehaving(tmp_path, settings="call_timeout_s = 1", **plan)
    async with gateway_of(tmp_path, PACE, part, ALLOW_ALL) as gateway:
        await call(gateway, "odd__unread")
        assert gateway.upstreams["odd"].asks_live == (discover == "error")
        answers = []
        for number in range(4):
            arguments = {"text": "x" * 1_000_000, "number": number}
            answers.append(await send(gateway, "odd__echo", arguments, progress=report if progress else None))
        (tmp_path / "go").touch()
        with anyio.fail_after(60):
            while (await call(gateway, "odd__echo")).is_error:
                pass

    first, *others = [text_of(answer) for answer in answers]
    assert first.startswith("timeout: odd did not answer within 1 s")
    assert "it may have taken effect" in first, "it was written in part"
    for told in others:
        assert told.startswith("upstream_unavailable: odd took nothing in for 1 s, so the call was not sent")
        assert "may have taken effect" not in told
    calls = [seen["params"]["arguments"].get("number") for seen in journal(log) if seen["method"] == "tools/call"]
    assert [number for number in calls if number is not None] == [0], "the first filled the pipe"


async def test_a_server_that_dies_with_each_call_is_woken_by_each_next_one(tmp_path: Path) -> None:
    async with gateway_of(tmp_path, misbehaving(tmp_path, tools=named("die", "echo")), ALLOW_ALL, PACE) as gateway:
        lost = [await call(gateway, "odd__die") for _ in range(CRASH_LOOP + 3)]
        last = await call(gateway, "odd__echo")

    # A call that came before the pause had begun woke nobody, and waited until it was given up.
    assert {answer.structured_content["error"]["code"] for answer in lost} == {"outcome_unknown"}
    assert not last.is_error


async def test_a_server_in_a_crash_loop_stays_listed_and_a_call_wakes_it(tmp_path: Path) -> None:
    broken = tmp_path / "broken"
    program = Path(__file__).parent.parent / "misbehaving_server.py"
    plan = tmp_path / "plan.json"
    plan.write_text(json.dumps({"tools": named("echo")}))
    script = f"import os, runpy, sys; sys.argv = [{str(program)!r}, {str(plan)!r}]\n"
    script += f"sys.exit('the licence has run out') if os.path.exists({str(broken)!r}) else None\n"
    script += f"runpy.run_path({str(program)!r}, run_name='__main__')"
    part = f"[gateway.servers.odd]\ncommand = {json.dumps(sys.executable)}\nargs = {json.dumps(['-c', script])}\n"
    async with gateway_of(tmp_path, PACE, part, ALLOW_ALL) as gateway:
        upstream = gateway.upstreams["odd"]
        broken.touch()
        group = upstream.process_group()
        assert group is not None
        os.kill(group, signal.SIGKILL)
        await until(lambda: upstream.state is UpstreamState.FAILED)
        listed = [entry.name for entry in gateway.catalog.entries()]
        refused = await call(gateway, "odd__echo")
        broken.unlink()
        answer = await call(gateway, "odd__echo")

    assert listed == ["odd__echo"]
    assert refused.structured_content["error"]["code"] == "upstream_unavailable"
    assert "exited with status 1 (the licence has run out)" in text_of(refused)
    assert not answer.is_error


@pytest.mark.parametrize("how", ["missing", "directory", "not_a_program"])
async def test_a_command_that_cannot_be_run_says_why_and_is_not_tried_for_ever(tmp_path: Path, how: str) -> None:
    program = tmp_path / "data.txt"
    program.write_text("no program")
    command, extra, why = {
        "missing": ("no-such-command-here", "", "the command 'no-such-command-here' is not installed, or not in PATH"),
        "directory": (sys.executable, f"cwd = {json.dumps(str(tmp_path / 'gone'))}", "gone' does not exist"),
        "not_a_program": (str(program), "", "cannot be run: Permission denied"),
    }[how]
    part = f"[gateway.servers.odd]\ncommand = {json.dumps(command)}\n{extra}\n"
    async with gateway_of(tmp_path, PACE, part, ALLOW_ALL) as gateway:
        upstream = gateway.upstreams["odd"]
        await until(lambda: upstream.state is UpstreamState.FAILED)
        restarts, error = upstream.restarts, upstream.error
        gateway.upstream_set.wake()
        await until(lambda: upstream.restarts == 1)

    assert why in error
    assert restarts == 0, "it is tried again when somebody asks, as a reload does"


async def test_a_server_that_ends_on_the_probe_gets_the_handshake_and_that_is_remembered(tmp_path: Path) -> None:
    log = tmp_path / "journal"
    part = misbehaving(tmp_path, tools=named("echo"), discover="exit", journal=str(log))
    for _ in range(2):
        async with gateway_of(tmp_path, part, ALLOW_ALL) as gateway:
            assert not (await call(gateway, "odd__echo")).is_error

    methods = [message["method"] for message in journal(log)]
    assert methods.count("server/discover") == 1
    assert methods.count("initialize") == 2


async def test_a_server_that_is_silent_on_the_probe_keeps_nobody_waiting(tmp_path: Path) -> None:
    log = tmp_path / "journal"
    silent = misbehaving(tmp_path, "silent", tools=named("echo"), discover="silent", journal=str(log))
    wait = "[gateway]\nlist_wait_s = 3\n"
    config = write_config(tmp_path, wait, silent, misbehaving(tmp_path, "quick", tools=named("echo")), ALLOW_ALL)
    for expected in (1, 1):
        async with client_of("--config", str(config)) as client:
            first = tools = {tool.name for tool in (await client.list_tools()).tools}
            while "silent__echo" not in tools:
                await anyio.sleep(0.1)
                tools = {tool.name for tool in (await client.list_tools(cache_mode="refresh")).tools}
        methods = [message["method"] for message in journal(log)]
        assert "quick__echo" in first
        assert methods.count("server/discover") == expected, "the second start knows"


def test_what_is_remembered_of_a_server_survives_a_broken_file(tmp_path: Path) -> None:
    (tmp_path / "handshake-servers.json").write_text("{not json")
    from tests.gateway.rig import make_setup

    (spec,) = make_setup(tmp_path, server("a")).specs
    memory = HandshakeMemory(tmp_path)
    assert not memory.needs_handshake(spec)
    memory.remember(spec, handshake=True)
    assert HandshakeMemory(tmp_path).needs_handshake(spec)
    memory.remember(spec, handshake=False)
    assert not HandshakeMemory(tmp_path).needs_handshake(spec)


BAD: dict[str, Any] = {
    "no_type": {"inputSchema": {"$schema": "http://json-schema.org/draft-07/schema#"}},
    "missing": {},
    "null": {"inputSchema": None},
    "true": {"inputSchema": True},
    "types": {"inputSchema": {"type": ["object", "null"]}},
    "no_object": {"inputSchema": {"type": "string"}},
}


async def test_a_bad_definition_costs_that_tool_only_and_is_named(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    tools: list[Any] = [{"name": name, **definition} for name, definition in BAD.items()]
    tools += [{"inputSchema": {"type": "object"}}, "no object", None]
    tools += [{"name": "icons", "inputSchema": {"type": "object"}, "icons": [{"x": 1}], "title": None}]
    async with gateway_of(tmp_path, misbehaving(tmp_path, tools=[*tools, *named("good")]), ALLOW_ALL) as gateway:
        offered = [entry.tool for entry in gateway.catalog.entries()]
        answer = await call(gateway, "odd__good")
        left_out = gateway.upstreams["odd"].left_out

    assert offered == ["good", "icons"]
    assert not answer.is_error
    assert left_out.keys() == {*BAD, "icons", "number 7", "number 8", "number 9"}
    assert left_out["icons"] == "offered without icons, which does not fit the protocol"
    for name in BAD:
        assert f"odd: tool {name!r}: its inputSchema is" in caplog.text


async def give_up(gateway: Any, name: str, started: Any) -> None:
    """Make a call and cancel it once it has arrived."""
    async with anyio.create_task_group() as calls:
        calls.start_soon(partial(call, gateway, name))
        await until(started)
        calls.cancel_scope.cancel()


async def test_the_doubt_about_a_cancelled_call_ends_with_its_late_answer_and_nothing_is_restarted(
    tmp_path: Path,
) -> None:
    log = tmp_path / "journal"
    part = misbehaving(tmp_path, tools=named("hang", "late", "echo"), calls={"asks": ASKS}, journal=str(log))
    async with gateway_of(tmp_path, part, ALLOW_ALL) as gateway:
        await give_up(gateway, "odd__hang", lambda: any(entry["method"] == "tools/call" for entry in journal(log)))
        answers = [await call(gateway, "odd__late"), await call(gateway, "odd__asks")]

        async def make(name: str) -> None:
            answers.append(await call(gateway, f"odd__{name}"))

        async with anyio.create_task_group() as calls:
            for name in ("asks", "echo", "echo", "asks", "echo"):
                calls.start_soon(make, name)
        restarts = gateway.upstreams["odd"].restarts

    assert [answer.is_error for answer in answers] == [False] * 7
    assert "a question that this client cannot show" in str(answers[1].content), "it was known whose question it was"
    assert restarts == 0


async def test_a_restart_of_our_own_choosing_waits_for_what_is_in_flight_and_holds_new_calls_back(
    tmp_path: Path,
) -> None:
    log = tmp_path / "journal"
    # It never answers what was cancelled, so that the doubt stays; then it asks, and nobody knows for which call.
    part = misbehaving(tmp_path, tools=named("hang", "echo"), calls={"asks": ASKS}, journal=str(log))
    async with gateway_of(tmp_path, part, ALLOW_ALL) as gateway:
        await give_up(gateway, "odd__hang", lambda: any(entry["method"] == "tools/call" for entry in journal(log)))
        answers: list[Any] = []

        async def make(name: str) -> None:
            answers.append(await call(gateway, f"odd__{name}"))

        async with anyio.create_task_group() as calls:
            for name in ("asks", "echo", "echo", "asks", "echo", "echo"):
                calls.start_soon(make, name)
        await until(lambda: gateway.upstreams["odd"].state is UpstreamState.UP)
        restarts = gateway.upstreams["odd"].restarts

    assert [answer.is_error for answer in answers] == [False] * 6, [text_of(answer) for answer in answers]
    assert restarts == 1
