"""The commands, run as a user runs them."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.gateway.approvals.support_approvals import NO_HOLD
from tests.gateway.commands.support_commands import run
from tests.gateway.misbehaving import misbehaving, named
from tests.gateway.rig import ALLOW_ALL, gateway_of, program_environment, send, server, write_config

BY_FORK = pytest.mark.usefixtures("programs_by_fork")


@pytest.mark.parametrize("args", [["--help"], ["--version"], ["audit", "--help"], ["approvals", "--help"]])
def test_help_and_version_import_nothing_heavy(args: list[str]) -> None:
    script = (
        "import sys\nfrom lg_gateway.cli import main\n"
        f"try:\n    main({args!r})\nexcept SystemExit:\n    pass\n"
        "heavy = {'mcp', 'mcp_types', 'pydantic', 'jsonschema', 'anyio', 're2', 'pathspec'} & set(sys.modules)\n"
        "sys.exit(f'imported {heavy}' if heavy else 0)\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, env=program_environment())

    assert done.returncode == 0, done.stderr


@BY_FORK
@pytest.mark.parametrize(
    ("action", "words"),
    [
        (["audit", "list"], 'a__echo  {"text": "x"}  allowed  ok'),
        (["audit", "verify"], "intact: 4 records"),
        (["approvals", "list"], "a__fail"),
    ],
)
def test_looking_at_the_ledger_needs_no_mcp(tmp_path: Path, action: list[str], words: str) -> None:
    asked = '[[gateway.rules]]\ntools = ["a__fail"]\neffect = "approve"\n'
    config = write_config(tmp_path, server("a"), asked, ALLOW_ALL, NO_HOLD)
    run("call", "a__fail", "{}", "--config", str(config))
    called = run("call", "a__echo", '{"text": "x"}', "--config", str(config))
    script = (
        "import sys\nfrom lg_gateway.cli import main\n"
        f"status = main({[*action, '--config', str(config)]!r})\n"
        "heavy = {'mcp', 'mcp_types', 'jsonschema'} & set(sys.modules)\n"
        "sys.exit(f'imported {heavy}' if heavy else status)\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, env=program_environment())

    assert called.stdout.startswith("x"), called.stderr
    assert done.returncode == 0, done.stderr
    assert words in done.stdout


def test_tools_and_call_work_without_any_configuration_on_the_current_directory(tmp_path: Path) -> None:
    (tmp_path / "note.txt").write_text("written here\n")
    listed = run("tools", cwd=tmp_path)
    called = run("call", "fs__read_file", '{"path": "note.txt"}', cwd=tmp_path)
    full = run("call", "fs__read_file", '{"path": "note.txt"}', "--json", cwd=tmp_path)

    assert listed.returncode == 0, listed.stderr
    assert "fs__read_file" in listed.stdout
    assert "exec__list_commands" in listed.stdout
    assert called.stdout.strip() == "written here"
    assert json.loads(full.stdout)["structuredContent"]["files"][0]["path"] == "note.txt"


@BY_FORK
def test_options_may_stand_before_the_command(tmp_path: Path) -> None:
    (tmp_path / "tools").mkdir()
    (tmp_path / "tools" / "a.txt").write_text("hello\n")
    done = run("--root", "tools", "call", "fs__read_file", '{"path": "a.txt"}', cwd=tmp_path)

    assert done.returncode == 0, done.stderr
    assert "hello" in done.stdout


@BY_FORK
def test_the_exit_status_tells_done_from_refused_from_wrong(tmp_path: Path) -> None:
    config = write_config(tmp_path, server("a"), ALLOW_ALL, "[approval]\nhold_s = 0\n")

    assert run("call", "a__echo", '{"text": "x"}', "--config", str(config)).returncode == 0
    assert run("call", "a__fail", "--config", str(config)).returncode == 1
    assert run("call", "a__nothing", "--config", str(config)).returncode == 2
    assert run("call", "a__echo", "{", "--config", str(config)).returncode == 2
    assert run("tools", "--root", str(tmp_path / "missing")).returncode == 2
    assert run("tools", "--root", "/").returncode == 2


@BY_FORK
def test_audit_lists_shows_filters_and_verifies(tmp_path: Path) -> None:
    config = write_config(tmp_path, server("a"), ALLOW_ALL)
    where = ("--config", str(config))
    run("call", "a__echo", '{"text": "first"}', *where)
    run("call", "a__fail", *where)
    listed = run("audit", "list", "--records", *where).stdout.splitlines()
    calls = run("audit", "list", *where).stdout.splitlines()
    failed = run("audit", "list", "--outcome", "error", "--json", *where).stdout.splitlines()
    shown = run("audit", "show", "2", "--json", *where)
    by_call = run("audit", "show", json.loads(shown.stdout)["request_id"], "--json", *where)
    verified = run("audit", "verify", *where)

    assert len(listed) == 5  # the first says that the server's tools were pinned
    assert [line.split("  ")[3] for line in calls] == ["a", "a__echo", "a__fail"]
    assert [json.loads(line)["tool"] for line in failed] == ["a__fail"]
    assert json.loads(shown.stdout)["arguments"] == '{"text": "first"}'
    assert by_call.stdout.count('"phase"') == 2
    assert verified.returncode == 0
    assert "intact: 5 records" in verified.stdout
    assert run("audit", "show", "99", *where).returncode == 1
    assert run("audit", "list", "--tool", "b__*", *where).stdout == ""


@pytest.mark.anyio
async def test_a_record_cannot_redraw_the_terminal_it_is_listed_on(tmp_path: Path) -> None:
    async with gateway_of(tmp_path, server("a"), ALLOW_ALL) as gateway:
        text = "\x1b[2Jcleared\u202e"
        await send(gateway, "a__echo", {"text": text}, identity=f"token:{text}")
    listed = run("audit", "list", "--config", str(tmp_path / "gateway.toml")).stdout

    assert "token:\\u{1b}[2Jcleared\\u{202e}" in listed
    assert "\x1b" not in listed
    assert "\u202e" not in listed


@BY_FORK
def test_an_mcp_json_file_is_served_beside_our_own_servers_when_a_root_is_given(tmp_path: Path) -> None:
    fixture = Path(__file__).with_name("fixture_server.py")
    file = tmp_path / "mcp.json"
    entry = {"type": "stdio", "command": sys.executable, "args": [str(fixture)], "env": {"A": "b"}}
    file.write_text(json.dumps({"mcpServers": {"third": entry, "off": {"command": "x", "disabled": True}}}))
    alone = run("tools", "--mcp-json", str(file))
    beside = run("tools", "--mcp-json", str(file), "--root", str(tmp_path))

    assert alone.returncode == 0, alone.stderr
    assert "third__echo" in alone.stdout
    assert "fs__" not in alone.stdout
    assert "third__echo" in beside.stdout
    assert "fs__read_file" in beside.stdout


@BY_FORK
@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", "cannot read"),
        ("[]", "mcpServers"),
        ('{"mcpServers": {"a": {"type": "ws", "url": "ws://x"}}}', "'ws' is not supported"),
        ('{"mcpServers": {"a": {"command": "x", "url": "http://y"}}}', "both command and url"),
        ('{"mcpServers": {"a": {"url": "file:///etc/passwd"}}}', "must begin with http"),
        ('{"mcpServers": {"a": {"command": "x", "env": {"T": "${NOT_SET_ANYWHERE}"}}}}', "NOT_SET_ANYWHERE"),
    ],
)
def test_a_wrong_mcp_json_file_is_explained(tmp_path: Path, text: str, words: str) -> None:
    file = tmp_path / "mcp.json"
    file.write_text(text)
    done = run("tools", "--mcp-json", str(file))

    assert done.returncode == 2
    assert words in done.stderr


@BY_FORK
def test_doctor_names_a_tool_whose_definition_cannot_be_used_and_says_why(tmp_path: Path) -> None:
    tools = [{"name": "broken\u001b[2J", "inputSchema": None}, *named("good")]
    config = write_config(tmp_path, misbehaving(tmp_path, tools=tools), ALLOW_ALL)
    done = run("doctor", "--config", str(config))

    assert done.returncode == 1
    assert "its inputSchema is missing" in done.stdout
    assert "broken" in done.stdout
    assert "\u001b" not in done.stdout
    assert "up, 1 tools" in done.stdout


@BY_FORK
def test_doctor_reports_servers_policy_sandbox_rules_login_and_ledger(tmp_path: Path) -> None:
    rule = (
        '[[gateway.rules]]\ntools = ["fs__read_file"]\neffect = "allow"\n'
        "when = { properties = { no_such_argument = { const = 1 } } }\n"
    )
    builtin = '[gateway.servers.fs]\nbuiltin = "fs"\n'
    hidden = '[[gateway.rules]]\ntools = ["fs__*"]\neffect = "deny"\n'
    oauth = '[gateway.http]\nresource_url = "https://gw.test/mcp"\noauth = { issuer = "http://127.0.0.1:9" }\n'
    config = write_config(tmp_path, builtin, server("gone", "--exit", "1"), rule, hidden, oauth)
    done = run("doctor", "--config", str(config), "--root", str(tmp_path))

    assert done.returncode == 1
    assert "enforces the gateway's policy" in done.stdout
    assert "exited with status 1" in done.stdout
    assert "no_such_argument" in done.stdout
    assert "gateway.rules[0]" in done.stdout
    assert "never decides: gateway.rules[1]" in done.stdout
    assert "cannot fetch the keys of http://127.0.0.1:9" in done.stdout
    assert "over HTTP: 0 tokens" in done.stdout
    assert "intact" in done.stdout
    assert "gateway.sqlite, " in done.stdout
    assert "no client's file starts the gateway" in done.stdout
    assert "never matched here" not in done.stdout, "nobody has called yet"
    assert done.stdout.splitlines()[-1].startswith("next: ")
