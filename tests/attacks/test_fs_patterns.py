"""Globs, regular expressions and ignore files made to hang the server or to look outside."""

from __future__ import annotations

from pathlib import Path

import anyio
import pytest

from tests.attacks.fs_fortress import Fortress
from tests.fs.helpers import write_tree

pytestmark = pytest.mark.anyio

GLOBS = [
    "../*",
    "../**",
    "/etc/*",
    "dirlink/**",
    "{src,../outside}/*",
    "src/../../outside/*",
    "**/" * 12 + "x",
    "{a,b}" * 20,
    "{" * 400 + "}" * 400,
    "*a" * 60,
    "@(a|b)+(c)!(d)",
    "[" * 50,
    "?" * 200_000,
    "{1..99999999}",
    "[!" + "a" * 900,
    "\\",
    "!",
    " ",
]
REGEXES = [
    r"(a+)+$",
    r"(a|a)*$",
    r"(.*)*",
    r"(a{1,1000}){1,1000}",
    "(" * 10_000,
    "x" * 1_000_000,
    r"(a)\1",
    r"(?<=TOKEN)_",
    r"(.*.*.*.*.*.*.*.*)=$",
    r"(\w{1,60}\s){1,16}!",
    r"\pL" * 300,
    "[" * 100,
]


@pytest.mark.attack(
    "Patterns",
    "globs with `..` or links, nested and multiplied braces, hundreds of stars and brackets",
)
@pytest.mark.parametrize("glob", GLOBS, ids=lambda glob: ascii(glob)[:24])
async def test_no_glob_shows_outside_names_or_hangs(tmp_path: Path, glob: str) -> None:
    fortress = Fortress(tmp_path)
    (fortress.root / "dirlink").symlink_to("../outside")
    write_tree(fortress.root, {"a" * 200: "x", "deep/" * 20 + "f": "x"})
    with anyio.fail_after(60):
        async with fortress.attacked() as attacker:
            for arguments in ({"recursive": True}, {"totals": True}):
                answer = await attacker.call("list_files", glob=glob, **arguments)
                assert not [entry for entry in answer.get("entries", ()) if "secret" in entry["path"]]
            answer = await attacker.call("search_files", regex=".", glob=glob)
            assert not [file for file in answer.get("files", ()) if "secret" in file["path"]]


@pytest.mark.attack(
    "Patterns",
    "nested quantifiers, huge repeats, 10,000 parentheses, 1 MB of pattern, back-references",
)
@pytest.mark.parametrize("regex", REGEXES, ids=lambda regex: regex[:24])
async def test_no_regex_takes_exponential_time(tmp_path: Path, regex: str) -> None:
    fortress = Fortress(tmp_path)
    write_tree(fortress.root, {"evil.txt": "a" * 100_000 + "b\n" + "word " * 20_000 + "\n"})
    with anyio.fail_after(60):
        async with fortress.attacked() as attacker:
            await attacker.call("search_files", regex=regex)
            await attacker.call("search_files", regex=regex, output="counts", multiline=True)


@pytest.mark.attack(
    "Patterns",
    "ignore files with thousands of stars, invalid bytes, re-inclusion of denied files, an ignore file that "
    "is a link out",
)
async def test_hostile_ignore_files_cost_little_and_open_nothing(tmp_path: Path) -> None:
    fortress = Fortress(tmp_path)
    write_tree(
        fortress.root,
        {
            ".gitignore": "*a" * 80 + "b\n" + "".join(f"*{n}*x*y\n" for n in range(5_000)) + "!.env\n!../outside\n",
            ".ignore": "\0\xff[[[\n\\\n!*\n",
            ".env": "hidden",
            "a" * 200: "x",
        },
    )
    (fortress.root / "src" / ".gitignore").symlink_to("../../outside/secret.txt")
    with anyio.fail_after(60):
        async with fortress.attacked() as attacker:
            answer = await attacker.call("list_files", recursive=True)
    assert ".env" not in {entry["path"] for entry in answer["entries"]}


@pytest.mark.attack("Patterns", "a search that takes long, reads beside it")
async def test_other_calls_are_answered_while_a_slow_search_runs(tmp_path: Path) -> None:
    fortress = Fortress(tmp_path)
    write_tree(fortress.root, {f"big{n}.txt": "word word word\n" * 200_000 for n in range(4)})
    finished: list[str] = []

    with anyio.fail_after(60):
        async with fortress.attacked() as attacker, anyio.create_task_group() as group:

            async def search() -> None:
                await attacker.call("search_files", regex=r"(\w+\s){3}!", output="counts")
                finished.append("search")

            group.start_soon(search)
            for _ in range(10):
                await attacker.call("read_file", path="inside.txt")
            finished.append("reads")
    assert finished == ["reads", "search"]
