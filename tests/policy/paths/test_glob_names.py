"""Names are bytes: no line end, no odd encoding and no strange letter takes a file out of a rule's reach."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lg_policy.config.settings import PolicySettings
from lg_policy.errors import ConfigError, LgError
from lg_policy.paths.file_rules import FileRules
from lg_policy.paths.globs import GlobSet, fold
from lg_policy.paths.path_forms import spelled
from lg_policy.paths.root import Root

ODD = ["\n", "\r", "a\nb", "\udcff", "caf\udce9", "\ud800", "\u2028", "\x01", "x\x7f", " ", "\u202e", "e\u0301\n", "𐏿"]
NAMES = st.text(alphabet="aB.é\n\udcff\ud800\u2028 ", min_size=1, max_size=4).filter(
    lambda name: name not in (".", "..")
)
PATHS = st.lists(NAMES, min_size=1, max_size=4).map("/".join)
COMPONENTS = st.one_of(
    st.sampled_from(["*", "?", "*.b", "a*", "?a", "[ab]", "[!a]", "**", "*\n*", "\udcff", "é", "?\n", "."]),
    st.text(alphabet="abé\n\udcff", min_size=1, max_size=3),
)
PATTERNS = st.tuples(
    st.sampled_from(["", "/"]), st.lists(COMPONENTS, min_size=1, max_size=3), st.sampled_from(["", "/"])
).filter(lambda parts: bool("".join(map("".join, parts)).strip()))  # white space alone is refused as no pattern


def component_matches(pattern: str, name: str) -> bool:
    """One component of a pattern against one name, character by character."""
    if not pattern:
        return not name
    if pattern[0] == "*":
        return any(component_matches(pattern[1:], name[cut:]) for cut in range(len(name) + 1))
    if not name:
        return False
    if pattern[0] == "[" and "]" in pattern:
        members, _, rest = pattern[1:].partition("]")
        hit = name[0] not in members[1:] if members.startswith("!") else name[0] in members
        return hit and component_matches(rest, name[1:])
    return pattern[0] in ("?", name[0]) and component_matches(pattern[1:], name[1:])


def names_match(pattern: list[str], names: list[str]) -> bool:
    if not pattern:
        return not names
    if pattern[0] == "**":
        if len(pattern) == 1:
            return bool(names)
        return any(names_match(pattern[1:], names[cut:]) for cut in range(len(names) + 1))
    return bool(names) and component_matches(pattern[0], names[0]) and names_match(pattern[1:], names[1:])


def expected(anchor: str, components: list[str], end: str, path: str, is_dir: bool) -> bool:
    """What gitignore(5) says of a pattern, with the difference that only a leading slash anchors."""
    pattern, names = [fold(part) for part in components], fold(path).split("/")
    starts = [0] if anchor else range(len(names))
    return any(
        names_match(pattern, names[start:stop])
        for start in starts
        for stop in range(start + 1, len(names) + 1)
        if not end or stop < len(names) or is_dir
    )


@given(PATTERNS, PATHS, st.booleans())
def test_a_pattern_matches_what_an_independent_matcher_says(
    pattern: tuple[str, list[str], str], path: str, is_dir: bool
) -> None:
    anchor, components, end = pattern
    globs = GlobSet([anchor + "/".join(components) + end])
    wanted = expected(anchor, components, end, path, is_dir)
    assert globs.match(path, is_dir=is_dir) is wanted
    assert globs.matching([path + "/" * is_dir]) == ({0} if wanted else set())


@given(st.lists(st.tuples(PATHS, st.booleans()), max_size=8), PATTERNS)
def test_many_paths_at_once_are_judged_as_each_alone(
    paths: list[tuple[str, bool]], pattern: tuple[str, list[str], str]
) -> None:
    globs = GlobSet([pattern[0] + "/".join(pattern[1]) + pattern[2]])
    alone = {number for number, (path, is_dir) in enumerate(paths) if globs.match(path, is_dir=is_dir)}
    assert globs.matching([path + "/" * is_dir for path, is_dir in paths]) == alone


@pytest.mark.parametrize("odd", ODD, ids=ascii)
def test_what_is_closed_stays_closed_below_a_directory_of_any_name(odd: str) -> None:
    rules = FileRules.from_settings(PolicySettings())
    for path in (
        f"{odd}/.env",
        f"a/{odd}/b/.ssh/id",
        f"{odd}/x.pem",
        f".ssh/{odd}",
        f"{odd}/{odd}/.git/config",
        f"{odd}.pem",
    ):
        assert not rules.may_read(path)
        assert not rules.may_write(path)
        assert rules.unreadable(["ok", path, "fine"]) == {1}
        assert rules.why_not_read(path)
    assert not rules.may_write(f"{odd}/.git/hooks/{odd}")
    assert rules.may_read(f"{odd}/ok.txt")
    assert rules.prune(f"{odd}/.ssh")


def test_a_name_that_is_not_utf8_is_matched_by_its_bytes() -> None:
    name = os.fsdecode(b"caf\xe9.txt")
    assert GlobSet([name]).match(f"a/{name}")
    assert GlobSet(["caf?.txt"]).match(name)
    assert not GlobSet([name]).match("café.txt")
    assert not GlobSet(["café.txt"]).match(name)


def test_a_class_that_excludes_characters_matches_no_slash() -> None:
    assert not GlobSet(["/src[!x]y"]).match("src/y")
    assert GlobSet(["/src[!x]y"]).match("src-y")


def test_a_pattern_with_a_null_character_is_refused() -> None:
    with pytest.raises(ConfigError, match="null"):
        GlobSet(["a\0b"])


@given(st.text(alphabet=st.one_of(st.characters(), st.sampled_from("/.\n\0\udcff\ud800")), max_size=12))
def test_any_text_as_a_path_is_judged_without_a_crash(path: str) -> None:
    rules = FileRules.from_settings(PolicySettings())
    rules.may_read(path)
    rules.may_write(path)
    forms = spelled(path, "/tmp")
    assert forms is None or (".." not in forms.plain.split("/") and ".." not in forms.resolved.split("/"))


@given(st.text(alphabet=st.one_of(st.characters(), st.sampled_from("/.\n\0\udcff\ud800")), max_size=12))
def test_any_text_as_a_path_is_opened_or_refused_in_words(path: str) -> None:
    with Root(Path(__file__).parent) as root:
        try:
            root.open_file(path).close()
        except LgError as error:
            error.text().encode()


@pytest.mark.parametrize("method", ["openat2", "dir_fd"])
def test_a_root_whose_own_name_is_not_utf8_works_and_has_a_name_that_can_be_sent(tmp_path: Path, method: str) -> None:
    place = Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9\n"))
    place.mkdir()
    (place / "a.txt").write_text("a")
    (place / "l.txt").symlink_to("a.txt")
    with Root(place) as root:
        root.method = method if root.method == "openat2" else root.method
        assert root.name == "caf\\xe9\n"
        with root.open_file("l.txt") as opened:
            assert opened.rel == "a.txt"
