"""Real files of each client are imported as that client means them. Each test is one file of the corpus."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from lg_gateway.clients.entry import ClientFile
from lg_gateway.clients.import_plan import ImportPlan, import_plan
from lg_gateway.clients.reading import read_client_file
from lg_gateway.clients.values import Values
from lg_policy.config.settings import UpstreamSettings
from tests.gateway.clients.corpus import FILES


def read(home: Path, name: str, **replaced: str) -> ClientFile:
    """Put a file of the corpus where its client keeps it, and read it."""
    place, text = FILES[name]
    for word, value in replaced.items():
        text = text.replace(word, value)
    path = home / place
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text.encode())
    return read_client_file(path)


def plan(found: ClientFile, home: Path, **environ: str) -> ImportPlan:
    keys = {"LG_KEY_DIR": str(home / "keys"), "XDG_STATE_HOME": str(home / "state")}
    return import_plan(found, home / "config.toml", Values(environ=environ | keys, root=home))


def expanded(settings: UpstreamSettings, values: Values) -> dict[str, str]:
    return {key: values.expand(text, key) for key, text in (*settings.env.items(), *settings.headers.items())}


def test_claude_desktop_arguments_keep_their_spaces(tmp_path: Path) -> None:
    found = read(tmp_path, "desktop")
    assert found.client == "claude-desktop"
    assert found.servers["fs"] == UpstreamSettings(command="npx", args=("-y", "p", "/a b"))


def test_a_byte_order_mark_and_windows_line_ends_change_nothing(tmp_path: Path) -> None:
    found = read(tmp_path, "desktop on Windows")
    assert found.servers["fs"] == UpstreamSettings(command="C:\\x\\y.exe", args=("-y", "p", "/a b"))


def test_claude_code_has_servers_of_the_user_and_of_the_project_and_others_are_counted(tmp_path: Path) -> None:
    project = tmp_path / "p"
    assert read(tmp_path, "claude code, user", PROJECT=str(project)).servers.keys() == {"everywhere"}
    found = read_client_file(tmp_path / ".claude.json", root=project)
    assert found.client == "claude-code"
    assert found.servers.keys() == {"everywhere", "here"}
    assert found.notes == ["2 servers of other projects are left out; name one with --root DIR"]


def test_a_variable_that_is_not_set_costs_the_entry_and_is_named_and_a_default_counts(tmp_path: Path) -> None:
    found = read(tmp_path, "claude code, project")
    unset = plan(found, tmp_path)
    assert not unset.entries
    assert "environment variable T, which is not set" in unset.left_out["api"].message
    given = plan(found, tmp_path, T="x")
    settings = given.entries["api"].settings
    assert Values(environ={"T": "x"}).expand(settings.url or "", "url") == "http://127.0.0.1:1/mcp"
    assert expanded(settings, Values(environ={"T": "x"})) == {"Authorization": "Bearer x"}


@pytest.mark.parametrize(
    ("name", "server", "why"),
    [
        ("claude code, helper", "api", "headersHelper runs a program"),
        ("claude code, websocket", "live", "type 'ws' is not supported"),
        ("vscode, sockets", "sock", "a socket or a pipe"),
        ("vscode, sockets", "boxed", "confined by its client's sandbox"),
        ("zed", "extension", "an extension's server"),
        ("goose", "developer", "a part of Goose"),
        ("goose", "gone", "no longer started by Goose"),
        ("opencode", "elsewhere", "only switches a server of another file"),
    ],
)
def test_what_the_gateway_cannot_do_costs_that_entry_and_is_named(
    tmp_path: Path, name: str, server: str, why: str
) -> None:
    found = read(tmp_path, name)
    assert server not in found.servers
    assert why in found.unusable[server].message


def test_an_address_of_cursor_without_a_type_is_http_and_sse_if_that_is_refused(tmp_path: Path) -> None:
    settings = read(tmp_path, "cursor, address").servers["api"]
    assert settings.transport == "auto"
    assert expanded(settings, Values(environ={"K": "v"})) == {"X-Key": "v"}


def test_an_env_file_of_cursor_is_read_at_the_start_and_not_copied(tmp_path: Path) -> None:
    settings = read(tmp_path, "cursor, env file").servers["db"]
    env_file = tmp_path / "p" / ".env"
    assert settings.env_file == str(env_file)
    assert not settings.env
    env_file.write_text("# of mine\nexport KEY='a b'\nPLAIN=x # note\n")
    values = Values(environ={}, root=tmp_path / "root")
    assert values.env_file(settings.env_file, "db") == {"KEY": "a b", "PLAIN": "x"}
    assert values.expand(settings.args[0], "args") == f"{tmp_path / 'root'}/data"


def test_an_input_of_vscode_is_asked_for_once(tmp_path: Path) -> None:
    found = read(tmp_path, "vscode, inputs")
    planned = plan(found, tmp_path)
    (name,) = planned.asked
    assert found.inputs == {name: "Token of the API"}
    values = Values(environ={"LG_KEY_DIR": str(tmp_path / "keys"), "XDG_STATE_HOME": str(tmp_path / "state")})
    values.secrets.put(name, "s3cret", values.environ)
    assert expanded(found.servers["one"], values) == {"TOKEN": "s3cret"}
    assert expanded(found.servers["two"], values) == {"Authorization": "Bearer s3cret"}
    assert plan(found, tmp_path).asked == ()


def test_numbers_become_texts_and_null_is_left_out(tmp_path: Path) -> None:
    assert dict(read(tmp_path, "vscode, values").servers["one"].env) == {"A": "1"}


def test_only_servers_are_taken_from_the_settings_of_vscode(tmp_path: Path) -> None:
    found = read(tmp_path, "vscode, settings")
    assert found.client == "vscode"
    assert found.servers.keys() == {"one"}


def test_an_address_of_cline_without_a_type_is_sse(tmp_path: Path) -> None:
    assert read(tmp_path, "cline, untyped").servers["api"].transport == "sse"


def test_a_time_out_of_cline_ends_at_an_hour_and_its_tokens_are_not_copied(tmp_path: Path) -> None:
    found = read(tmp_path, "cline, nested")
    entry = found.entries["api"]
    assert (entry.settings.call_timeout_s, entry.settings.transport) == (3600, "http")
    assert any("more than 3600 s" in note for note in entry.notes)
    assert any("its login was not copied" in note for note in entry.notes)
    assert "5up3rs3cr3t" not in plan(found, tmp_path).edit.after.decode()


def test_what_roo_always_allows_is_only_proposed_and_what_it_disables_is_not_offered(tmp_path: Path) -> None:
    planned = plan(read(tmp_path, "roo"), tmp_path)
    settings = planned.entries["files"].settings
    assert (settings.exclude_tools, settings.call_timeout_s) == (("w",), 30)
    ((server, rule),) = planned.rules()
    assert (server, rule.tools, rule.key, rule.dangerous) == ("files", ("r",), "alwaysAllow", False)
    assert b"rules" not in planned.edit.after


def test_a_server_of_kiro_that_is_off_stays_off_and_a_yes_to_everything_is_called_dangerous(tmp_path: Path) -> None:
    planned = plan(read(tmp_path, "kiro"), tmp_path)
    assert planned.entries["docs"].settings.enabled is False
    assert [rule.dangerous for _, rule in planned.rules()] == [True]


def test_both_shapes_of_a_command_of_zed_are_read(tmp_path: Path) -> None:
    servers = read(tmp_path, "zed").servers
    assert servers["new"] == UpstreamSettings(command="new-mcp", args=("--stdio",))
    assert servers["old"] == UpstreamSettings(command="old-mcp", args=("-x",), env={"A": "1"})


def test_a_file_that_windsurf_names_is_read_at_the_start(tmp_path: Path) -> None:
    key = tmp_path / "k"
    settings = read(tmp_path, "windsurf", KEYFILE=str(key)).servers["api"]
    key.write_text("v1\n")
    assert expanded(settings, Values(environ={})) == {"X-Key": "v1"}
    assert settings.url == "https://a.example/mcp"


def test_a_secret_of_continue_is_asked_for(tmp_path: Path) -> None:
    planned = plan(read(tmp_path, "continue"), tmp_path)
    (name,) = planned.asked
    assert dict(planned.entries["api"].settings.headers) == {"Authorization": f"Bearer ${{secret:{name}}}"}
    assert planned.entries["api"].settings.transport == "http"


def test_gemini_prefers_its_older_key_and_its_lists_and_variables_count(tmp_path: Path) -> None:
    planned = plan(read(tmp_path, "gemini"), tmp_path, T="x")
    api = planned.entries["api"].settings
    assert (api.url, api.exclude_tools, api.call_timeout_s) == ("https://a.example/mcp", ("wipe",), 5)
    assert expanded(api, Values(environ={"T": "x"})) == {"X-Key": "x"}
    assert [(rule.key, rule.dangerous) for _, rule in planned.rules()] == [("trust", True)]
    assert planned.entries["off"].settings.enabled is False
    assert "variable T" in plan(read(tmp_path, "gemini"), tmp_path).left_out["api"].message


def test_codex_passes_variables_by_name_and_switches_off(tmp_path: Path) -> None:
    found = read(tmp_path, "codex")
    local, remote = found.servers["local"], found.servers["my-api"]
    assert expanded(local, Values(environ={"TOKEN": "x"})) == {"TOKEN": "x", "OTHER": ""}
    assert (local.call_timeout_s, remote.enabled) == (90, False)
    assert dict(remote.headers) == {"Authorization": "Bearer ${TOKEN}"}
    assert any("is called my-api here" in note for note in found.entries["my-api"].notes)


def test_what_goose_keeps_in_its_keyring_is_asked_for(tmp_path: Path) -> None:
    planned = plan(read(tmp_path, "goose"), tmp_path)
    (name,) = planned.asked
    assert planned.entries.keys() == {"db"}
    assert planned.entries["db"].settings == UpstreamSettings(
        command="db-mcp", args=("--stdio",), env={"DB_PASSWORD": f"${{secret:{name}}}"}, call_timeout_s=300
    )


def test_a_command_list_of_opencode_is_a_program_with_arguments(tmp_path: Path) -> None:
    settings = read(tmp_path, "opencode").servers["local"]
    assert (settings.command, settings.args) == ("npx", ("-y", "p"))
    assert expanded(settings, Values(environ={})) == {"K": ""}
    assert expanded(settings, Values(environ={"K": "v"})) == {"K": "v"}


def test_bare_entries_of_fastmcp_are_read_and_its_login_and_renames_are_named(tmp_path: Path) -> None:
    found = read(tmp_path, "fastmcp")
    assert found.client == "fastmcp"
    assert dict(found.servers["local"].env) == {"N": "1"}
    assert any("its login was not copied" in note for note in found.entries["api"].notes)
    assert any("renames or changes 1 tools" in note for note in found.entries["local"].notes)


HOSTILE_NAMES = ("a__b", "Azure DevOps", "🐙", "x.y", "x/y", "__proto__")


def test_hostile_entries_cost_themselves_and_every_name_is_told(tmp_path: Path) -> None:
    entries = [f'{json.dumps(name)}: {{"command": "c"}}' for name in HOSTILE_NAMES]
    entries += ['"twice": {"command": "a"}', '"twice": {"command": "b"}', '"inner": {"command": "a", "command": "b"}']
    entries += [f'"long": {{"command": "a", "args": ["{"x" * 5_000_000}"]}}', '"args": {"command": "a", "args": [{}]}']
    entries += ['"us": {"command": "/opt/bin/lg-gateway", "args": ["--root", "/p"]}']
    entries += ['"module": {"command": "python3", "args": ["-m", "lg_gateway"]}', '"text": "npx"']
    file = tmp_path / "mcp.json"
    file.write_text(f'{{"mcpServers": {{{", ".join(entries)}}}}}')
    found = read_client_file(file)
    assert {entry.written for entry in found.entries.values()} == set(HOSTILE_NAMES)
    assert len(found.entries) == len(HOSTILE_NAMES)
    assert all(any("is called" in note for note in entry.notes) for entry in found.entries.values())
    reasons = {name: error.message for name, error in found.unusable.items()}
    assert reasons.keys() == {"twice", "inner", "long", "args", "us", "module", "text"}
    assert "stands twice in the table" in reasons["twice"]
    assert "more than 200000 characters" in reasons["long"]
    assert "serve its own tools again" in reasons["us"] and "serve its own tools again" in reasons["module"]
