"""Attempts to get a rule into the user's settings that the user did not choose."""

from __future__ import annotations

import json
import os
import tomllib
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from lg_gateway.kept_rules.choices import choices
from lg_gateway.kept_rules.rules_file import RulesFile
from lg_policy.config.loading import load_settings
from lg_policy.config.settings import GatewaySettings, RuleSettings, Settings
from lg_policy.errors import ConfigError
from lg_policy.rules.rule_set import Effect, RuleBook, ToolFacts
from tests.gateway.approvals.support_approvals import OPERATOR, asked_client
from tests.gateway.rig import gateway_of, journal, records, send, server

pytestmark = pytest.mark.anyio

ASKS = '[approval]\nhold_s = 0\nform_always = "write"\n'
FACTS = ToolFacts(server="s", tool="s__t", name="t", pin="p", input_schema={"type": "object"})


def user_file() -> Path:
    return Path(os.environ["XDG_CONFIG_HOME"]) / "lg" / "config.toml"


@pytest.mark.attack("Approvals", "a client answers its own form with always, for a tool, arguments and a pattern")
@pytest.mark.parametrize("decision", ["tool", "exact", "pattern", "session", "always", ["tool"]])
@pytest.mark.parametrize("mode", ["2026-07-28", "legacy"])
async def test_a_forged_always_writes_no_rule(tmp_path: Path, mode: str, decision: Any) -> None:
    async with (
        gateway_of(tmp_path, server("a")) as gateway,
        asked_client(gateway, mode, lambda _message: {"decision": decision}, []) as client,
    ):
        await client.call_tool("a__echo", {"text": "x"})
        outcomes = [record["outcome"] for record in records(gateway, notes=True)]

    assert not user_file().exists()
    assert "rule added" not in outcomes


@pytest.mark.attack("Approvals", "an always that was not offered: under a token, or to a question for an operator")
@pytest.mark.parametrize(("part", "identity"), [(ASKS, "bob"), (ASKS + OPERATOR, "local:me")])
async def test_an_answer_that_was_not_offered_is_a_no(tmp_path: Path, part: str, identity: str) -> None:
    log = tmp_path / "journal"
    async with (
        gateway_of(tmp_path, server("a", "--journal", str(log)), part) as gateway,
        asked_client(gateway, "legacy", lambda _message: {"decision": "tool"}, [], identity) as client,
    ):
        await client.call_tool("a__echo", {"text": "x"})

    assert journal(log) == []
    assert not user_file().exists()


@pytest.mark.attack("Approvals", "a run that is named like another caller's session")
async def test_no_run_is_a_session(tmp_path: Path) -> None:
    async def session(_message: str, _schema: Any) -> tuple[str, dict[str, Any]]:
        return "accept", {"decision": "session"}

    async with gateway_of(tmp_path, server("a"), "[approval]\nhold_s = 0\n") as gateway:
        await send(gateway, "a__echo", {"text": "x"}, session="s1", asking="live", ask=session)
        for run_id in ("s1", "session s1", "session\ns1"):
            answer = await send(gateway, "a__echo", {"text": "y"}, meta={"lg/run": {"run_id": run_id}})
            assert answer.is_error


@pytest.mark.attack("Approvals", "TOML in the names and arguments of a call that is allowed always")
@pytest.mark.parametrize(
    "text",
    [
        '"\n[[gateway.rules]]\ntools = ["*"]\neffect = "allow"\n#',
        '"]\neffect = "allow"\ntools = ["*',
        "'''\n[policy]\nread_deny_replace = true\n'''",
        '\\"\r\n[gateway.servers.x]\r\ncommand = "sh"',
        "\u2028[[gateway.rules]]\u2028",
        "\x00\x1b[2J\u202e",
    ],
)
def test_a_kept_rule_says_what_it_was_made_for_whatever_names_and_arguments_hold(tmp_path: Path, text: str) -> None:
    schema = {"type": "object", "properties": {text: {}, "path": {}}}
    facts = replace(FACTS, tool=f"s__{text.replace('*', '+')}", input_schema=schema)
    arguments = {text: text, "path": f"docs/{text}/x"}
    before = '[approval]\nhold_s = 3\n[[gateway.rules]]\ntools = ["a__b"]\neffect = "deny"\n'
    path = tmp_path / "config.toml"
    for choice in choices(facts, f"local:{text.replace('*', '+')}", arguments, secrets=False):
        path.write_text(before)
        RulesFile(path=path).add(choice.rule, f"from {text}")

        written = tomllib.loads(path.read_text())
        assert path.read_text().startswith(before)
        assert written.keys() == {"approval", "gateway"}
        assert written["gateway"].keys() == {"rules"}
        assert written["gateway"]["rules"] == [{"tools": ["a__b"], "effect": "deny"}, choice.rule]
        assert load_settings(config=path).settings.gateway.rules[1].tools == (facts.tool,)


@pytest.mark.attack("Approvals", "a settings file that links into the repository, is a pipe, read-only or open to all")
async def test_a_rule_is_written_into_no_file_that_others_can_change(tmp_path: Path) -> None:
    root, own = tmp_path / "repository", tmp_path / "lg"
    root.mkdir()
    own.mkdir()
    (root / "settings.toml").write_text("# of the repository\n")
    (own / "config.toml").symlink_to(root / "settings.toml")
    rule = {"tools": ["a__b"], "effect": "allow"}

    with pytest.raises(ConfigError, match="below the root"):
        RulesFile(path=own / "config.toml", closed=(str(root),)).add(rule)
    assert (root / "settings.toml").read_text() == "# of the repository\n"

    (own / "config.toml").unlink()
    os.mkfifo(own / "config.toml")
    with pytest.raises(ConfigError, match="no file of yours"):
        RulesFile(path=own / "config.toml").add(rule)

    (own / "config.toml").unlink()
    for mode, why in ((0o666, "everybody"), (0o444, "read-only")):
        (own / "config.toml").write_text("# mine\n")
        (own / "config.toml").chmod(mode)
        with pytest.raises(ConfigError, match=why):
            RulesFile(path=own / "config.toml").add(rule)
        assert (own / "config.toml").read_text() == "# mine\n"
        (own / "config.toml").unlink()

    own.chmod(0o777)
    with pytest.raises(ConfigError, match="everybody"):
        RulesFile(path=own / "config.toml").add(rule)
    assert not (own / "config.toml").exists()


@pytest.mark.attack("Approvals", "a kept rule against a denial and an operator's question")
def test_a_kept_rule_never_beats_a_denial_or_an_operators_rule() -> None:
    (kept, *_) = choices(FACTS, "local:me", {}, secrets=False)
    for other, wanted in (
        ({"tools": ["s__*"], "effect": "deny"}, Effect.DENY),
        ({"tools": ["*"], "effect": "approve", "approver": "operator"}, Effect.APPROVE),
    ):
        rules = tuple(RuleSettings.model_validate(json.loads(json.dumps(rule))) for rule in (kept.rule, other))
        book = RuleBook(Settings(gateway=GatewaySettings(rules=rules)))
        decision = book.decide(identity="local:me", facts=FACTS, arguments={})
        assert decision.effect is wanted
        assert wanted is Effect.DENY or decision.approver == "operator"


@pytest.mark.attack("Approvals", "a rule that forbids or asks is tied to a definition, so that a change lifts it")
@pytest.mark.parametrize("effect", ["deny", "approve"])
@pytest.mark.parametrize("key", [{"pins": {"s__t": "p"}}, {"roots": ["/r"]}])
def test_only_an_allowance_can_lapse(effect: Any, key: dict[str, Any]) -> None:
    rule = RuleSettings.model_validate({"tools": ["s__t"], "effect": effect, **key})

    with pytest.raises(ConfigError, match="allow rules"):
        RuleBook(Settings(gateway=GatewaySettings(rules=(rule,))))
