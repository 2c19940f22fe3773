"""Someone who can write store and segment files, not the key directory: the sealed part of the chain, and exports."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from lg_gateway.ledger.head import HeadFile
from lg_gateway.ledger.verification import verify_export
from lg_gateway.views.export import export_lines
from tests.gateway.ledger.support_ledger import LATER, Place, append
from tests.gateway.rig import ALLOW_ALL, code_of, gateway_of, journal, records, send, server

pytestmark = pytest.mark.anyio


@pytest.fixture
async def place(tmp_path: Path, store_url: str | None) -> AsyncIterator[Place]:
    made = Place(tmp_path, store_url)
    await append(made.store, made.ledger, 25)
    yield made
    made.store.close()


EDITS = {
    "seal": ('UPDATE segments SET seal = replace(seal, \'"began":"2\', \'"began":"1\') WHERE number = 2', 11),
    "row": ("UPDATE segments SET last_seq = 19 WHERE number = 2", 11),
    "delete first": ("DELETE FROM segments WHERE number = 1", 1),
    "delete middle": ("DELETE FROM segments WHERE number = 2", 11),
    "delete last": ("DELETE FROM segments WHERE number = 3", 21),
    "removal forged": ("UPDATE segments SET removal = '{}' WHERE number = 2", None),
    "live deleted": ("DELETE FROM ledger", 25),
}


@pytest.mark.attack("Ledger", "a segment's seal, row or removal note edited or deleted; all records after it deleted")
@pytest.mark.parametrize("name", EDITS)
async def test_an_edit_of_the_sealed_part_in_the_store_is_found(place: Place, name: str) -> None:
    statement, first_bad = EDITS[name]
    await place.archive.seal(LATER, by="me")
    await place.sql(statement)

    assert place.first_bad() == first_bad


@pytest.mark.attack("Ledger", "two segments exchanged, in the store and on disk")
async def test_two_segments_that_swapped_places_are_found_in_the_store_and_on_disk(place: Place) -> None:
    await place.archive.seal(LATER, by="me")
    one, two, _ = place.files()
    aside = one.with_name("aside")
    one.rename(aside)
    two.rename(one)
    aside.rename(two)
    assert place.first_bad() == 1
    one.rename(aside)
    two.rename(one)
    aside.rename(two)
    assert place.first_bad() is None

    seals = place.store.read_now(lambda tx: tx.execute("SELECT seal FROM segments ORDER BY number"))
    await place.sql("UPDATE segments SET seal = ? WHERE number = 1", seals[1][0])
    await place.sql("UPDATE segments SET seal = ? WHERE number = 2", seals[0][0])
    assert place.first_bad() == 1


@pytest.mark.attack("Ledger", "a segment file edited, cut, lengthened, reordered")
@pytest.mark.parametrize("change", ["edit", "cut", "append", "drop a line", "swap lines", "white space"])
async def test_a_changed_segment_file_names_its_first_bad_record(place: Place, change: str) -> None:
    await place.archive.seal(LATER, by="me")
    path = place.files()[1]
    lines = path.read_text().splitlines(keepends=True)
    changed = {
        "edit": [*lines[:3], lines[3].replace("event", "evnt"), *lines[4:]],
        "cut": lines[:6],
        "append": [*lines, lines[-1]],
        "drop a line": [*lines[:4], *lines[5:]],
        "swap lines": [*lines[:2], lines[3], lines[2], *lines[4:]],
        "white space": [*lines[:-1], lines[-1] + "\n"],
    }
    first_bad = {"edit": 14, "cut": 17, "append": 21, "drop a line": 15, "swap lines": 13, "white space": 21}
    path.write_text("".join(changed[change]))

    assert place.first_bad() == first_bad[change]


@pytest.mark.attack("Ledger", "an export with its end or head cut, another head, an edited seal or record")
@pytest.mark.parametrize(
    "change", ["end cut", "head cut", "head of another", "seal edited", "record edited", "other key"]
)
async def test_a_changed_export_is_found_with_the_public_key(place: Place, change: str) -> None:
    await place.archive.seal(LATER, by="me")
    place.files()[1].unlink()
    lines = place.store.read_now(lambda tx: list(export_lines(tx, place.ledger)))
    key, other = place.ledger.head.public_key(), HeadFile(place.folder / "x", b"o" * 32)
    signed = json.loads(lines[-1])["head"]
    forged = {"head": signed | {"seq": 27}}
    changed, first_bad = {
        "end cut": ([*lines[:-2], lines[-1]], 28),
        "head cut": (lines[:-1], None),
        "head of another": ([*lines[:-1], json.dumps(forged)], None),
        "seal edited": ([line.replace('\\"first\\":11', '\\"first\\":12') for line in lines], 11),
        "record edited": ([lines[0].replace("event", "evnt"), *lines[1:]], 1),
        "other key": (lines, 11),
    }[change]
    problems = verify_export(changed, other.public_key() if change == "other key" else key).problems

    assert [problem.seq for problem in problems] == [first_bad]


@pytest.mark.attack("Ledger", "a recorded outcome replaced, to be returned for a repeated call")
async def test_a_recorded_outcome_that_was_changed_is_not_believed(tmp_path: Path) -> None:
    log = tmp_path / "journal"
    meta = {"lg/idempotency-key": "k"}
    async with gateway_of(tmp_path, server("a", "--journal", str(log)), ALLOW_ALL) as gateway:
        await send(gateway, "a__echo", {"text": "true"}, meta=meta)
        sql = "UPDATE outcomes SET text = replace(text, 'true', 'false')"
        await gateway.store.write(lambda tx: tx.execute(sql))
        again = await send(gateway, "a__echo", {"text": "true"}, meta=meta)
        outcomes = [record["outcome"] for record in records(gateway)]

    assert code_of(again) == "internal"
    assert "not written by this gateway" in again.content[0].text
    assert len(journal(log)) == 1
    assert outcomes == [None, "ok", "refused"]
