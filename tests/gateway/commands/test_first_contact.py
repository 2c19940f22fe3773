"""What a newcomer types first: a program's bare name, a tool's short name, a group of commands."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import pytest

from tests.gateway.commands.support_commands import run
from tests.gateway.commands.terminals import on_terminal
from tests.gateway.rig import ALLOW_ALL, client_of, program_environment, server, write_config

BY_FORK = pytest.mark.usefixtures("programs_by_fork")


@pytest.mark.parametrize(
    ("program", "instead"),
    [("lg-gateway", "lg-gateway tools"), ("lg-fs", "lg-gateway tools"), ("lg-exec", "lg-exec doctor")],
)
def test_a_server_typed_at_a_terminal_says_what_it_waits_for(tmp_path: Path, program: str, instead: str) -> None:
    command = os.path.join(os.path.dirname(sys.executable), program)
    with on_terminal(command, "--root", str(tmp_path), env=program_environment()) as screen:
        shown = screen.wait("Ctrl-C ends this.")
    assert f"{program}: serving MCP on standard input and output, and waiting for a client." in shown
    assert instead in shown


@pytest.mark.parametrize("program", ["lg-gateway", "lg-fs", "lg-exec"])
def test_a_bare_name_typed_at_a_terminal_says_what_the_program_is_and_what_to_type(program: str) -> None:
    command = os.path.join(os.path.dirname(sys.executable), program)
    with on_terminal(command, env=program_environment(), size=(40, 80)) as screen:
        status = screen.end()
    assert status == 0
    assert f"`{program} --help` lists all" in screen.shown
    assert "  lg-gateway call " in screen.shown
    assert max(map(len, screen.shown.splitlines())) <= 80


def test_a_server_that_a_client_starts_says_nothing(tmp_path: Path) -> None:
    config = write_config(tmp_path, server("a"), ALLOW_ALL)
    assert "waiting for a client" not in run("serve", "--config", str(config)).stderr


@BY_FORK
def test_init_without_any_client_says_in_short_lines_what_to_type(tmp_path: Path) -> None:
    done = run("init", "--root", str(tmp_path), HOME=str(tmp_path), XDG_CONFIG_HOME=str(tmp_path / "config"))
    assert done.returncode == 1
    assert "lg-gateway install CLIENT " in done.stderr
    assert max(map(len, done.stderr.splitlines())) <= 80


@BY_FORK
@pytest.mark.parametrize("bad", ["[]", '[{"a": 1}]', '{"mcpServers": ["a"]}', "{", '{"mcpServers": 3}'])
def test_init_leaves_out_a_file_that_cannot_be_changed_and_goes_on_with_the_others(tmp_path: Path, bad: str) -> None:
    project = tmp_path / "project"
    project.mkdir()
    (tmp_path / ".cursor").mkdir()
    (tmp_path / ".cursor" / "mcp.json").write_text(bad)
    (tmp_path / ".claude.json").write_text("{}")
    done = run(
        "init", "--dry-run", "--root", str(project), HOME=str(tmp_path), XDG_CONFIG_HOME=str(tmp_path / "config")
    )
    assert done.returncode == 0, done.stderr
    assert "Cursor is left out: invalid_config: cannot change" in done.stderr
    assert "has no attribute" not in done.stderr
    assert "Claude Code: " in done.stdout
    assert (tmp_path / ".cursor" / "mcp.json").read_text() == bad


def test_init_leaves_a_file_as_it_is_that_has_changed_since_it_was_shown(tmp_path: Path) -> None:
    (tmp_path / "project").mkdir()
    (tmp_path / ".claude.json").write_text("{}")
    (tmp_path / ".cursor").mkdir()
    (tmp_path / ".cursor" / "mcp.json").write_text('{"mcpServers": {}}')
    program = os.path.join(os.path.dirname(sys.executable), "lg-gateway")
    environment = program_environment() | {"HOME": str(tmp_path)}
    with on_terminal(program, "init", "--root", str(tmp_path / "project"), env=environment) as screen:
        screen.wait("let the gateway start these servers?")
        (tmp_path / ".cursor" / "mcp.json").write_text('{"mcpServers": {"new": {"command": "x"}}}')
        screen.type("y\r")
        shown = screen.wait("Next:")
        assert screen.end() == 1
    assert "Cursor is left out" in shown
    assert "has changed since it was shown" in shown
    assert (tmp_path / ".cursor" / "mcp.json").read_text() == '{"mcpServers": {"new": {"command": "x"}}}'
    assert "lg" in (tmp_path / ".claude.json").read_text()


@BY_FORK
@pytest.mark.anyio
async def test_tools_lists_what_a_client_sees(tmp_path: Path) -> None:
    config = write_config(tmp_path, server("a"), ALLOW_ALL)
    listed = json.loads(run("tools", "--json", "--config", str(config)).stdout)["tools"]
    async with client_of("--config", str(config)) as client:
        seen = (await client.list_tools()).tools
    assert [tool["name"] for tool in listed] == [tool.name for tool in seen]


@BY_FORK
def test_tools_says_what_becomes_of_a_call(tmp_path: Path) -> None:
    rules = """
[[gateway.rules]]
tools = ["a__echo"]
effect = "allow"
[[gateway.rules]]
tools = ["a__fail"]
effect = "deny"
[[gateway.rules]]
tools = ["a__slow"]
effect = "allow"
when = { seconds = ["1"] }
"""
    config = write_config(tmp_path, server("a"), rules)
    rows = [line.split()[:2] for line in run("tools", "--config", str(config)).stdout.splitlines()]
    decided = {row[0]: row[1] for row in rows}
    assert decided["a__echo"] == "allowed"
    assert decided["a__slow"] == "depends"
    assert decided["mcp_result"] == "allowed"
    assert "asks" in decided.values()
    assert "a__fail" not in decided


@BY_FORK
def test_an_unknown_tool_is_not_found_and_the_likely_one_is_named(tmp_path: Path) -> None:
    config = write_config(tmp_path, server("a"), ALLOW_ALL)
    short = run("call", "echo", "{}", "--config", str(config))
    other = run("call", "nothing_like_it", "{}", "--config", str(config))
    assert (short.returncode, other.returncode) == (2, 2)
    assert "not_found: there is no tool echo (did you mean a__echo?" in short.stderr
    assert "not_found: there is no tool nothing_like_it (`lg-gateway tools` lists them)" in other.stderr


@BY_FORK
@pytest.mark.parametrize("group", ["audit", "approvals", "pins", "tokens"])
def test_a_group_of_commands_alone_lists(tmp_path: Path, group: str) -> None:
    config = write_config(tmp_path, server("a"), ALLOW_ALL)
    run("call", "a__echo", '{"text": "x"}', "--config", str(config))
    alone, listed = (run(group, *action, "--config", str(config)) for action in ((), ("list",)))
    assert (alone.returncode, alone.stdout) == (0, listed.stdout), alone.stderr
