"""`lg-gateway status` asks gateways that run, whoever started them."""

from __future__ import annotations

import json
import os
import signal
import stat
from pathlib import Path
from typing import Any

import anyio
import pytest

from tests.gateway.commands.support_commands import run
from tests.gateway.observability.support_observed import eventually, logged_gateway, post, tool_call
from tests.gateway.rig import ALLOW_ALL, client_of, server, write_config

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("programs_by_fork")]


def told(*args: str) -> list[dict[str, Any]]:
    done = run("status", "--json", *args)
    return list(json.loads(done.stdout)["gateways"])


def sockets() -> list[Path]:
    return list(Path(os.environ["XDG_STATE_HOME"]).glob("lg/*/gateways/*.sock"))


def test_a_server_is_shown_with_its_calls_its_latency_and_why_it_is_down(tmp_path: Path) -> None:
    config = write_config(tmp_path, server("a"), server("gone", "--exit", "3"), ALLOW_ALL)
    with logged_gateway(tmp_path / "log", "--no-login", "--config", str(config)) as (url, process):
        assert "hi" in post(url, tool_call("a__echo", {"text": "hi"})).text
        assert "fail" in post(url, tool_call("a__fail", {})).text
        eventually(lambda: told()[0]["servers"][1]["restarts"] > 0)
        (status,), text = told(), run("status", "--config", str(config))
        mode = stat.S_IMODE(sockets()[0].stat().st_mode)
        process.send_signal(signal.SIGKILL)
        process.wait()
        after = run("status")

    a, gone = status["servers"]
    assert (status["pid"], status["transport"], status["halted"]) == (process.pid, "http", False)
    assert status["store"] == {"kind": "sqlite", "ok": True, "error": None}
    assert (a["state"], a["protocol"], a["error"]) == ("up", "2026-07-28", None)
    assert a["tools"] > 3
    assert a["calls"] == {"ok": 1, "error": 1}
    assert a["p95_ms"] > 0
    assert a["last_failed_call"].items() >= {"tool": "a__fail", "code": "tool_error"}.items()
    assert "status 3" in gone["last_error"]
    assert text.returncode == 1
    assert ["a", "up"] in [line.split()[:2] for line in text.stdout.splitlines()]
    assert "status 3" in text.stdout
    assert mode == 0o600
    assert (after.returncode, sockets()) == (1, [])
    assert "no gateway runs" in after.stderr


async def test_a_gateway_that_a_client_started_on_stdio_is_found_and_healthy(tmp_path: Path) -> None:
    config = write_config(tmp_path, server("a"), ALLOW_ALL)
    async with client_of("--config", str(config)) as client:
        await client.call_tool("a__echo", {"text": "hi"})
        done = await anyio.to_thread.run_sync(lambda: run("status", "--json"))
    left = sockets()

    (status,) = json.loads(done.stdout)["gateways"]
    assert (done.returncode, status["transport"]) == (0, "stdio")
    assert status["servers"][0]["calls"] == {"ok": 1}
    assert left == []
