"""Old records leave the store in sealed files, and the chain still holds from the first record to the last."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from lg_gateway.ledger.chain import line_of
from lg_gateway.ledger.halt import HaltSwitch, write_halt
from lg_gateway.ledger.head import HeadFile
from lg_gateway.ledger.ledger import Ledger, LedgerEntry
from lg_gateway.ledger.segments import BATCH, SLICE, Archive, SealingError, clear_some
from lg_gateway.ledger.verification import VerificationResult, verify_export
from lg_gateway.store.factory import StorePlace, open_store
from lg_gateway.store.interface import Row, Store, Tx
from lg_gateway.views.export import export_lines
from lg_policy.errors import ConfigError
from tests.gateway.ledger.support_ledger import KEY, LATER, SEED, Place, append

pytestmark = pytest.mark.anyio


@pytest.fixture
async def place(tmp_path: Path, store_url: str | None) -> AsyncIterator[Place]:
    made = Place(tmp_path, store_url)
    await append(made.store, made.ledger, 25)
    yield made
    made.store.close()


async def test_records_move_into_sealed_files_and_the_chain_goes_on(place: Place) -> None:
    seals = await place.archive.seal(LATER, by="me")
    await append(place.store, place.ledger, 3)

    assert [(seal.first, seal.last) for seal in seals] == [(1, 10), (11, 20), (21, 24)]
    assert place.live() == list(range(25, 32))
    assert [path.stat().st_mode & 0o777 for path in place.files()] == [0o600] * 3
    verdict = place.examine()
    assert (verdict.records, verdict.problems, verdict.remarks) == (31, [], [])


async def test_only_what_is_old_enough_moves_and_the_newest_record_never_does(place: Place) -> None:
    assert await place.archive.seal("2000", by="me") == []
    assert await place.archive.seal(LATER, by="me") != []
    assert place.live()


async def test_another_gateway_with_an_older_head_goes_on_after_its_record_was_sealed(place: Place) -> None:
    elsewhere = Ledger(HeadFile(place.folder / "other.head", SEED), KEY)
    store = StorePlace(path=place.folder / "store.sqlite", url=place.url, lock_path=place.folder / "other.lock")
    other = open_store(store, guard=elsewhere)
    await append(other, elsewhere, 1)
    await append(place.store, place.ledger, 1)
    await place.archive.seal(LATER, by="me")
    await append(other, elsewhere, 1)
    other.close()

    assert place.examine().problems == []


async def test_a_halt_is_still_known_after_its_record_was_sealed_away(place: Place) -> None:
    await place.store.write(lambda tx: write_halt(place.ledger, tx, by="ada", reason="enough"))
    await append(place.store, place.ledger, 3)
    await place.archive.seal(LATER, by="me")
    found = place.store.read_now(HaltSwitch(place.ledger).read)
    assert found is not None
    assert found.text == "by ada: enough"


async def test_a_broken_chain_is_not_sealed(place: Place) -> None:
    await place.sql("UPDATE ledger SET record = replace(record, 'event', 'evnt') WHERE seq = 14")
    with pytest.raises(SealingError, match="record 14 was edited"):
        await place.archive.seal(LATER, by="me")

    assert place.first_bad() == 14


async def test_a_segment_removed_on_purpose_is_a_remark_and_one_that_vanished_a_problem(place: Place) -> None:
    await place.archive.seal(LATER, by="me")
    removed = await place.archive.prune(LATER, by="somebody", now="2026-11-25T00:00:00.000Z")
    assert len(removed) == len(place.files()) + 3 == 3
    verdict = place.examine()
    assert verdict.problems == []
    assert "records 1 to 10 are sealed; removed 2026-11-25T00:00:00.000Z by somebody" in verdict.remarks

    await append(place.store, place.ledger, 5)
    await place.archive.seal(LATER, by="me")
    place.files()[0].unlink()
    assert place.first_bad() == removed[-1].last + 1


async def test_an_export_holds_the_sealed_part_and_is_verified_with_the_public_key_alone(place: Place) -> None:
    await place.archive.seal(LATER, by="me")
    key, head = place.ledger.head.public_key(), place.ledger.head.read()
    whole = place.store.read_now(lambda tx: list(export_lines(tx, place.ledger)))
    place.files()[1].unlink()
    partly = place.store.read_now(lambda tx: list(export_lines(tx, place.ledger)))

    assert verify_export(whole, key) == VerificationResult(records=28, head=head)
    verdict = verify_export(partly, key, head)
    assert (verdict.records, verdict.problems) == (18, [])
    assert verdict.remarks == ["records 11 to 20 are sealed and not in this export"]


async def put_back(place: Place, rows: list[tuple[object, ...]]) -> None:
    """Put records into the store as somebody does who cannot write the key directory."""
    sql = "INSERT INTO ledger (seq, hash, mac, record, request_id, run_id) VALUES (?, ?, ?, ?, ?, ?)"
    other = open_store(StorePlace(path=place.folder / "store.sqlite", url=place.url, lock_path=place.folder / "x.lock"))
    await other.write(lambda tx: [tx.execute(sql, row) for row in rows])
    other.close()


def rows_of(place: Place) -> list[tuple[object, ...]]:
    sql = "SELECT seq, hash, mac, record, request_id, run_id FROM ledger ORDER BY seq"
    return place.store.read_now(lambda tx: tx.execute(sql))


async def test_a_kill_while_sealed_records_leave_the_store_loses_and_doubles_nothing(place: Place) -> None:
    before = rows_of(place)
    await place.archive.seal(LATER, by="me")
    await put_back(place, before[5:8])  # as if the process had ended before it came to these
    verdict = place.examine()
    await append(place.store, place.ledger, 2)
    sealed = await place.archive.seal(LATER, by="me")

    assert (verdict.records, verdict.problems) == (28, [])
    assert [(seal.first, seal.last) for seal in sealed] == [(25, 29)]
    assert place.live() == [30, 31]
    assert place.examine().problems == []


async def test_a_sealed_record_that_is_put_back_changed_is_found_and_an_old_note_that_is_put_back_says_nothing(
    place: Place,
) -> None:
    def note(outcome: str) -> LedgerEntry:
        return LedgerEntry(phase="note", request_id="tok-1", outcome=outcome)

    await place.store.write(lambda tx: place.ledger.append(tx, note("token created")))
    created = rows_of(place)[-1]
    await place.store.write(lambda tx: place.ledger.append(tx, note("token revoked")))
    await append(place.store, place.ledger, 1)
    await place.archive.seal(LATER, by="me")
    await put_back(place, [created])

    newest = place.store.read_now(lambda tx: place.ledger.newest_note(tx, "tok-1"))
    assert newest is not None
    assert newest["outcome"] == "token revoked"
    assert place.examine().problems == []
    await place.sql("UPDATE ledger SET record = replace(record, 'created', 'renewed') WHERE seq = ?", created[0])
    assert place.first_bad() == created[0]


async def test_no_transaction_of_a_sealing_removes_many_records(place: Place) -> None:
    await append(place.store, place.ledger, 230)
    archive = Archive(place.store, place.ledger, place.segments, records=5_000)
    await archive.seal(LATER, by="me")
    removed: list[int] = []
    await put_back(place, [(n, "", "", "", "", None) for n in range(1, 231)])
    for _ in range(4):
        before = len(place.live())
        more = await place.store.write(clear_some)
        removed.append(before - len(place.live()))
        if not more:
            break
    assert removed == [BATCH, BATCH, 230 - 2 * BATCH]


@dataclass
class Watched:
    """A store that notes the statements of its write transactions."""

    store: Store
    statements: list[tuple[str, Sequence[Any], bool]] = field(default_factory=list)

    async def write(self, work: Callable[[Tx], Any], *, durable: bool = True) -> Any:
        def watched(tx: Tx) -> Any:
            def execute(sql: str, params: Sequence[Any] = ()) -> list[Row]:
                self.statements.append((sql, params, durable))
                return tx.execute(sql, params)

            return work(cast(Tx, SimpleNamespace(execute=execute)))

        return await self.store.write(watched, durable=durable)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.store, name)


class Counting(Archive):
    """An archive that counts how often it lets other threads have their turn."""

    rests = 0

    def rest(self) -> None:
        self.rests += 1
        super().rest()


@pytest.mark.parametrize("store_url", ["sqlite"], indirect=True)  # the plan of a statement is read as SQLite tells it
async def test_no_call_waits_for_what_grows_with_the_records_that_are_sealed(place: Place) -> None:
    watched = Watched(place.store)
    archive = Counting(cast(Store, watched), place.ledger, place.segments, records=5_000)
    await append(place.store, place.ledger, 3 * SLICE)
    await place.store.write(lambda tx: place.ledger.append(tx, LedgerEntry(phase="note", request_id="tok-1")))
    await append(place.store, place.ledger, 1)
    await archive.seal(LATER, by="me")

    def plans(tx: Tx) -> list[tuple[str, str]]:
        return [
            (sql, str(plan[3]))
            for sql, params, _ in watched.statements
            for plan in tx.execute(f"EXPLAIN QUERY PLAN {sql}", params)
        ]

    read = place.store.read_now(plans)
    scans = [sql for sql, plan in read if plan.startswith("SCAN ledger") and "LIMIT 1" not in sql]
    assert any(sql.startswith("INSERT INTO segments") for sql, _, _ in watched.statements)
    assert scans == [], "a transaction looks at every record"
    assert archive.rests >= 3, "the thread that seals lets others run every few records"
    assert {durable for sql, _, durable in watched.statements if sql.startswith("DELETE")} == {False}
    assert place.examine().problems == []


async def test_a_crash_after_the_file_and_before_the_commit_loses_and_doubles_nothing(place: Place) -> None:
    place.segments.mkdir(mode=0o700)
    leftover = place.segments / "ledger-000001-000000000000.jsonl"
    leftover.write_text(line_of("0" * 64, "{}") + "\n")
    await place.archive.seal(LATER, by="me")

    assert place.examine().problems == []
    assert leftover.exists()


async def test_two_gateways_that_seal_at_once_move_each_record_once(place: Place) -> None:
    second = Archive(place.store, place.ledger, place.segments, records=10)
    draft = place.store.read_now(lambda tx: second._draft(tx, LATER, 20))
    assert draft is not None
    await place.archive.seal(LATER, by="first")
    with pytest.raises(SealingError, match="another process"):
        await place.store.write(lambda tx: second._move(tx, draft, "second"))

    assert place.examine().problems == []


async def test_a_folder_that_cannot_be_made_leaves_the_records_in_the_store(place: Place) -> None:
    place.segments.write_text("a file where the folder should be")
    with pytest.raises(ConfigError, match="segments"):
        await place.archive.seal(LATER, by="me")

    assert place.live() == list(range(1, 26))


async def test_a_note_in_the_chain_tells_of_every_segment(place: Place) -> None:
    await place.archive.seal(LATER, by="me")
    await place.archive.prune(LATER, by="you", now="2026-11-25T00:00:00.000Z")
    texts = place.store.read_now(lambda tx: tx.execute("SELECT record FROM ledger ORDER BY seq"))
    notes = [(record["outcome"], record["detail"]) for record in (json.loads(text) for (text,) in texts)]

    assert [outcome for outcome, _ in notes[1:]] == ["segment sealed"] * 3 + ["segment removed"] * 3
    assert "records 1 to 10 was removed by you" in notes[4][1]
