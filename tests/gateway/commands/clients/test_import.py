"""`lg-gateway import FILE`: what it shows, what it writes, and what it never shows."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

from lg_gateway.clients.settings_file import with_servers, without_servers
from lg_gateway.serving.setup import prepare
from lg_policy.config.settings import UpstreamSettings
from lg_policy.errors import ConfigError
from tests.gateway.commands.terminals import gateway_on_terminal
from tests.gateway.rig import flags

pytestmark = pytest.mark.usefixtures("programs_by_fork")
FILE: dict[str, Any] = {
    "mcpServers": {
        "files": {"command": "files-mcp", "args": ["/a b", "--token=ghp_abcdefghijklmnopqrstuvwxyz0123456789"],
                  "env": {"API_KEY": "k3y-0f-m1ne"}, "autoApprove": ["read"]},
        "live": {"type": "ws", "url": "wss://a.example"},
        "exec": {"command": "exec-mcp"},
    }
}  # fmt: skip
ENTRY = UpstreamSettings(command="npx", args=("-y", "p"), env={"A": "1"})


def run(*words: str) -> subprocess.CompletedProcess[str]:
    argv = [sys.executable, "-P", "-m", "lg_gateway", "import", *words]
    return subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "claude_desktop_config.json"
    path.write_text(json.dumps(FILE))
    return path


@pytest.fixture
def settings(clean_environment: Path) -> Path:
    return clean_environment / "config" / "lg" / "config.toml"


def test_a_dry_run_shows_everything_and_changes_nothing(file: Path, settings: Path) -> None:
    done = run(str(file), "--dry-run")
    assert done.returncode == 0, done.stderr
    assert "Claude Desktop" in done.stdout
    assert '+ files                files-mcp "/a b" --token=*** with API_KEY' in done.stdout
    assert "type 'ws' is not supported" in done.stdout
    assert 'tools = ["files__read"]' in done.stdout
    assert "Nothing was added" in done.stdout
    assert not settings.exists()


def test_a_sandbox_is_proposed_for_each_server_and_written_when_it_is_asked_for(
    file: Path, settings: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NPM_CONFIG_REGISTRY", "https://packages.test/npm")
    npx = FILE["mcpServers"] | {"other": {"command": "npx", "args": ["-y", "some-server"]}}
    file.write_text(json.dumps({"mcpServers": npx}))
    shown = run(str(file), "--dry-run").stdout
    assert "runs with all your rights; import it with --sandbox" in shown
    assert run(str(file), "--sandbox", "--yes").returncode == 0
    servers = tomllib.loads(settings.read_text())["gateway"]["servers"]
    assert servers["other"]["sandbox"] == {"network": ["packages.test"]}
    assert servers["files"]["sandbox"] == {"read": ["/a b"]}
    assert prepare(flags(config=settings), mcp_json=None).settings.gateway.servers["other"].sandbox is not None


TOKEN = "ghp_abcdefghijklmnopqrstuvwxyz0123456789"


def test_an_entry_that_settings_cannot_have_costs_only_itself(settings: Path, tmp_path: Path) -> None:
    entries = {
        "address": {"type": "http", "url": "ftp://a.example/mcp"},
        "home": {"command": "npx", "args": ["-y", "@modelcontextprotocol/server-filesystem", str(Path.home())]},
        "shell": {"command": "x && y"},
        "plain": {"command": "x"},
    }
    (tmp_path / "mcp.json").write_text(json.dumps({"mcpServers": entries}))
    done = run(str(tmp_path / "mcp.json"), "--sandbox")
    assert done.returncode == 0, done.stderr
    assert 'address" ' in done.stdout or "- address" in done.stdout
    assert "url must begin with http:// or https://" in done.stdout
    assert "which would show too much" in done.stdout
    assert tomllib.loads(settings.read_text())["gateway"]["servers"].keys() >= {"home", "plain"}
    assert {spec.name for spec in prepare(flags(root=tmp_path), mcp_json=None).specs} >= {"fs", "home", "plain"}


def test_secrets_in_plain_text_are_kept_apart_and_a_server_gets_them_all_the_same(file: Path, settings: Path) -> None:
    done = run(str(file))
    assert done.returncode == 0, done.stderr
    assert "holds what looks like a secret in plain text: API_KEY, arguments" in done.stdout
    text = settings.read_text()
    assert not [shown for shown in (done.stdout, done.stderr, text) if "k3y-0f-m1ne" in shown or TOKEN in shown]
    spec = next(spec for spec in prepare(flags(root=file.parent), mcp_json=None).specs if spec.name == "files")
    assert spec.launch is not None
    assert spec.launch.env["API_KEY"] == "k3y-0f-m1ne"
    assert spec.launch.argv[1:] == ("/a b", f"--token={TOKEN}")
    again = run(str(file))
    assert "nothing to change" in again.stdout
    assert settings.read_text() == text


def test_a_secret_that_was_changed_in_the_file_is_taken_over_with_replace(file: Path, settings: Path) -> None:
    run(str(file))
    text = settings.read_text()
    file.write_text(file.read_text().replace("k3y-0f-m1ne", "an0ther-k3y"))
    assert "--replace takes this one" in run(str(file)).stdout
    assert run(str(file), "--replace").returncode == 0
    assert settings.read_text() == text
    spec = next(spec for spec in prepare(flags(root=file.parent), mcp_json=None).specs if spec.name == "files")
    assert spec.launch is not None and spec.launch.env["API_KEY"] == "an0ther-k3y"


def test_a_server_with_very_many_secrets_is_written_as_it_is(settings: Path, tmp_path: Path) -> None:
    env = {f"TOKEN_{number}": f"s3cret-number-{number}" for number in range(60)}
    (tmp_path / "mcp.json").write_text(json.dumps({"mcpServers": {"a": {"command": "x", "env": env}}}))
    assert run(str(tmp_path / "mcp.json")).returncode == 0
    assert tomllib.loads(settings.read_text())["gateway"]["servers"]["a"]["env"] == env


def test_whoever_wants_secrets_in_the_settings_says_so_and_is_told_how_to_keep_one(file: Path, settings: Path) -> None:
    done = run(str(file), "--plain-secrets")
    assert done.returncode == 0, done.stderr
    assert "k3y-0f-m1ne" not in done.stdout + done.stderr
    assert "`lg-gateway secrets set NAME` keeps one" in done.stdout
    servers = tomllib.loads(settings.read_text())["gateway"]["servers"]
    assert servers["files"]["env"] == {"API_KEY": "k3y-0f-m1ne"}
    assert settings.stat().st_mode & 0o077 == 0
    assert "nothing to change" in run(str(file)).stdout, "what stands in the settings stays there"


def test_ours_stay_and_a_server_with_the_name_of_one_of_ours_gets_another(file: Path, settings: Path) -> None:
    assert run(str(file)).returncode == 0
    servers = tomllib.loads(settings.read_text())["gateway"]["servers"]
    assert servers["fs"] == {"builtin": "fs"}
    assert servers["exec"] == {"builtin": "exec"}
    (renamed,) = [name for name in servers if name.startswith("exec-")]
    assert servers[renamed] == {"command": "exec-mcp"}
    assert {spec.name for spec in prepare(flags(root=file.parent), mcp_json=None).specs} == servers.keys()


def test_importing_again_changes_nothing(file: Path, settings: Path) -> None:
    run(str(file))
    before = settings.read_bytes()
    again = run(str(file))
    assert "nothing to change" in again.stdout
    assert settings.read_bytes() == before


def test_the_name_of_a_client_in_place_of_its_file_is_answered_with_what_to_type(settings: Path) -> None:
    done = run("vscode")
    assert done.returncode == 2
    assert "lg-gateway install vscode --move" in done.stderr
    assert not settings.exists()


def test_another_server_of_that_name_is_left_alone_until_it_is_to_be_replaced(file: Path, settings: Path) -> None:
    run(str(file))
    other = {"mcpServers": {"files": {"command": "another"}}}
    file.write_text(json.dumps(other))
    assert "left as it is" in run(str(file)).stdout
    assert "files-mcp" in settings.read_text()
    assert run(str(file), "--replace").returncode == 0
    assert tomllib.loads(settings.read_text())["gateway"]["servers"]["files"] == {"command": "another"}


def test_a_file_of_which_nothing_can_be_used_is_an_error(tmp_path: Path, settings: Path) -> None:
    path = tmp_path / "mcp.json"
    path.write_text('{"mcpServers": {"live": {"type": "ws", "url": "wss://a.example"}}}')
    done = run(str(path))
    assert done.returncode == 1
    assert "nothing can be imported" in done.stderr
    assert not settings.exists()


def test_what_has_to_be_asked_is_named_where_nobody_can_be_asked(tmp_path: Path) -> None:
    path = tmp_path / ".vscode" / "mcp.json"
    path.parent.mkdir()
    path.write_text(
        '{"inputs": [{"id": "t", "type": "promptString", "description": "the token"}],'
        ' "servers": {"a": {"command": "x", "env": {"T": "${input:t}"}}}}'
    )
    done = run(str(path))
    assert done.returncode == 0
    assert 'a server needs "the token": run `lg-gateway secrets set t-' in done.stderr
    left = subprocess.run(
        [sys.executable, "-m", "lg_gateway", "doctor", "--root", str(tmp_path)],
        capture_output=True, text=True, timeout=60, env=dict(os.environ),
    )  # fmt: skip
    assert re.search(r"^!!  a +left out: .*needs the secret t-\w+, which nobody gave yet", left.stdout, re.MULTILINE)
    assert "ok  fs" in left.stdout


FILES_BEFORE = {
    "nothing": None,
    "comments": b'# mine\n[gateway]\nexpose = "all" # why\n\n[[gateway.rules]]\ntools = ["*"]\neffect = "allow"\n',
    "no line end": b'[gateway.servers.fs]\nbuiltin = "fs"',
    "windows": b'# mine\r\n[gateway.servers.fs]\r\nbuiltin = "fs"\r\n',
    "dotted": b'gateway.expose = "all"\n',
    "order": b'[gateway.servers.fs]\nbuiltin = "fs"\n\n[policy]\nread_deny = ["x"]\n',
}


@pytest.mark.parametrize("name", FILES_BEFORE)
def test_everything_else_in_the_settings_stays_as_it_is_also_after_taking_servers_out_again(
    name: str, tmp_path: Path
) -> None:
    path, before = tmp_path / "config.toml", FILES_BEFORE[name]
    if before is not None:
        path.write_bytes(before)
    edit = with_servers(path, {"a": ENTRY, "b": UpstreamSettings(url="https://b.example/mcp", transport="auto")})
    assert edit.after.startswith(before or b"")
    edit.write()
    assert (
        tomllib.loads(path.read_bytes().decode().replace("\r\n", "\n"))["gateway"]["servers"]["a"]["command"] == "npx"
    )
    assert without_servers(path, edit.added).after.rstrip() == (before or b"").rstrip()


def test_a_server_that_was_changed_since_is_not_taken_out(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    edit = with_servers(path, {"a": ENTRY})
    path.write_bytes(edit.after.replace(b'"-y"', b'"-x"'))
    again = without_servers(path, edit.added)
    assert again.taken == ("a",)
    assert b'"-x"' in again.after


@pytest.mark.parametrize("text", ["gateway = { expose = 'all' }\n", "[gateway\n"])
def test_settings_that_cannot_be_added_to_are_left_alone_with_why(text: str, tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    path.write_text(text)
    with pytest.raises(ConfigError):
        with_servers(path, {"a": ENTRY})
    assert path.read_text() == text


def test_a_person_at_a_terminal_says_yes_and_is_asked_once_for_what_is_secret(tmp_path: Path, settings: Path) -> None:
    path = tmp_path / ".vscode" / "mcp.json"
    path.parent.mkdir()
    path.write_text(
        '{"inputs": [{"id": "t", "type": "promptString", "description": "the token"}], "servers": {'
        '"a": {"command": "x", "env": {"T": "${input:t}"}}, "b": {"command": "y", "env": {"T": "${input:t}"}}}}'
    )
    with gateway_on_terminal("import", str(path)) as screen:
        screen.wait("[y/N]")
        screen.type("y\n")
        screen.wait('"the token" (not shown')
        screen.type("s3cr3t-of-mine\n")
        screen.wait("kept in")
        assert screen.end() == 0
        assert "s3cr3t" not in screen.shown
        assert screen.shown.count("(not shown") == 1
    specs = prepare(flags(root=tmp_path), mcp_json=None).specs
    given = {spec.name: spec.launch.env["T"] for spec in specs if spec.launch is not None and spec.builtin is None}
    assert given == {"a": "s3cr3t-of-mine", "b": "s3cr3t-of-mine"}
    assert all("s3cr3t-of-mine" in spec.secrets() for spec in specs if spec.name in ("a", "b"))
    with gateway_on_terminal("import", str(path), "--replace") as screen:
        screen.wait("nothing to change")
        assert screen.end() == 0


def test_a_person_who_says_no_changes_nothing(file: Path, settings: Path) -> None:
    with gateway_on_terminal("import", str(file)) as screen:
        screen.wait("[y/N]")
        screen.type("\n")
        screen.wait("nothing was changed")
        assert screen.end() == 1
    assert not settings.exists()


def test_files_whose_content_a_server_gets_are_named(tmp_path: Path) -> None:
    path = tmp_path / "opencode.json"
    path.write_text(
        '{"mcp": {"a": {"type": "remote", "url": "https://a.example/mcp", "headers": {"X": "{file:~/.ssh/id}"}}}}'
    )
    done = run(str(path), "--dry-run")
    assert "gets the content of" in done.stdout
    assert ".ssh/id at each start" in done.stdout


def test_a_secret_behind_its_option_or_in_a_header_is_not_shown(tmp_path: Path, settings: Path) -> None:
    path = tmp_path / "mcp.json"
    args = ["--password", "hunter2-and-more", "--header", "Authorization: Bearer my-own-words-1", "--name", "plain"]
    path.write_text(json.dumps({"mcpServers": {"a": {"command": "npx", "args": args}}}))
    done = run(str(path), "--dry-run")
    assert "--password ***" in done.stdout, done
    assert "my-own-words-1" not in done.stdout
    assert "--name plain" in done.stdout


def test_settings_that_changed_meanwhile_are_not_written_over_and_a_directory_keeps_its_mode(tmp_path: Path) -> None:
    path = tmp_path / "lg.toml"
    tmp_path.chmod(0o755)
    edit = with_servers(path, {"a": ENTRY})
    path.write_text("# mine\n")
    with pytest.raises(ConfigError, match="changed by another program"):
        edit.write()
    assert path.read_text() == "# mine\n"
    with_servers(path, {"a": ENTRY}).write()
    assert tmp_path.stat().st_mode & 0o777 == 0o755
    assert path.stat().st_mode & 0o777 == 0o600
