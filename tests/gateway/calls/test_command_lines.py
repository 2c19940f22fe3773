"""Command lines that models write by habit, behind a gateway: taken apart before rules decide, or corrected."""

from __future__ import annotations

from pathlib import Path

import pytest

from lg_gateway.serving.running import running_gateway
from lg_gateway.serving.setup import prepare
from tests.gateway.rig import ALLOW_ALL, call, flags, text_of, write_config

pytestmark = pytest.mark.anyio

SETTINGS = """
[gateway.servers.exec]
builtin = "exec"
[exec.commands.py]
from = "python"
args_allow = ["-c=*..."]
[exec.commands.forbidden]
from = "python"
args_allow = ["-c=*..."]
[[gateway.rules]]
tools = ["exec__exec"]
when = { properties = { cmd = { const = "forbidden" } } }
effect = "deny"
reason = "not here"
"""


async def test_a_gateway_corrects_command_lines_as_lg_exec_does(tmp_path: Path) -> None:
    root = tmp_path / "root"
    root.mkdir()
    setup = prepare(flags(root=root, config=write_config(tmp_path, SETTINGS)), mcp_json=None)
    async with running_gateway(setup) as gateway:
        await gateway.settled()
        taken = await call(gateway, "exec__exec", cmd="py -c 'print(1 + 1)'")
        assert not taken.is_error, text_of(taken)
        assert taken.structured_content["stdout"] == "2\n"
        denied = await call(gateway, "exec__exec", cmd="forbidden -c 'print(1)'")
        assert denied.structured_content["error"]["code"] == "policy_denied"
        corrected = await call(gateway, "exec__exec", cmd="CI=1 py.test -q")
        assert corrected.structured_content["error"]["code"] == "invalid_arguments"
        assert 'call exec(cmd="pytest", args=["-q"], env={"CI": "1"})' in corrected.structured_content["error"]["hint"]
        shell = await call(gateway, "exec__exec", cmd="bash", args=["-c", "ls | wc"])
        assert "there is no shell" in shell.structured_content["error"]["message"]


async def test_what_a_command_kept_is_taken_back_through_the_gateway(tmp_path: Path) -> None:
    """Both servers get the gateway's state directory, so they share a journal."""
    root = tmp_path / "root"
    root.mkdir()
    (root / "file").write_text("old")
    kept = '[exec.commands.keep]\nfrom = "python"\nargs_allow = ["-c=*..."]\nroot = "rw"\n'
    config = write_config(tmp_path, SETTINGS, kept, '[gateway.servers.fs]\nbuiltin = "fs"\n', ALLOW_ALL)
    async with running_gateway(prepare(flags(root=root, config=config), mcp_json=None)) as gateway:
        await gateway.settled()
        done = await call(gateway, "exec__exec", cmd="keep", args=["-c", "open('file', 'w').write('new')"])
        assert not done.is_error, text_of(done)
        assert (root / "file").read_text() == "new"
        change_id = done.structured_content["change_id"]
        reverted = await call(gateway, "fs__revert_patch", change_id=change_id)
        assert not reverted.is_error, text_of(reverted)
    assert (root / "file").read_text() == "old"
