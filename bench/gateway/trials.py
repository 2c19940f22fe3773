"""Trials in bulk, for docs/guarantees.md: `python -m bench.gateway.trials` prints what was tried and what came of it.

Random but repeatable (`--seed`): edits of a ledger by somebody without the keys, processes killed while they write,
gateways killed while they carry out calls under idempotency keys. Exit status 1 if anything was lost or let through.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import anyio
from mcp.client import Client
from mcp.client.stdio import StdioServerParameters

from lg_gateway.ledger.head import HeadFile
from lg_gateway.ledger.ledger import Ledger, LedgerEntry
from lg_gateway.ledger.segments import Archive
from lg_gateway.store.factory import StorePlace, open_store
from lg_gateway.store.interface import Store

ROOT = Path(__file__).parents[2]
FIXTURE = ROOT / "tests" / "gateway" / "fixture_server.py"
SEED, KEY = b"s" * 32, b"k" * 32
Edit = Callable[[random.Random, sqlite3.Connection, Path], str]

WRITER = """
import sys, anyio
from pathlib import Path
from bench.gateway.trials import opened
from lg_gateway.ledger.ledger import LedgerEntry
async def main():
    store, ledger = opened(Path(sys.argv[1]))
    async def one(n):
        while True:
            seq = await store.write(lambda tx: ledger.append(tx, LedgerEntry(phase="note", outcome=f"by {n}")))
            print(seq, flush=True)
    async with anyio.create_task_group() as tasks:
        for n in range(8):
            tasks.start_soon(one, n)
anyio.run(main)
"""


def opened(place: Path) -> tuple[Store, Ledger]:
    """A ledger in a folder: the store in it, the head beside it, as the key directory is beside the state."""
    ledger = Ledger(HeadFile(place.with_suffix(".head"), SEED), KEY, place / "segments")
    where = StorePlace(path=place / "store.sqlite", lock_path=place.with_suffix(".lock"))
    return open_store(where, guard=ledger), ledger


async def make_ledger(place: Path) -> None:
    place.mkdir()
    store, ledger = opened(place)
    for n in range(40):
        entry = LedgerEntry(
            phase="ended", identity="me", tool=f"a__{n}", outcome="ok", arguments='{"n": 1}', run_id=f"r{n}"
        )
        await store.write(partial(ledger.append, entry=entry))
        if n == 20:
            await Archive(store, ledger, place / "segments", records=5).seal("9999", by="trial")
    store.close()


def _flip(chance: random.Random, text: str) -> str:
    at = chance.randrange(len(text))
    return text[:at] + chr((ord(text[at]) - 32 + chance.randrange(1, 90)) % 94 + 33) + text[at + 1 :]


def _seq(chance: random.Random, db: sqlite3.Connection) -> int:
    return int(chance.choice(db.execute("SELECT seq FROM ledger").fetchall())[0])


def edit_column(chance: random.Random, db: sqlite3.Connection, _place: Path) -> str:
    column = chance.choice(("record", "hash", "mac", "request_id", "run_id"))
    seq = _seq(chance, db)
    (text,) = db.execute(f"SELECT {column} FROM ledger WHERE seq = ?", (seq,)).fetchone()
    changed = _flip(chance, text) if text else "made up"
    db.execute(f"UPDATE ledger SET {column} = ? WHERE seq = ?", (changed, seq))
    return f"one character of {column}"


def delete(chance: random.Random, db: sqlite3.Connection, _place: Path) -> str:
    db.execute("DELETE FROM ledger WHERE seq = ?", (_seq(chance, db),))
    return "a record deleted"


def truncate(chance: random.Random, db: sqlite3.Connection, _place: Path) -> str:
    db.execute("DELETE FROM ledger WHERE seq >= ?", (_seq(chance, db),))
    return "the end cut off"


def insert(chance: random.Random, db: sqlite3.Connection, _place: Path) -> str:
    (newest,) = db.execute("SELECT max(seq) FROM ledger").fetchone()
    at = chance.choice((0, -1, newest + 1, newest + 2))
    db.execute("INSERT INTO ledger SELECT ?, hash, mac, record, request_id, run_id FROM ledger WHERE seq = ?",
               (at, _seq(chance, db)))  # fmt: skip
    return "a record inserted"


def swap(chance: random.Random, db: sqlite3.Connection, _place: Path) -> str:
    one, two = chance.sample([seq for (seq,) in db.execute("SELECT seq FROM ledger")], 2)
    for before, after in ((one, -5), (two, one), (-5, two)):
        db.execute("UPDATE ledger SET seq = ? WHERE seq = ?", (after, before))
    return "two records swapped"


def edit_seal(chance: random.Random, db: sqlite3.Connection, _place: Path) -> str:
    number, seal = chance.choice(db.execute("SELECT number, seal FROM segments").fetchall())
    db.execute("UPDATE segments SET seal = ? WHERE number = ?", (_flip(chance, seal), number))
    return "one character of a seal"


def drop_segment(chance: random.Random, db: sqlite3.Connection, _place: Path) -> str:
    numbers = [number for (number,) in db.execute("SELECT number FROM segments")]
    db.execute("DELETE FROM segments WHERE number = ?", (chance.choice(numbers),))
    return "a segment dropped from the store"


def edit_file(chance: random.Random, _db: sqlite3.Connection, place: Path) -> str:
    path = chance.choice(sorted((place / "segments").iterdir()))
    how = chance.choice(("one character of a segment file", "a segment file cut", "a segment file removed"))
    text = path.read_text()
    if how == "a segment file removed":
        path.unlink()
    else:
        path.write_text(_flip(chance, text) if how.startswith("one") else text[: chance.randrange(len(text))])
    return how


def swap_files(chance: random.Random, _db: sqlite3.Connection, place: Path) -> str:
    one, two = chance.sample(sorted((place / "segments").iterdir()), 2)
    first, second = one.read_text(), two.read_text()
    one.write_text(second)
    two.write_text(first)
    return "two segment files swapped"


EDITS: tuple[Edit, ...] = (
    edit_column, delete, truncate, insert, swap, edit_seal, drop_segment, edit_file, swap_files,
)  # fmt: skip


def tampering(folder: Path, chance: random.Random, cases: int) -> tuple[Counter[str], list[str]]:
    """Edit copies of one ledger; return how often what was tried, and what `verify` did not notice."""
    place, copy = folder / "ledger", folder / "copy"
    anyio.run(make_ledger, place)
    tried: Counter[str] = Counter()
    unnoticed: list[str] = []
    for case in range(cases):
        shutil.rmtree(copy, ignore_errors=True)
        shutil.copytree(place, copy)
        shutil.copy(place.with_suffix(".head"), copy.with_suffix(".head"))
        db = sqlite3.connect(copy / "store.sqlite")
        what = chance.choice(EDITS)(chance, db, copy)
        db.commit()
        db.close()
        tried[what] += 1
        store, ledger = opened(copy)
        verdict = store.read_now(ledger.examine)
        store.close()
        if not verdict.problems or verdict.problems[0].seq is None:
            unnoticed.append(f"case {case}: {what}")
    return tried, unnoticed


def killed_writers(folder: Path, chance: random.Random, kills: int) -> tuple[int, list[str]]:
    """Kill a process with eight appenders at random moments; return appends that it was told of, and what was lost."""
    place = folder / "killed"
    place.mkdir()
    told = 0
    lost: list[str] = []
    for kill in range(kills):
        command = [sys.executable, "-c", WRITER, str(place)]
        writer = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE)
        if writer.stdout is None:
            raise RuntimeError("no pipe")
        first = writer.stdout.readline()
        time.sleep(chance.uniform(0.0, 0.3))
        os.kill(writer.pid, signal.SIGKILL)
        seen = {
            int(line) for line in [first, *writer.communicate()[0].splitlines(keepends=True)] if line.endswith(b"\n")
        }
        store, ledger = opened(place)
        verdict = store.read_now(ledger.examine)
        kept = {seq for (seq,) in store.read_now(lambda tx: tx.execute("SELECT seq FROM ledger"))}
        store.close()
        told += len(seen)
        lost += [f"kill {kill}: record {seq}" for seq in seen - kept]
        lost += [f"kill {kill}: {problem.text()}" for problem in verdict.problems]
    return told, lost


async def killed_gateways(folder: Path, chance: random.Random, kills: int) -> tuple[Counter[str], list[str]]:
    """Kill gateways while they carry out calls under keys, then repeat every call; nothing may arrive twice."""
    journal, config = folder / "journal", folder / "gateway.toml"
    upstream = f"command = {json.dumps(sys.executable)}\nargs = {json.dumps([str(FIXTURE), '--journal', str(journal)])}"
    rule = '[[gateway.rules]]\ntools = ["*"]\neffect = "allow"\n[gateway]\ncalls_per_minute = 100000\n'
    config.write_text(f"{rule}[gateway.servers.a]\n{upstream}\n")
    environment = {"XDG_STATE_HOME": str(folder / "state"), "XDG_CONFIG_HOME": str(folder / "config")}
    parameters = StdioServerParameters(
        command=sys.executable, args=["-P", "-m", "lg_gateway", "--config", str(config)], env=environment
    )
    sent: list[str] = []
    for kill in range(kills):
        await _calls_until_killed(parameters, kill, chance, sent)
    outcomes: Counter[str] = Counter()
    answered: set[str] = set()
    async with Client(parameters) as client:
        for key in sent:
            result = await _call(client, key)
            code = result.structured_content["error"]["code"] if result.is_error else "answered"
            outcomes[code] += 1
            answered |= {key} if code == "answered" else set()
    lines = journal.read_text().splitlines() if journal.exists() else []
    arrived = Counter(json.loads(line)["arguments"]["text"] for line in lines)
    wrong = [f"{key} arrived {arrived[key]} times" for key in sent if arrived[key] > 1]
    wrong += [f"{key} was answered and never arrived" for key in answered if not arrived[key]]
    wrong += [f"unforeseen outcome: {code}" for code in outcomes if code not in ("answered", "outcome_unknown")]
    command = [sys.executable, "-m", "lg_gateway", "audit", "verify", "--config", str(config)]
    verified = subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True, check=False)
    return outcomes, wrong + ([verified.stdout] if verified.returncode else [])


async def _calls_until_killed(
    parameters: StdioServerParameters, kill: int, chance: random.Random, sent: list[str]
) -> None:
    from bench.gateway.targets import child_of_this_process

    async def caller(client: Client, number: int) -> None:
        for n in range(100_000):
            sent.append(f"{kill}-{number}-{n}")
            await _call(client, sent[-1])

    try:
        async with Client(parameters) as client:
            await _call(client, f"{kill}-warm")
            async with anyio.create_task_group() as tasks:
                for number in range(6):
                    tasks.start_soon(caller, client, number)
                await anyio.sleep(chance.uniform(0.02, 0.4))
                os.kill(child_of_this_process([parameters.command, *parameters.args]), signal.SIGKILL)
    except BaseExceptionGroup:
        pass  # the client says in its own way that the gateway is gone


async def _call(client: Client, key: str) -> Any:
    meta: Any = {"lg/idempotency-key": f"trial:{key}"}
    return await client.call_tool("a__echo", {"text": key}, meta=meta)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--edits", type=int, default=2000)
    parser.add_argument("--writers", type=int, default=40, help="kills of a process that appends")
    parser.add_argument("--gateways", type=int, default=15, help="kills of a gateway that carries out calls")
    args = parser.parse_args()
    chance = random.Random(args.seed)
    with tempfile.TemporaryDirectory() as folder:
        tried, unnoticed = tampering(Path(folder), chance, args.edits)
        print("| edit of a ledger of 40 records | tried | not noticed |\n|---|---|---|")
        for what, count in sorted(tried.items()):
            print(f"| {what} | {count} | {sum(what in line for line in unnoticed)} |")
        told, lost = killed_writers(Path(folder), chance, args.writers)
        print(f"\n{args.writers} kills of a process with 8 appenders: {told} appends acknowledged, {len(lost)} lost")
        outcomes, wrong = anyio.run(killed_gateways, Path(folder), chance, args.gateways)
        shown = ", ".join(f"{count} {code}" for code, count in outcomes.most_common())
        print(f"\n{args.gateways} kills of a gateway with 6 callers; repeated afterwards: {shown}; {len(wrong)} wrong")
    for line in (*unnoticed, *lost, *wrong):
        print(line, file=sys.stderr)
    return 1 if unnoticed or lost or wrong else 0


if __name__ == "__main__":
    raise SystemExit(main())
