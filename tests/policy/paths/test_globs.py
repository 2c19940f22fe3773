"""Gitignore-style patterns: any depth, case-folded, deny wins."""

from __future__ import annotations

import pytest

from lg_policy.config.settings import PolicySettings
from lg_policy.errors import ConfigError
from lg_policy.paths.file_rules import FileRules
from lg_policy.paths.globs import GlobSet


@pytest.mark.parametrize(
    ("pattern", "path", "is_dir", "expected"),
    [
        (".env", ".env", False, True),
        (".env", "a/b/.ENV", False, True),
        (".env", ".envrc", False, False),
        (".env.*", ".env.local", False, True),
        ("*.pem", "keys/x.Pem", False, True),
        ("id_*", ".ssh/id_rsa", False, True),
        (".ssh/", ".ssh", True, True),
        (".ssh/", ".ssh", False, False),
        (".ssh/", "home/.ssh/config", False, True),
        (".git/config", ".git/config", False, True),
        (".git/config", "sub/.git/config", False, True),
        (".git", ".git/hooks/x", False, True),
        (".git", ".gitignore", False, False),
        ("/build", "build/x", False, True),
        ("/build", "src/build/x", False, False),
        ("src/**", "src/a/b.py", False, True),
        ("**", "anything", False, True),
        ("docs/**/x.md", "docs/a/b/x.md", False, True),
        ("straße", "STRASSE", False, True),
        ("cafe\u0301", "caf\u00e9", False, True),
        ("a?c", "abc", False, True),
        ("[ab].py", "b.py", False, True),
    ],
)
def test_pattern(pattern: str, path: str, is_dir: bool, expected: bool) -> None:
    assert GlobSet([pattern]).match(path, is_dir=is_dir) is expected


def test_the_root_itself_matches_no_pattern() -> None:
    assert not GlobSet(["*.py"]).match("", is_dir=True)


@pytest.mark.parametrize("pattern", ["!x", "", "# comment", "   "])
def test_a_pattern_that_cannot_mean_anything_is_refused(pattern: str) -> None:
    with pytest.raises(ConfigError):
        GlobSet([pattern])


@pytest.mark.parametrize(
    ("pattern", "words"),
    [
        ("a\\", "pattern 'a\\\\' is not a valid glob"),
        ("\\", "is not a valid glob"),
        ("[z-a]", "do not compile"),
        ("[a", "matches nothing"),
        ("/", "matches nothing"),
        ("a\0b", "null character"),
    ],
)
def test_a_pattern_that_is_no_glob_is_refused_and_named(pattern: str, words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        GlobSet(["fine", pattern])
    assert words in caught.value.message
    assert repr(pattern) in caught.value.message


def test_deny_wins_and_unreadable_is_unwritable() -> None:
    rules = FileRules.from_settings(PolicySettings(), extra_deny=["/artifacts/runs/"])
    assert rules.may_read("src/a.py")
    assert rules.may_write("src/a.py")
    assert not rules.may_read(".env")
    assert not rules.may_write(".env")
    assert rules.may_read(".git/HEAD")
    assert not rules.may_write(".git/HEAD")
    assert not rules.may_write("sub/.GIT/hooks/pre-commit")
    assert not rules.may_write("a/package-lock.json")
    assert rules.prune(".ssh")
    assert not rules.prune(".git")
    assert not rules.may_read("artifacts/runs/run-1.json")


@pytest.mark.parametrize("allow", [("**",), ("*",), ("src/**",), ("src/**", "*.md"), ("nothing",)])
@pytest.mark.parametrize("deny", [(), (".env", "*.pem"), ("src/",)])
def test_many_names_are_judged_as_each_alone(allow: tuple[str, ...], deny: tuple[str, ...]) -> None:
    rules = FileRules(read_allow=allow, read_deny=deny, write_allow=("**",), write_deny=())
    names = ["src/a.py", "src/.env", "doc/x.md", "doc/x.txt", "src/", "doc/", "a.pem", "d\udcff/\n.env", "sub/src/b"]
    alone = {n for n, name in enumerate(names) if not rules.may_read(name.rstrip("/"), is_dir=name.endswith("/"))}
    assert rules.unreadable(names) == alone
    assert rules.unreadable([]) == set()


def test_a_refusal_names_its_rule() -> None:
    rules = FileRules.from_settings(PolicySettings(read_allow=("src/**",)))
    assert rules.why_not_read("src/.env") == "read_deny pattern '.env'"
    assert rules.why_not_read("doc/x") == "no read_allow pattern matches"
    assert rules.why_not_read("src/x") is None
    assert rules.why_not_write("src/.git/x") == "write_deny pattern '.git'"
    assert rules.why_not_write("src/x") is None


def test_matching_a_long_hostile_name_against_nested_wildcards_stays_linear() -> None:
    assert not GlobSet(["*a" * 60 + "b"]).match("a" * 200)
