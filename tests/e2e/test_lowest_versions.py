"""The lower bounds of our dependencies are real: the programs work with the lowest versions that are allowed."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from tests.e2e.programs import TIMEOUT_S
from tests.third_party import python_environment

ROOT = Path(__file__).resolve().parents[2]
HELLO = """
import json, subprocess, sys, urllib.request
from lg_policy.secrets.masking import Masker
assert "[secret:github_token:" in Masker(b"k").mask("ghp_" + "a1" * 18)
serve = [sys.executable, "-P", "-m", "lg_fs", "--transport", "http", "--port", "0", "--root", sys.argv[1]]
with subprocess.Popen(serve, stderr=subprocess.PIPE, text=True) as server:
    url = server.stderr.readline().split()[-1]
    params = {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}}
    body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": params}).encode()
    headers = {"content-type": "application/json", "accept": "application/json"}
    with urllib.request.urlopen(urllib.request.Request(url, body, headers), timeout=60) as answer:
        assert json.load(answer)["result"]["serverInfo"]["name"] == "lg-fs"
    server.kill()
"""


@pytest.mark.timeout(300)
def test_servers_and_gateway_work_with_the_lowest_versions_that_are_allowed(tmp_path: Path, project: Path) -> None:
    python = python_environment(tmp_path, str(ROOT), lowest=True)
    argument = '{"path": "README.md"}'
    gateway = ["-m", "lg_gateway", "call", "fs__read_file", argument, "--root", str(project)]
    for command in (gateway, ["-c", HELLO, str(project)]):
        done = subprocess.run(
            [python, "-P", *command],
            cwd=tmp_path,
            env=os.environ,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=TIMEOUT_S,
        )
        assert done.returncode == 0, done.stderr
        assert command is not gateway or "# " in done.stdout
