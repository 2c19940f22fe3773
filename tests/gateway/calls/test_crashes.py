"""At most once when gateways die, share a store, or run out of disk: nothing twice, nothing lost, nothing guessed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import anyio
import pytest
from mcp.client import Client
from mcp.client.stdio import StdioServerParameters

from lg_gateway.processes.process_names import may_live, this_process
from lg_gateway.serving.running import running_gateway
from lg_gateway.serving.setup import prepare
from tests.gateway.calls.support_lost_calls import lose_outcomes
from tests.gateway.commands.support_commands import run
from tests.gateway.rig import (
    ALLOW_ALL,
    client_of,
    code_of,
    flags,
    gateway_of,
    http_gateway,
    journal,
    program_environment,
    send,
    server,
    until,
    write_config,
)

pytestmark = pytest.mark.anyio
CALLER = """
import anyio, sys
from mcp.client import Client
async def main():
    async with Client(sys.argv[1], mode='legacy') as client:
        await client.call_tool('a__slow', {}, meta={'lg/idempotency-key': 'k'})
anyio.run(main)
"""


def store_setting(url: str | None) -> str:
    return f'[store]\nurl = "{url}"\n' if url is not None else ""


async def test_a_call_that_runs_in_another_gateway_is_told_from_one_that_was_lost(
    tmp_path: Path, store_url: str | None
) -> None:
    log = tmp_path / "journal"
    parts = (store_setting(store_url), server("a", "--journal", str(log)), ALLOW_ALL)
    config = write_config(tmp_path, *parts)
    meta = {"lg/idempotency-key": "k"}
    with http_gateway("--config", str(config)) as (url, process):
        caller = subprocess.Popen([sys.executable, "-c", CALLER, f"{url}/mcp"], stderr=subprocess.DEVNULL)
        await until(lambda: len(journal(log)) == 1)
        async with gateway_of(tmp_path, *parts) as second:
            me = second.setup.identity
            running = await send(second, "a__slow", {}, identity=me, meta=meta)
            os.kill(process.pid, signal.SIGKILL)
            process.wait()
            caller.kill()
            caller.wait()
            lost = await send(second, "a__slow", {}, identity=me, meta=meta)
            verdict = second.store.read_now(second.ledger.examine)

    assert (code_of(running), code_of(lost)) == ("conflict", "outcome_unknown")
    assert "still running" in running.content[0].text
    assert sum("tool" in line for line in journal(log)) == 1
    assert verdict.problems == []


@pytest.mark.usefixtures("programs_by_fork")
async def test_four_gateways_on_one_file_make_a_call_under_one_key_once(tmp_path: Path) -> None:
    log = tmp_path / "journal"
    config = write_config(tmp_path, server("a", "--journal", str(log)), ALLOW_ALL)
    meta: Any = {"lg/idempotency-key": "shared"}
    codes: Counter[str | None] = Counter()
    ready, go = [anyio.Event() for _ in range(4)], anyio.Event()

    async def one(number: int) -> None:
        async with client_of("--config", str(config)) as client:
            await client.call_tool("a__peek", {"text": f"up {number}"})
            ready[number].set()
            await go.wait()
            for n in range(5):
                await client.call_tool("a__echo", {"text": f"{number}-{n}"})
                codes[code_of(await client.call_tool("a__echo", {"text": "shared"}, meta=meta))] += 1

    async with anyio.create_task_group() as tasks:
        for number in range(4):
            tasks.start_soon(one, number)
        for event in ready:
            await event.wait()
        go.set()
    texts = Counter(line["arguments"]["text"] for line in journal(log))

    assert texts["shared"] == 1
    assert all(texts[f"{number}-{n}"] == 1 for number in range(4) for n in range(5))
    assert sum(codes.values()) == 20
    assert codes[None] > 0
    assert set(codes) <= {None, "conflict"}
    verified = run("audit", "verify", "--config", str(config))
    assert verified.returncode == 0, verified.stdout


async def test_a_full_disk_stops_calls_before_they_leave_and_space_lets_them_go_on(tmp_path: Path) -> None:
    log = tmp_path / "journal"
    config = write_config(tmp_path, server("a", "--journal", str(log)), ALLOW_ALL)
    run("tools", "--config", str(config))  # the store is made while there is room
    limited = (
        "import resource, runpy, sys\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (400_000, 400_000))\n"
        "sys.argv = ['lg-gateway', *sys.argv[1:]]\n"
        "runpy.run_module('lg_gateway', run_name='__main__')\n"
    )
    command = ["-P", "-c", limited, "--config", str(config)]
    parameters = StdioServerParameters(command=sys.executable, args=command, env=program_environment())
    answers: list[Any] = []
    with anyio.fail_after(90):
        async with Client(parameters) as client:
            while len(answers) < 200 and (not answers or not answers[-1].is_error):
                answers.append(await client.call_tool("a__echo", {"text": "x" * 6000 + str(len(answers))}))
            answers += [await client.call_tool("a__echo", {"text": "x" * 6000 + f" more {n}"}) for n in range(3)]
    arrived = len(journal(log))
    async with client_of("--config", str(config)) as client:
        after = await client.call_tool("a__echo", {"text": "there is room again"})
    listed = run("audit", "list", "--json", "--limit", "1000", "--config", str(config)).stdout

    assert [code_of(answer) for answer in answers[-3:]] == ["internal"] * 3
    assert "the ledger cannot be written" in answers[-1].content[0].text
    assert arrived == listed.count('"phase": "begun"') - 1
    assert not after.is_error
    assert run("audit", "verify", "--config", str(config)).returncode == 0


async def test_lost_calls_of_our_own_servers_are_resolved_by_what_they_are(tmp_path: Path) -> None:
    root = tmp_path / "root"
    root.mkdir()
    commands = (
        '[exec]\nsandbox = "off"\n'
        '[exec.commands.again]\nexecutable = "echo"\nargs_allow = ["text:*"]\nneeds_sandbox = false\nrerun = true\n'
        '[exec.commands.once]\nexecutable = "echo"\nargs_allow = ["text:*"]\nneeds_sandbox = false\n'
        "[gateway.servers.fs]\nbuiltin = 'fs'\n[gateway.servers.exec]\nbuiltin = 'exec'\n"
    )
    setup = prepare(flags(root=root, config=write_config(tmp_path, commands, ALLOW_ALL)), mcp_json=None)
    (root / "notes.txt").write_text("one\n")
    append = "*** Begin Patch\n*** Update File: notes.txt\n@@\n one\n+two\n*** End Patch\n"
    calls: list[tuple[str, dict[str, Any]]] = [
        ("fs__apply_patch", {"patch": append}),
        ("exec__exec", {"cmd": "again", "args": ["hello"]}),
        ("exec__exec", {"cmd": "once", "args": ["hello"]}),
    ]
    with anyio.fail_after(90):
        async with running_gateway(setup) as gateway:
            await gateway.settled()

            async def all_of_them() -> list[Any]:
                return [
                    await send(gateway, name, arguments, meta={"lg/idempotency-key": f"r:{n}"})
                    for n, (name, arguments) in enumerate(calls)
                ]

            first = await all_of_them()
            await lose_outcomes(gateway)
            again = await all_of_them()
            changes = await send(gateway, "fs__list_changes", {})

    assert [code_of(result) for result in first] == [None] * 3, first
    assert [code_of(result) for result in again] == [None, None, "outcome_unknown"]
    assert first[0].structured_content["change_id"] == again[0].structured_content["change_id"]
    assert len(changes.structured_content["changes"]) == 1
    assert (root / "notes.txt").read_text() == "one\ntwo\n"


def test_a_process_is_not_taken_for_another_that_had_its_number() -> None:
    number, _, rest = this_process().partition(".")
    start, _, host = rest.partition("@")
    child = subprocess.Popen([sys.executable, "-c", ""])
    child.wait()

    assert may_live(this_process())
    assert not may_live(f"{number}.{start[:-1]}x@{host}")
    assert not may_live(f"{child.pid}.{start}@{host}")
    assert not may_live(f"@{host}")
    assert may_live(f"{number}.{start}@another-machine")
