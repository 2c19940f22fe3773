"""`sandbox` in the settings of a server: started, called, told about, refused."""

from __future__ import annotations

import json
import os
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from lg_gateway.confinement.confined_process import sandbox_binary
from lg_gateway.confinement.programs import needs_of
from lg_gateway.ledger.halt import write_halt
from lg_gateway.serving.store_access import StoreAccess
from lg_policy.errors import ConfigError
from tests.gateway.commands.support_commands import run
from tests.gateway.rig import ALLOW_ALL, call, gateway_of, make_setup, text_of
from tests.support import require

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("programs_by_fork")]

SERVER = Path(__file__).parent.parent / "confined_server.py"


def confined_server(**sandbox: Any) -> str:
    """Return the settings of the small server in a sandbox."""
    sandbox["read"] = [str(SERVER), *sandbox.get("read", [])]
    table = ", ".join(f"{key} = {json.dumps(value)}" for key, value in sandbox.items())
    command = f"command = {json.dumps(sys.executable)}\nargs = [{json.dumps(str(SERVER))}]"
    return f'[gateway.servers.box]\n{command}\nmode = "legacy"\nsandbox = {{ {table} }}\n'


async def test_a_server_in_a_sandbox_answers_calls_and_sees_only_its_own_home(tmp_path: Path) -> None:
    require(sandbox_binary() is not None, "no bubblewrap")
    code = "import os; kept = os.path.expanduser('~/kept'); print(open(kept).read() if os.path.exists(kept) else 'new')"
    keep = "import os; open(os.path.expanduser('~/kept'), 'w').write('kept'); print(os.path.exists('/etc/shadow'))"
    async with gateway_of(tmp_path, confined_server(), ALLOW_ALL) as gateway:
        assert text_of(await call(gateway, "box__attempt", code=code)) == "new"
        assert text_of(await call(gateway, "box__attempt", code=keep)) == "False"
    async with gateway_of(tmp_path, confined_server(), ALLOW_ALL) as gateway:
        assert text_of(await call(gateway, "box__attempt", code=code)) == "kept"
    async with gateway_of(tmp_path, confined_server(home="throw_away"), ALLOW_ALL) as gateway:
        assert text_of(await call(gateway, "box__attempt", code=code)) == "new"


async def test_a_program_that_the_sandbox_does_not_show_is_named_in_the_reason(tmp_path: Path) -> None:
    require(sandbox_binary() is not None, "no bubblewrap")
    part = '[gateway.servers.box]\ncommand = "no-such-program"\nsandbox = {}\n'
    async with gateway_of(tmp_path, part, ALLOW_ALL) as gateway:
        assert "no-such-program" in gateway.upstreams["box"].error


@pytest.mark.parametrize(
    ("sandbox", "said"),
    [
        ({"network": ["https://example.com"]}, "is an address of a page"),
        ({"read": ["relative/path"]}, "is not an absolute path"),
        ({"write": ["/"]}, "would show too much"),
        ({"read": ["~"]}, "would show too much"),
        ({"read": ["${ABOVE_HOME}"]}, "would show too much"),
        ({"write": ["${STATE}"]}, "files of the gateway itself"),
    ],
)
def test_a_sandbox_that_would_be_none_is_refused(
    tmp_path: Path, sandbox: dict[str, Any], said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STATE", os.environ["XDG_CONFIG_HOME"])
    monkeypatch.setenv("ABOVE_HOME", str(tmp_path))
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    with pytest.raises(ConfigError, match=said):
        make_setup(tmp_path, confined_server(**sandbox), ALLOW_ALL)


def test_sandbox_is_for_servers_with_a_command(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="for servers with a command"):
        make_setup(tmp_path, '[gateway.servers.far]\nurl = "http://127.0.0.1:9"\nsandbox = {}\n')


def test_what_a_program_needs_is_found_without_running_it(tmp_path: Path) -> None:
    home = tmp_path.resolve() / "home"
    node = home / ".nvm" / "versions" / "node" / "v22"
    for path in (
        node / "bin" / "node",
        node / "lib" / "node_modules" / "npm" / "npx-cli.js",
        home / ".local/bin/uv",
        home / ".local/bin/uvx",
    ):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("")
    (node / "bin" / "npx").symlink_to("../lib/node_modules/npm/npx-cli.js")
    (home / ".local" / "lib").mkdir()
    assert str(node) in needs_of(str(node / "bin" / "npx"), str(home)).paths
    assert str(node / "bin") in needs_of(str(node / "bin" / "npx"), str(home)).search
    needed = needs_of(str(home / ".local/bin/uvx"), str(home)).paths
    assert set(needed) == {str(home / ".local/bin/uv"), str(home / ".local/bin/uvx")}
    assert needs_of("/usr/bin/env", str(home)).paths == ()


def test_doctor_says_who_is_confined_what_was_refused_and_that_calls_are_halted(tmp_path: Path) -> None:
    require(sandbox_binary() is not None, "no bubblewrap")
    free = f"[gateway.servers.free]\ncommand = {json.dumps(sys.executable)}\nargs = [{json.dumps(str(SERVER))}]\n"
    npx = tmp_path / "npx"
    npx.write_text("#!/bin/sh\nexit 1\n")
    npx.chmod(0o755)
    new = f'[gateway.servers.new]\ncommand = "{npx}"\nmode = "legacy"\nsandbox = {{}}\n'
    setup = make_setup(tmp_path, confined_server(network=["now.example"]), free + 'mode = "legacy"\n', new, ALLOW_ALL)
    kept = setup.state.path / "servers" / "box" / "refused-hosts"
    kept.parent.mkdir(parents=True)
    kept.write_text("api.example.com:443\nnow.example:443\n")
    with closing(StoreAccess(setup)) as access:
        access.write(lambda tx: write_halt(access.ledger, tx, by="ada", reason="enough"))
    told = run("doctor", "--config", str(tmp_path / "gateway.toml"))
    assert told.returncode == 1
    lines = [" ".join(line.split()) for line in told.stdout.splitlines()]
    assert any(line.startswith("!! halted all calls are stopped since") and "by ada: enough" in line for line in lines)
    assert "ok box in a sandbox: now.example; 1 paths of yours" in lines
    assert any("hosts that it may not reach: api.example.com:443; add it with" in line for line in lines)
    assert any(line.startswith("ok free runs with all your rights; to confine it: sandbox = { read") for line in lines)
    assert kept.read_text() == "api.example.com:443\n"
    index = 'let its first start reach your package index: [gateway.servers.new] sandbox = { network = ["HOST"] }'
    assert lines[-1] == f"next: new: {index}"
