"""Questions answered at a terminal, and by nothing else."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
from pathlib import Path

import anyio
import pytest

from lg_policy.errors import ApprovalRequired
from tests.gateway.rig import gateway_of, program_environment, send, server
from tests.gateway.test_approvals import NO_HOLD, OPERATOR

pytestmark = pytest.mark.anyio


def on_terminal(typed: str, *args: str) -> tuple[int, str]:
    """Run the command with a terminal of its own, type something, and return its status and all that was shown."""
    pid, descriptor = pty.fork()
    if pid == 0:
        os.execvpe(sys.executable, [sys.executable, "-m", "lg_gateway", "approvals", *args], program_environment())
    shown = b""
    try:
        while b"type" not in shown and b"lg-gateway:" not in shown:
            shown += os.read(descriptor, 4096)
        if "CODE" in typed:
            after = shown.split(b"type ")[-1].split()
            typed = typed.replace("CODE", after[0].decode())
        os.write(descriptor, typed.encode() + b"\n")
        while chunk := os.read(descriptor, 4096):
            shown += chunk
    except OSError:  # the terminal is gone with its process
        pass
    finally:
        os.close(descriptor)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), shown.decode()


async def test_a_human_approves_at_a_terminal_after_seeing_everything(tmp_path: Path) -> None:
    async with gateway_of(tmp_path, server("a"), NO_HOLD) as gateway:
        first = await send(gateway, "a__echo", {"text": "what to see"})
        asked = first.structured_content["error"]["approval_id"]
        where = ("--config", str(tmp_path / "gateway.toml"))
        refused, _ = await anyio.to_thread.run_sync(on_terminal, "n", "approve", asked, *where)
        status, shown = await anyio.to_thread.run_sync(on_terminal, "yes", "approve", asked, *where)
        second = await send(gateway, "a__echo", {"text": "what to see"})

    assert (refused, status) == (1, 0)
    assert "what to see" in shown
    assert second.content[0].text == "what to see"


async def test_an_operators_question_wants_the_code_that_only_its_terminal_shows(tmp_path: Path) -> None:
    async with gateway_of(tmp_path, server("a"), NO_HOLD, OPERATOR) as gateway:
        first = await send(gateway, "a__echo", {"text": "x"})
        asked = first.structured_content["error"]["approval_id"]
        where = ("--config", str(tmp_path / "gateway.toml"))
        wrong, _ = await anyio.to_thread.run_sync(on_terminal, "yes", "approve", asked, *where)
        right, _ = await anyio.to_thread.run_sync(on_terminal, "CODE", "approve", asked, *where)
        second = await send(gateway, "a__echo", {"text": "x"})

    assert (wrong, right) == (1, 0)
    assert second.content[0].text == "x"


async def test_a_program_without_a_terminal_cannot_approve(tmp_path: Path) -> None:
    async with gateway_of(tmp_path, server("a"), NO_HOLD) as gateway:
        first = await send(gateway, "a__echo", {"text": "x"})
        asked = first.structured_content["error"]["approval_id"]
        command = [sys.executable, "-m", "lg_gateway", "approvals", "approve", asked]
        done = await anyio.to_thread.run_sync(
            lambda: subprocess.run(
                [*command, "--config", str(tmp_path / "gateway.toml")],
                input="yes\n",
                text=True,
                capture_output=True,
                start_new_session=True,
                env=program_environment(),
            )
        )
        second = await send(gateway, "a__echo", {"text": "x"})

    assert done.returncode == 2
    assert "needs a terminal" in done.stderr
    assert second.structured_content["error"]["code"] == ApprovalRequired.code
