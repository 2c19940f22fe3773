"""What a power cut leaves of the ledger: an effect's record always, the newest other records perhaps, and no lie."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import Any, cast

import anyio
import pytest
from mcp.client import Client
from mcp.client.stdio import StdioServerParameters

from tests.gateway.disk import Disk
from tests.gateway.rig import ALLOW_ALL, gateway_command, journal, program_environment, server, until, write_config

pytestmark = pytest.mark.anyio
NEVER_BY_ITSELF = "[ledger]\nflush_ms = 3600000\n"


@asynccontextmanager
async def gateway_on(disk: Disk, config: Path) -> AsyncIterator[tuple[Client, int]]:
    """A gateway whose disk is watched, and its process id."""
    command = gateway_command("--config", str(config))
    pid_file = disk.folder.parent / "pid"
    start = f'echo $$ > {pid_file}; exec "$@"'
    parameters = StdioServerParameters(
        command="sh",
        args=["-c", start, "sh", command.command, *command.args],
        env=program_environment(disk.environment),
    )
    with anyio.fail_after(90):
        async with Client(parameters) as client:
            yield client, int(pid_file.read_text())


def store_path() -> Path:
    (found,) = (Path(os.environ["XDG_STATE_HOME"])).rglob("gateway.sqlite")
    return found


def on_disk(disk: Disk, target: Path) -> list[dict[str, Any]]:
    """The records of calls that a power cut would leave now."""
    return records(disk.copy("gateway.sqlite", target))


def records(path: Path | None = None) -> list[dict[str, Any]]:
    """The records of calls in a store."""
    with closing(sqlite3.connect(path or store_path())) as connection:
        rows = connection.execute("SELECT record FROM ledger ORDER BY seq").fetchall()
    found = [json.loads(text) for (text,) in rows]
    return [record for record in found if record["phase"] != "note"]


def verified(config: Path) -> str:
    command = [sys.executable, "-P", "-m", "lg_gateway", "audit", "verify", "--config", str(config)]
    done = subprocess.run(command, env=program_environment(), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


async def test_what_may_have_an_effect_is_on_the_disk_before_its_server_hears_of_it_with_all_that_came_before(
    tmp_path: Path,
) -> None:
    disk, log = Disk(tmp_path / "disk"), tmp_path / "journal"
    config = write_config(tmp_path, NEVER_BY_ITSELF, server("a", "--journal", str(log), trusted=True), ALLOW_ALL)
    async with gateway_on(disk, config) as (client, _pid):
        for _ in range(3):
            await client.call_tool("a__peek", {"text": "x"})
        before = on_disk(disk, tmp_path / "before")
        async with anyio.create_task_group() as calls:
            calls.start_soon(client.call_tool, "a__slow", {})
            await until(lambda: [entry.get("tool") for entry in journal(log)].count("slow") == 1)
            during = on_disk(disk, tmp_path / "during")
            calls.cancel_scope.cancel()

    seen = [(record["tool"], record["phase"]) for record in during]
    assert before == [], "nothing waited for the disk"
    assert seen == [("a__peek", "begun"), ("a__peek", "ended")] * 3 + [("a__slow", "begun")]


async def test_after_a_power_cut_the_ledger_is_intact_and_goes_on_though_its_last_records_are_gone(
    tmp_path: Path,
) -> None:
    disk = Disk(tmp_path / "disk")
    config = write_config(tmp_path, NEVER_BY_ITSELF, server("a", trusted=True), ALLOW_ALL)
    async with gateway_on(disk, config) as (client, pid):
        await client.call_tool("a__echo", {"text": "one"})
        for _ in range(5):
            await client.call_tool("a__peek", {"text": "x"})
        os.kill(pid, signal.SIGKILL)
        await until(lambda: not Path(f"/proc/{pid}/stat").exists() or " Z " in Path(f"/proc/{pid}/stat").read_text())
    disk.cut(store_path())  # the signed head stays as it was last written: the worst that can happen to it

    verified(config)
    async with gateway_on(disk, config) as (client, _pid):
        assert not (await client.call_tool("a__echo", {"text": "two"})).is_error
    verified(config)
    assert [record["tool"] for record in records()] == ["a__echo"] * 3, (
        "of the first call only the beginning was synced"
    )


async def test_a_killed_gateway_loses_no_record(tmp_path: Path) -> None:
    disk = Disk(tmp_path / "disk")
    config = write_config(tmp_path, NEVER_BY_ITSELF, server("a", trusted=True), ALLOW_ALL)
    async with gateway_on(disk, config) as (client, pid):
        for _ in range(5):
            await client.call_tool("a__peek", {"text": "x"})
        os.kill(pid, signal.SIGKILL)
    verified(config)
    assert [record["phase"] for record in records()] == ["begun", "ended"] * 5


@pytest.mark.parametrize("settings", ["[ledger]\nflush_ms = 20\n", '[ledger]\ndurability = "full"\n'])
async def test_records_reach_the_disk_soon_or_with_full_durability_at_once(tmp_path: Path, settings: str) -> None:
    disk = Disk(tmp_path / "disk")
    config = write_config(tmp_path, settings, server("a", trusted=True), ALLOW_ALL)
    async with gateway_on(disk, config) as (client, _pid):
        await client.call_tool("a__peek", {"text": "x"})
        at_once = on_disk(disk, tmp_path / "copy")
        if "full" in settings:
            assert [record["phase"] for record in at_once] == ["begun", "ended"]
        await until(lambda: len(on_disk(disk, tmp_path / "copy")) == 2)


async def test_the_outcome_of_a_call_with_a_key_is_on_the_disk_before_its_caller_has_it(tmp_path: Path) -> None:
    disk = Disk(tmp_path / "disk")
    config = write_config(tmp_path, NEVER_BY_ITSELF, server("a", trusted=True), ALLOW_ALL)
    async with gateway_on(disk, config) as (client, _pid):
        await client.call_tool("a__echo", {"text": "x"})
        without = on_disk(disk, tmp_path / "without")
        await client.call_tool("a__echo", {"text": "y"}, meta=cast(Any, {"lg/idempotency-key": "k1"}))
        keyed = on_disk(disk, tmp_path / "keyed")
    assert [record["phase"] for record in without] == ["begun"]
    assert [record["phase"] for record in keyed] == ["begun", "ended"] * 2
