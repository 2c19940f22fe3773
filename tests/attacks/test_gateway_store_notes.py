"""Someone who can write the store but not the key directory: the records that decide are hidden, moved or removed."""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from lg_gateway.ledger.anchors import CARRIED, HALT
from lg_gateway.ledger.chain import FIRST, record_hash
from lg_gateway.ledger.halt import HaltSwitch, write_halt
from lg_gateway.ledger.head import HeadFile
from lg_gateway.ledger.ledger import Ledger, LedgerEntry, stamp
from lg_gateway.ledger.segments import Archive
from lg_gateway.store.canonical_json import canonical, keyed_hex
from lg_gateway.store.factory import StorePlace, open_store
from lg_gateway.store.interface import Store, StoreEdited, Tx
from lg_gateway.upstream_login.login_store import LoginStore
from lg_policy.errors import ConfigError, Halted
from tests.attacks.store_edits import edit, put_back, rows, verified
from tests.gateway.approvals.support_approvals import NO_HOLD, approve
from tests.gateway.commands.support_commands import run
from tests.gateway.ledger.support_ledger import KEY as LEDGER_KEY
from tests.gateway.ledger.support_ledger import LATER, SEED, append, open_ledger
from tests.gateway.rig import ALLOW_ALL, gateway_of, journal, send, server, until
from tests.gateway.upstream_login.support_logins import KEY, LOGIN

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("programs_by_fork")]
COLUMNS = [
    "UPDATE ledger SET request_id = 'other' WHERE seq = {at}", "UPDATE ledger SET request_id = NULL",
    "INSERT INTO segments (number, first_seq, last_seq, seal) VALUES (7, 1, 99999, '{{}}')",
]  # fmt: skip
RECORDS = [
    "DELETE FROM ledger WHERE seq = {at}",
    "DELETE FROM ledger WHERE seq <= {at}",
    'UPDATE ledger SET record = replace(record, \'"phase":"note"\', \'"phase":"mote"\') WHERE seq = {at}',
    "UPDATE ledger SET mac = hash WHERE seq = {at}",
    "UPDATE ledger SET (hash, mac, record) = (SELECT hash, mac, record FROM ledger WHERE seq = 1) WHERE seq = {at}",
]
SUBJECTS = ["halt", "pins a", "tok-1", "gr-1"]


async def noted(folder: Path, subject: str, outcome: str) -> tuple[Path, int]:
    """Return a store whose newest note about a subject is older than other records, and that note's number."""
    store, ledger = open_ledger(folder)
    await append(store, ledger, 2)
    await write(store, ledger, subject, "at first")
    at = await write(store, ledger, subject, outcome)
    await append(store, ledger, 3)
    store.close()
    return folder / "store.sqlite", at


async def write(store: Store, ledger: Ledger, subject: str, outcome: str) -> int:
    entry = LedgerEntry(phase="note", request_id=subject, outcome=outcome)
    return await store.write(lambda tx: ledger.append(tx, entry))


def outcome_of(folder: Path, subject: str) -> Any:
    """Return what a new process reads."""
    store, ledger = open_ledger(folder)
    try:
        note = store.read_now(lambda tx: ledger.newest_note(tx, subject))
    finally:
        store.close()
    return note and note["outcome"]


@pytest.mark.attack("Store", "the columns that find a halt, pin, token or grant record changed: they decide nothing")
@pytest.mark.parametrize("change", COLUMNS)
@pytest.mark.parametrize("subject", SUBJECTS)
async def test_a_note_counts_wherever_its_row_says_that_it_belongs(tmp_path: Path, subject: str, change: str) -> None:
    place, at = await noted(tmp_path, subject, "at last")
    edit(place, change.format(at=at))

    assert outcome_of(tmp_path, subject) == "at last"


@pytest.mark.attack("Store", "a halt, pin, token or grant record removed, edited, or replaced by another record")
@pytest.mark.parametrize("change", RECORDS)
@pytest.mark.parametrize("subject", SUBJECTS)
async def test_a_note_that_is_gone_or_changed_is_missed_at_once(tmp_path: Path, subject: str, change: str) -> None:
    place, at = await noted(tmp_path, subject, "at last")
    edit(place, change.format(at=at))

    with pytest.raises(StoreEdited, match=f"record {at} of the ledger is"):
        outcome_of(tmp_path, subject)


@pytest.mark.attack("Halt", "the record of a halt hidden while gateways run, or while none does")
@pytest.mark.parametrize(
    ("change", "running"), [(change, at % 2 == 0) for at, change in enumerate([*COLUMNS, *RECORDS])]
)
async def test_no_call_begins_after_a_halt_that_somebody_hides(tmp_path: Path, change: str, running: bool) -> None:
    store, ledger = open_ledger(tmp_path)
    await append(store, ledger, 2)
    other, others = open_ledger(tmp_path)
    await other.write(lambda tx: write_halt(others, tx, by="ada", reason="enough"))
    await append(other, others, 2)
    if not running:
        store.close()
        store, ledger = open_ledger(tmp_path)
    edit(tmp_path / "store.sqlite", change.format(at=3))
    switch = HaltSwitch(ledger)

    def begin(tx: Tx) -> None:
        ledger.append(tx, LedgerEntry(phase="begun"))
        switch.check(tx)

    with pytest.raises(Halted if change in COLUMNS else StoreEdited):
        await store.write(begin)
    other.close()
    store.close()


class EarlierLedger(Ledger):
    """Writes records as a version did that kept no list of its notes."""

    carries: LedgerEntry | None = None

    def carry_notes(self, tx: Tx, outcome: str, detail: str) -> int:
        assert self.carries is not None
        return self.append(tx, self.carries)

    def append(self, tx: Tx, entry: LedgerEntry) -> int:
        last = tx.execute("SELECT seq, hash FROM ledger ORDER BY seq DESC LIMIT 1") or [(0, FIRST)]
        seq = int(last[0][0]) + 1
        body = vars(entry) | {"seq": seq, "time": stamp(datetime.now(UTC)), "prev_hash": last[0][1]}
        record = canonical(body).decode("ascii")
        digest = record_hash(record)
        row = (seq, digest, keyed_hex(LEDGER_KEY, digest.encode("ascii")), record, entry.request_id)
        tx.execute("INSERT INTO ledger (seq, hash, mac, record, request_id) VALUES (?, ?, ?, ?, ?)", row)
        return seq


async def noted_earlier(folder: Path, subject: str, outcome: str) -> tuple[Path, int]:
    ledger = EarlierLedger(HeadFile(folder / "ledger.head", SEED), LEDGER_KEY)
    place = StorePlace(path=folder / "store.sqlite", url=None, lock_path=folder / "ledger.lock")
    store = open_store(place, guard=ledger)
    await append(store, ledger, 2)
    at = await write(store, ledger, subject, outcome)
    await append(store, ledger, 3)
    store.close()
    return place.path, at


@pytest.mark.attack("Store", "the columns that find a halt record of an earlier version, in no list yet, changed")
@pytest.mark.parametrize("change", ["SELECT 1", *COLUMNS])
async def test_the_ledger_of_an_earlier_version_opens_and_its_notes_count(tmp_path: Path, change: str) -> None:
    place, at = await noted_earlier(tmp_path, HALT, "halted")
    edit(place, change.format(at=at))
    seen = [outcome_of(tmp_path, HALT)]
    store, ledger = open_ledger(tmp_path)
    await append(store, ledger, 1)
    seen.append(outcome_of(tmp_path, HALT))
    await write(store, ledger, HALT, "continued")
    seen.append(outcome_of(tmp_path, HALT))
    store.close()
    await noted_earlier(tmp_path, HALT, "halted again")
    seen.append(outcome_of(tmp_path, HALT))

    assert seen == ["halted", "halted", "continued", "halted again"]
    if change == "SELECT 1":
        store, ledger = open_ledger(tmp_path)
        assert store.read_now(ledger.verify)[1] == []
        store.close()


@pytest.mark.attack("Store", "a halt record of an earlier version, in no list yet, removed, changed or replaced")
@pytest.mark.parametrize("change", RECORDS)
async def test_a_note_of_an_earlier_version_that_is_gone_is_missed(tmp_path: Path, change: str) -> None:
    place, at = await noted_earlier(tmp_path, HALT, "halted")
    edit(place, change.format(at=at))

    with pytest.raises(StoreEdited, match=r"the ledger lacks records|was edited"):
        outcome_of(tmp_path, HALT)


@pytest.mark.attack(
    "Store", "an earlier version seals records that a newer one lists, and a halt in them counts no more"
)
@pytest.mark.parametrize("by_new", ["halted", "continued"])
@pytest.mark.parametrize("by_old", ["", "halted", "continued"])
async def test_notes_count_after_an_earlier_version_has_sealed_the_list(
    tmp_path: Path, by_new: str, by_old: str
) -> None:
    await noted_earlier(tmp_path, HALT, "halted at first")
    store, ledger = open_ledger(tmp_path)
    await write(store, ledger, "tok-1", "token revoked")
    await write(store, ledger, HALT, by_new)
    await append(store, ledger, 1)
    store.close()
    earlier = EarlierLedger(HeadFile(tmp_path / "ledger.head", SEED), LEDGER_KEY, tmp_path / "segments")
    store = open_store(
        StorePlace(path=tmp_path / "store.sqlite", url=None, lock_path=tmp_path / "ledger.lock"), guard=earlier
    )
    said = {"tok-1": {"time": LATER, "outcome": "token revoked", "detail": ""}}
    said |= {HALT: {"time": LATER, "outcome": by_new, "detail": ""}}
    earlier.carries = LedgerEntry(phase="note", request_id=CARRIED, arguments=json.dumps(said), outcome="sealed")
    await Archive(store, earlier, tmp_path / "segments", records=100).seal(LATER, by="me")
    if by_old:
        await write(store, earlier, HALT, by_old)
    store.close()

    assert (outcome_of(tmp_path, HALT), outcome_of(tmp_path, "tok-1")) == (by_old or by_new, "token revoked")
    store, ledger = open_ledger(tmp_path)
    await append(store, ledger, 1)
    store.close()
    assert (outcome_of(tmp_path, HALT), outcome_of(tmp_path, "tok-1")) == (by_old or by_new, "token revoked")


@pytest.mark.attack("Store", "the record of a halt removed while a gateway runs: it names that record")
async def test_a_gateway_that_misses_a_record_says_which_and_goes_on_after_a_restart_of_the_ledger(
    tmp_path: Path,
) -> None:
    where = ("--config", str(tmp_path / "gateway.toml"))
    async with gateway_of(tmp_path, server("a"), ALLOW_ALL) as gateway:
        place = gateway.setup.store_place.path
        assert run("halt", *where, "--reason", "enough").returncode == 0
        await until(lambda: gateway.halts.current is not None)
        await gateway.store.write(lambda tx: gateway.ledger.append(tx, LedgerEntry(phase="note")))
        edit(place, "DELETE FROM ledger WHERE request_id = 'halt'")
        refused = (await send(gateway, "a__echo", {"text": "x"})).structured_content["error"]
    restarted = run("audit", "restart", *where, "--reason", "seen")
    async with gateway_of(tmp_path, server("a"), ALLOW_ALL) as gateway:
        again = await send(gateway, "a__echo", {"text": "x"})

    assert refused["code"] == "internal"
    assert "is gone, and later records name it" in refused["message"]
    assert restarted.returncode == 0, restarted.stderr
    assert not again.is_error


@pytest.mark.attack("Approvals", "a used yes put back as it was, and the record of its use removed or edited")
@pytest.mark.parametrize(
    "hidden", ["DELETE FROM ledger WHERE {}", "UPDATE ledger SET record = replace(record, 'begun', 'began') WHERE {}"]
)
async def test_a_yes_is_used_once_although_the_record_of_its_use_is_hidden(tmp_path: Path, hidden: str) -> None:
    log = tmp_path / "journal"
    async with gateway_of(tmp_path, server("a", "--journal", str(log)), NO_HOLD) as gateway:
        place = gateway.setup.store_place.path
        asked = await send(gateway, "a__echo", {"text": "x"})
        approval = await approve(gateway, asked.structured_content["error"]["approval_id"])
        old = rows(place, "approvals")
        assert not (await send(gateway, "a__echo", {"text": "x"})).is_error
        await send(gateway, "a__echo", {"text": "another"})
        put_back(place, "approvals", old)
        used = f'record LIKE \'%"approval_id":"{approval.id}"%"phase":"begun"%\''
        edit(place, hidden.format(used))
        again = (await send(gateway, "a__echo", {"text": "x"})).structured_content["error"]

    assert "of the ledger is" in again["message"]
    assert len([line for line in journal(log) if line.get("tool") == "echo"]) == 1


@pytest.mark.attack("Approvals", "a question hidden from the lists by its row's columns, so that its caller waits")
@pytest.mark.parametrize("change", ["state = 'denied'", "expires = 1", "created = 1", "identity = 'other'"])
async def test_a_question_that_somebody_hides_is_refused_by_name(tmp_path: Path, change: str) -> None:
    async with gateway_of(tmp_path, server("a"), NO_HOLD) as gateway:
        place = gateway.setup.store_place.path
        asked = (await send(gateway, "a__echo", {"text": "x"})).structured_content["error"]["approval_id"]
        edit(place, f"UPDATE approvals SET {change}")
        error = (await send(gateway, "a__echo", {"text": "x"})).structured_content["error"]

    assert f"the row of question {asked} in the store was changed outside the gateway" in error["message"]
    assert verified(tmp_path)[0] == 1


@pytest.mark.attack("Upstream login", "the address in a login's record changed, to have its secrets sent there")
@pytest.mark.parametrize("name", ["token_endpoint", "revocation_endpoint", "resource", "issuer", "client_id", "url"])
def test_a_login_whose_record_names_another_address_is_not_used(name: str) -> None:
    store = LoginStore(os.environ)
    path = Path(store.write(KEY, LOGIN))
    kept = json.loads(path.read_text())
    kept["login"][name] = "https://evil.example/"
    path.write_text(json.dumps(kept))

    with pytest.raises(ConfigError, match="was changed outside the gateway"):
        store.read(KEY)
