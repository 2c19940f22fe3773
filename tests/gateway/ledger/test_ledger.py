"""The chain: what it holds, who may write it, and what it takes when it cannot be written."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import anyio
import pytest
from mcp.shared.exceptions import MCPError

from lg_gateway.ledger.halt import HaltSwitch, write_halt
from lg_gateway.ledger.head import Head, HeadFile
from lg_gateway.ledger.ledger import LedgerEntry
from lg_gateway.ledger.verification import verify_export
from lg_gateway.store.interface import StoreError, Tx
from lg_gateway.store.sqlite import SqliteStore
from lg_policy.errors import Halted
from tests.gateway.ledger.support_ledger import SEED, append, open_ledger
from tests.gateway.rig import ALLOW_ALL, call, gateway_of, journal, records, server

pytestmark = pytest.mark.anyio


async def test_records_are_numbered_chained_and_verified(tmp_path: Path) -> None:
    store, ledger = open_ledger(tmp_path)
    await append(store, ledger, 300)

    assert store.read_now(ledger.verify) == (300, [])
    store.close()


async def test_four_processes_on_one_store_make_one_verifiable_chain(tmp_path: Path, store_url: str | None) -> None:
    script = (
        "import anyio, sys, pathlib\n"
        "from tests.gateway.ledger.support_ledger import append, open_ledger\n"
        "async def main():\n"
        "    store, ledger = open_ledger(pathlib.Path(sys.argv[1]), url=sys.argv[3] or None)\n"
        "    for _ in range(10):\n"
        "        await append(store, ledger, 10, sys.argv[2])\n"
        "    store.close()\n"
        "anyio.run(main)\n"
    )
    root = Path(__file__).parents[3]
    command = [sys.executable, "-c", script, str(tmp_path)]
    writers = [subprocess.Popen([*command, f"writer {n}", store_url or ""], cwd=root) for n in range(4)]
    assert [writer.wait(timeout=60) for writer in writers] == [0, 0, 0, 0]

    store, ledger = open_ledger(tmp_path, url=store_url)
    rows = store.read_now(lambda tx: tx.execute("SELECT record FROM ledger ORDER BY seq"))
    writers_seen = [json.loads(text)["identity"] for (text,) in rows]
    assert store.read_now(ledger.verify) == (400, [])
    assert {who: writers_seen.count(who) for who in set(writers_seen)} == {f"writer {n}": 100 for n in range(4)}
    store.close()


async def test_a_job_that_fails_undoes_its_own_changes_only(tmp_path: Path) -> None:
    store, ledger = open_ledger(tmp_path)

    def append_then_fail(tx: Tx) -> None:
        ledger.append(tx, LedgerEntry(phase="note", outcome="never"))
        raise ValueError("changed my mind")

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(append, store, ledger, 20)
        with pytest.raises(ValueError, match="changed my mind"):
            await store.write(append_then_fail)

    assert store.read_now(ledger.verify) == (20, [])
    store.close()


async def test_a_locked_database_refuses_the_write_in_bounded_time(tmp_path: Path) -> None:
    store, ledger = open_ledger(tmp_path, busy_s=0.3)
    holder = sqlite3.connect(tmp_path / "store.sqlite", isolation_level=None)
    holder.execute("BEGIN EXCLUSIVE")

    with anyio.fail_after(60), pytest.raises(StoreError, match="locked"):
        await store.write(lambda tx: ledger.append(tx, LedgerEntry(phase="note")))
    holder.execute("ROLLBACK")
    holder.close()
    await append(store, ledger, 1)

    assert store.read_now(ledger.verify) == (1, [])
    store.close()


async def test_a_call_does_not_happen_when_the_ledger_cannot_be_written(tmp_path: Path) -> None:
    log = tmp_path / "journal"
    async with gateway_of(tmp_path, server("a", "--journal", str(log)), ALLOW_ALL) as gateway:
        await call(gateway, "a__echo", text="first")
        await gateway.store.write(lambda tx: tx.execute("PRAGMA max_page_count = 1"))  # a full disk, as SQLite sees it
        answers = [await call(gateway, "a__echo", text="x" * 6000 + str(n)) for n in range(6)]
        arrived = len(journal(log))
        begun = sum(record["phase"] == "begun" for record in records(gateway))

    assert answers[-1].structured_content["error"]["code"] == "internal"
    assert "the ledger cannot be written" in answers[-1].content[0].text
    assert "lg-gateway audit verify" in answers[-1].content[0].text
    assert arrived == begun


async def test_a_chain_that_lost_its_end_is_named_in_one_line_and_without_a_traceback(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    log = tmp_path / "journal"
    async with gateway_of(tmp_path, server("a", "--journal", str(log)), ALLOW_ALL) as gateway:
        await call(gateway, "a__echo", text="first")
        assert isinstance(gateway.store, SqliteStore)
        store = gateway.store.path
    arrived = len(journal(log))
    adversary = sqlite3.connect(store)
    adversary.execute("DELETE FROM ledger WHERE seq = (SELECT max(seq) FROM ledger)")
    adversary.commit()
    adversary.close()
    async with gateway_of(tmp_path, server("a", "--journal", str(log)), ALLOW_ALL) as gateway:
        with pytest.raises(MCPError, match="Unknown tool"):
            await call(gateway, "a__echo", text="second")

    assert len(journal(log)) == arrived
    assert "the ledger does not contain record" in caplog.text
    assert "Traceback" not in caplog.text


async def test_the_store_and_its_companions_are_private_files(tmp_path: Path) -> None:
    store, ledger = open_ledger(tmp_path)
    await append(store, ledger, 1)
    modes = {path.name: path.stat().st_mode & 0o777 for path in tmp_path.iterdir()}
    store.close()

    assert len(modes) >= 4
    assert set(modes.values()) == {0o600}


def test_a_head_survives_a_torn_write_of_its_newest_slot(tmp_path: Path) -> None:
    head = HeadFile(tmp_path / "head", SEED)
    for seq in (1, 2, 3):
        head.write(Head(ledger="l", seq=seq, hash=str(seq)))
    descriptor = os.open(tmp_path / "head", os.O_RDWR)
    os.pwrite(descriptor, b"\0" * 40, 512)  # slot of record 3
    os.close(descriptor)

    assert HeadFile(tmp_path / "head", SEED).read() == Head(ledger="l", seq=2, hash="2")


async def test_an_export_is_verified_without_the_store(tmp_path: Path) -> None:
    store, ledger = open_ledger(tmp_path)
    await append(store, ledger, 5)
    rows = store.read_now(lambda tx: tx.execute("SELECT hash, record FROM ledger ORDER BY seq"))
    lines = [json.dumps({"hash": digest, "record": record}) for digest, record in rows]
    store.close()

    verdict = verify_export(lines)
    assert (verdict.records, verdict.problems) == (5, [])
    assert verdict.head == ledger.head.read()
    assert "only compared with itself" in verdict.remarks[0]
    verdict = verify_export([*lines[:2], lines[2].replace("event", "evnt"), *lines[3:]])
    assert verdict.problems[0].seq == 3


class _Held:
    """A transaction whose answers arrive only when they may."""

    def __init__(self, tx: Tx) -> None:
        self._tx = tx
        self.asked = threading.Event()
        self.may_go_on = threading.Event()

    def execute(self, sql: str, params: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        rows = self._tx.execute(sql, params)
        self.asked.set()
        assert self.may_go_on.wait(60)
        return rows


async def test_a_look_from_before_a_halt_does_not_let_calls_begin_again(tmp_path: Path) -> None:
    store, ledger = open_ledger(tmp_path)
    await append(store, ledger, 1)
    other, others = open_ledger(tmp_path)
    switch = HaltSwitch(ledger)
    held: list[_Held] = []
    looking = threading.Event()

    def begin(tx: Tx) -> None:
        ledger.append(tx, LedgerEntry(phase="begun"))
        switch.check(tx)

    def look(tx: Tx) -> None:
        held.append(_Held(tx))
        looking.set()
        switch.read(held[0])

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(anyio.to_thread.run_sync, store.read_now, look)
        await anyio.to_thread.run_sync(looking.wait, 60)
        await anyio.to_thread.run_sync(held[0].asked.wait, 60)
        await other.write(lambda tx: write_halt(others, tx, by="ada", reason="enough"))
        await append(store, ledger, 1)
        assert store.read_now(switch.read) is not None
        held[0].may_go_on.set()
    with pytest.raises(Halted):
        await store.write(begin)
    other.close()
    store.close()
