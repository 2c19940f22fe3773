"""The log as JSON, the line of each call, and that no secret gets into either."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.gateway.commands.support_commands import run
from tests.gateway.observability.support_observed import get, logged_gateway, post, tool_call
from tests.gateway.rig import ALLOW_ALL, server, write_config

pytestmark = pytest.mark.usefixtures("programs_by_fork")
TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"


def lines(log: Path, logger: str = "") -> list[dict[str, Any]]:
    read = [json.loads(line) for line in log.read_text().splitlines()]
    return [line for line in read if line["logger"].startswith(logger)]


def test_each_call_has_a_line_of_json_with_its_request_run_and_trace(tmp_path: Path) -> None:
    config = write_config(tmp_path, '[log]\nformat = "json"\naccess = true\n', server("a"), ALLOW_ALL)
    log = tmp_path / "log"
    meta = {"traceparent": f"00-{TRACE}-00f067aa0ba902b7-01", "lg/run": {"run_id": "r1", "epoch": 1, "step": "s"}}
    with logged_gateway(log, "--no-login", "--config", str(config)) as (url, _):
        answer = post(url, tool_call("a__echo", {"text": "hi"}, **meta)).json()
        post(url, tool_call('no such {"tool": 1}', {}))

    assert [line["message"][:12] for line in lines(log)[:2]] == ["no login: ev", "listening on"]
    called, unknown = lines(log, "lg_gateway.access")
    assert called["request_id"] == answer["result"]["_meta"]["lg/request"]
    assert called.items() >= {
        "level": "info", "run_id": "r1", "trace_id": TRACE, "server": "a", "tool": "a__echo", "outcome": "ok",
        "decision": "allow", "client": "test 1",
    }.items()  # fmt: skip
    assert called["duration_ms"] > 0
    assert unknown.items() >= {"outcome": "refused", "code": "not_found"}.items()


@pytest.mark.attack(
    "Secrets", "a secret in headers, addresses, arguments and results, with the log as talkative as it gets"
)
@pytest.mark.parametrize("form", ["text", "json"])
def test_no_secret_of_a_request_or_of_the_settings_is_logged(tmp_path: Path, form: str) -> None:
    configured = server("a") + 'env.API_TOKEN = "configured-s3cret-value"\n'
    config = write_config(tmp_path, f'[log]\nformat = "{form}"\naccess = true\n', configured, ALLOW_ALL)
    token = run("tokens", "create", "alice", "--config", str(config)).stdout.strip()
    log, login = tmp_path / "log", {"Authorization": f"Bearer {token}"}
    shaped = "ghp_0123456789abcdefghijABCDEFGHIJ012345"
    with logged_gateway(log, "--log-level", "debug", "--config", str(config)) as (url, _):
        for text in (shaped, "configured-s3cret-value", token):
            assert post(url, tool_call("a__echo", {"text": text}), **login).status_code == 200
            post(url, tool_call(f"a__{text}", {}), **login)
            get(url, f"/mcp?token={text}")
            post(url, tool_call("a__echo", {}), Authorization=f"Bearer {text}x")
            post(url, tool_call("a__echo", {"text": "x"}), **login, Cookie=f"session={text}")
    logged = log.read_text()

    assert "a__echo" in logged
    assert [text for text in (shaped, "configured-s3cret-value", token) if text in logged] == []
    assert form == "text" or len(lines(log)) > 5
