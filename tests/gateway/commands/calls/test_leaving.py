"""A call that is ended at its question takes the question back."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from tests.gateway.commands.support_commands import run
from tests.gateway.commands.terminals import gateway_on_terminal
from tests.gateway.rig import server, write_config

pytestmark = pytest.mark.usefixtures("programs_by_fork")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_a_call_that_ends_at_its_question_withdraws_it(tmp_path: Path, number: signal.Signals) -> None:
    config = write_config(tmp_path, server("a"))
    with gateway_on_terminal("call", "a__echo", '{"text": "x"}', "--config", str(config)) as screen:
        screen.wait("[d]eny")
        open_before = run("approvals", "list", "--config", str(config)).stdout
        os.kill(screen.pid, number)
        status = screen.end()
    left = run("approvals", "list", "--config", str(config))

    assert "a__echo" in open_before
    assert status == 130, screen.shown
    assert left.stdout == ""
    assert "expired" in run("approvals", "list", "--all", "--config", str(config)).stdout
