"""`lg-gateway install CLIENT` in a home directory of its own: in, again, moved, and out byte for byte."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from lg_gateway.cli import main
from lg_gateway.clients.formats.json_comments import parse_json
from lg_gateway.clients.installing.entries import ROWS
from lg_gateway.clients.installing.places import PROJECT, USER, Machine
from lg_gateway.clients.reading import read_client_file
from lg_gateway.clients.secret_store import SecretStore

BEFORE: dict[str, bytes] = {
    "strict": b"""{
  "mcpServers": {
    "other": {"command": "other-mcp", "args": ["--stdio"]}
  },
  "theme": "x"
}
""",
    "comments": b"""// mine
{
\t"TABLE": {
\t\t"other": {"command": "other-mcp", "args": ["--stdio"]}, // this one
\t},
\t"theme": "x", /* why */
}
""",
    "toml": b"""# mine
model = "o"

[mcp_servers.other] # this one
command = "other-mcp"
args = ["--stdio"]

[tui]
x = 1
""",
    "yaml": b"""# mine
extensions:
    other:
        type: stdio
        cmd: other-mcp
        args: [--stdio]  # this one
GOOSE_MODE: auto
""",
    "opencode": b"""{
  "mcp": {
    "other": {"type": "local", "command": ["other-mcp", "--stdio"]}
  }
}
""",
}
TRUST = ("trust", "autoApprove", "alwaysAllow", "default_tools_approval_mode")


def earlier(client: str) -> bytes:
    row = ROWS[client]
    if client == "opencode":
        return BEFORE["opencode"]
    if row.format != "json":
        return BEFORE[row.format]
    return BEFORE["strict"] if row.strict else BEFORE["comments"].replace(b"TABLE", row.table[0].encode())


def said_by(client: str, data: bytes) -> Any:
    text = data.decode()
    kind = ROWS[client].format
    return tomllib.loads(text) if kind == "toml" else yaml.safe_load(text) if kind == "yaml" else parse_json(text)


def servers_in(client: str, data: bytes) -> dict[str, Any]:
    table = said_by(client, data)
    for step in ROWS[client].table:
        table = table[step]
    return dict(table)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home directory without anything in it, with a project beside it."""
    path = tmp_path / "home"
    (tmp_path / "project").mkdir()
    monkeypatch.setenv("HOME", str(path))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(path / ".config"))
    monkeypatch.chdir(tmp_path / "project")
    return path


def place(client: str, home: Path) -> Path:
    machine = Machine(platform="linux", environ={"XDG_CONFIG_HOME": str(home / ".config")}, home=str(home))
    return Path(USER[client](machine).first)


def put(client: str, home: Path, data: bytes) -> Path:
    path = place(client, home)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    path.chmod(0o640)
    return path


def settings_of(home: Path) -> Path:
    return home / ".config" / "lg" / "config.toml"


@pytest.mark.parametrize("client", ROWS)
def test_the_entry_goes_in_once_beside_what_is_there_and_out_byte_for_byte(client: str, home: Path) -> None:
    before = earlier(client)
    path = put(client, home, before)
    assert main(["install", client]) == 0
    after = path.read_bytes()
    servers = servers_in(client, after)
    assert list(servers) == ["other", "lg"]
    assert str(home.parent / "project") in json.dumps(servers["lg"])
    assert not [word for word in TRUST if word in servers["lg"]]
    rest = said_by(client, after)
    table = rest
    for step in ROWS[client].table:
        table = table[step]
    del table["lg"]
    assert rest == said_by(client, before)
    assert all(word in after for word in (b"mine", b"this one") if word in before), "comments stay"
    assert path.stat().st_mode & 0o777 == 0o640
    assert main(["install", client]) == 0
    assert path.read_bytes() == after
    assert main(["install", client, "--remove"]) == 0
    assert path.read_bytes() == before
    assert path.stat().st_mode & 0o777 == 0o640


@pytest.mark.parametrize("client", ROWS)
def test_a_file_that_was_not_there_is_made_and_goes_again(client: str, home: Path) -> None:
    assert main(["install", client, "--servers", "fs,exec"]) == 0
    path = place(client, home)
    assert servers_in(client, path.read_bytes()).keys() == {"lgfs", "lgexec"}
    if ROWS[client].format == "json":
        json.loads(path.read_bytes())
    assert main(["install", client, "--remove"]) == 0
    assert not path.exists()


@pytest.mark.parametrize("client", ROWS)
def test_what_is_written_means_to_us_what_it_means_to_the_client(client: str, home: Path) -> None:
    assert main(["install", client]) == 0
    found = read_client_file(place(client, home))
    assert found.client == client
    assert "serve its own tools again" in found.unusable["lg"].message, "read, and told to be this gateway"


@pytest.mark.parametrize("client", [client for client in ROWS if client != "continue"])
def test_servers_move_behind_the_gateway_and_back(client: str, home: Path) -> None:
    before = earlier(client)
    path = put(client, home, before)
    assert main(["install", client, "--move"]) == 0
    after = path.read_bytes()
    assert servers_in(client, after).keys() == {"lg"}
    moved = tomllib.loads(settings_of(home).read_text())["gateway"]["servers"]
    assert moved.keys() == {"fs", "exec", "code", "other"}
    assert (moved["other"]["command"], moved["other"]["args"]) == ("other-mcp", ["--stdio"])
    assert main(["install", client]) == 0
    assert path.read_bytes() == after, "what was moved stays moved"
    assert main(["install", client, "--remove"]) == 0
    assert path.read_bytes() == before
    assert not settings_of(home).exists()


def otherwise(data: bytes) -> bytes:
    """Change one value that is not ours, as a person or the client does."""
    return data.replace(b'"x"', b'"y"').replace(b"auto", b"chat").replace(b'"o"', b'"y"')


@pytest.mark.parametrize("client", ["claude-desktop", "cursor", "codex", "goose", "vscode"])
def test_a_file_that_was_changed_since_keeps_the_change(client: str, home: Path) -> None:
    path = put(client, home, earlier(client))
    assert main(["install", client, "--move"]) == 0
    path.write_bytes(otherwise(path.read_bytes()) + b"\n")
    assert main(["install", client, "--remove"]) == 0
    assert said_by(client, path.read_bytes()) == said_by(client, otherwise(earlier(client)))


def test_a_server_that_two_clients_moved_goes_when_the_second_takes_it_back(home: Path) -> None:
    for client in ("cursor", "kiro"):
        put(client, home, earlier(client))
        assert main(["install", client, "--move"]) == 0
    assert main(["install", "cursor", "--remove"]) == 0
    assert "other" in tomllib.loads(settings_of(home).read_text())["gateway"]["servers"]
    assert main(["install", "kiro", "--remove"]) == 0
    assert not settings_of(home).exists()


WITH_SECRETS = b"""{"mcpServers": {"other": {
  "command": "other-mcp", "args": ["--api-key", "k3y-0f-m1ne-1", "--stdio"], "env": {"TOKEN": "t0ken-0f-m1ne"}}}}
"""


def test_secrets_of_servers_that_move_are_kept_apart_and_forgotten_with_the_last_client_that_needs_them(
    home: Path,
) -> None:
    for client in ("cursor", "kiro"):
        put(client, home, WITH_SECRETS)
        assert main(["install", client, "--move"]) == 0
    settings = settings_of(home).read_text()
    assert "m1ne" not in settings
    names = SecretStore().names()
    assert sorted(SecretStore().get(name) or "" for name in names) == ["k3y-0f-m1ne-1", "t0ken-0f-m1ne"]
    assert all(f"${{secret:{name}}}" in settings for name in names)
    assert main(["install", "cursor"]) == 0
    assert main(["install", "cursor", "--remove"]) == 0
    assert SecretStore().names() == names
    assert main(["install", "kiro", "--remove"]) == 0
    assert place("kiro", home).read_bytes() == place("cursor", home).read_bytes() == WITH_SECRETS
    assert not settings_of(home).exists()
    assert not SecretStore().names()


@pytest.mark.parametrize("client", PROJECT)
def test_a_project_has_its_own_file(client: str, home: Path) -> None:
    assert main(["install", client, "--project"]) == 0
    path = home.parent / "project" / PROJECT[client][0]
    entry = json.dumps(servers_in(client, path.read_bytes())["lg"])
    assert (ROWS[client].folder or str(home.parent / "project")) in entry
    assert not place(client, home).exists()
    assert main(["install", client, "--project", "--remove"]) == 0
    assert not path.exists()


def test_a_link_to_the_file_stays_a_link(home: Path) -> None:
    kept = home / "dotfiles" / "mcp.json"
    kept.parent.mkdir(parents=True)
    kept.write_bytes(BEFORE["strict"])
    link = place("cursor", home)
    link.parent.mkdir()
    link.symlink_to(kept)
    assert main(["install", "cursor"]) == 0
    assert link.is_symlink()
    assert "lg" in servers_in("cursor", kept.read_bytes())


@pytest.mark.parametrize(
    ("client", "data", "why"),
    [
        ("claude-code", b'{"mcpServers": {} /* c */}', "Claude Code cannot read it either"),
        ("cursor", b"{", "add the entry by hand"),
        ("cursor", b'{"mcpServers": []}', "add the entry by hand"),
        ("cursor", b'{"mcpServers": {"lg": {"command": "mine"}}}', "is not ours"),
        ("codex", b"mcp_servers = { a = { command = 'x' } }", "add the entry by hand"),
        ("goose", b"extensions: {a: {cmd: x}}", "add the entry by hand"),
        ("zed", b"\xff\xfe{\x00}\x00", "add the entry by hand"),
    ],
)
def test_a_file_that_cannot_be_changed_safely_is_left_alone_with_why(
    client: str, data: bytes, why: str, home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = put(client, home, data)
    assert main(["install", client]) == 2
    assert why in capsys.readouterr().err
    assert path.read_bytes() == data


def test_a_second_install_says_that_nothing_changes_and_asks_for_no_restart(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    put("claude-desktop", home, BEFORE["strict"])
    then = ROWS["claude-desktop"].then
    assert main(["install", "claude-desktop"]) == 0
    assert then in capsys.readouterr().out
    assert main(["install", "claude-desktop"]) == 0
    said = capsys.readouterr().out
    assert "nothing to change" in said
    assert then not in said
    assert "+ lg" not in said


def test_print_and_dry_run_change_nothing(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = put("cursor", home, BEFORE["strict"])
    assert main(["install", "cursor", "--print"]) == 0
    assert json.loads(capsys.readouterr().out)["mcpServers"].keys() == {"lg"}
    assert main(["install", "cursor", "--move", "--dry-run"]) == 0
    assert "other-mcp --stdio" in capsys.readouterr().out
    assert path.read_bytes() == BEFORE["strict"]
    assert not settings_of(home).exists()


def test_a_home_directory_is_no_root_and_an_unknown_client_is_named(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    home.mkdir()
    assert main(["install", "cursor", "--root", str(home)]) != 0
    assert main(["install", "emacs"]) == 2
    assert "choose one of amazon-q, claude-code" in capsys.readouterr().err


def test_a_value_that_cannot_be_remembered_is_not_moved(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = b"extensions:\n  a:\n    type: stdio\n    cmd: x\n    enabled: true\n    description: 2026-01-01\n"
    path = put("goose", home, data)
    assert main(["install", "goose", "--move", "--yes"]) == 2
    assert "is no JSON" in capsys.readouterr().err
    assert path.read_bytes() == data
    assert not settings_of(home).exists()
