"""What `search_code` finds, and what it never tells."""

from __future__ import annotations

import time
from pathlib import Path

import anyio
import pytest

from lg_code.index.index import Index
from lg_code.search.candidates import rank
from lg_code.search.query import LONGEST_QUERY, understand
from lg_code.search.tool import search_code, tell
from lg_policy.errors import InvalidArguments
from tests.code.helpers import code_client, index_of, job, settings_of
from tests.fs.helpers import write_tree

TREE = {
    "shop/progress.py": (
        '"""Progress of a download."""\n\n\nclass DownloadMeter:\n    """Draws a bar that grows with each chunk."""\n\n'
        "    def advanceBar(self, count):\n        self.done += count\n        self.render()\n\n"
        "    def render(self):\n        print('#' * self.done)\n"
    ),
    "shop/bar.py": "def bar(x):\n    return x\n\n\ndef bar_of(y):\n    return bar(y)\n",
    "shop/cart.py": (
        "from shop.progress import DownloadMeter\n\n\ndef checkout(cart, validator):\n"
        '    """Pays for a cart; its items are validated first."""\n    return [validator(item) for item in cart]\n'
    ),
    "tests/test_cart.py": "def test_checkout_validates_items():\n    assert checkout([], None) == []\n",
    "README.md": "# Shop\n\nCheckout validates the items of a cart, and a progress bar tells how the download goes.\n",
}


def found(root: Path, query: str, **arguments: object) -> list[dict[str, object]]:
    with index_of(root) as index:
        results: list[dict[str, object]] = search_code(index, {"query": query, **arguments}, job()).structured[
            "results"
        ]
    return results


def until_found(index: Index, query: str) -> object:
    """A slow machine looks at the whole tree only now and then; the answer says so."""
    limit = time.monotonic() + 60
    while time.monotonic() < limit:
        results = search_code(index, {"query": query}, job()).structured["results"]
        if results:
            return results[0]["path"]
        time.sleep(0.05)
    return None


def test_a_question_finds_the_definition_that_has_its_words_inside_its_names(tmp_path: Path) -> None:
    write_tree(tmp_path / "tree", TREE)
    with index_of(tmp_path / "tree") as index:
        best = search_code(index, {"query": "where is the progress bar implemented?"}, job()).structured["results"][0]
        assert (best["path"], best["symbol"]) == ("shop/progress.py", "DownloadMeter.advanceBar")
        assert (best["start_line"], best["end_line"]) == (7, 9)
        assert "advanceBar" in best["snippet"]
        stemmed = search_code(index, {"query": "validation of cart items"}, job()).structured["results"][0]
        assert (stemmed["path"], stemmed["symbol"]) == ("shop/cart.py", "checkout")


def test_a_name_finds_its_definition(tmp_path: Path) -> None:
    write_tree(tmp_path / "tree", TREE)
    with index_of(tmp_path / "tree") as index:
        for name in ("bar_of", "bar.bar_of", "shop::bar_of", "bar_of()", "`bar_of` is wrong"):
            best = search_code(index, {"query": name}, job()).structured["results"][0]
            told = (best["path"], best["symbol"], best["start_line"], best["end_line"])
            assert told == ("shop/bar.py", "bar_of", 5, 6), name


def test_tests_come_behind_code_unless_they_are_asked_for(tmp_path: Path) -> None:
    write_tree(tmp_path / "tree", TREE)
    paths = [result["path"] for result in found(tmp_path / "tree", "checkout validates items")]
    assert paths.index("shop/cart.py") < paths.index("tests/test_cart.py")
    assert found(tmp_path / "tree", "test of checkout items")[0]["path"] == "tests/test_cart.py"


def test_results_stay_below_paths_and_of_a_kind_and_within_the_limit(tmp_path: Path) -> None:
    write_tree(tmp_path / "tree", TREE)
    with index_of(tmp_path / "tree") as index:

        def found(query: str, **arguments: object) -> list[dict[str, object]]:
            told: list[dict[str, object]] = search_code(index, {"query": query, **arguments}, job()).structured[
                "results"
            ]
            return told

        assert {result["path"] for result in found("checkout", paths=["tests"])} == {"tests/test_cart.py"}
        assert [result["symbol"] for result in found("progress", kind="class")] == ["DownloadMeter"]
        assert len(found("cart checkout progress bar", limit=2)) == 2
        with pytest.raises(InvalidArguments, match=r"no file is indexed below shop/progress\.p"):
            found("checkout", paths=["shop/progress.p"])
        for same in ("./tests", "tests//", str(tmp_path / "tree/tests")):
            assert {result["path"] for result in found("checkout", paths=[same])} == {"tests/test_cart.py"}


def test_a_query_without_end_is_refused_and_a_long_one_is_read(tmp_path: Path) -> None:
    write_tree(tmp_path / "tree", TREE)

    async def story() -> None:
        async with code_client(tmp_path / "tree") as client:
            error = await client.refused("search_code", query="checkout " * 120_000)
            assert error["code"] == "invalid_arguments"
            report = "Traceback: the checkout of a cart fails. " * 90
            assert (await client.ok("search_code", query=report))["results"][0]["path"] == "shop/cart.py"

    anyio.run(story)
    assert len(understand("word" + " x1y2" * 10**6).words) <= 64
    assert len(" ".join(understand("ab " * 10**6).words)) <= LONGEST_QUERY


def test_a_hidden_file_is_never_told(tmp_path: Path) -> None:
    write_tree(tmp_path / "tree", {**TREE, ".env": "CHECKOUT_TOKEN=1\n", "private/key.py": "def checkout_key(): ...\n"})
    settings = settings_of(policy={"read_deny": [".env", "/private/"]})
    with index_of(tmp_path / "tree", settings=settings) as index:
        answer = search_code(index, {"query": "checkout token key CHECKOUT_TOKEN checkout_key"}, job())
    assert {result["path"] for result in answer.structured["results"]}.isdisjoint({".env", "private/key.py"})
    assert "TOKEN" not in answer.text and "private" not in answer.text


def test_what_is_told_is_what_the_file_holds_now(tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    write_tree(tree, TREE)
    with index_of(tree) as index:
        search_code(index, {"query": "checkout"}, job())
        query = understand("checkout")
        with index.read() as db:
            candidates = rank(db, query, (), job())
        text = TREE["shop/cart.py"]
        write_tree(tree, {"shop/cart.py": "# moved down\n" * 40 + text})
        (tree / "README.md").unlink()
        results, _ = tell(index, query, candidates, 10, "", job())
    assert (results[0]["path"], results[0]["start_line"]) == ("shop/cart.py", 44)
    assert "README.md" not in {result["path"] for result in results}


def test_an_edited_file_is_found_by_its_new_words_only(tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    write_tree(tree, {"a.py": "def zebra():\n    pass\n", "b.py": "def giraffe():\n    pass\n"})
    with index_of(tree) as index:
        assert search_code(index, {"query": "zebra"}, job()).structured["results"][0]["path"] == "a.py"
        write_tree(tree, {"a.py": "def leopard():\n    pass\n"})
        assert search_code(index, {"query": "zebra"}, job()).structured["results"] == []
        assert until_found(index, "leopard") == "a.py"
        write_tree(tree, {"a.py": "def zebra():\n    pass\n"})
        assert until_found(index, "zebra") == "a.py"
        with index.read() as db:
            assert db.execute("SELECT count(*) FROM search_docs").fetchone()[0] == 3, "a text that comes back is kept"
        (tree / "a.py").unlink()
        assert search_code(index, {"query": "zebra"}, job()).structured["results"] == []


def test_words_of_scripts_without_spaces_are_found(tmp_path: Path) -> None:
    write_tree(tmp_path / "tree", {"a.py": "# 計算購物車總額\ndef total():\n    return 0\n", "b.py": "x = 1\n"})
    assert [result["path"] for result in found(tmp_path / "tree", "購物車")] == ["a.py"]
