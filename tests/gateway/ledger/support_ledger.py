"""Ledgers opened by hand, in a store of either kind."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import anyio

from lg_gateway.ledger.head import HeadFile
from lg_gateway.ledger.ledger import Ledger, LedgerEntry
from lg_gateway.ledger.segments import Archive
from lg_gateway.ledger.verification import VerificationResult
from lg_gateway.store.factory import StorePlace, open_store
from lg_gateway.store.interface import Store, Tx

SEED, KEY = b"s" * 32, b"k" * 32
LATER = "9999"


def open_ledger(tmp_path: Path, *, url: str | None = None, busy_s: float = 10) -> tuple[Store, Ledger]:
    ledger = Ledger(HeadFile(tmp_path / "ledger.head", SEED), KEY)
    place = StorePlace(path=tmp_path / "store.sqlite", url=url, lock_path=tmp_path / "ledger.lock")
    return open_store(place, guard=ledger, busy_s=busy_s), ledger


async def append(store: Store, ledger: Ledger, count: int, who: str = "a") -> None:
    async with anyio.create_task_group() as tasks:
        for n in range(count):
            entry = LedgerEntry(phase="note", identity=who, outcome=f"event {n}")
            tasks.start_soon(store.write, lambda tx, entry=entry: ledger.append(tx, entry))


@dataclass
class Place:
    """A ledger with its archive, reopened at will."""

    folder: Path
    url: str | None

    def __post_init__(self) -> None:
        self.segments = self.folder / "segments"
        self.open()

    def open(self) -> None:
        self.ledger = Ledger(HeadFile(self.folder / "ledger.head", SEED), KEY, self.segments)
        place = StorePlace(path=self.folder / "store.sqlite", url=self.url, lock_path=self.folder / "ledger.lock")
        self.store: Store = open_store(place, guard=self.ledger)
        self.archive = Archive(self.store, self.ledger, self.segments, records=10)

    def examine(self) -> VerificationResult:
        return self.store.read_now(self.ledger.examine)

    def first_bad(self) -> int | None:
        problems = self.examine().problems
        return problems[0].seq if problems else None

    def live(self) -> list[int]:
        return [seq for (seq,) in self.store.read_now(lambda tx: tx.execute("SELECT seq FROM ledger ORDER BY seq"))]

    def files(self) -> list[Path]:
        return sorted(self.segments.iterdir())

    async def sql(self, statement: str, *params: object) -> None:
        """Change the store as somebody does who cannot write the key directory."""
        place = StorePlace(path=self.folder / "store.sqlite", url=self.url, lock_path=self.folder / "ledger.lock")
        other = open_store(place)
        await other.write(lambda tx: tx.execute(statement, params))
        other.close()


def pin(tx: Tx, tool: str) -> None:
    tx.execute("INSERT INTO pins (server, tool, body, mac) VALUES (?, ?, ?, ?)", ("s", tool, "{}", "-"))
