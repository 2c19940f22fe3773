"""Queries of `search_code` that try to be something else than words."""

from __future__ import annotations

from pathlib import Path

import pytest

from lg_code.search.tool import search_code
from tests.code.helpers import index_of, job
from tests.fs.helpers import write_tree

CART = "def checkout(cart):\n    return [item for item in cart]\n"
FTS5_SYNTAX = (
    *('"', '""', 'checkout"', '" OR 1', "NEAR(checkout cart, 2)", "terms:checkout", "{terms} : checkout", "checkout*"),
    *("^checkout", "checkout AND", "NOT checkout", "checkout OR OR", "(((", "checkout)", "-checkout", "+checkout"),
    *("'; DROP TABLE files; --", "checkout\x00cart", "\ud800 checkout", "%", "_", "__", "a_2", "cart_d", "\\", "$"),
    "🙂 checkout",
)


@pytest.mark.attack(
    "arguments", "queries with FTS5's quotes, operators, columns and wildcards, NUL, half a surrogate pair"
)
def test_no_query_is_syntax(tmp_path: Path) -> None:
    write_tree(tmp_path / "tree", {"shop/cart.py": CART, "shop/other.py": "x = 1\n"})
    with index_of(tmp_path / "tree") as index:
        for query in FTS5_SYNTAX:
            told = search_code(index, {"query": query}, job()).structured["results"]
            wanted = ["shop/cart.py"] if "cart" in query or "checkout" in query else []
            assert [result["path"] for result in told] == wanted, query


@pytest.mark.attack("arguments", "a query that fits every line of a file of long lines, and thousands of words")
def test_a_query_that_fits_everything_has_a_small_answer(tmp_path: Path) -> None:
    write_tree(tmp_path / "tree", {f"m{number}.py": "cart = 1  # " + "cart " * 9_000 + "\n" for number in range(40)})
    with index_of(tmp_path / "tree") as index:
        answer = search_code(index, {"query": "cart " + "word x1 " * 400, "limit": 50}, job())
    assert len(answer.text) < 60_000
    assert len(answer.structured["results"]) == 40
