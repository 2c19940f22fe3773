"""The book of tokens, on every kind of store."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from lg_gateway.identity.tokens import Role, Token, TokenTable
from lg_gateway.ledger.head import HeadFile
from lg_gateway.ledger.ledger import Ledger
from lg_gateway.store.factory import StorePlace, open_store
from lg_gateway.store.interface import Store, Tx
from lg_policy.errors import ConfigError, NotFound

pytestmark = pytest.mark.anyio
NOW = 1_000_000.25


@dataclass
class Shelf:
    """A book in a store."""

    store: Store
    book: TokenTable

    async def create(self, name: str, *, role: Role = "client", lifetime_s: float = 60) -> tuple[Token, str]:
        return await self.store.write(
            lambda tx: self.book.create(tx, name, role=role, scopes=("a",), lifetime_s=lifetime_s, now=NOW, by="me")
        )

    async def check(self, text: str, now: float = NOW) -> Token | None:
        return await self.store.read(lambda tx: self.book.check(tx, text, now))

    async def revoke(self, named: str) -> list[Token]:
        return await self.store.write(lambda tx: self.book.revoke(tx, named, now=NOW, by="me"))


@pytest.fixture
def shelf(tmp_path: Path, store_url: str | None) -> Iterator[Shelf]:
    ledger = Ledger(HeadFile(tmp_path / "head", b"s" * 32), b"k" * 32)
    place = StorePlace(path=tmp_path / "store.sqlite", url=store_url, lock_path=tmp_path / "head.lock")
    store = open_store(place, guard=ledger)
    yield Shelf(store, TokenTable(b"t" * 32, ledger))
    store.close()


async def test_a_token_counts_until_its_end_for_its_own_secret_and_role(shelf: Shelf) -> None:
    token, text = await shelf.create("ci")
    other, other_text = await shelf.create("ci")
    assert token.identity == other.identity == "token:ci"
    assert await shelf.check(text) == token
    assert await shelf.check(text, NOW + 59.9) == token
    assert await shelf.check(text, NOW + 60) is None
    swapped = text[:-43] + other_text[-43:]
    for wrong in (text[:-1], f"{text}x", swapped, text.replace("lgt_", "lgo_", 1), "", "lgt_"):
        assert await shelf.check(wrong) is None


async def test_only_tokens_of_clients_that_count_are_counted(shelf: Shelf) -> None:
    for role, lifetime_s in (("client", 60), ("client", 60), ("client", 10), ("operator", 60)):
        await shelf.create(f"{role}-{lifetime_s}", role=role, lifetime_s=lifetime_s)  # type: ignore[arg-type]  # texts
    assert await shelf.store.read(lambda tx: shelf.book.active(tx, NOW)) == 3
    assert await shelf.store.read(lambda tx: shelf.book.active(tx, NOW + 10)) == 2
    await shelf.revoke("client-60")
    assert await shelf.store.read(lambda tx: shelf.book.active(tx, NOW + 10)) == 0


async def test_a_name_ends_all_its_tokens_and_an_id_one(shelf: Shelf) -> None:
    (one, first), (_, second), (_, third) = [await shelf.create("ci") for _ in range(3)]
    _, other = await shelf.create("other")
    assert [token.id for token in await shelf.revoke(one.id)] == [one.id]
    assert await shelf.check(first) is None
    assert await shelf.check(second) is not None
    assert len(await shelf.revoke("ci")) == 2
    assert await shelf.check(third) is None
    assert await shelf.check(other) is not None
    with pytest.raises(NotFound):
        await shelf.revoke("ci")


async def test_a_token_of_another_key_counts_for_nothing(shelf: Shelf) -> None:
    _, text = await shelf.create("ci")
    stranger = TokenTable(b"x" * 32, Ledger(HeadFile(Path("unused"), b"s" * 32), b"k" * 32))
    assert await shelf.store.read(lambda tx: stranger.check(tx, text, NOW)) is None
    assert await shelf.store.read(stranger.all) == []


@pytest.mark.parametrize("name", ["", "a b", "-a", "a" * 65, "a\nb", "a*"])
async def test_a_name_that_could_be_taken_for_something_else_is_refused(shelf: Shelf, name: str) -> None:
    with pytest.raises(ConfigError):
        await shelf.create(name)


@pytest.mark.parametrize("scope", ["", "a b", 'a"b', "a\\b", "\u00e9", "x" * 101])
async def test_a_scope_that_no_token_can_carry_is_refused(shelf: Shelf, scope: str) -> None:
    with pytest.raises(ConfigError, match="cannot be a scope"):
        await shelf.store.write(
            lambda tx: shelf.book.create(
                tx, "ci", role="client", scopes=("fine", scope), lifetime_s=1, now=NOW, by="me"
            )
        )
    assert await shelf.store.read(shelf.book.all) == []


async def test_making_and_ending_a_token_stands_in_the_ledger(shelf: Shelf) -> None:
    token, _ = await shelf.create("ci")
    await shelf.revoke("ci")
    rows = await shelf.store.read(lambda tx: tx.execute("SELECT record FROM ledger ORDER BY seq"))
    notes = [json.loads(text) for (text,) in rows]
    assert [note["outcome"] for note in notes] == ["token created", "token revoked"]
    assert {note["detail"] for note in notes} == {f"{token.id} for token:ci by me"}


async def test_the_state_of_a_token_is_told_and_the_row_of_a_revoked_one_cannot_be_put_back(shelf: Shelf) -> None:
    token, text = await shelf.create("ci")
    before = await shelf.store.read(lambda tx: tx.execute("SELECT id, body, mac FROM tokens"))
    assert not await shelf.store.read(lambda tx: shelf.book.put_back(tx, token))
    (ended,) = await shelf.revoke("ci")
    assert (token.state(NOW), token.state(NOW + 60), ended.state(NOW)) == ("active", "expired", "revoked")
    assert not await shelf.store.read(lambda tx: shelf.book.put_back(tx, ended)), "it says itself that it ended"

    def put_back(tx: Tx) -> None:
        tx.execute("DELETE FROM tokens")
        tx.execute("INSERT INTO tokens (id, body, mac) VALUES (?, ?, ?)", before[0])

    await shelf.store.write(put_back)
    assert await shelf.store.read(lambda tx: shelf.book.put_back(tx, token))
    assert await shelf.check(text) is None


async def test_tokens_are_forgotten_by_their_end_and_not_a_moment_before(shelf: Shelf) -> None:
    await shelf.create("short", lifetime_s=10)
    await shelf.create("long", lifetime_s=1_000)
    await shelf.create("ended", lifetime_s=1_000)
    await shelf.revoke("ended")

    async def left(before: float) -> set[str]:
        await shelf.store.write(lambda tx: shelf.book.forget(tx, before))
        return {token.name for token in await shelf.store.read(shelf.book.all)}

    assert await left(NOW) == {"short", "long", "ended"}, "it ended at this moment, not before"
    assert await left(NOW + 0.5) == {"short", "long"}
    assert await left(NOW + 10) == {"short", "long"}
    assert await left(NOW + 10.5) == {"long"}
