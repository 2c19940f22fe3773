"""Hostile files against `lg-code`: what they may not tell, and what they may not cost the others."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import anyio
import pytest

from lg_policy.config.settings import Settings
from tests.code.helpers import CodeClient, code_client, text_of
from tests.fs.helpers import write_tree

GOOD = {"good.py": "def good():\n    return helper()\n"}
TOOLS: dict[str, dict[str, Any]] = {
    "repo_map": {},
    "find_symbol": {"name": "canary"},
    "references": {"name": "canary"},
    "tests_for": {"path": "good.py"},
}


def ask(root: Path, story: Callable[[CodeClient], Awaitable[None]], **sections: Any) -> None:
    async def run() -> None:
        async with code_client(root, settings=Settings.model_validate(sections)) as client:
            await story(client)

    anyio.run(run)


@pytest.mark.attack(
    "hidden files", "a name that only files behind read_deny define, use or import, asked of every tool"
)
def test_no_answer_tells_what_a_hidden_file_defines(tmp_path: Path) -> None:
    write_tree(
        tmp_path / "tree",
        {
            **GOOD,
            ".env": "canary_token=1\n",
            "secrets/canary.py": "def canary_function(): pass\nclass CanaryClass: pass\n",
            "tests/secrets/test_good.py": "from good import good\ndef test_canary(): good()\n",
        },
    )
    (tmp_path / "tree/link.py").symlink_to("secrets/canary.py")

    async def story(client: CodeClient) -> None:
        for tool, given in TOOLS.items():
            said = await client.text(tool, **given)
            assert "canary_" not in said.lower()
            assert "secrets" not in said
        for name in ("canary_function", "CanaryClass", "canary_token"):
            answer = await client.ok("find_symbol", name=name)
            assert answer["symbols"] == []
            assert not any("similar" in note or "use the name" in note for note in answer["notes"])
        for path in ("secrets/canary.py", "link.py", ".env"):
            for tool in ("outline", "tests_for"):
                assert (await client.refused(tool, path=path))["code"] == "policy_denied"

    ask(tmp_path / "tree", story, policy={"read_deny": ["secrets/", ".env"]})


@pytest.mark.attack("hidden files", "a file that was indexed and is moved behind read_deny, or turned into a link out")
def test_a_file_that_is_hidden_or_linked_out_after_it_was_indexed_is_told_no_more(tmp_path: Path) -> None:
    root = tmp_path / "tree"
    write_tree(root, {**GOOD, "a.py": "def canary(): pass\n", "b.py": "def canary_too(): pass\n"})
    write_tree(tmp_path, {"outside.py": "def canary_outside(): pass\n"})

    async def story(client: CodeClient) -> None:
        assert (await client.ok("find_symbol", name="canary"))["total"] > 0
        (root / "secrets").mkdir()
        (root / "a.py").rename(root / "secrets/a.py")
        (root / "b.py").unlink()
        (root / "b.py").symlink_to(tmp_path / "outside.py")
        for name in ("canary", "canary_too", "canary_outside"):
            assert (await client.ok("find_symbol", name=name))["symbols"] == []
            assert (await client.ok("references", name=name))["references"] == []
        assert (await client.refused("outline", path="b.py"))["code"] == "policy_denied"

    ask(root, story, policy={"read_deny": ["secrets/"]})


@pytest.mark.attack("paths", "`..`, absolute paths and links out of the root as path, paths and focus")
def test_paths_out_of_the_root_are_refused(tmp_path: Path) -> None:
    write_tree(tmp_path, {"outside/canary.py": "def canary(): pass\n"})
    write_tree(tmp_path / "tree", GOOD)
    (tmp_path / "tree/out").symlink_to(tmp_path / "outside")

    async def story(client: CodeClient) -> None:
        for path in ("../outside/canary.py", str(tmp_path / "outside/canary.py"), "out/canary.py", "/etc/passwd"):
            for tool in ("outline", "tests_for"):
                assert (await client.refused(tool, path=path))["code"] in ("policy_denied", "not_found")
            assert (await client.refused("find_symbol", name="canary", paths=[path]))["code"] in (
                "policy_denied",
                "invalid_arguments",
            )
            assert "canary" not in (await client.text("repo_map", focus=[path])).replace(path, "")

    ask(tmp_path / "tree", story)


@pytest.mark.attack("special files", "FIFO, socket, device, directory named like a file, sparse file, empty file")
def test_special_files_hold_up_nothing(tmp_path: Path) -> None:
    root = tmp_path / "tree"
    write_tree(root, {**GOOD, "dir.py/inner.py": "def inner(): pass\n", "empty.py": ""})
    os.mkfifo(root / "fifo.py")
    with (root / "sparse.py").open("wb") as file:
        file.truncate(8 << 30)

    async def story(client: CodeClient) -> None:
        assert (await client.ok("find_symbol", name="good"))["total"] == 1
        assert (await client.ok("find_symbol", name="inner"))["total"] == 1
        assert (await client.refused("outline", path="fifo.py"))["code"] == "invalid_arguments"
        assert (await client.refused("outline", path="sparse.py"))["code"] == "invalid_arguments"
        assert (await client.ok("outline", path="empty.py"))["total"] == 0

    ask(root, story)


@pytest.mark.attack("parser", "files that take the parser seconds, all memory or its stack, beside a good one")
def test_files_that_end_the_parser_are_named_and_cost_the_others_nothing(tmp_path: Path) -> None:
    root = tmp_path / "tree"
    write_tree(
        root,
        {
            **GOOD,
            "slow.java": "class Slow {}\n" + "a<" * 24_000,
            "big.py": "def big(): pass\n" + "x = [(\n" * 130_000,
            "deep.js": "function deep() {}\n" + "[" * 100_000,
        },
    )

    async def story(client: CodeClient) -> None:
        answer = await client.ok("find_symbol", name="good")
        assert answer["total"] == 1
        assert any("read line by line" in note and "slow.java" in note for note in answer["notes"])
        for name in ("Slow", "big", "deep"):
            assert (await client.ok("find_symbol", name=name))["total"] == 1
        assert "read line by line: " in (await client.ok("outline", path="slow.java"))["notes"][0]
        assert (await client.ok("find_symbol", name="good"))["total"] == 1

    ask(root, story, code={"parser_cpu_s": 0.5, "parser_memory_mb": 150})


@pytest.mark.attack(
    "contents", "lines of megabytes, NUL, UTF-16, Latin-1, carriage returns, no end of line, minified code"
)
def test_odd_contents_are_read_or_named(tmp_path: Path) -> None:
    root = tmp_path / "tree"
    write_tree(
        root,
        {
            **GOOD,
            "line.js": "function first() {}\n" + "var x=1;" * 1_300_000,
            "nul.py": b"def hidden(): pass\n\0\0\0",
            "wide.py": "def wide(): pass\n".encode("utf-16"),
            "latin.py": "# caf\xe9\ndef latin(): pass\n".encode("latin-1"),
            "mac.py": b"def one(): pass\rdef two(): pass",
            "mark.py": b"\xef\xbb\xbfdef marked(): pass",
        },
    )

    async def story(client: CodeClient) -> None:
        for name in ("first", "wide", "latin", "marked"):
            assert (await client.ok("find_symbol", name=name))["total"] == 1, name
        assert (await client.refused("outline", path="nul.py"))["message"].endswith("not text")
        assert "larger than parse_max_bytes" in (await client.ok("outline", path="line.js"))["notes"][0]
        assert (await client.ok("find_symbol", name="hidden"))["total"] == 0
        said = await client.call("references", name="x")
        assert len(text_of(said)) < 100_000

    ask(root, story)


@pytest.mark.attack("names", "file names with control characters, bytes that are not UTF-8, 250 bytes, leading dashes")
def test_odd_file_names_are_shown_safely_or_left_out(tmp_path: Path) -> None:
    root = tmp_path / "tree"
    write_tree(root, {**GOOD, "-rf.py": "def dashed(): pass\n", f"{'n' * 240}.py": "def long(): pass\n"})
    odd = os.fsencode(root)
    for name in (b"bad\xff.py", b"line\nbreak.py", b"escape\x1b[31m.py"):
        with open(os.path.join(odd, name), "wb") as file:
            file.write(b"def odd(): pass\n")

    async def story(client: CodeClient) -> None:
        assert (await client.ok("find_symbol", name="dashed"))["total"] == 1
        assert (await client.ok("find_symbol", name="long"))["total"] == 1
        assert (await client.ok("find_symbol", name="odd"))["total"] == 0
        said = await client.text("repo_map")
        assert "\x1b" not in said
        assert "break.py" not in said

    ask(root, story)


@pytest.mark.attack("arguments", "names with wildcards of SQL, regular expressions, 500 characters, control characters")
def test_odd_names_find_nothing_and_break_nothing(tmp_path: Path) -> None:
    write_tree(tmp_path / "tree", GOOD)

    async def story(client: CodeClient) -> None:
        for name in (
            "%",
            "_",
            "g__d",
            "'; DROP TABLE files; --",
            "(a+)+$",
            "\\",
            "::",
            ".",
            "x" * 500,
            "\x00",
            "good\n",
            "\ud800",
        ):
            for tool in ("find_symbol", "references"):
                result = await client.call(tool, name=name)
                assert result.structured_content is not None
                if name.strip() != "good":
                    assert not result.structured_content.get("symbols")
                    assert not result.structured_content.get("references")
        assert (await client.ok("find_symbol", name="good"))["total"] == 1

    ask(tmp_path / "tree", story)


@pytest.mark.attack("flood", "a name that every file uses, thousands of definitions of one name, 100 deep directories")
def test_a_name_that_is_everywhere_is_answered_within_the_limits(tmp_path: Path) -> None:
    root = tmp_path / "tree"
    write_tree(root, {f"m{n}.py": "def everywhere():\n    everywhere()\n" * 5 for n in range(200)})
    write_tree(root, {f"{'d/' * 90}m.py": "def deep(): pass\n"})

    async def story(client: CodeClient) -> None:
        answer = await client.ok("references", name="everywhere")
        assert len(answer["references"]) == 100
        assert answer["total_files"] == 200
        assert any("more files use the name" in note for note in answer["notes"])
        found = await client.ok("find_symbol", name="everywhere")
        assert (len(found["symbols"]), found["total"]) == (20, 1_000)
        assert (await client.ok("find_symbol", name="deep"))["total"] == 1

    ask(root, story)
