"""Settings that change under a running gateway: whole or not at all, and calls go on."""

from __future__ import annotations

import json
import os
import pty
import re
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import anyio
import pytest
from mcp.client import Client

from lg_gateway.serving.gateway import Gateway
from lg_gateway.serving.reload import Reloader, difference
from lg_gateway.serving.running import running_gateway
from lg_gateway.serving.setup import GatewaySetup, prepare
from tests.gateway.fixture_program import FIXTURE
from tests.gateway.rig import (
    ALLOW_ALL,
    alive,
    call,
    client_of,
    flags,
    gateway_of,
    http_gateway,
    journal,
    make_setup,
    program_environment,
    records,
    server,
    text_of,
    until,
    write_config,
)

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("programs_by_fork")]
DENY = '[[gateway.rules]]\ntools = ["a__nap"]\neffect = "deny"\nreason = "not today"\n'


@asynccontextmanager
async def reloading(tmp_path: Path, *parts: str) -> AsyncIterator[tuple[Gateway, Reloader]]:
    async with gateway_of(tmp_path, *parts) as gateway:
        path = tmp_path / "gateway.toml"
        yield gateway, Reloader(gateway, lambda: prepare(flags(config=path), mcp_json=None))


def notes(gateway: Gateway, what: str) -> list[str]:
    return [str(note["detail"]) for note in records(gateway, notes=True) if note["outcome"] == what]


async def pid_of(gateway: Gateway, name: str) -> int:
    return int((await call(gateway, f"{name}__meta")).structured_content["pid"])


async def test_a_call_that_has_begun_keeps_its_decision_and_the_next_one_gets_the_new(tmp_path: Path) -> None:
    seen = tmp_path / "journal"
    parts = (server("a", "--nap", "1", "--journal", str(seen)), ALLOW_ALL)
    async with reloading(tmp_path, *parts) as (gateway, reloader):
        answers: list[Any] = []

        async def nap() -> None:
            answers.append(await call(gateway, "a__nap"))

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(nap)
            await until(lambda: bool(journal(seen)))
            write_config(tmp_path, *parts, DENY)
            assert await reloader.reload("test")
            assert not answers
        assert not answers[0].is_error
        with pytest.raises(Exception, match="Unknown tool"):
            await call(gateway, "a__nap")
        line = (tmp_path / "gateway.toml").read_text().splitlines().index('tools = ["a__nap"]')
        assert notes(gateway, "settings reloaded") == [f"with rule deny a__nap ({tmp_path / 'gateway.toml'}:{line})"]


RULE = '[[gateway.rules]]\ntools = ["a__echo"]\neffect = "allow"\nwhen = { properties = '
BROKEN = {
    "is not valid TOML": "[gateway\n",
    "unknown key": "[gateway]\nexpsoe = 'all'\n",
    "does not run on RE2": RULE + '{ text = { pattern = "(?=x)" } } }',
    "has no argument 'txt'": RULE + "{ txt = { const = 1 } } }",
    "needs the environment variable LG_NOT_SET": '[gateway.servers.b]\ncommand = "true"\nenv = { X = "${LG_NOT_SET}" }',
    "needs exactly one of": "[gateway.servers.b]\n",
    "should be a number and s, m, h or d": '[approval]\nttl = "7x"\n',
    "pattern '!a' is a negation": '[policy]\nread_deny = ["!a"]\n',
    "gateway.http.login cannot change": '[gateway.http]\nlogin = "none"\n',
    "gateway.identity cannot change": '[gateway]\nidentity = "other"\n',
    "log.access cannot change": "[log]\naccess = true\n",
    "log.format cannot change": '[log]\nformat = "json"\n',
    "gateway.metrics.enabled cannot change": "[gateway.metrics]\nenabled = true\n",
    "gateway.tracing.otlp_endpoint cannot change": (
        '[gateway.tracing]\notlp_endpoint = "http://127.0.0.1:4318/v1/traces"\n'
    ),
}


async def test_a_file_that_is_wrong_anywhere_changes_nothing_and_says_why(tmp_path: Path) -> None:
    async with reloading(tmp_path, server("a"), ALLOW_ALL) as (gateway, reloader):
        policy, pid = gateway.policy, await pid_of(gateway, "a")
        for wrong in BROKEN.values():
            write_config(tmp_path, server("a"), wrong)
            assert not await reloader.reload("test")
        (tmp_path / "gateway.toml").unlink()
        assert not await reloader.reload("test")
        assert gateway.policy is policy
        assert await pid_of(gateway, "a") == pid
        told = notes(gateway, "settings refused")
        for why, shown in zip([*BROKEN, "does not exist"], told, strict=True):
            assert why in shown
        assert not notes(gateway, "settings reloaded")


async def test_only_servers_whose_entry_changed_start_anew(tmp_path: Path) -> None:
    async with reloading(tmp_path, server("a"), server("b"), server("c"), ALLOW_ALL) as (gateway, reloader):
        heard: list[int] = []

        async def listen(_changed: object) -> None:
            heard.append(1)

        gateway.on_list_changed(listen)
        before = {name: await pid_of(gateway, name) for name in "abc"}
        write_config(tmp_path, server("a"), server("b", "--page", "99"), server("d"), ALLOW_ALL)
        assert await reloader.reload("test")
        await gateway.settled()

        assert await pid_of(gateway, "a") == before["a"]
        assert await pid_of(gateway, "b") != before["b"]
        assert await pid_of(gateway, "d")
        with pytest.raises(Exception, match="Unknown tool"):
            await call(gateway, "c__meta")
        await until(lambda: not alive(before["b"]) and not alive(before["c"]))
        assert heard
        assert notes(gateway, "settings reloaded") == ["without server c; with server d; server b: args"]


async def test_servers_of_an_mcp_servers_file_are_reloaded_too(tmp_path: Path) -> None:
    table, config = tmp_path / "mcp.json", write_config(tmp_path, ALLOW_ALL)

    def write(*names: str) -> None:
        entries = {name: {"command": sys.executable, "args": [str(FIXTURE)]} for name in names}
        table.write_text(json.dumps({"mcpServers": entries}))

    def load() -> GatewaySetup:
        return prepare(flags(config=config), mcp_json=table)

    write("a")
    async with running_gateway(load()) as gateway:
        await gateway.settled()
        assert table in gateway.setup.watched
        write("b")
        assert await Reloader(gateway, load).reload("test")
        assert notes(gateway, "settings reloaded") == ["other entries of a, b"]
        await gateway.settled()
        assert not (await call(gateway, "b__echo", text="x")).is_error


async def test_calls_on_a_server_that_is_replaced_finish_and_new_ones_go_to_the_new(tmp_path: Path) -> None:
    seen = tmp_path / "journal"
    async with reloading(tmp_path, server("a", "--nap", "1.5", "--journal", str(seen)), ALLOW_ALL) as (
        gateway,
        reloader,
    ):
        answers: list[Any] = []

        async def nap() -> None:
            answers.append(await call(gateway, "a__nap"))

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(nap)
            await until(lambda: bool(journal(seen)))
            write_config(tmp_path, server("a", "--page", "99"), ALLOW_ALL)
            assert await reloader.reload("test")
            assert not (await call(gateway, "a__echo", text="x")).is_error
        assert not answers[0].is_error


async def test_trust_that_is_withdrawn_is_gone_at_once(tmp_path: Path) -> None:
    short = "[approval]\nhold_s = 0.1\n"
    async with reloading(tmp_path, server("a", trusted=True), short) as (gateway, reloader):
        assert not (await call(gateway, "a__peek", text="x")).is_error
        write_config(tmp_path, server("a"), short)
        assert await reloader.reload("test")
        assert text_of(await call(gateway, "a__peek", text="x")).startswith("approval_required")


async def test_nothing_is_lost_when_settings_change_under_load(tmp_path: Path) -> None:
    async with reloading(tmp_path, server("a"), server("b"), ALLOW_ALL) as (gateway, reloader):
        failed: list[str] = []
        done = anyio.Event()
        made = 0

        async def work(name: str) -> None:
            nonlocal made
            while not done.is_set():
                answer = await call(gateway, f"{name}__echo", text="x")
                made += 1
                if answer.is_error:
                    failed.append(text_of(answer))

        async with anyio.create_task_group() as tasks:
            for name in "abab":
                tasks.start_soon(work, name)
            for turn in range(4):
                limit = f"[gateway]\ncalls_per_minute = {100_000 + turn}\n"
                write_config(tmp_path, limit, server("a"), server("b", "--page", str(90 + turn)), ALLOW_ALL)
                assert await reloader.reload("test")
            done.set()
        assert made > 4
        assert failed == []
        begun = [record["request_id"] for record in records(gateway) if record["phase"] == "begun"]
        ended = [record["request_id"] for record in records(gateway) if record["phase"] == "ended"]
        assert sorted(begun) == sorted(ended)


async def test_what_is_different_is_told_without_secrets(tmp_path: Path) -> None:
    web = '[gateway.servers.w]\nurl = "http://127.0.0.1:1/mcp"\nheaders = { A = "s3cret-one" }\n'
    old = make_setup(tmp_path, server("a"), web)
    new = make_setup(tmp_path, server("a"), web.replace("one", "two"), "[approval]\nhold_s = 5\n")
    assert difference(old, new) == ["approval.hold_s: 45.0 -> 5.0", "server w: headers"]


@pytest.mark.parametrize("how", ["SIGHUP", "the file"])
async def test_a_running_program_takes_over_changed_settings(tmp_path: Path, how: str) -> None:
    poll = f"[gateway]\nreload_poll_s = {0 if how == 'SIGHUP' else 0.05}\n"
    config = write_config(tmp_path, poll, server("a"), ALLOW_ALL)
    with http_gateway("--config", str(config)) as (url, process), anyio.fail_after(60):
        async with Client(f"{url}/mcp") as client:
            assert not (await client.call_tool("a__echo", {"text": "x"})).is_error
            write_config(tmp_path, poll, server("a"), ALLOW_ALL, DENY.replace("a__nap", "a__echo"))
            if how == "SIGHUP":
                os.kill(process.pid, signal.SIGHUP)
            names = {"a__echo"}
            while "a__echo" in names:
                await anyio.sleep(0.05)
                names = {tool.name for tool in (await client.list_tools(cache_mode="refresh")).tools}
            write_config(tmp_path, poll, "[broken")
            os.kill(process.pid, signal.SIGHUP)
            assert "a__peek" in {tool.name for tool in (await client.list_tools(cache_mode="refresh")).tools}


async def test_a_reload_may_be_asked_for_as_soon_as_the_address_is_told(tmp_path: Path) -> None:
    config = write_config(tmp_path, server("a"), ALLOW_ALL)
    with http_gateway("--config", str(config)) as (url, process), anyio.fail_after(60):
        os.kill(process.pid, signal.SIGHUP)
        async with Client(f"{url}/mcp") as client:
            assert not (await client.call_tool("a__echo", {"text": "x"})).is_error


@pytest.mark.parametrize("started_with_nohup", [False, True])
async def test_a_gateway_ends_with_its_terminal_unless_it_was_told_to_outlive_it(
    tmp_path: Path, started_with_nohup: bool
) -> None:
    config = write_config(tmp_path, server("a"))
    argv = [
        sys.executable,
        "-P",
        "-m",
        "lg_gateway",
        "serve",
        "--transport",
        "http",
        "--no-login",
        "--config",
        str(config),
    ]
    pid, terminal = pty.fork()
    if pid == 0:
        signal.signal(signal.SIGHUP, signal.SIG_IGN if started_with_nohup else signal.SIG_DFL)
        os.execvpe(argv[0], argv, program_environment())
    try:
        shown = ""
        while not (address := re.search(r"http://\S+/mcp\r\n", shown)):
            shown += os.read(terminal, 1000).decode()
        os.close(terminal)
        if started_with_nohup:
            async with Client(address.group().strip()) as client:
                assert (await client.list_tools()).tools
        else:
            await until(lambda: not alive(pid))
    finally:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


async def test_a_client_on_stdio_hears_of_tools_that_a_reload_brought(tmp_path: Path) -> None:
    poll = "[gateway]\nreload_poll_s = 0.05\n"
    config = write_config(tmp_path, poll, server("a"), ALLOW_ALL)
    heard = anyio.Event()

    async def on_message(message: Any) -> None:
        if type(message).__name__ == "ToolListChangedNotification":
            heard.set()

    async with client_of("--config", str(config), mode="legacy", message_handler=on_message) as client:
        await client.list_tools()
        write_config(tmp_path, poll, server("a"), server("b"), ALLOW_ALL)
        await heard.wait()
        names: set[str] = set()
        while "b__echo" not in names:
            await anyio.sleep(0.05)
            names = {tool.name for tool in (await client.list_tools(cache_mode="refresh")).tools}
