"""Health and readiness over HTTP, with servers that are down and with a PostgreSQL server that goes and comes back."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.gateway.commands.support_commands import run
from tests.gateway.observability.support_observed import eventually, get, logged_gateway, post, tool_call
from tests.gateway.rig import ALLOW_ALL, program_environment, server, write_config
from tests.postgres import own_server

pytestmark = pytest.mark.usefixtures("programs_by_fork")


def new_token(config: Path) -> str:
    command = [sys.executable, "-P", "-m", "lg_gateway", "tokens", "create", "alice", "--config", str(config)]
    made = subprocess.run(command, capture_output=True, text=True, check=True, env=program_environment())
    return next(word for word in (made.stdout + made.stderr).split() if word.startswith("lgt_"))


def test_readiness_says_how_many_servers_are_up_and_names_none(tmp_path: Path) -> None:
    config = write_config(tmp_path, server("payroll"), server("gone", "--exit", "1"), ALLOW_ALL)
    with logged_gateway(tmp_path / "log", "--no-login", "--config", str(config)) as (url, _):
        eventually(lambda: get(url, "/readyz").json()["servers"]["up"] == 1)
        unready, alive = get(url, "/readyz"), get(url, "/healthz")

    assert unready.status_code == 503
    assert unready.headers["retry-after"]
    assert unready.json() == {"status": "not ready", "store": "ok", "servers": {"configured": 2, "up": 1}}
    assert (alive.status_code, alive.json()) == (200, {"status": "degraded"})
    assert "payroll" not in unready.text + alive.text


def test_the_status_of_a_server_that_is_down_names_no_secret_of_its_address(tmp_path: Path) -> None:
    address = "http://u:Geheim-123x@127.0.0.1:1/mcp?api_key=query-s3cret-1"
    down = f'[gateway.servers.gone]\nurl = "{address}"\n'
    config, log = write_config(tmp_path, down, ALLOW_ALL), tmp_path / "log"
    with logged_gateway(log, "--no-login", "--config", str(config)):
        eventually(lambda: "gone is down" in log.read_text())
        told = run("status", "--json", "--config", str(config)).stdout

    assert "cannot reach http" in told
    assert [secret for secret in ("Geheim-123x", "query-s3cret-1") if secret in told + log.read_text()] == []


def test_a_gateway_may_be_ready_without_the_servers_of_others(tmp_path: Path) -> None:
    needs = '[gateway.http]\nready_needs = "builtin"\n'
    config = write_config(tmp_path, needs, server("gone", "--exit", "1"), ALLOW_ALL)
    with logged_gateway(tmp_path / "log", "--no-login", "--config", str(config)) as (url, _):
        ready = get(url, "/readyz")

    assert (ready.status_code, ready.json()["servers"]) == (200, {"configured": 0, "up": 0})


def test_while_postgresql_is_gone_callers_are_sent_away_and_the_log_has_one_line(tmp_path: Path) -> None:
    with own_server() as database:
        store = f'[store]\nurl = "{database.url}"\n'
        config = write_config(tmp_path, store, server("a"), ALLOW_ALL)
        token = {"Authorization": f"Bearer {new_token(config)}"}
        log, hello = tmp_path / "log", tool_call("a__echo", {"text": "hi"})
        with logged_gateway(log, "--config", str(config)) as (url, _):
            eventually(lambda: get(url, "/readyz").status_code == 200)
            before, stranger = post(url, hello, **token), post(url, hello, Authorization="Bearer lgt_no")
            os.kill(database.pid, signal.SIGKILL)
            assert database.is_gone()
            gone = [post(url, hello, **token) for _ in range(20)]
            unready, alive = get(url, "/readyz"), get(url, "/healthz")
            gone += [post(url, hello), post(url, hello, Authorization="Bearer lgt_no")]
            during = log.read_text()
            database.start()
            eventually(lambda: get(url, "/readyz").status_code == 200)
            after, well = post(url, hello, **token), get(url, "/healthz")
            at_last = log.read_text()

    assert (before.status_code, stranger.status_code) == (200, 401)
    assert "hi" in before.text
    assert [answer.status_code for answer in gone] == [503] * 22
    assert {answer.headers["retry-after"] for answer in (*gone, unready)} == {"5"}
    assert unready.json() == {"status": "not ready", "store": "down", "servers": {"configured": 1, "up": 1}}
    assert (alive.status_code, alive.json()) == (200, {"status": "degraded"})
    assert len(during.splitlines()) == 2, during
    assert "the store cannot be used" in during.splitlines()[-1]
    assert (after.status_code, well.json()) == (200, {"status": "ok"})
    assert [line for line in at_last.splitlines() if "the store" in line][1:] == [at_last.splitlines()[-1]]
    assert "can be used again" in at_last.splitlines()[-1]
