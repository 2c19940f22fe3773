"""The upkeep of a store, killed at any moment while calls run: no record and no effect is lost or doubled."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from functools import partial
from typing import TYPE_CHECKING, Any

import anyio
import anyio.to_thread
import pytest

from lg_gateway.ledger.chain import read_line
from tests.gateway.commands.support_commands import run
from tests.gateway.rig import (
    ALLOW_ALL,
    code_of,
    gateway_of,
    journal,
    program_environment,
    send,
    server,
    until,
    write_config,
)

if TYPE_CHECKING:
    from pathlib import Path

    from lg_gateway.serving.gateway import Gateway

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("programs_by_fork")]
ROUNDS = 4
CALLS = 6
"""Calls that run in one round, half of them under a key."""
UPKEEP = """
import asyncio, sys, time
from pathlib import Path
from lg_gateway.identity.tokens import TokenTable
from lg_gateway.ledger.segments import Archive
from lg_gateway.serving.retention import DAY_S, forget
from lg_gateway.serving.setup import locate
from lg_gateway.store.factory import open_store
from lg_policy.config.settings import Settings
from tests.gateway.rig import flags

settings = Settings()
until = float(sys.argv[2]) + settings.ledger.outcome_days * DAY_S
located = locate(flags(config=Path(sys.argv[1])), mcp_json=None)
ledger = located.ledger()
store = open_store(located.store_place, guard=ledger)
archive = Archive(store, ledger, located.segments_path, records=5)
tokens = TokenTable(b"k" * 32, ledger)

async def keep_up():
    print("ready", flush=True)
    while True:
        await archive.seal("9999", by="test")
        await store.write(lambda tx: forget(tx, tokens, settings, until))

asyncio.run(keep_up())
"""


def upkeep(config: Path, before: float) -> subprocess.Popen[str]:
    """Start a process that seals whatever it can, and forgets outcomes from before a moment, until it is killed."""
    command = [sys.executable, "-P", "-c", UPKEEP, str(config), str(before)]
    environment = program_environment({"PYTHONPATH": os.pathsep.join(sys.path)})
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


async def some_calls(gateway: Gateway, name: str) -> list[Any]:
    answers: list[Any] = [None] * CALLS

    async def one(number: int) -> None:
        meta = {"lg/idempotency-key": f"{name}-{number}"} if number % 2 else {}
        answers[number] = await send(gateway, "a__echo", {"text": f"{name}-{number}"}, meta=meta)

    async with anyio.create_task_group() as tasks:
        for number in range(CALLS):
            tasks.start_soon(one, number)
    return answers


def has_calls(log: Path, count: int) -> bool:
    return len(journal(log)) >= count


async def test_sealing_and_forgetting_that_are_killed_at_random_lose_and_double_nothing(
    tmp_path: Path, store_url: str | None
) -> None:
    log, chance = tmp_path / "journal", random.Random(11)
    store = f'[store]\nurl = "{store_url}"\n' if store_url is not None else ""
    parts = (store, server("a", "--journal", str(log)), ALLOW_ALL)
    config = write_config(tmp_path, *parts)
    async with gateway_of(tmp_path, *parts) as gateway:
        await some_calls(gateway, "old")
        moment = time.time()
        for number in range(ROUNDS):
            process = await anyio.to_thread.run_sync(upkeep, config, moment)
            moment_to_kill = partial(has_calls, log, len(journal(log)) + chance.randrange(CALLS + 1))
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(some_calls, gateway, f"r{number}")
                await until(moment_to_kill)
                os.kill(process.pid, signal.SIGKILL)
            await anyio.to_thread.run_sync(process.communicate)
            assert gateway.store.read_now(gateway.ledger.examine).problems == []
        again = [await some_calls(gateway, f"r{number}") for number in range(ROUNDS)]
        verdict = gateway.store.read_now(gateway.ledger.examine)

    assert verdict.problems == []
    made = Counter(line["arguments"]["text"] for line in journal(log) if line.get("tool") == "echo")
    for number in range(ROUNDS):
        assert [code_of(answer) for answer in again[number]] == [None] * CALLS
        for call in range(CALLS):
            assert made[f"r{number}-{call}"] == (1 if call % 2 else 2), "under its key once, else as often as asked"
    assert run("audit", "verify", "--config", str(config)).returncode == 0
    records = [json.loads(read_line(line)[2]) for line in export(config)[:-1]]
    assert [record["seq"] for record in records] == list(range(1, len(records) + 1)), "in segments and in the store"
    ended = Counter(record["request_id"] for record in records if record["phase"] == "ended")
    begun = Counter(record["request_id"] for record in records if record["phase"] == "begun")
    assert set(begun.values()) == {1}
    assert set(ended.values()) == {1}
    assert len(ended) == CALLS * (1 + 2 * ROUNDS)


def export(config: Path) -> list[str]:
    done = run("audit", "export", "--config", str(config))
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()
