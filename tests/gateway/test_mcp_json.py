"""`mcpServers` files of other clients, as they are."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from lg_gateway.clients.formats.json_comments import without_comments
from lg_gateway.clients.names import NAME, fit_name
from lg_gateway.clients.reading import read_client_file
from lg_gateway.processes.server_specs import ServerSpec
from lg_gateway.serving.setup import prepare
from lg_policy.errors import ConfigError
from tests.gateway.misbehaving import PROGRAM, named
from tests.gateway.rig import call, flags, gateway_of, text_of


def specs_of(tmp_path: Path, text: str) -> dict[str, ServerSpec]:
    file = tmp_path / "mcp.json"
    file.write_text(text)
    return {spec.name: spec for spec in prepare(flags(), mcp_json=file).specs}


CURSOR = """
// from the README of a server
{
  "mcpServers": {
    /* the one that matters */
    "odd": {
      "command": "python3", "args": ["odd.py", "//no comment", "/* nor this */",], // trailing
      "autoApprove": ["echo"], "alwaysAllow": ["x"], "timeout": 60, "disabled": false,
      "env": {"PORT": 8080, "VERBOSE": true, "HOST": "a,}"},
    },
  },
}
"""


def test_comments_trailing_commas_and_other_clients_keys_are_read(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (spec,) = specs_of(tmp_path, CURSOR).values()

    assert spec.launch is not None
    assert spec.launch.argv[1:] == ("odd.py", "//no comment", "/* nor this */")
    assert dict(spec.launch.env) == {"PORT": "8080", "VERBOSE": "true", "HOST": "a,}"}
    assert spec.call_timeout_s == 60
    assert "'odd': autoApprove lets echo run without asking; here a rule does that" in caplog.text


@pytest.mark.parametrize(
    ("entry", "url"),
    [
        ({"serverUrl": "https://a.example/mcp"}, "https://a.example/mcp"),
        ({"httpUrl": "https://b.example/mcp", "trust": True}, "https://b.example/mcp"),
        ({"type": "streamable-http", "url": "https://c.example/mcp"}, "https://c.example/mcp"),
        ({"transport": "http", "url": "https://${env:HOST_NAME}/mcp", "envFile": ".env"}, "https://d.example/mcp"),
    ],
)
@pytest.mark.parametrize("table", [("mcpServers",), ("servers",), ("mcp", "servers"), ("context_servers",)])
def test_an_address_is_found_under_every_clients_key(
    tmp_path: Path, entry: Any, url: str, table: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOST_NAME", "d.example")
    content: Any = {"one": entry}
    for step in reversed(table):
        content = {step: content}
    assert specs_of(tmp_path, json.dumps(content))["one"].url == url


NAMES = ["awslabs.aws-documentation-mcp-server", "@org/x", "My Server", "a__b", "_", "ünï", "x" * 60, "My-Server"]


def test_every_server_name_is_made_fit_and_none_meets_another(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    servers = {name: {"command": "x"} for name in NAMES}
    made = specs_of(tmp_path, json.dumps({"mcpServers": servers}))

    assert len(made) == len(NAMES)
    assert all(NAME.fullmatch(name) and len(name) <= 20 for name in made)
    assert {"org-x", "My-Server", "a-b"} <= made.keys()
    assert "'@org/x': is called org-x here" in caplog.text
    assert fit_name("plain", {}) == "plain"


BAD_ENTRIES: dict[str, Any] = {
    "text": "npx",
    "both": {"command": "x", "url": "http://y"},
    "neither": {"env": {}},
    "websocket": {"type": "ws", "url": "ws://x"},
    "file": {"url": "file:///etc/passwd"},
    "variable": {"command": "x", "env": {"T": "${NOT_SET_ANYWHERE}"}},
    "arguments": {"command": "x", "args": [{}]},
}


def test_a_bad_entry_costs_that_entry(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    made = specs_of(tmp_path, json.dumps({"mcpServers": {**BAD_ENTRIES, "good": {"command": "x"}}}))

    assert made.keys() == {"good"}
    for name in BAD_ENTRIES:
        assert any(name in record.message for record in caplog.records if record.levelname == "ERROR"), name


@pytest.mark.parametrize("name", BAD_ENTRIES)
def test_where_no_entry_can_be_used_the_start_says_why(tmp_path: Path, name: str) -> None:
    with pytest.raises(ConfigError, match=name):
        specs_of(tmp_path, json.dumps({"mcpServers": {name: BAD_ENTRIES[name]}}))


def test_comments_are_taken_off_in_linear_time() -> None:
    for text in ('"' * 300_000, "/*" * 300_000, "/" * 300_000, ", " * 300_000, '"\\' * 300_000):
        assert len(without_comments(text)) <= len(text)


def test_a_file_that_is_too_long_or_no_json_is_refused_with_why(tmp_path: Path) -> None:
    file = tmp_path / "mcp.json"
    for content, why in (
        (b" " * 32_000_001, "more than"),
        (b"\xff\xfe", "expected an object"),
        (b"[" * 50_000, "cannot read"),
    ):
        file.write_bytes(content)
        with pytest.raises(ConfigError, match=why):
            read_client_file(file)


@pytest.mark.anyio
async def test_a_command_that_holds_its_arguments_is_run_as_it_is_meant(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    plan = tmp_path / "a plan.json"
    plan.write_text(json.dumps({"tools": named("echo")}))
    command = f"{sys.executable} '{PROGRAM}' '{plan}'"
    part = f"[gateway.servers.odd]\ncommand = {json.dumps(command)}\n"
    allow = '[[gateway.rules]]\ntools = ["*"]\neffect = "allow"\n'
    async with gateway_of(tmp_path, part, allow) as gateway:
        answer = await call(gateway, "odd__echo")

    assert "echo" in text_of(answer)
    assert "command holds arguments too" in caplog.text


def test_configured_values_are_hidden_only_where_they_are_secret(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SERVICE_LOGIN", "s3cr3t-of-mine")
    env = {
        "TZ": "Europe/Berlin", "NODE_ENV": "production", "ALLOWED_DIR": "/home/me/project", "LANG": "de_DE.UTF-8",
        "API_TOKEN": "token-of-mine-1", "LOGIN": "${SERVICE_LOGIN}", "MODE": "read-only-mode",
    }  # fmt: skip
    headers = {"Authorization": "Bearer abcdef123456", "X-Region": "eu-central-1"}
    servers = {"a": {"command": "x", "env": env}, "b": {"url": "https://b.example/mcp", "headers": headers}}
    made = specs_of(tmp_path, json.dumps({"mcpServers": servers}))

    assert set(made["a"].secrets()) == {"token-of-mine-1", "s3cr3t-of-mine"}
    assert made["b"].secrets() == ["abcdef123456"]


@pytest.mark.parametrize(
    ("content", "names"),
    [
        ({"mcpServers": {}, "servers": {"a": {"command": "true"}}}, ["a"]),
        ({"mcpServers": {}, "mcp": {"servers": {"a": {"command": "true"}}}}, ["a"]),
        ({"mcpServers": None, "servers": {}, "context_servers": {"a": {"command": "true"}}}, ["a"]),
        ({"mcpServers": {"a": {"command": "true"}}, "servers": {"b": {"command": "true"}}}, ["a"]),
        ({"mcpServers": [{"name": "a", "command": "true"}, {"name": "b", "command": "true"}]}, ["a", "b"]),
        ({"mcpServers": {}}, []),
        ({"mcp": {"a": {"type": "stdio", "command": "true"}}, "lsp": {}}, ["a"]),
        ({"amp.mcpServers": {"a": {"command": "true"}}, "amp.url": "x"}, ["a"]),
        ({"mcpServers": {"a": {"command": "true", "type": "STDIO"}}}, ["a"]),
    ],
)
def test_the_servers_are_found_in_whichever_table_has_some(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, content: dict[str, Any], names: list[str]
) -> None:
    file = tmp_path / "mcp.json"
    file.write_text(json.dumps(content))
    found = read_client_file(file)
    assert sorted(found.servers) == names
    both = sum(bool(content.get(key)) for key in ("mcpServers", "servers")) > 1
    assert ("the servers below 'servers' are ignored, because 'mcpServers' has some" in found.notes) == both


@pytest.mark.parametrize("table", [[1], [{"command": "true"}], [{"name": "a"}, {"name": "a"}], "a"])
def test_a_table_whose_meaning_is_not_certain_is_refused(tmp_path: Path, table: object) -> None:
    file = tmp_path / "mcp.json"
    file.write_text(json.dumps({"mcpServers": table}))
    with pytest.raises(ConfigError, match="mcpServers"):
        read_client_file(file)


@pytest.mark.parametrize("off", [True, "true", "True", " TRUE ", 1, "1", "yes", "on"])
def test_a_server_that_is_switched_off_stays_off_however_that_is_written(tmp_path: Path, off: object) -> None:
    file = tmp_path / "mcp.json"
    on = {"command": "true", "disabled": "false"}
    not_enabled = {"command": "true", "enabled": "false"}
    file.write_text(json.dumps({"mcpServers": {"off": {**on, "disabled": off}, "on": on, "not": not_enabled}}))
    found = read_client_file(file).servers
    assert {name: server.enabled for name, server in found.items()} == {"off": False, "on": True, "not": False}


@pytest.mark.parametrize("unclear", ["maybe", 2, "", [], {}])
def test_a_switch_that_is_neither_on_nor_off_costs_that_entry(tmp_path: Path, unclear: object) -> None:
    file = tmp_path / "mcp.json"
    good = {"command": "true", "env": ["A=1", "B=x=y"]}
    file.write_text(json.dumps({"mcpServers": {"good": good, "odd": {"command": "true", "disabled": unclear}}}))
    found = read_client_file(file)
    assert list(found.servers) == ["good"]
    assert dict(found.servers["good"].env) == {"A": "1", "B": "x=y"}
    assert "mcpServers.odd: disabled must be true or false" in found.problem("odd").message


@pytest.mark.parametrize("command", ["npx -y server && echo done", "cat x | server", "server > log"])
def test_a_command_that_needs_a_shell_costs_that_entry(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, command: str
) -> None:
    good = {"command": "sh -c 'true && true'"}
    specs = specs_of(tmp_path, json.dumps({"mcpServers": {"good": good, "odd": {"command": command}}}))
    assert list(specs) == ["good"]
    assert specs["good"].launch is not None
    assert specs["good"].launch.argv[1:] == ("-c", "true && true")
    assert "needs a shell" in caplog.text
