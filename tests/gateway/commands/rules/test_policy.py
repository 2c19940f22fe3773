"""Decisions explained and tested, exports verified elsewhere."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.gateway.commands.support_commands import run
from tests.gateway.rig import ALLOW_ALL, server, write_config

pytestmark = pytest.mark.usefixtures("programs_by_fork")

DENY = (
    '[[gateway.rules]]\ntools = ["a__echo"]\neffect = "deny"\nreason = "no secrets"\n'
    'when = { properties = { text = { pattern = "(a+)+secret" } } }\n'
)


def test_explain_says_which_rule_decided_and_what_else_would_stop_the_call(tmp_path: Path) -> None:
    config = write_config(tmp_path, server("a"), ALLOW_ALL, DENY)
    where = ("--config", str(config))
    denied = run("policy", "explain", "a__echo", "--args", '{"text": "aaaasecret"}', *where)
    write_config(tmp_path, server("a", "--exit", "1"), ALLOW_ALL, DENY)  # from here on its pins must do
    allowed = run("policy", "explain", "a__echo", "--args", '{"text": "x"}', *where)
    unfit = run("policy", "explain", "a__echo", "--args", '{"txt": "x"}', *where)
    unknown = run("policy", "explain", "a__nothing", *where)

    assert denied.stdout.startswith("deny: no secrets\ndecided by gateway.rules[1]")
    assert "starting the server a: there is no accepted definition of a__echo" in denied.stderr
    assert allowed.stdout.startswith("allow:")
    assert allowed.stdout.endswith("judged by the accepted definition; the server a was not started\n")
    assert allowed.stderr == ""
    assert "the arguments would be refused first: " in unfit.stdout
    assert "(arguments: count?, text)" in unfit.stdout
    assert unknown.returncode == 2


def test_a_table_of_decisions_holds_or_names_what_does_not(tmp_path: Path) -> None:
    config = write_config(tmp_path, server("a"), ALLOW_ALL, DENY)
    good = '[[case]]\ntool = "a__echo"\nargs = { text = "asecret" }\neffect = "deny"\nrule = "gateway.rules[1]"\n'
    bad = '[[case]]\ntool = "a__echo"\nargs = { text = "fine" }\neffect = "approve"\n'
    table = tmp_path / "cases.toml"
    table.write_text(good)
    holds = run("policy", "test", str(table), "--config", str(config))
    table.write_text(good + bad)
    fails = run("policy", "test", str(table), "--config", str(config))
    table.write_text("[[case]]\ntool = 1\n")
    wrong = run("policy", "test", str(table), "--config", str(config))

    assert (holds.returncode, fails.returncode, wrong.returncode) == (0, 1, 2)
    assert "1 of 1" in holds.stdout
    assert 'a__echo {"text": "fine"}' in fails.stderr


def test_an_export_is_verified_against_a_head_that_was_anchored(tmp_path: Path) -> None:
    config = write_config(tmp_path, server("a"), ALLOW_ALL)
    where = ("--config", str(config))
    run("call", "a__echo", '{"text": "one"}', *where)
    anchored = run("audit", "head", *where).stdout.strip()
    run("call", "a__echo", '{"text": "two"}', *where)
    export = tmp_path / "export.jsonl"
    export.write_text(run("audit", "export", *where).stdout)

    assert run("audit", "verify", "--export", str(export), "--head", anchored).returncode == 0
    lines = export.read_text().splitlines()
    export.write_text("\n".join(lines[-2:]))
    assert run("audit", "verify", "--export", str(export)).returncode == 1
    export.write_text("\n".join(lines))
    forged = json.dumps(json.loads(anchored) | {"hash": "0" * 64})
    assert run("audit", "verify", "--export", str(export), "--head", forged).returncode == 1


def test_explain_names_every_rule_about_the_tool_with_its_file_and_line(tmp_path: Path) -> None:
    config = write_config(tmp_path, server("a"), ALLOW_ALL, DENY)
    told = json.loads(
        run("policy", "explain", "a__echo", "--args", '{"text": "x"}', "--json", "--config", str(config)).stdout
    )
    lines = [n for n, line in enumerate(config.read_text().splitlines(), 1) if line == "[[gateway.rules]]"]
    assert (told["effect"], told["place"]) == ("allow", f"{config}:{lines[0]}")
    assert [(rule["matches"], rule["place"]) for rule in told["rules"]] == [
        (True, f"{config}:{lines[0]}"),
        (False, f"{config}:{lines[1]}"),
    ]
    assert "'x' does not match '(a+)+secret'" in told["rules"][1]["why"]


def test_a_rule_that_can_never_match_fails_the_table_with_its_place(tmp_path: Path) -> None:
    never = (
        '[[gateway.rules]]\ntools = ["a__echo"]\neffect = "allow"\nwhen = { properties = { txt = { const = "x" } } }\n'
    )
    config = write_config(tmp_path, server("a"), never)
    table = tmp_path / "cases.toml"
    table.write_text(
        '[[case]]\ntool = "a__echo"\nargs = { txt = "x" }\neffect = "approve"\n'
        '[[case]]\ntool = "a__ecko"\neffect = "deny"\n'
    )
    done = run("policy", "test", str(table), "--config", str(config))
    assert done.returncode == 1
    assert "1 of 2" in done.stdout
    assert "case 2: a__ecko {} by" in done.stderr
    line = config.read_text().splitlines().index("[[gateway.rules]]") + 1
    assert f"gateway.rules[0] ({config}:{line}): for a__echo: the tool has no argument 'txt'" in done.stderr
