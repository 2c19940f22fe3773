"""`lg-gateway serve --console` beside `/mcp`, and the link that only a terminal shows."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import httpx2
import pytest

from tests.gateway.commands.terminals import gateway_on_terminal
from tests.gateway.rig import http_gateway, program_environment, server, write_config

pytestmark = pytest.mark.usefixtures("programs_by_fork")

LINK = re.compile(r"http://127\.0\.0\.1:\d+/login#link=([A-Za-z0-9_-]{43})")


def test_a_console_stands_beside_mcp_and_a_terminal_shows_the_link(tmp_path: Path) -> None:
    config = str(write_config(tmp_path, server("a")))
    with http_gateway("serve", "--console", "--config", config) as (address, _):
        with gateway_on_terminal("console", "--config", config) as screen:
            screen.wait("#link=")
            assert screen.end() == 0
        found = LINK.search(screen.shown)
        assert found is not None
        with httpx2.Client(base_url=address, headers={"origin": address}, timeout=60) as client:
            assert client.get("/approvals").status_code == 401
            assert client.post("/login/link", json={"link": found[1]}).status_code == 200
            assert client.get("/approvals").status_code == 200
            assert client.get("/healthz").status_code == 200
            assert client.post("/mcp", json={}).status_code == 400
        piped = gateway("console", "--config", config)
    over = gateway("console", "--config", config)
    wrong = gateway("serve", "--console", "--config", config)
    assert (piped.returncode, "link=" in piped.stdout + piped.stderr) == (2, False)
    assert (over.returncode, "no console runs" in over.stderr) == (2, True)
    assert (wrong.returncode, "--console needs --transport http" in wrong.stderr) == (2, True)


def gateway(*args: str) -> subprocess.CompletedProcess[str]:
    """Run a command without a terminal."""
    command = [sys.executable, "-P", "-m", "lg_gateway", *args]
    return subprocess.run(
        command,
        env=program_environment(),
        capture_output=True,
        text=True,
        start_new_session=True,
        stdin=subprocess.DEVNULL,
    )


def test_a_gateway_without_a_console_imports_none_of_it() -> None:
    code = (
        "import sys, lg_gateway.commands.serving.serve; print([name for name in sys.modules if 'lg_console' in name])"
    )
    done = subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, text=True, env=program_environment())
    assert done.stdout.strip() == "[]"
