"""Which client wrote a file, what its placeholders mean, and what never reaches a server."""

from __future__ import annotations

import json
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lg_gateway.clients.entry import UnusableEntry
from lg_gateway.clients.formats.documents import Document, read_document
from lg_gateway.clients.placeholders import Syntaxes, Translation
from lg_gateway.clients.reading import read_client_file, servers_of
from lg_gateway.clients.recognition import CLIENTS, recognise
from lg_gateway.clients.values import PLACEHOLDER, Values
from lg_policy.errors import ConfigError
from tests.gateway.clients.corpus import FILES

CLIENT_OF = {
    "desktop": "claude-desktop", "claude code": "claude-code", "cursor": "cursor", "vscode": "vscode", "cline": "cline",
    "roo": "roo", "kiro": "kiro", "zed": "zed", "windsurf": "windsurf", "continue": "continue", "gemini": "gemini-cli",
    "codex": "codex", "goose": "goose", "opencode": "opencode", "fastmcp": "fastmcp",
}  # fmt: skip


@pytest.mark.parametrize("name", FILES)
def test_the_client_is_told_by_the_path_and_mostly_by_the_content_alone(name: str, tmp_path: Path) -> None:
    place, text = FILES[name]
    client = next(client for words, client in CLIENT_OF.items() if name.startswith(words))
    path = tmp_path / place
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text.encode())
    content = read_document(path).content
    assert recognise(PurePosixPath("/home/me") / place, content).name == client
    assert recognise(PureWindowsPath("C:/Users/me") / place, content).name == client
    assert recognise(PurePosixPath(f"/downloads/servers{path.suffix}"), content).name in (client, "any", "cline", "roo")


@pytest.mark.parametrize("client", CLIENTS)
def test_from_decides_where_neither_path_nor_content_does(client: str, tmp_path: Path) -> None:
    row = CLIENTS[client]
    content: Any = {"one": {"command": "x"}}
    for step in reversed(row.tables[0]):
        content = {step: content}
    file = tmp_path / "odd.json"
    file.write_text(json.dumps(content))
    if client == "goose":
        content = {"extensions": {"one": {"cmd": "x"}}}
        file.write_text(json.dumps(content))
    assert read_client_file(file, client=client).servers.keys() == {"one"}
    with pytest.raises(ConfigError, match="no client is called"):
        read_client_file(file, client="emacs")


def translated(syntaxes: Syntaxes, key: str, text: str) -> str:
    made = Translation(syntaxes=syntaxes, secret=lambda wanted: "kept" if wanted == "t" else None, folder="/f")
    return made.text(key, text)


@pytest.mark.parametrize(
    ("client", "key", "written", "meant"),
    [
        ("claude-code", "url", "${A:-b}/x", "${A:-b}/x"),
        ("claude-code", "args", "$HOME", "$HOME"),
        ("claude-code", "args", "${CLAUDE_PROJECT_DIR:-.}/x", "${workspaceFolder}/x"),
        ("gemini-cli", "args", "$T", "${T}"),
        ("gemini-cli", "env", "$T", "${T:-}"),
        ("copilot-cli", "env", "$T", "${T}"),
        ("copilot-cli", "args", "$T", "$T"),
        ("cline", "headers", "${env:T}", "${T}"),
        ("vscode", "args", "${workspaceFolder}${pathSeparator}x", "${workspaceFolder}/x"),
        ("vscode", "env", "${input:t}", "${secret:kept}"),
        ("continue", "headers", "Bearer ${{ secrets.t }}", "Bearer ${secret:kept}"),
        ("opencode", "env", "{env:T}", "${T:-}"),
        ("opencode", "env", "{file:k}", "${file:/f/k}"),
        ("windsurf", "headers", "${file:/k}", "${file:/k}"),
        ("zed", "args", "{env:T}", "{env:T}"),
    ],
)
def test_a_placeholder_means_what_its_client_means(client: str, key: str, written: str, meant: str) -> None:
    assert translated(CLIENTS[client].syntaxes, key, written) == meant


@pytest.mark.parametrize(
    "written",
    ["${command:pick}", "${input:other}", "${A:-${B}}", "${{ secrets.t }}", "${}", "${user_config.key}", "${A",
     "${file:/k}", "${secret:kept}"],
)  # fmt: skip
def test_a_placeholder_that_is_not_understood_costs_the_entry(written: str) -> None:
    with pytest.raises(UnusableEntry, match="is not understood"):
        translated(CLIENTS["vscode"].syntaxes, "args", written)


PIECES = st.sampled_from(
    ["${", "}", "${{", "}}", "$", "A", ":-", "env:", "input:", "file:", "secret:", "{env:", " ", "x"]
)


@given(pieces=st.lists(PIECES, max_size=12), client=st.sampled_from(sorted(CLIENTS)))
def test_nothing_that_looks_like_a_placeholder_reaches_a_server(pieces: list[str], client: str) -> None:
    try:
        made = translated(CLIENTS[client].syntaxes, "args", "".join(pieces))
    except UnusableEntry:
        return
    assert "${" not in PLACEHOLDER.sub("", made)
    assert "${secret:" not in made.replace("${secret:kept}", "")


@pytest.mark.parametrize("client", sorted(CLIENTS))
def test_a_file_cannot_reach_a_secret_that_was_given_for_another(client: str) -> None:
    with pytest.raises(UnusableEntry):
        translated(CLIENTS[client].syntaxes, "args", "${secret:github-0a1b2c3d}")


def test_the_folder_of_the_project_is_needed_only_by_the_entry_that_names_it() -> None:
    with pytest.raises(ConfigError, match="the folder that the gateway works on"):
        Values(environ={}).expand("${workspaceFolder}/x", "args")


@pytest.mark.parametrize(
    ("name", "text", "why"),
    [
        ("a.yaml", "a: &a [x]\nmcpServers: [*a, *a]\n", "aliases"),
        ("a.yaml", "mcpServers: " + "[" * 60 + "]" * 60, "nested too deeply"),
        ("a.yaml", "mcpServers: [}", "cannot read"),
        ("a.toml", "[mcp_servers.x]\ncommand = ", "cannot read"),
        ("a.json", '{"mcpServers": {}, "mcpServers": {"a": {"command": "x"}}}', "stands twice"),
        ("a.json", "[1]", "expected an object"),
    ],
)
def test_a_file_whose_meaning_is_not_certain_is_refused_with_why(
    name: str, text: str, why: str, tmp_path: Path
) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(ConfigError, match=why):
        read_client_file(tmp_path / name)


@pytest.mark.parametrize("switch", [{"isActive": False}, {"active": "false"}, {"isEnabled": 0}, {"isDisabled": True}])
def test_a_server_that_its_client_has_off_is_off_here(switch: dict[str, Any], tmp_path: Path) -> None:
    file = tmp_path / "servers.json"
    file.write_text(json.dumps({"mcpServers": {"a": {"command": "x", "enabled": True, **switch}}}))
    assert not read_client_file(file).servers["a"].enabled


def test_a_server_that_claude_code_has_off_for_a_project_is_off_here_for_that_project(tmp_path: Path) -> None:
    file = tmp_path / ".claude.json"
    content = {"mcpServers": {"a": {"command": "x"}, "b": {"command": "x"}},
               "projects": {str(tmp_path): {"disabledMcpServers": ["a"], "disabledMcpjsonServers": "odd"}}}  # fmt: skip
    file.write_text(json.dumps(content))
    there = read_client_file(file, root=tmp_path)
    assert [there.servers[name].enabled for name in ("a", "b")] == [False, True]
    assert "disabledMcpServers says so" in there.entries["a"].notes[0]
    assert read_client_file(file).servers["a"].enabled


KEYS = (
    "command", "args", "env", "envs", "environment", "env_vars", "env_keys", "env_http_headers", "headers", "url",
    "uri", "http_headers", "requestOptions", "apiKey", "bearer_token_env_var", "type", "transport", "timeout",
    "disabled", "autoApprove", "alwaysAllow", "tools", "trust", "auth", "oauth", "cwd", "envFile", "excludeTools",
    "enabled_tools",
)  # fmt: skip
ODD: tuple[Any, ...] = (0, 1, -1.5, True, False, "", "x", [], [1], [{}], {}, {"a": [1]}, {"a": {"b": None}}, [["x"]])


@pytest.mark.parametrize("client", sorted(CLIENTS))
def test_a_value_of_any_kind_under_any_key_costs_that_entry_at_most(tmp_path: Path, client: str) -> None:
    row = CLIENTS[client]
    entries: dict[str, Any] = {"good": {"command": "c", "cmd": "c", "type": "stdio"}}
    for number, (key, value) in enumerate((key, value) for key in KEYS for value in ODD):
        entries[f"s{number}"] = {"command": "c", "cmd": "c", "type": "stdio", key: value}
        entries[f"u{number}"] = {"url": "https://a.example", "type": "http", key: value}
    content: Any = entries
    for step in reversed(row.tables[0]):
        content = {step: content}
    found = servers_of(Document(path=tmp_path / "file", format="json", content=content), client=client)
    assert found.entries.keys() | found.unusable.keys() == entries.keys()
    assert "good" in found.entries
