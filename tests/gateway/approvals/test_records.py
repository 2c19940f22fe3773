"""The book of questions: its legal moves, its end by time, and how many may be open."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from lg_gateway.approvals.records import ApprovalState, ApprovalTable
from lg_policy.errors import Conflict, LimitExceeded
from tests.gateway.approvals.support_approvals import question
from tests.gateway.ledger.support_ledger import KEY, open_ledger

pytestmark = pytest.mark.anyio

# Written out here, not taken from the code: a denial must never become a yes, nor a used yes a fresh one.
LEGAL = {
    ("pending", "approve"): "approved",
    ("pending", "deny"): "denied",
    ("pending", "expire"): "expired",
    ("approved", "use"): "used",
    ("approved", "expire"): "expired",
}


@pytest.mark.parametrize("state", list(ApprovalState))
@pytest.mark.parametrize("how", ["approve", "deny", "expire", "use"])
async def test_only_the_moves_of_the_table_are_possible(tmp_path: Path, state: ApprovalState, how: str) -> None:
    store, ledger = open_ledger(tmp_path)
    book = ApprovalTable(KEY, ledger)
    path = {
        ApprovalState.PENDING: [],
        ApprovalState.APPROVED: ["approve"],
        ApprovalState.DENIED: ["deny"],
        ApprovalState.EXPIRED: ["expire"],
        ApprovalState.USED: ["approve", "use"],
    }
    approval = await store.write(lambda tx: book.ask(tx, question(), 0))
    for step in path[state]:
        await store.write(partial(book.move, approval=approval, how=step))
    expected = LEGAL.get((state.value, how))
    if expected is None:
        with pytest.raises(Conflict):
            await store.write(partial(book.move, approval=approval, how=how))
        after = store.read_now(lambda tx: book.get(tx, approval.id, 0))
        assert after is not None
        assert after.state is state
    else:
        moved = await store.write(partial(book.move, approval=approval, how=how))
        assert moved.state.value == expected
    store.close()


async def test_an_expired_question_is_not_a_denial_and_is_asked_anew(tmp_path: Path) -> None:
    store, ledger = open_ledger(tmp_path)
    book = ApprovalTable(KEY, ledger)
    first = await store.write(lambda tx: book.ask(tx, question(lifetime_s=10), 0))
    later = store.read_now(lambda tx: book.get(tx, first.id, 11))
    second = await store.write(lambda tx: book.ask(tx, question(), 11))
    store.close()

    assert later is not None
    assert later.state is ApprovalState.EXPIRED
    assert second.id != first.id


async def test_too_many_questions_are_counted_per_caller(tmp_path: Path) -> None:
    store, ledger = open_ledger(tmp_path)
    book = ApprovalTable(KEY, ledger)
    for n in range(10):
        await store.write(partial(book.ask, question=question(f"q{n}"), now=0))
    with pytest.raises(LimitExceeded):
        await store.write(lambda tx: book.ask(tx, question("one more"), 0))
    theirs = question("of another caller")
    theirs = replace(theirs, binding=replace(theirs.binding, identity="another"))
    asked = await store.write(lambda tx: book.ask(tx, theirs, 0))
    store.close()

    assert asked.state is ApprovalState.PENDING


async def test_a_question_ends_soon_after_its_caller_was_killed_and_stays_while_it_waits(tmp_path: Path) -> None:
    store, ledger = open_ledger(tmp_path)
    book = ApprovalTable(KEY, ledger)
    leased = replace(question(lifetime_s=600), lease_s=60)
    asked = await store.write(lambda tx: book.ask(tx, leased, 0))
    await store.write(lambda tx: book.keep(tx, asked.id, 50, 60))

    def state(now: float) -> str | None:
        found = store.read_now(lambda tx: book.get(tx, asked.id, now))
        return found.state if found is not None else None

    assert (state(59), state(100), state(111)) == ("pending", "pending", "expired")
    assert store.read_now(lambda tx: book.pending(tx, 111)) == []
    await store.write(lambda tx: book.keep(tx, asked.id, 111, 60))
    assert state(112) == "expired", "a caller that comes back too late is asked anew"
    store.close()
