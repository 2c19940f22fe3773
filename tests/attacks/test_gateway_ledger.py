"""Someone who can write the store but not the key directory: every kind of edit, in every field."""

from __future__ import annotations

import json
import shutil
import sqlite3
from dataclasses import fields
from pathlib import Path

import pytest

from lg_gateway.ledger.chain import ChainProblem, record_hash
from lg_gateway.ledger.head import HeadFile
from lg_gateway.ledger.ledger import Ledger, LedgerEntry
from lg_gateway.store.interface import StoreError
from lg_gateway.store.sqlite import SqliteStore
from tests.gateway.ledger.support_ledger import KEY, SEED, append, open_ledger

pytestmark = pytest.mark.anyio
ALL_FIELDS = sorted({field.name for field in fields(LedgerEntry)} | {"seq", "time", "prev_hash"})


async def tampered(tmp_path: Path, *statements: tuple[str, tuple[object, ...]]) -> list[ChainProblem]:
    store, ledger = open_ledger(tmp_path)
    await append(store, ledger, 10)
    store.close()
    edit(tmp_path, *statements)
    return verdict(tmp_path)


def edit(tmp_path: Path, *statements: tuple[str, tuple[object, ...]]) -> None:
    connection = sqlite3.connect(tmp_path / "store.sqlite")
    for sql, params in statements:
        connection.execute(sql, params)
    connection.commit()
    connection.close()


def verdict(tmp_path: Path) -> list[ChainProblem]:
    store, ledger = open_ledger(tmp_path)
    try:
        return store.read_now(ledger.verify)[1]
    finally:
        store.close()


def row(tmp_path: Path, seq: int) -> tuple[str, str, str]:
    connection = sqlite3.connect(tmp_path / "store.sqlite")
    found = connection.execute("SELECT hash, mac, record FROM ledger WHERE seq = ?", (seq,)).fetchone()
    connection.close()
    return str(found[0]), str(found[1]), str(found[2])


@pytest.mark.attack("Ledger", "each field of a record edited")
@pytest.mark.parametrize("name", ALL_FIELDS)
async def test_an_edit_of_any_field_is_found_at_its_record(tmp_path: Path, name: str) -> None:
    store, ledger = open_ledger(tmp_path)
    await append(store, ledger, 10)
    store.close()
    body = json.loads(row(tmp_path, 4)[2])
    body[name] = "changed"
    edit(tmp_path, ("UPDATE ledger SET record = ? WHERE seq = 4", (json.dumps(body),)))

    assert [problem.text() for problem in verdict(tmp_path)] == [
        "record 4 was edited (its hash does not match its text)"
    ]


@pytest.mark.attack("Ledger", "each field edited and the hash made to fit")
@pytest.mark.parametrize("name", ALL_FIELDS)
async def test_an_edit_with_its_hash_recomputed_is_found_too(tmp_path: Path, name: str) -> None:
    store, ledger = open_ledger(tmp_path)
    await append(store, ledger, 10)
    store.close()
    body = json.loads(row(tmp_path, 4)[2])
    body[name] = "changed"
    text = json.dumps(body)
    edit(tmp_path, ("UPDATE ledger SET record = ?, hash = ? WHERE seq = 4", (text, record_hash(text))))

    assert [problem.seq for problem in verdict(tmp_path)] == [4]


@pytest.mark.attack("Ledger", "a record filed under another call or run, where the store does not derive these")
@pytest.mark.parametrize("column", ["request_id", "run_id"])
async def test_a_record_that_is_filed_elsewhere_is_found(tmp_path: Path, postgres_url: str, column: str) -> None:
    store, ledger = open_ledger(tmp_path, url=postgres_url)
    await append(store, ledger, 10)
    await store.write(lambda tx: tx.execute(f"UPDATE ledger SET {column} = 'other' WHERE seq = 4"))
    (problem,) = store.read_now(ledger.verify)[1]
    store.close()

    assert problem.text() == "record 4 was edited (its row names another call or run)"


@pytest.mark.attack("Ledger", "the whole chain rebuilt behind an edit")
async def test_a_rebuilt_chain_is_found_at_its_first_changed_record(tmp_path: Path) -> None:
    store, ledger = open_ledger(tmp_path)
    await append(store, ledger, 10)
    store.close()
    previous = row(tmp_path, 3)[0]
    for seq in range(4, 11):
        body = json.loads(row(tmp_path, seq)[2]) | {"prev_hash": previous}
        if seq == 4:
            body["identity"] = "somebody else"
        text = json.dumps(body, sort_keys=True, separators=(",", ":"))
        previous = record_hash(text)
        edit(tmp_path, ("UPDATE ledger SET record = ?, hash = ? WHERE seq = ?", (text, previous, seq)))

    assert [problem.seq for problem in verdict(tmp_path)] == [4]


@pytest.mark.attack("Ledger", "the first, a middle and the last record deleted")
@pytest.mark.parametrize(("seq", "first_bad"), [(1, 1), (5, 5), (10, 10)])
async def test_a_deleted_record_is_missed(tmp_path: Path, seq: int, first_bad: int) -> None:
    problems = await tampered(tmp_path, ("DELETE FROM ledger WHERE seq = ?", (seq,)))

    assert problems[0].seq == first_bad


@pytest.mark.attack("Ledger", "two records exchanged")
async def test_two_records_that_swapped_places_are_found(tmp_path: Path) -> None:
    problems = await tampered(
        tmp_path,
        ("UPDATE ledger SET seq = -1 WHERE seq = 4", ()),
        ("UPDATE ledger SET seq = 4 WHERE seq = 5", ()),
        ("UPDATE ledger SET seq = 5 WHERE seq = -1", ()),
    )

    assert problems[0].seq == 4


@pytest.mark.attack("Ledger", "a copied record inserted")
async def test_an_inserted_record_is_found_at_the_end_and_in_the_middle(tmp_path: Path) -> None:
    copy = "INSERT INTO ledger (seq, hash, mac, record) SELECT ?, hash, mac, record FROM ledger WHERE seq = 3"
    at_the_end = await tampered(tmp_path, (copy, (11,)))
    edit(tmp_path, ("DELETE FROM ledger WHERE seq = 11", ()))
    edit(tmp_path, (copy, (0,)))

    assert at_the_end[0].seq == 11
    assert verdict(tmp_path)[0].seq is not None


@pytest.mark.attack("Ledger", "the newest records removed")
async def test_a_truncated_ledger_is_found_and_not_continued(tmp_path: Path) -> None:
    problems = await tampered(tmp_path, ("DELETE FROM ledger WHERE seq > 7", ()))
    store, ledger = open_ledger(tmp_path)
    with pytest.raises(StoreError, match="does not contain record 10"):
        await store.write(lambda tx: ledger.append(tx, LedgerEntry(phase="note")))
    store.close()

    assert problems[0].seq == 8


@pytest.mark.attack("Ledger", "the store replaced by an older copy")
async def test_an_older_copy_of_the_store_is_found(tmp_path: Path) -> None:
    store, ledger = open_ledger(tmp_path)
    await append(store, ledger, 5)
    store.close()
    shutil.copy(tmp_path / "store.sqlite", tmp_path / "old")
    store, ledger = open_ledger(tmp_path)
    await append(store, ledger, 5)
    store.close()
    for name in ("store.sqlite", "store.sqlite-wal", "store.sqlite-shm"):
        (tmp_path / name).unlink(missing_ok=True)
    shutil.copy(tmp_path / "old", tmp_path / "store.sqlite")

    assert verdict(tmp_path)[0].seq == 6


@pytest.mark.attack("Ledger", "the store emptied or removed")
async def test_a_store_that_was_emptied_or_removed_is_not_silently_begun_anew(tmp_path: Path) -> None:
    problems = await tampered(tmp_path, ("DELETE FROM ledger", ()))
    store = SqliteStore(tmp_path / "other.sqlite", guard=Ledger(HeadFile(tmp_path / "ledger.head", SEED), KEY))
    with pytest.raises(StoreError, match="does not contain record 10"):
        await store.write(lambda tx: tx.execute("SELECT 1"))
    store.close()

    assert problems[0].seq == 1


@pytest.mark.attack("Ledger", "a head signed with another key")
async def test_a_forged_head_is_not_believed(tmp_path: Path) -> None:
    await tampered(tmp_path)
    own = HeadFile(tmp_path / "ledger.head", SEED).read()
    assert own is not None
    HeadFile(tmp_path / "ledger.head", b"another seed of thirty-two bytes").write(own)

    assert "no head with a valid signature" in verdict(tmp_path)[0].what
