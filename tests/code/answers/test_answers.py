"""What the tools answer about a small project in several languages."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import anyio
import pytest

from lg_code.answers.repo_map import repo_map
from lg_code.answers.symbols import find_symbol, read_symbol
from lg_code.index.rows import generation
from lg_code.ranking.graph import build_graph
from lg_code.ranking.page_rank import page_rank
from lg_code.ranking.ranks import Ranks
from lg_code.ranking.stored_ranks import load
from lg_policy.jobs import Job
from tests.code.helpers import CodeClient, code_client, index_of, job, settings_of
from tests.fs.helpers import write_tree

SHOP = {
    "shop/__init__.py": "",
    "shop/urls.py": (
        "def url_for(endpoint, **values):\n    return build(endpoint)\n\n\ndef build(endpoint):\n    return endpoint\n"
    ),
    "shop/views.py": (
        "from shop.urls import url_for\n\n\nclass Cart:\n    # What the page shows.\n    def total(self):\n"
        "        return url_for('cart')  # url_for again\n\n    def clear(self):\n        return 'url_for'\n"
    ),
    "shop/templates/cart.html": "<a href=\"{{ url_for('cart') }}\">{{ total }}</a>\n",
    "shop/price.py": "class Price:\n    def total(self):\n        return 1\n\n\ndef rounded(n):\n    return n\n",
    "tests/test_urls.py": "import shop.urls\n\n\ndef test_build():\n    assert shop.urls.build('a') == 'a'\n",
    "tests/test_pages.py": "from shop.views import Cart\n\n\ndef test_cart_is_cleared():\n    Cart().clear()\n",
    "tests/other_test.py": "def test_nothing():\n    assert True\n",
    "web/app.ts": "import { cart } from './cart'\nexport const page = () => cart()\n",
    "web/cart.ts": "export function cart(): number { return 1 }\n",
    "web/cart.test.ts": "import { cart } from './cart'\ntest('cart', () => { cart() })\n",
    "core/lib.rs": (
        "pub fn parse(a: u8) -> u8 { a }\n\n#[cfg(test)]\nmod tests {\n    use super::*;\n    #[test]\n"
        "    fn parses() { parse(1); }\n}\n"
    ),
}


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("shop") / "tree"
    write_tree(root, SHOP)
    return root


def ask(root: Path, story: Callable[[CodeClient], Awaitable[None]]) -> None:
    async def run() -> None:
        async with code_client(root) as client:
            await story(client)

    anyio.run(run)


def test_references_are_told_apart_and_templates_are_among_them(shop: Path) -> None:
    async def story(client: CodeClient) -> None:
        answer = await client.ok("references", name="url_for")
        found = [(entry["path"], entry["line"], entry["kind"], entry["scope"]) for entry in answer["references"]]
        assert found == [
            ("shop/urls.py", 1, "definition", "url_for"),
            ("shop/views.py", 1, "import", ""),
            ("shop/views.py", 7, "call", "Cart.total"),
            ("shop/views.py", 7, "mention in a comment", "Cart.total"),
            ("shop/views.py", 10, "mention in a string", "Cart.clear"),
            ("shop/templates/cart.html", 1, "mention", ""),
        ]
        assert answer["files"] == {"definition": 1, "call": 1, "import": 1, "mention": 2}
        only = await client.ok("references", name="url_for", kinds=["import"], paths=["shop"])
        assert [entry["line"] for entry in only["references"]] == [1]

    ask(shop, story)


def test_a_file_with_many_uses_gets_the_room_that_the_others_leave(tmp_path: Path) -> None:
    write_tree(tmp_path / "tree", {"few.py": "shout()\n" * 2, "many.py": "def shout(): pass\n" + "shout()\n" * 90})

    async def story(client: CodeClient) -> None:
        whole = (await client.ok("references", name="shout", limit=100))["references"]
        assert [entry["path"] for entry in whole] == ["many.py"] * 91 + ["few.py"] * 2
        assert not any("more" in entry for entry in whole)
        cut = (await client.ok("references", name="shout", limit=50))["references"]
        assert [entry["path"] for entry in cut] == ["many.py"] * 48 + ["few.py"] * 2
        assert [entry["more"] for entry in cut if "more" in entry] == [91 - 48]

    ask(tmp_path / "tree", story)


def test_more_references_than_the_limit_are_counted_and_named(shop: Path) -> None:
    async def story(client: CodeClient) -> None:
        answer = await client.ok("references", name="url_for", limit=1)
        assert len(answer["references"]) == 1
        assert answer["more_files"] == ["shop/views.py", "shop/templates/cart.html"]
        assert any("2 more files use the name" in note for note in answer["notes"])

    ask(shop, story)


def test_a_definition_is_found_by_name_by_its_class_and_by_a_part(shop: Path) -> None:
    async def names(client: CodeClient, name: str, **more: Any) -> list[str]:
        answer = await client.ok("find_symbol", name=name, **more)
        return [f"{entry['path']}:{entry['start_line']}" for entry in answer["symbols"]]

    async def story(client: CodeClient) -> None:
        assert await names(client, "Cart") == ["shop/views.py:4"]
        assert await names(client, "total") == ["shop/price.py:2", "shop/views.py:6"]
        assert await names(client, "Price.total") == ["shop/price.py:2"]
        assert await names(client, "shop.price.Price.total") == ["shop/price.py:2"]
        assert await names(client, "total", paths=["shop/views.py"]) == ["shop/views.py:6"]
        assert await names(client, "cart", kind="function") == ["web/cart.ts:1"]
        assert await names(client, "roun") == ["shop/price.py:6"]
        assert "nothing is called exactly" in await client.text("find_symbol", name="roun")

    ask(shop, story)


def test_a_name_that_nothing_defines_says_what_is_near(shop: Path) -> None:
    async def story(client: CodeClient) -> None:
        answer = await client.ok("find_symbol", name="endpoint_builder")
        assert answer["symbols"] == []
        assert "nothing indexed defines 'endpoint_builder'" in answer["notes"][0]
        assert "1 files use the name" in " ".join((await client.ok("find_symbol", name="href"))["notes"])
        error = await client.refused("read_symbol", name="bild")
        assert error["code"] == "not_found"
        assert "similar: build" in error["message"]

    ask(shop, story)


def test_a_definition_is_read_whole_with_the_comment_above_it(shop: Path) -> None:
    async def story(client: CodeClient) -> None:
        answer = await client.ok("read_symbol", name="Cart.total")
        (entry,) = answer["symbols"]
        assert (entry["start_line"], entry["end_line"]) == (5, 7)
        assert (
            entry["text"]
            == SHOP["shop/views.py"][SHOP["shop/views.py"].index("    # What") :].partition("\n\n")[0] + "\n"
        )
        several = await client.ok("read_symbol", name="total")
        assert [entry["parent"] for entry in several["symbols"]] == ["Price", "Cart"]

    ask(shop, story)


def test_tests_of_a_file_and_of_a_name_are_found_with_the_reason(shop: Path) -> None:
    async def story(client: CodeClient) -> None:
        async def tests(**given: Any) -> dict[str, Any]:
            answer = await client.ok("tests_for", **given)
            return {entry["path"]: entry for entry in answer["tests"]}

        assert set(await tests(path="shop/urls.py")) == {"tests/test_urls.py"}
        assert set(await tests(path="shop/views.py")) == {"tests/test_pages.py"}
        assert set(await tests(path="web/cart.ts")) == {"web/cart.test.ts"}
        assert (await tests(path="core/lib.rs"))["core/lib.rs"]["functions"] == ["parses"]
        found = await tests(symbol="Cart.clear")
        assert found["tests/test_pages.py"]["functions"] == ["test_cart_is_cleared"]
        assert (await tests(symbol="parse"))["core/lib.rs"]["functions"] == ["tests.parses"]
        none = await client.ok("tests_for", path="shop/price.py")
        assert none["tests"] == []
        assert "no tests are known for shop/price.py" in none["notes"][0]

    ask(shop, story)


def test_a_map_shows_what_others_use_within_its_budget_and_says_what_is_left_out(shop: Path) -> None:
    async def story(client: CodeClient) -> None:
        whole = await client.text("repo_map")
        assert "shop/urls.py\n 1: def url_for(endpoint, **values)" in whole
        assert "tests/test_urls.py" in whole
        assert "left out" not in whole, "files without a definition are not missing from the map"
        for budget in (100, 150, 200):
            answer = await client.ok("repo_map", budget_tokens=budget)
            assert answer["tokens"] <= budget
            assert answer["left_out"]["definitions"] > 0
            assert "left out" in answer["notes"][-1]
        focused = await client.ok("repo_map", budget_tokens=150, focus=["web/cart.ts"])
        assert focused["files"][0]["path"] == "web/cart.ts"
        below = await client.ok("repo_map", paths=["core"])
        assert [file["path"] for file in below["files"]] == ["core/lib.rs"]
        assert "nothing indexed is called nowhere" in await client.text("repo_map", focus=["nowhere"])

    ask(shop, story)


def test_paths_without_code_are_refused_and_not_answered_with_nothing(shop: Path) -> None:
    async def story(client: CodeClient) -> None:
        for tool, given in (("find_symbol", {"name": "x"}), ("references", {"name": "x"}), ("repo_map", {})):
            error = await client.refused(tool, paths=["no/such"], **given)
            assert "no file is indexed below no/such" in error["message"]

    ask(shop, story)


def test_an_answer_after_an_edit_is_of_the_edited_files(tmp_path: Path) -> None:
    write_tree(tmp_path / "tree", {"a.py": "def one(): pass\n", "b.py": "one()\n"})

    async def story(client: CodeClient) -> None:
        assert len((await client.ok("references", name="one"))["references"]) == 2
        write_tree(tmp_path / "tree", {"a.py": "\n\ndef two(): pass\n", "c.py": "two()\n"})
        found = (await client.ok("references", name="two"))["references"]
        assert [(entry["path"], entry["line"]) for entry in found] == [("a.py", 3), ("c.py", 1)]
        assert [entry["path"] for entry in (await client.ok("references", name="one"))["references"]] == ["b.py"]
        assert (await client.ok("find_symbol", name="one"))["symbols"] == []

    ask(tmp_path / "tree", story)


def test_a_map_after_a_small_change_has_the_new_file_and_not_the_one_that_went(tmp_path: Path) -> None:
    write_tree(tmp_path / "tree", {f"m{n}.py": f"def f{n}(): f{n + 1}()\n" for n in range(30)})

    async def story(client: CodeClient) -> None:
        assert "def f3" in await client.text("repo_map")
        write_tree(tmp_path / "tree", {"new.py": "def fresh(): pass\n"})
        (tmp_path / "tree/m3.py").unlink()
        said = await client.text("repo_map", focus=["new.py"])
        assert "def fresh" in said
        assert "def f3" not in said

    ask(tmp_path / "tree", story)


def test_ranks_that_take_too_long_are_left_out_and_the_files_are_told_all_the_same(shop: Path) -> None:
    with index_of(shop) as index:
        index.refresh(job())
        with index.read() as db:
            late = Job(0)
            ranked = Ranks().of(db, late, index.keep)
            assert "shop/urls.py" in ranked.graph.paths
            assert len(ranked.ranks) == len(ranked.graph.files) > 5


def test_a_focus_that_is_no_name_is_told_in_few_printable_characters(tmp_path: Path) -> None:
    write_tree(tmp_path / "tree", {"a.py": "def f(): pass\n"})
    with index_of(tmp_path / "tree") as index:
        odd = ["\ud800", "x\n[evil]\x1b[31m", *("zz " * 1_300 for _ in range(18))]
        answer = repo_map(index, Ranks(), {"budget_tokens": 100, "focus": odd}, job())
        (note,) = [note for note in answer.structured["notes"] if note.startswith("nothing indexed")]
        assert note.isprintable()
        assert note.endswith("and 17 more")
        assert len(note) < 300


def test_a_definition_is_cut_by_bytes(tmp_path: Path) -> None:
    write_tree(tmp_path / "tree", {"a.py": "def f():\n    x = '" + "\u20ac" * 2_000 + "'\n"})
    with index_of(tmp_path / "tree", settings=settings_of(code={"max_reply_bytes": 1_000})) as index:
        (entry,) = read_symbol(index, {"name": "f"}, job()).structured["symbols"]
        assert entry["truncated"]
        assert len(entry["text"].encode()) <= 1_000


def test_a_file_called_as_a_suffix_is_read(tmp_path: Path) -> None:
    write_tree(tmp_path / "tree", {"bin": "#!/bin/sh\nfoo() { :; }\n", "x.bin": "foo() { :; }\n"})
    with index_of(tmp_path / "tree") as index:
        found = find_symbol(index, {"name": "foo"}, job()).structured["symbols"]
        assert [symbol["path"] for symbol in found] == ["bin"]


def test_a_map_after_a_start_has_the_ranks_that_the_server_before_computed(shop: Path) -> None:
    with index_of(shop) as index:
        before = repo_map(index, Ranks(), {"focus": ["Cart"]}, job())
    with index_of(shop) as index:
        index.refresh(job())
        with index.read() as db:
            stored = load(db)
            assert stored is not None
            assert stored.generation == generation(db)
            assert stored.graph == build_graph(db, job())
            assert stored.ranks == page_rank(stored.graph, job())
        assert repo_map(index, Ranks(), {"focus": ["Cart"]}, job()) == before


@pytest.mark.parametrize("damage", ["UPDATE computed SET value = x'0102'", "DELETE FROM computed WHERE part = 'used'",
                                    "UPDATE computed SET value = x'00000000' WHERE part = 'starts'"])  # fmt: skip
def test_stored_ranks_that_do_not_fit_together_are_computed_again(shop: Path, damage: str) -> None:
    with index_of(shop) as index:
        before = repo_map(index, Ranks(), {}, job())
        (file,) = (shop.parent / "code-state").glob("*.sqlite3")
        with contextlib.closing(sqlite3.connect(file)) as db, db:
            db.execute(damage)
        assert repo_map(index, Ranks(), {}, job()) == before
        with index.read() as db:
            assert load(db) is not None
