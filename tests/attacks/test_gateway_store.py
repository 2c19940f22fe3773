"""Someone who can write the store but not the key directory: rows beside the ledger removed, put back, exchanged."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from mcp.shared.exceptions import MCPError

from lg_gateway.calls.kept_results import PIECE, KeptResults
from lg_gateway.ledger.ledger import stamp
from lg_gateway.ledger.segments import Archive
from lg_gateway.serving.gateway import Gateway
from lg_gateway.store.interface import StoreError, Tx
from lg_policy.errors import NotFound
from tests.attacks.store_edits import edit, put_back, rows, verified
from tests.gateway.approvals.support_approvals import NO_HOLD, approve, asked_client
from tests.gateway.commands.support_commands import pins, run
from tests.gateway.elicitation.server_questions import answer, ask
from tests.gateway.ledger.support_ledger import KEY, open_ledger
from tests.gateway.rig import ALLOW_ALL, call, gateway_of, journal, records, send, server, until

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("programs_by_fork")]
SWAPPED = "; ".join(
    f"UPDATE result_pieces SET number = {new} WHERE number = {old}" for old, new in ((0, -1), (1, 0), (-1, 1))
)
_OTHERS = "FROM result_pieces p JOIN results r ON r.id = p.id WHERE r.identity = 'other' AND p.number = 0"
OTHERS = f"UPDATE result_pieces SET text = (SELECT p.text {_OTHERS}), mac = (SELECT p.mac {_OTHERS}) WHERE number = 0"


@pytest.mark.attack("Pins", "the row of an accepted definition removed, so that a changed one looks like the first")
@pytest.mark.parametrize("removed", ["DELETE FROM pins WHERE tool = 'echo'", "DELETE FROM pins"])
@pytest.mark.parametrize("sealed", [False, True])
async def test_a_changed_definition_is_held_back_although_its_pin_was_removed(
    tmp_path: Path, removed: str, sealed: bool
) -> None:
    async with gateway_of(tmp_path, server("a", "--describe", "one"), ALLOW_ALL) as gateway:
        place = gateway.setup.store_place.path
        await call(gateway, "a__echo", text="x")
        if sealed:
            await seal(gateway)
    assert verified(tmp_path)[0] == 0
    edit(place, removed)
    status, said = verified(tmp_path)
    async with gateway_of(tmp_path, server("a", "--describe", "two"), ALLOW_ALL) as gateway:
        with pytest.raises(MCPError, match="Unknown tool"):
            await call(gateway, "a__echo", text="x")
        noted = [record["outcome"] for record in records(gateway, notes=True)]
        assert pins(tmp_path, "accept", "a").returncode == 0
        await until(lambda: gateway.catalog.find("a__echo") is not None)
        accepted = await call(gateway, "a__echo", text="x")

    assert (status, "NOT intact" in said, "pins of server a" in said) == (1, True, True)
    assert "pins changed outside" in noted
    assert not accepted.is_error
    assert verified(tmp_path)[0] == 0


async def seal(gateway: Gateway) -> None:
    """Move all records but the newest into a segment."""
    archive = Archive(gateway.store, gateway.ledger, gateway.setup.segments_path, records=10_000)
    assert await archive.seal(stamp(datetime.now(UTC) + timedelta(days=1)), by="test")


@pytest.mark.attack("Pins", "an older accepted definition put back after another was accepted")
async def test_a_definition_that_was_accepted_once_is_held_back_when_its_row_is_put_back(tmp_path: Path) -> None:
    async with gateway_of(tmp_path, server("a", "--describe", "one"), ALLOW_ALL) as gateway:
        place = gateway.setup.store_place.path
    old = rows(place, "pins")
    async with gateway_of(tmp_path, server("a", "--describe", "two"), ALLOW_ALL):
        assert pins(tmp_path, "accept", "a").returncode == 0
    put_back(place, "pins", old)
    refused = pins(tmp_path, "accept", "a")
    async with gateway_of(tmp_path, server("a", "--describe", "one"), ALLOW_ALL) as gateway:
        held = gateway.catalog.find("a__echo")

    assert refused.returncode != 0
    assert held is None


def kept(tmp_path: Path) -> tuple[Any, KeptResults, Path]:
    store, _ = open_ledger(tmp_path)
    return store, KeptResults(KEY), tmp_path / "store.sqlite"


@pytest.mark.attack("Results", "a kept result edited, given to another caller, or made to look trusted")
@pytest.mark.parametrize(
    "change",
    [
        "UPDATE results SET identity = 'me' WHERE identity = 'other'", "UPDATE results SET trusted = 1",
        "UPDATE results SET characters = 10", "UPDATE results SET created = created + 1000",
        "UPDATE result_pieces SET text = '\"forged\"' WHERE number = 0",
        SWAPPED,
        "DELETE FROM result_pieces WHERE number = 0",
        OTHERS,
    ],
)  # fmt: skip
async def test_a_kept_result_is_returned_as_it_was_written_or_not_at_all(tmp_path: Path, change: str) -> None:
    store, results, place = kept(tmp_path)
    now = time.time()

    def keep(tx: Tx) -> tuple[str, str]:
        mine = results.keep(tx, "me", "m" * PIECE + "n" * PIECE, now, trusted=False)
        return mine, results.keep(tx, "other", "o" * PIECE, now, trusted=False)

    mine, others = await store.write(keep)
    asked = mine if "identity = 'me' WHERE" not in change else others
    edit(place, *change.split("; "))
    with pytest.raises((StoreError, NotFound)):
        store.read_now(lambda tx: results.read(tx, "me", asked, offset=0, limit=2 * PIECE, now=now))
    store.close()


@pytest.mark.attack("Approvals", "a revoked grant, or a revoked token, put back as it once was")
async def test_what_was_revoked_stays_revoked_although_its_row_is_put_back(tmp_path: Path) -> None:
    meta = {"lg/run": {"run_id": "r1"}}
    log = tmp_path / "journal"
    where = ("--config", str(tmp_path / "gateway.toml"))
    async with gateway_of(tmp_path, server("a", "--journal", str(log)), NO_HOLD) as gateway:
        place = gateway.setup.store_place.path
        asked = await send(gateway, "a__echo", {"text": "x"}, meta=meta)
        approval = await approve(gateway, asked.structured_content["error"]["approval_id"])
        await gateway.store.write(lambda tx: gateway.approvals.grant(tx, approval, time.time()))
        token = run("tokens", "create", "me", *where).stdout.strip()
        old = {table: rows(place, table) for table in ("grants", "tokens")}
        grant = gateway.store.read_now(gateway.approvals.grants.all)[0]
        await gateway.store.write(lambda tx: gateway.approvals.grants.revoke(tx, grant.id, now=time.time(), by="me"))
        assert run("tokens", "revoke", "me", *where).returncode == 0
        await seal(gateway)
        for table, copy in old.items():
            put_back(place, table, copy)
        covered = await send(gateway, "a__echo", {"text": "another"}, meta=meta)
        known = gateway.store.read_now(lambda tx: gateway.tokens.check(tx, token, time.time()))
    status, said = verified(tmp_path)

    assert covered.structured_content["error"]["code"] == "approval_required"
    assert known is None
    assert (status, f"grant {grant.id}" in said, "token " in said) == (1, True, True)


@pytest.mark.attack("Approvals", "a question put back as it was before it was answered or used")
@pytest.mark.parametrize("moves", [["deny"], ["approve"]])
async def test_a_question_that_is_put_back_is_noticed(tmp_path: Path, moves: list[str]) -> None:
    async with gateway_of(tmp_path, server("a"), NO_HOLD) as gateway:
        place = gateway.setup.store_place.path
        asked = await send(gateway, "a__echo", {"text": "x"})
        approval = asked.structured_content["error"]["approval_id"]
        old = rows(place, "approvals")
        await approve(gateway, approval, moves[0])
        assert verified(tmp_path)[0] == 0
        put_back(place, "approvals", old)

    status, said = verified(tmp_path)
    assert (status, approval in said) == (1, True)


@pytest.mark.attack("At most once", "the row of an idempotency key removed, so that a repeat would act a second time")
async def test_a_removed_key_is_noticed(tmp_path: Path) -> None:
    keyed = {"lg/idempotency-key": "k", "lg/run": {"run_id": "r1"}}
    async with gateway_of(tmp_path, server("a"), ALLOW_ALL) as gateway:
        place = gateway.setup.store_place.path
        await send(gateway, "a__echo", {"text": "x"}, meta=keyed)
    assert verified(tmp_path)[0] == 0
    edit(place, "DELETE FROM effects")
    status, said = verified(tmp_path)

    assert (status, "idempotency key" in said) == (1, True)


@pytest.mark.attack("At most once", "the answered question of a server put back, so that its call goes on twice")
async def test_a_call_does_not_go_on_twice_from_one_answer(tmp_path: Path) -> None:
    log = tmp_path / "journal"
    async with (
        gateway_of(tmp_path, server("a", "--journal", str(log)), ALLOW_ALL) as gateway,
        asked_client(gateway, "2026-07-28", lambda _message: None, []) as client,
    ):
        place = gateway.setup.store_place.path
        question = await ask(client)
        old = rows(place, "dialogues")
        given = {"input_responses": answer(question, {"colour": "blue"}), "request_state": question.request_state}
        first = await ask(client, **given)
        put_back(place, "dialogues", old)
        again = await ask(client, **given)
        # The columns that find the records of the call are changed too: what counts is the chain's own list.
        edit(place, "UPDATE ledger SET request_id = 'other'")
        put_back(place, "dialogues", old)
        hidden = await ask(client, **given)

    assert not first.is_error
    assert again.structured_content["error"]["code"] == "conflict"
    assert hidden.structured_content["error"]["code"] == "conflict"
    assert len([line for line in journal(log) if line.get("tool") == "ask"]) == 2
