"""What `lg-gateway doctor` names as the next step."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from lg_gateway.commands.serving.doctor_setup import Finding, next_step
from tests.gateway.commands.support_commands import run
from tests.gateway.rig import server, write_config

pytestmark = pytest.mark.usefixtures("programs_by_fork")

BETTER = Finding(what="github", text="runs with all your rights; to confine it: sandbox = {}")
DOWN = Finding(what="time", text="restarting: exited with status 1", bad=True)
HALTED = Finding(what="halted", text="all calls are stopped", bad=True, then="run `lg-gateway continue`")


def test_what_is_wrong_comes_before_what_could_be_better() -> None:
    assert next_step([BETTER, DOWN]).startswith("time: ")
    assert next_step([BETTER, DOWN, HALTED]) == "halted: run `lg-gateway continue`"
    assert next_step([BETTER]) == "github: to confine it: sandbox = {}"


def test_all_that_is_wrong_is_named_when_nothing_says_what_to_do() -> None:
    fetch = Finding(what="fetch", text="down: exited with status 2", bad=True)
    assert next_step([BETTER, DOWN, fetch, DOWN]).startswith("time, fetch: ")


RULE = '[[gateway.rules]]\ntools = ["a__echo"]\neffect = "allow"\n'


@pytest.mark.usefixtures("programs_by_fork")
def test_before_the_first_call_no_rule_has_missed_one_and_callers_over_http_need_a_token(tmp_path: Path) -> None:
    over_http = '[gateway.http]\nallowed_hosts = ["tools.example.com"]\n'
    config = str(write_config(tmp_path, server("a"), RULE, over_http))
    shown = run("doctor", "--config", config, HOME=str(tmp_path)).stdout
    assert "never matched" not in shown
    assert "next: clients: run `lg-gateway tokens create NAME`" in shown
    assert run("call", "a__meta", "{}", "--config", config).returncode != 0
    assert run("tokens", "create", "ada", "--config", config).returncode == 0
    shown = run("doctor", "--config", config, HOME=str(tmp_path)).stdout
    assert "never matched here: 0" in shown
    assert "tokens create" not in shown.rpartition("next:")[2]


@pytest.mark.usefixtures("programs_by_fork")
def test_a_client_that_has_the_gateway_in_the_project_is_named_with_what_is_beside_it(tmp_path: Path) -> None:
    entries = {"lg": {"command": "/opt/bin/lg-gateway"}, "other": {"command": "other-mcp"}}
    (tmp_path / ".mcp.json").write_text(json.dumps({"mcpServers": entries}))
    config = str(write_config(tmp_path, server("a"), '[gateway.servers.fs]\nbuiltin = "fs"\n'))
    words = ("doctor", "--boundary", "--config", config, "--root", str(tmp_path))
    shown = run(*words, HOME=str(tmp_path / "home")).stdout
    assert re.search(r"ok  boundary +of confined clients: all \d+ attempts ended as they must", shown), shown
    assert f"Claude Code has us ({tmp_path}/.mcp.json); beside us, unchecked: other" in shown
    assert "next: clients: run `lg-gateway install claude-code --project --move`" in shown


def test_each_server_that_is_down_is_told_once(tmp_path: Path) -> None:
    config = write_config(tmp_path, server("a", "--exit", "3"))
    result = run("doctor", "--config", str(config))
    told = [line for line in (result.stdout + result.stderr).splitlines() if "exited with status 3" in line]
    assert [line.split()[:2] for line in told] == [["!!", "a"]]
