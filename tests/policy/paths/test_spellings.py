"""Spellings of one file: addresses, normal forms and kinds of spaces, the same for rules as for the server."""

from __future__ import annotations

import unicodedata
from pathlib import Path

import pytest

from lg_policy.paths.path_forms import Spelled, spelled
from lg_policy.paths.spellings import common_form, spelled_on_disk, without_scheme


@pytest.mark.parametrize(
    ("path", "plain"),
    [
        ("a/b.txt", "a/b.txt"),
        ("file:///a/b%20c.txt", "/a/b c.txt"),
        ("FILE://localhost/a", "/a"),
        ("file://elsewhere/a", None),
        ("file:///a?b", None),
        ("file://[bad", None),
        ("file:a", "file:a"),
        ("file:///caf%E9", "/caf\udce9"),
    ],
)
def test_an_address_becomes_the_path_in_it(path: str, plain: str | None) -> None:
    assert without_scheme(path) == plain


def test_only_one_equal_entry_is_taken_and_an_exact_one_always_wins() -> None:
    composed, decomposed = "B\u00fccher", "Bu\u0308cher"
    tree = {"": [decomposed], decomposed: ["Shot at 1.00\u202fPM.txt", "x"]}
    assert spelled_on_disk(f"{composed}/Shot at 1.00 PM.txt", tree.get) == f"{decomposed}/Shot at 1.00\u202fPM.txt"
    assert spelled_on_disk(composed, {"": [composed, decomposed]}.get) == composed
    assert spelled_on_disk("a b", {"": ["a\u00a0b", "a\u202fb"]}.get) == "a b"
    assert spelled_on_disk(f"none/{composed}", tree.get) == f"none/{composed}"


def test_rules_see_the_name_that_the_server_opens(tmp_path: Path) -> None:
    decomposed = "Bu\u0308cher"
    (tmp_path / decomposed).mkdir()
    (tmp_path / decomposed / "a\u202fb.txt").touch()
    root = str(tmp_path)
    form = spelled("B\u00fccher/a b.txt", root)
    assert form == Spelled("B\u00fccher/a b.txt", f"{decomposed}/a\u202fb.txt")
    assert spelled("file:///src/a.py", root) == Spelled("src/a.py", "src/a.py")
    assert spelled(f"file://{root}/src/a.py", root) == Spelled("src/a.py", "src/a.py")
    assert spelled("file:///src/%2e%2e/a.py", root) is None


def test_every_space_of_unicode_counts_as_a_plain_one_and_nothing_beside_them_does() -> None:
    spaces = {chr(code) for code in range(0x80, 0x10000) if unicodedata.category(chr(code)) == "Zs"} - {"\u1680"}
    assert {common_form(f"a{space}b") for space in spaces} == {"a b"}
    for beside in ("\u009f", "\u00a1", "\u1fff", "\u200b", "\u202e", "\u2030", "\u205e", "\u2060", "\u2fff", "\u3001"):
        assert common_form(f"a{beside}b") == f"a{beside}b"


def test_a_path_that_leads_nowhere_stays_and_no_directory_is_listed_below_what_is_none() -> None:
    listed: list[str] = []

    def names_in(directory: str) -> list[str] | None:
        listed.append(directory)
        return None

    assert spelled_on_disk("a b/c d/e f", names_in) == "a b/c d/e f"
    assert listed == [""]
