"""A gateway over HTTP with a login, for attempts to come in without one."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx2

from tests.gateway.commands.support_commands import run
from tests.gateway.fixture_program import FIXTURE
from tests.gateway.identity.authorization_server import AuthorizationServer, authorization_server
from tests.gateway.rig import http_gateway, server

RULES = """
[[gateway.rules]]
tools = ["a__echo", "up__meta"]
effect = "allow"
[[gateway.rules]]
tools = ["a__peek"]
identities = ["oauth:root", "local:*", "token:admin"]
effect = "allow"
[[gateway.rules]]
tools = ["a__meta"]
identities = ["token:*"]
effect = "deny"
"""
LIST = {"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {
    "protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "x", "version": "1"}}}  # fmt: skip


class Site:
    """A gateway with a login, its issuer, and an HTTP upstream that records what it is sent."""

    def __init__(self, url: str, config: Path, issuer: AuthorizationServer, headers: Path) -> None:
        self.url = url
        self.config = config
        self.issuer = issuer
        self.headers = headers

    def make(self, *args: str) -> str:
        return run("tokens", "create", *args, "--config", str(self.config)).stdout.strip()

    def revoke(self, name: str) -> None:
        assert run("tokens", "revoke", name, "--config", str(self.config)).returncode == 0

    def post(self, token: str | None, query: str = "", **headers: str) -> httpx2.Response:
        sent = {"Accept": "application/json, text/event-stream"} | headers
        if token is not None:
            sent["Authorization"] = f"Bearer {token}"
        return httpx2.post(f"{self.url}/mcp{query}", json=LIST, headers=sent, timeout=60)

    def audit(self) -> list[dict[str, Any]]:
        done = run("audit", "list", "--json", "--limit", "200", "--config", str(self.config))
        return [json.loads(line) for line in done.stdout.splitlines()]


@contextmanager
def standing(place: Path) -> Iterator[Site]:
    headers, names = place / "headers", ("XDG_STATE_HOME", "XDG_CONFIG_HOME")
    before = {name: os.environ.get(name) for name in names}
    os.environ.update({name: str(place / name) for name in names})
    argv = [sys.executable, str(FIXTURE), "--http", "0", "--headers", str(headers)]
    try:
        with authorization_server() as issuer, subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as upstream:
            port = int((upstream.stdout or iter(())).readline())  # type: ignore[union-attr]  # a pipe was asked for
            oauth = f'[gateway.http.oauth]\nissuer = "{issuer.url}"\nkeys_cooldown_s = 0.001\n'
            http = '[gateway.http]\nresource_url = "https://gw.test/mcp"\nallowed_origins = ["https://app.test"]\n'
            behind = f'[gateway.servers.up]\nurl = "http://127.0.0.1:{port}/mcp"\n'
            behind += 'headers = { X-Own = "of-the-entry" }\n[approval]\nhold_s = 0.1\n'
            config = place / "gateway.toml"
            config.write_text("\n".join((server("a"), behind, RULES, http, oauth)))
            try:
                with http_gateway("--config", str(config), login=True) as (url, _process):
                    yield Site(url, config, issuer, headers)
            finally:
                upstream.kill()
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
