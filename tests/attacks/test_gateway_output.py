"""Text of servers, clients and files on its way to the terminal of whoever runs `lg-gateway`."""

from __future__ import annotations

import json
import subprocess
import sys
from functools import partial
from pathlib import Path

import anyio
import pytest

from lg_policy.printing import visible
from tests.gateway.approvals.support_approvals import NO_HOLD
from tests.gateway.commands.support_commands import run
from tests.gateway.hostile_text_server import BAD
from tests.gateway.rig import gateway_of, send

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("programs_by_fork")]
SERVER = Path(__file__).parents[1] / "gateway" / "hostile_text_server.py"
ALLOWED = "\n\t"


def hostile(about: str = "first") -> str:
    lines = ["[gateway.servers.h]", f"command = {json.dumps(sys.executable)}", f"args = {json.dumps([str(SERVER)])}"]
    return "\n".join([*lines, f"env = {{ ABOUT = {json.dumps(about)} }}"]) + "\n"


def harmless(done: subprocess.CompletedProcess[str]) -> str:
    """Return what a command printed, having looked that it cannot move, hide or turn text on a terminal."""
    shown = done.stdout + done.stderr
    raw = sorted({character for character in shown if visible(character, keep=ALLOWED) != character})
    assert raw == [], f"{done.args[4:]} printed {raw!r}"
    return shown


@pytest.mark.attack("Display", "escape sequences in names, descriptions, results and errors of a server")
async def test_no_command_prints_what_a_server_wrote_as_it_is(tmp_path: Path) -> None:
    allow = '[[gateway.rules]]\ntools = ["h__*"]\neffect = "allow"\n'
    async with gateway_of(tmp_path, hostile(), allow) as gateway:
        (odd,) = [entry.name for entry in gateway.catalog.entries() if "odd" in entry.name]
    where = ("--config", str(tmp_path / "gateway.toml"))
    table = tmp_path / "cases.toml"
    table.write_text(f'[[case]]\ntool = "h__{visible(BAD)[:0]}none"\nargs = {{ a = "\\u001b[2J" }}\neffect = "deny"\n')
    commands = [
        ["tools"], ["tools", "--json"], ["call", odd], ["call", odd, "--json"], ["call", "h__fail"],
        ["call", f"h__{BAD.replace(chr(0), '')}"], ["policy", "explain", odd, "--identity", "a\x1b[2J"],
        ["policy", "test", str(table), "--identity", "a\x1b[2J"], ["doctor"], ["audit", "list"], ["audit", "show", "3"],
        ["audit", "export"], ["audit", "verify"], ["audit", "show", "no\x1b[2J"], ["pins", "list"],
        ["pins", "list", "--json"],
    ]  # fmt: skip
    shown = ""
    for command in commands:
        shown += harmless(await anyio.to_thread.run_sync(partial(run, *command, *where)))
    (tmp_path / "gateway.toml").write_text(hostile("second") + allow)
    for command in (["tools"], ["pins", "diff"], ["doctor"], ["pins", "accept", "h"], ["pins", "list"]):
        shown += harmless(await anyio.to_thread.run_sync(partial(run, *command, *where)))

    assert "said \\u{1b}]0;owned\\u{7}" in shown  # the texts were there, spelled out
    assert "accepted h: " in shown


@pytest.mark.attack("Display", "escape sequences in a client's name, a run's id, arguments and reasons")
async def test_no_command_prints_what_a_client_wrote_as_it_is(tmp_path: Path) -> None:
    where = ("--config", str(tmp_path / "gateway.toml"))
    meta = {"lg/run": {"run_id": "r-1  tool: fs__read_file"}}
    async with gateway_of(tmp_path, hostile(), NO_HOLD) as gateway:
        asked = await send(gateway, "h__echo", {f"n{BAD}": f"v{BAD}"}, client=f"c{BAD}", meta=meta)
        approval = asked.structured_content["error"]["approval_id"]
        commands = [
            ["approvals", "list"], ["approvals", "list", "--json"], ["approvals", "show", approval],
            ["approvals", "show", approval, "--json"], ["approvals", "show", "no\x1b[2J"],
            ["approvals", "approve", approval], ["approvals", "deny", approval, "--reason", "no\x1b[2J\u202e"],
            ["approvals", "show", approval], ["approvals", "list", "--all"], ["audit", "list"],
            ["audit", "show", approval], ["approvals", "revoke", "no\x1b[2J"], ["approvals", "grants"],
        ]  # fmt: skip
        shown = ""
        for command in commands:
            shown += harmless(await anyio.to_thread.run_sync(partial(run, *command, *where)))

    assert "v\\u{1b}]0;owned\\u{7}" in shown
    assert "no\\u{1b}[2J\\u{202e}" in shown


@pytest.mark.attack("Display", "escape sequences in options, paths and files that a command is given")
@pytest.mark.parametrize(
    "command",
    [
        ["tools", "--config", "no\x1b[2J.toml"], ["tools", "--root", "no\x1b[2J"], ["no\x1b[2J"],
        ["audit", "no\x1b[2J"], ["audit", "list", "--no\x1b[2J"], ["audit", "list", "--since", "no\x1b[2J"],
        ["audit", "verify", "--export", "no\x1b[2J"], ["audit", "verify", "--export", "export"],
        ["call", "a", "{\x1b[2J"], ["tokens", "create", "no\x1b[2J"], ["tokens", "revoke", "no\x1b[2J"],
        ["policy", "test", "no\x1b[2J"], ["policy", "test", "export"], ["tools", "--mcp-json", "no\x1b[2J"],
        ["audit", "list", "--state-dir", "st\x1b[2J"], ["doctor", "--config", "export"],
    ],
)  # fmt: skip
def test_no_command_prints_an_option_a_path_or_a_file_as_it_is(tmp_path: Path, command: list[str]) -> None:
    (tmp_path / "export").write_text('{"seq": 1, "hash": "\x1b[2J", "record": "\u202e\x1b[2J"}\n\x1b[2J\n')
    (tmp_path / "st\x1b[2J").mkdir()

    assert harmless(run(*command, cwd=tmp_path))


@pytest.mark.attack("Servers", "a server repeats its own credentials in the descriptions of its tools")
async def test_a_credential_of_a_server_is_not_listed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GW_TOKEN", "tok-5f1e0c7a9b3d")
    async with gateway_of(tmp_path, hostile("${GW_TOKEN}")) as gateway:
        said = [str(entry.listed.description) for entry in gateway.catalog.entries() if entry.server.name == "h"]
    assert len(said) == 3
    assert all("[secret:configured:" in text and "tok-5f1e" not in text for text in said)
