"""One place below a root, and the many ways to write its name."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from lg_policy.paths.path_forms import Spelled, spelled
from lg_policy.rules.rule_set import Effect, RuleBook, ToolFacts
from tests.policy.rules.support_rules import PATCH, book

PATHS = {"type": "array", "items": {"type": "string", "format": "lg-path"}}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "root"
    (root / "secret").mkdir(parents=True)
    (root / "docs").mkdir()
    (root / "way").symlink_to("secret")
    (root / "docs" / "in").symlink_to("../secret")
    (root / "out").symlink_to("/etc")
    (root / "loop").symlink_to("loop")
    (tmp_path / "alias").symlink_to(root)
    return root


@pytest.mark.parametrize(
    ("path", "plain", "resolved"),
    [
        ("./a//b/", "a/b", "a/b"),
        ("{root}/secret/a", "secret/a", "secret/a"),
        ("{root}//./secret/a", "secret/a", "secret/a"),
        ("{root}", "", ""),
        ("way/a", "way/a", "secret/a"),
        ("{root}/way/a", "way/a", "secret/a"),
        ("docs/in/new/file", "docs/in/new/file", "secret/new/file"),
        ("out/passwd", "out/passwd", "out/passwd"),
        ("/etc/passwd", "/etc/passwd", "/etc/passwd"),
        ("loop/a", "loop/a", "loop/a"),
        ("{root}s/a", "{root}s/a", "{root}s/a"),
    ],
)
def test_a_path_has_one_plain_form_and_one_with_its_links_followed(
    root: Path, path: str, plain: str, resolved: str
) -> None:
    forms = spelled(path.format(root=root), str(root))
    assert forms == Spelled(plain.format(root=root), resolved.format(root=root))


def test_the_root_may_be_named_by_a_link_to_it(root: Path) -> None:
    alias = root.parent / "alias"
    assert spelled(f"{alias}/way/a", str(alias)) == Spelled("way/a", "secret/a")
    assert spelled(f"{root}/way/a", str(alias)) == Spelled("way/a", "secret/a")


def test_dots_up_have_no_form_and_without_a_root_links_are_not_followed() -> None:
    assert spelled("a/../b", None) is None
    assert spelled("./a//b", None) == Spelled("a/b", "a/b")


def test_what_is_no_path_is_judged_as_it_is_beside_one(root: Path) -> None:
    facts = replace(PATCH, root=str(root))
    dry = {"tools": ["*"], "when": {"properties": {"dry_run": {"const": True}}, "required": ["dry_run"]}}
    denied = book({**dry, "effect": "deny"}, {"tools": ["*"], "effect": "allow"})
    allowed = book({**dry, "effect": "allow"})
    for dry_run, expected in ((True, [Effect.DENY, Effect.ALLOW]), (False, [Effect.ALLOW, Effect.APPROVE])):
        arguments = {"path": f"{root}/a", "dry_run": dry_run}
        decided = [rules.decide(identity="me", facts=facts, arguments=arguments) for rules in (denied, allowed)]
        assert [decision.effect for decision in decided] == expected


def test_denials_and_questions_hit_any_spelling_and_allowances_need_every_one(root: Path) -> None:
    facts = ToolFacts(server="fs", tool="fs__apply_patch", trusted=True, builtin="fs", root=str(root),
                      input_schema=PATCH.input_schema)  # fmt: skip

    def decided(rules: RuleBook, path: str) -> Effect:
        return rules.decide(identity="me", facts=facts, arguments={"path": path}).effect

    on_secret = {"tools": ["*"], "when": {"properties": {"path": {"pattern": "^secret/"}}, "required": ["path"]}}
    allowed = {"tools": ["*"], "effect": "allow"}
    for effect in ("deny", "approve"):
        rules = book({**on_secret, "effect": effect}, allowed)
        for path in ("secret/a", f"{root}/secret/a", "way/a", f"{root}/./way/a", "docs/in/a"):
            assert decided(rules, path) == effect, path
        assert decided(rules, "docs/a") is Effect.ALLOW
    docs = book({"tools": ["*"], "when": {"properties": {"path": {"pattern": "^docs/"}}}, "effect": "allow"})
    assert decided(docs, f"{root}/docs/a") is Effect.ALLOW
    assert decided(docs, "docs/in/a") is Effect.APPROVE
    why = docs.views(identity="me", facts=facts, arguments={"path": "docs/in/a"})[0].why
    assert "'secret/a' does not match '^docs/'" in why
