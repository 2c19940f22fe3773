"""What an answer "for this run" covers, from when to when, and what is kept of it."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from lg_gateway.approvals.grants import Grant, GrantTable, new_grant
from lg_gateway.store.interface import StoreError
from lg_policy.errors import NotFound
from tests.gateway.ledger.support_ledger import KEY, open_ledger

pytestmark = pytest.mark.anyio
CALL: dict[str, Any] = {"identity": "me", "run_id": "r1", "tool": "a__echo", "pin": "p"}
GIVEN_AT, HOURS = 1000.0, 8


def grant(**changes: Any) -> Grant:
    return replace(new_grant(approval_id="ap-1", **CALL, by="user", now=GIVEN_AT), **changes)


async def test_a_grant_covers_its_own_callers_run_tool_and_definition_and_no_other_until_it_ends(
    tmp_path: Path,
) -> None:
    store, ledger = open_ledger(tmp_path)
    table = GrantTable(KEY, ledger)
    await store.write(lambda tx: table.add(tx, grant()))

    def covering(now: float, **changes: Any) -> str | None:
        return store.read_now(lambda tx: table.covering(tx, **(CALL | changes), now=now))

    end = GIVEN_AT + HOURS * 3600
    assert [covering(now) for now in (GIVEN_AT, end - 1)] == ["gr-1"] * 2
    assert [covering(now) for now in (end, end + 1)] == [None] * 2
    assert [covering(GIVEN_AT, **{name: "other"}) for name in CALL] == [None] * 4
    store.close()


async def test_a_revoked_grant_covers_nothing_and_is_revoked_once(tmp_path: Path) -> None:
    store, ledger = open_ledger(tmp_path)
    table = GrantTable(KEY, ledger)
    await store.write(lambda tx: table.add(tx, grant()))
    await store.write(lambda tx: table.revoke(tx, "gr-1", now=GIVEN_AT + 5, by="olga"))

    assert store.read_now(table.all) == [grant(revoked=GIVEN_AT + 5)]
    assert store.read_now(lambda tx: table.covering(tx, **CALL, now=GIVEN_AT + 4)) is None
    with pytest.raises(NotFound):
        await store.write(lambda tx: table.revoke(tx, "gr-1", now=GIVEN_AT + 6, by="olga"))
    rows = store.read_now(lambda tx: tx.execute("SELECT record FROM ledger ORDER BY seq"))
    records = [json.loads(text) for (text,) in rows]
    assert [(record["outcome"], record["approval_id"], record["detail"]) for record in records] == [
        ("granted for the run", "gr-1", "by user"),
        ("grant revoked", "gr-1", "by olga"),
    ]
    store.close()


async def test_grants_are_listed_as_they_were_given_the_one_that_ends_last_first(tmp_path: Path) -> None:
    store, ledger = open_ledger(tmp_path)
    table = GrantTable(KEY, ledger)
    later = replace(new_grant(approval_id="ap-2", **CALL, by="olga", now=GIVEN_AT + 1))
    for given in (grant(), later):
        await store.write(partial(table.add, grant=given))

    assert store.read_now(table.all) == [later, grant()]
    with pytest.raises(StoreError):
        store.read_now(GrantTable(b"x" * 32, ledger).all)
    store.close()
