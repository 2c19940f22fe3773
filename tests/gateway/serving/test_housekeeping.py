"""What is dropped by age, what a flood of refusals leaves in the ledger, and a clock that jumps."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from mcp.shared.exceptions import MCPError

from lg_gateway.approvals.grants import new_grant
from lg_gateway.elicitation.pending_questions import PendingQuestions, PendingQuestionsTable
from lg_gateway.ledger.flood_summary import FloodSummary
from lg_gateway.ledger.ledger import LedgerEntry
from lg_gateway.serving.gateway import Gateway
from lg_gateway.serving.housekeeping import Housekeeping
from lg_gateway.serving.retention import BATCH, TEXTS, forget
from lg_gateway.store.interface import Tx
from lg_policy.config.settings import Settings
from tests.gateway.approvals.support_approvals import question
from tests.gateway.rig import ALLOW_ALL, call, gateway_of, journal, records, send, server

pytestmark = pytest.mark.anyio
DAY = 86_400.0
FEW = "[ledger]\nrefusals_a_minute = 3\n"


def refusal(tool: str = "a__echo", **given: Any) -> LedgerEntry:
    values: dict[str, Any] = {"identity": "me", "server": "a", "outcome": "refused", "error_code": "policy_denied"}
    return LedgerEntry(phase="ended", tool=tool, **(values | given))


def test_a_flood_is_counted_by_caller_tool_and_code_and_ends_with_its_minute() -> None:
    floods = FloodSummary()
    written = [floods.admit(refusal(), limit=2, now=n) for n in range(5)]
    others = [
        floods.admit(refusal(tool="a__peek"), limit=2, now=5),
        floods.admit(refusal(identity="you"), limit=2, now=5),
        floods.admit(refusal(error_code="conflict"), limit=2, now=5),
    ]

    assert written == [True, True, False, False, False]
    assert others == [True, True, True]
    assert floods.drain(59) == []
    assert [(entry.count, entry.identity, entry.tool) for entry in floods.drain(60)] == [(3, "me", "a__echo")]
    assert floods.admit(refusal(), limit=2, now=61)
    assert floods.drain(500) == []


async def test_a_flood_of_refusals_leaves_a_few_records_and_one_with_their_number(tmp_path: Path) -> None:
    async with gateway_of(tmp_path, server("a"), ALLOW_ALL, FEW) as gateway:
        for _ in range(20):
            await call(gateway, "a__echo", wrong="arguments")
        for n in range(20):
            with pytest.raises(MCPError):
                await call(gateway, f"a__no_{n}")
        await call(gateway, "a__echo", text="right")
        await gateway.recorder.end_floods(everything=True)
        kept = [(record["error_code"], record["count"]) for record in records(gateway)]
        verdict = gateway.store.read_now(gateway.ledger.verify)

    refused = [("invalid_arguments", None)] * 3 + [("not_found", None)] * 3
    assert kept == [*refused, (None, None), (None, None), ("invalid_arguments", 17), ("not_found", 17)]
    assert verdict[1] == []


async def test_a_flood_is_written_down_when_the_gateway_ends(tmp_path: Path) -> None:
    async with gateway_of(tmp_path, server("a"), ALLOW_ALL, FEW) as gateway:
        for _ in range(5):
            await call(gateway, "a__echo", wrong="arguments")
    async with gateway_of(tmp_path, server("a"), ALLOW_ALL, FEW) as gateway:
        counts = [record["count"] for record in records(gateway)]

    assert counts == [None, None, None, 2]


async def test_calls_that_a_limit_refuses_are_one_flood_whatever_their_tools(tmp_path: Path) -> None:
    limit = "[[gateway.limits]]\ncalls_per_minute = 2\n"
    async with gateway_of(tmp_path, server("a"), ALLOW_ALL, limit, FEW) as gateway:
        for n in range(20):
            await call(gateway, "a__echo" if n % 2 else "a__peek", text="x")
        await gateway.recorder.end_floods(everything=True)
        kept = [
            (record["error_code"], record["count"]) for record in records(gateway) if record["outcome"] == "refused"
        ]

    assert kept == [("limit_exceeded", None)] * 3 + [("limit_exceeded", 15)]


@dataclass
class Clocks:
    wall: float = 1_000_000_000.0
    steady: float = 50.0

    def keeper(self, gateway: Gateway, **settings: Any) -> Housekeeping:
        return Housekeeping(
            gateway.store,
            gateway.recorder,
            gateway.archive,
            gateway.tokens,
            lambda: Settings.model_validate(settings),
            clock=lambda: self.wall,
            steady=lambda: self.steady,
        )


async def test_outcomes_and_keys_are_forgotten_by_age_but_not_when_the_clock_jumped(tmp_path: Path) -> None:
    log = tmp_path / "journal"
    async with gateway_of(tmp_path, server("a", "--journal", str(log)), ALLOW_ALL) as gateway:

        async def once() -> None:
            await send(gateway, "a__echo", {"text": "x"}, meta={"lg/idempotency-key": "k"})

        clocks = Clocks()
        await once()
        await gateway.store.write(lambda tx: tx.execute("UPDATE effects SET created = ?", (clocks.wall,)))
        await gateway.store.write(lambda tx: tx.execute("UPDATE outcomes SET created = ?", (clocks.wall,)))
        keeper = clocks.keeper(gateway, ledger={"outcome_days": 7})
        clocks.wall += 400 * DAY
        await keeper.sweep()
        await once()
        jumped = len(journal(log))
        clocks.wall -= 400 * DAY
        for clock in ("wall", "steady"):
            setattr(clocks, clock, getattr(clocks, clock) + 8 * DAY)
        await keeper.sweep()
        await once()

    assert (jumped, len(journal(log))) == (1, 2)


async def test_what_has_ended_goes_by_age_and_what_still_counts_stays(tmp_path: Path, store_url: str | None) -> None:
    place = f"[store]\nurl = {json.dumps(store_url)}\n" if store_url else ""
    async with gateway_of(tmp_path, server("a"), ALLOW_ALL, place) as gateway:
        clocks = Clocks(wall=time.time())
        keeper = clocks.keeper(gateway, store={"ended_days": 30, "run_days": 90}, ledger={"outcome_days": 150})
        await gateway.store.write(lambda tx: fill(tx, gateway, clocks.wall))
        meta = {"lg/run": {"run_id": "r", "epoch": 1, "step": "s"}}
        await send(gateway, "a__echo", {"text": "x"}, meta=meta)
        await send(gateway, "a__echo", {"text": "x"}, meta=meta, identity="local:other")
        await send(gateway, "a__echo", {"text": "x"}, meta=meta | {"lg/idempotency-key": "k"}, identity="local:other")
        await gateway.store.write(lambda tx: tx.execute("UPDATE effects SET approval_id = 'ap-referred'"))
        left = []
        for days in (1, 60, 60, 60):
            clocks.wall, clocks.steady = clocks.wall + days * DAY, clocks.steady + days * DAY
            await keeper.sweep()
            left.append(gateway.store.read_now(counts))

    assert left == [
        {"approvals": 4, "grants": 2, "dialogues": 2, "tokens": 3, "runs": 2, "budgets": 2, "effects": 1},
        {"approvals": 2, "grants": 1, "dialogues": 1, "tokens": 1, "runs": 2, "budgets": 2, "effects": 1},
        {"approvals": 2, "grants": 1, "dialogues": 1, "tokens": 1, "runs": 1, "budgets": 1, "effects": 1},
        {"approvals": 0, "grants": 0, "dialogues": 0, "tokens": 0, "runs": 0, "budgets": 0, "effects": 0},
    ]


def fill(tx: Tx, gateway: Gateway, now: float) -> None:
    """Of each kind one that ends soon, one that counts for longer, and what an effect refers to."""
    ids = {}
    for name, days in (("soon", 7), ("pending", 125), ("referred", 7), ("denied", 7)):
        ids[name] = gateway.approvals.ask(tx, question(name, lifetime_s=days * DAY), now).id
    tx.execute("UPDATE approvals SET id = 'ap-referred' WHERE id = ?", (ids["referred"],))
    denied = gateway.approvals.get(tx, ids["denied"], now)
    assert denied is not None
    gateway.approvals.move(tx, denied, "deny", by="me")
    for name, expires in (("soon", now + DAY), ("later", now + 125 * DAY)):
        given = {"identity": "me", "run_id": "r", "tool": "t", "pin": "p", "by": "me"}
        grant = new_grant(approval_id=f"ap-{name}", now=now, **given)
        gateway.approvals.grants.add(tx, replace(grant, expires=expires))
        dialogue = PendingQuestions(id=name, binding=name, request_id="r", approval_id=None, round=1, questions={})
        PendingQuestionsTable(b"k", gateway.ledger).open(tx, replace(dialogue, expires=expires))
    for name, days in (("short", 7), ("long", 125), ("ended", 125)):
        gateway.tokens.create(tx, name, role="client", scopes=(), lifetime_s=days * DAY, now=now, by="me")
    gateway.tokens.revoke(tx, "ended", now=now, by="me")


def counts(tx: Tx) -> dict[str, int]:
    tables = ("approvals", "grants", "dialogues", "tokens", "runs", "budgets", "effects")
    return {table: tx.execute(f"SELECT count(*) FROM {table}")[0][0] for table in tables}


async def test_a_run_that_goes_on_for_long_keeps_its_epoch(tmp_path: Path) -> None:
    async with gateway_of(tmp_path, server("a"), ALLOW_ALL) as gateway:
        clocks = Clocks(wall=time.time())
        keeper = clocks.keeper(gateway)
        first = {"lg/run": {"run_id": "r", "epoch": 1, "step": "s"}}
        second = {"lg/run": {"run_id": "r", "epoch": 2, "step": "s"}}
        for meta in (first, second):
            await send(gateway, "a__echo", {"text": "x"}, meta=meta)
        # It was last heard of long ago, but then it calls again.
        await gateway.store.write(lambda tx: tx.execute("UPDATE runs SET seen = ?", (clocks.wall - 89 * DAY,)))
        await send(gateway, "a__echo", {"text": "x"}, meta=second)
        clocks.wall, clocks.steady = clocks.wall + 80 * DAY, clocks.steady + 80 * DAY
        await keeper.sweep()
        older = await send(gateway, "a__echo", {"text": "x"}, meta=first)

    assert older.structured_content["error"]["code"] == "conflict"


async def test_records_older_than_the_setting_are_sealed_and_their_files_dropped(tmp_path: Path) -> None:
    async with gateway_of(tmp_path, server("a"), ALLOW_ALL) as gateway:
        for _ in range(3):
            await call(gateway, "a__echo", text="x")
        clocks = Clocks(wall=4_000_000_000.0)  # long after the records were written
        await clocks.keeper(gateway, ledger={"keep_days": 30}).sweep()
        sealed = len(list(gateway.setup.segments_path.iterdir()))
        after_sealing = gateway.store.read_now(gateway.ledger.verify)
        await clocks.keeper(gateway, ledger={"keep_days": 30, "segment_days": 90}).sweep()
        left = list(gateway.setup.segments_path.iterdir())
        after_pruning = gateway.store.read_now(gateway.ledger.verify)

    assert (sealed, left) == (1, [])
    assert (after_sealing[1], after_pruning[1]) == ([], [])


async def test_results_are_kept_apart_and_only_their_digest_is_in_the_chain(tmp_path: Path) -> None:
    big = "[gateway]\nresult_max_bytes = 5000\n[ledger]\noutcome_max_bytes = 3000\n"
    async with gateway_of(tmp_path, server("a"), ALLOW_ALL, big) as gateway:
        await call(gateway, "a__echo", text="a-result-to-find")
        await call(gateway, "a__big", bytes=100_000)
        kept = gateway.store.read_now(lambda tx: tx.execute("SELECT text FROM outcomes ORDER BY created"))
        ledger = str(gateway.store.read_now(lambda tx: tx.execute("SELECT record FROM ledger WHERE seq > 2")))
        ended = [record for record in records(gateway) if record["outcome"] == "ok"]

    assert "a-result-to-find" in kept[0][0]
    assert "too large to be kept" in kept[1][0]
    assert ledger.count("a-result-to-find") == 0
    assert ended[0]["bytes_out"] == len(kept[0][0])
    assert len(ended[0]["result_digest"]) == 64


async def test_only_results_under_a_key_are_kept_where_that_is_wanted(tmp_path: Path) -> None:
    async with gateway_of(tmp_path, server("a"), ALLOW_ALL, '[ledger]\noutcomes = "keyed"\n') as gateway:
        await call(gateway, "a__echo", text="without")
        await send(gateway, "a__echo", {"text": "with"}, meta={"lg/idempotency-key": "k"})
        kept = gateway.store.read_now(lambda tx: tx.execute("SELECT text FROM outcomes"))

    assert ["with" in text for (text,) in kept] == [True]


async def test_no_transaction_of_the_sweep_removes_many_rows(tmp_path: Path) -> None:
    async with gateway_of(tmp_path, server("a"), ALLOW_ALL) as gateway:

        def fill(tx: Tx) -> None:
            for n in range(2 * BATCH + 1):
                tx.execute("INSERT INTO outcomes (request_id, text, mac, created) VALUES (?, '', '', 1)", (f"r{n}",))
            for n in range(TEXTS + 1):
                tx.execute("INSERT INTO results (id, identity, characters, created) VALUES (?, '', 0, 1)", (f"r{n}",))

        def left(tx: Tx) -> list[int]:
            return [int(tx.execute(f"SELECT count(*) FROM {name}")[0][0]) for name in ("outcomes", "results")]

        await gateway.store.write(fill)
        seen = []
        more = True
        while more:
            more = await gateway.store.write(lambda tx: forget(tx, gateway.tokens, Settings(), 1_000_000_000.0))
            seen.append(gateway.store.read_now(left))

    assert seen == [[BATCH + 1, 1], [1, 0], [0, 0]]
