"""A client in `lg-gateway confine` that uses its own tools in place of the gateway's."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from lg_gateway.confinement.confined_client import copy_for_client
from lg_gateway.confinement.confined_process import sandbox_binary
from tests.gateway.commands.terminals import gateway_on_terminal
from tests.gateway.rig import program_environment
from tests.support import require

SECRET = "hunter2-not-for-you"
CLIENT = """
import json, subprocess, sys, urllib.request

def tried(action):
    try:
        return "reached: " + str(action())
    except Exception as error:
        return "failed: " + type(error).__name__

port = sys.argv[1]
found = {
    "cat .env": subprocess.run(["cat", ".env"], capture_output=True, text=True).stdout,
    "rm": subprocess.run(["rm", "plain.txt"], capture_output=True, text=True).returncode,
    "write": tried(lambda: open("new.txt", "w")),
    "hook": tried(lambda: open(".git/hooks/post-commit", "w")),
    "curl": tried(lambda: urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=20).read()),
    "other host": tried(lambda: urllib.request.urlopen("http://name.example/", timeout=20).read()),
}
started = ["lg-gateway", "--root", "/somewhere/else"]
gateway = subprocess.Popen(started, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

def ask(number, method, **params):
    gateway.stdin.write(json.dumps({"jsonrpc": "2.0", "id": number, "method": method, "params": params}) + "\\n")
    gateway.stdin.flush()
    while True:
        message = json.loads(gateway.stdout.readline())
        if message.get("id") == number:
            return message["result"]

about = {"name": "client", "version": "1"}
ask(1, "initialize", protocolVersion="2025-11-25", capabilities={}, clientInfo=about)
gateway.stdin.write(json.dumps({"jsonrpc": "2.0", "method": "notifications/initialized"}) + "\\n")
call = ask(2, "tools/call", name="fs__read_file", arguments={"path": "plain.txt"})
found["call"] = call["content"][0]["text"]
denied = ask(3, "tools/call", name="fs__read_file", arguments={"path": ".env"})
found["denied"] = denied["isError"]
gateway.stdin.close()
gateway.wait()
print(json.dumps(found))
"""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    require(sandbox_binary() is not None, "no bubblewrap")
    root = tmp_path / "root"
    (root / ".git" / "hooks").mkdir(parents=True)
    (root / ".env").write_text(SECRET)
    (root / "plain.txt").write_text("plain text")
    return root


def confine(root: Path, *words: str) -> subprocess.CompletedProcess[str]:
    argv = [sys.executable, "-P", "-m", "lg_gateway", "confine", "--root", str(root), *words]
    return subprocess.run(
        argv, capture_output=True, text=True, timeout=150, env=program_environment(), stdin=subprocess.DEVNULL
    )


@pytest.mark.attack("Confined programs", "a client's own `cat .env`, `rm`, `curl` in place of its MCP calls")
def test_a_confined_clients_own_tools_reach_nothing_while_its_calls_work(root: Path) -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as listener:
        port = str(listener.getsockname()[1])
        done = confine(root, "--network", "allowed.example", "--", sys.executable, "-c", CLIENT, port)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found.pop("cat .env") == ""
    assert found.pop("rm") != 0
    assert found.pop("call").endswith("plain text")
    assert found.pop("denied") is True
    assert all(result.startswith("failed") for result in found.values()), found
    assert (root / "plain.txt").read_text() == "plain text"
    assert SECRET not in done.stdout + done.stderr


@pytest.mark.attack("Confined programs", "asks for other tools than those that it was started with")
def test_a_confined_client_gets_the_tools_of_the_profile_that_it_is_started_with(root: Path, tmp_path: Path) -> None:
    config = tmp_path / "config.toml"
    config.write_text('[gateway.profiles.reading]\ntools = ["fs__read_*", "fs__list_*"]\n')
    asked = [
        {"jsonrpc": "2.0", "id": 1, "method": "initialize"}
        | {
            "params": {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "c", "version": "1"}}
        },
        {"jsonrpc": "2.0", "method": "notifications/initialized"},
        {"jsonrpc": "2.0", "id": 2, "method": "tools/list"},
    ]
    lines = "\\n".join(json.dumps(message) for message in asked)
    installed = f"{os.path.dirname(sys.executable)}/lg-gateway"  # as `lg-gateway install` writes it
    # The input stays open until the answer is there: at its end the gateway would end as well.
    client = (
        f"(printf '{lines}\\n'; while [ ! -e $TMPDIR/done ]; do sleep 0.05; done) | {installed} serve --tools other |"
    )
    client += ' while read -r line; do echo "$line"; case $line in *fs__read_file*) touch $TMPDIR/done;; esac; done'
    done = confine(root, "--config", str(config), "--tools", "reading", "--", "sh", "-c", client)
    listed = next(json.loads(line) for line in done.stdout.splitlines() if json.loads(line).get("id") == 2)
    names = {tool["name"] for tool in listed["result"]["tools"]}
    served = {name for name in names if "__" in name}
    assert {"fs__list_files", "fs__read_file"} <= served
    assert all(name.startswith(("fs__read_", "fs__list_")) for name in served), served
    missing = confine(root, "--config", str(config), "--tools", "writing", "--", "true")
    assert missing.returncode == 2
    assert "writing" in missing.stderr


@pytest.mark.attack(
    "Confined programs", "a client that changes a throw-away copy, or a writable root with protected names"
)
def test_a_copy_of_the_root_is_thrown_away_and_protected_names_stay_in_a_writable_one(root: Path) -> None:
    changes = "echo x > new.txt; rm plain.txt; echo x > .git/hooks/post-commit; cat .env; echo done"
    done = confine(root, "--overlay", "--", "sh", "-c", changes)
    assert done.stdout == "done\n", done.stderr
    assert sorted(os.listdir(root)) == [".env", ".git", "plain.txt"]
    done = confine(root, "--write", "--", "sh", "-c", changes)
    assert done.stdout == "done\n"
    assert sorted(os.listdir(root)) == [".env", ".git", "new.txt"]
    assert os.listdir(root / ".git" / "hooks") == []


@pytest.mark.attack("Confined programs", "files, sockets, hosts and processes, each tried by `confine --check`")
def test_check_tries_the_boundary_and_the_gateway(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (root.parent / "home").mkdir()
    monkeypatch.setenv("HOME", str(root.parent / "home"))  # below /tmp, where the client has storage of its own
    done = confine(root, "--check")
    assert done.returncode == 0, done.stdout + done.stderr
    lines = done.stdout.splitlines()
    assert all(line.startswith("ok  ") for line in lines[:-1])
    assert f"ok  read {root}/.env: refused" in lines
    assert "ok  reach the gateway: works" in lines


@pytest.mark.attack("Confined programs", "puts a link where a copy of its configuration is put at the next start")
def test_a_copy_for_the_client_goes_into_its_own_home_and_through_no_link(tmp_path: Path) -> None:
    home, own, precious = tmp_path / "home", tmp_path / "own", tmp_path / "home" / ".bashrc"
    for folder in (home, own):
        folder.mkdir()
    precious.write_text("mine")
    os.utime(precious, (1, 1))
    (home / ".claude.json").write_text("{}")
    (own / ".claude.json").symlink_to(precious)
    copy_for_client(str(home / ".claude.json"), str(own), "~/.claude.json")
    assert precious.read_text() == "mine"
    assert not (own / ".claude.json").is_symlink()
    assert (own / ".claude.json").read_text() == "{}"
    (own / ".claude.json").write_text("changed by the client")
    copy_for_client(str(home / ".claude.json"), str(own), "~/.claude.json")
    assert (own / ".claude.json").read_text() == "changed by the client"


@pytest.mark.attack(
    "Confined programs", "looks beside its own directory where `HOME` names another home than the account has"
)
def test_a_client_has_the_home_directory_that_its_user_named(root: Path, tmp_path: Path) -> None:
    home, program = tmp_path / "my home", tmp_path / "bin" / "codex"
    (home / ".codex").mkdir(parents=True)
    (home / ".ssh").mkdir()
    program.parent.mkdir()
    program.write_text('#!/bin/sh\necho "$HOME"; ls -A "$HOME"; echo x > ~/.codex/written; ls -A ~/.ssh\n')
    program.chmod(0o755)
    argv = [sys.executable, "-P", "-m", "lg_gateway", "confine", "--root", str(root), "--", str(program)]
    done = subprocess.run(
        argv, capture_output=True, text=True, timeout=150, env=program_environment({"HOME": str(home)})
    )
    assert done.stdout.splitlines() == [str(home), ".codex"], done.stderr
    assert (home / ".codex" / "written").read_text() == "x\n"


@pytest.mark.attack("Confined programs", "types into the terminal of the person who started it")
def test_a_confined_client_has_the_terminal_and_cannot_type_into_it(root: Path) -> None:
    code = (
        "import fcntl, os, sys, time\n"
        "try:\n    fcntl.ioctl(0, 0x5412, b'x')\n    print('typed')\nexcept OSError:\n    print('refused')\n"
        "try:\n    print('terminal', os.isatty(0), flush=True)\n    while True:\n        time.sleep(0.02)\n"
        "except KeyboardInterrupt:\n    print('interrupted', flush=True)\nsys.exit(7)\n"
    )
    with gateway_on_terminal("confine", "--root", str(root), "--", sys.executable, "-c", code) as screen:
        shown = screen.wait("terminal True")
        assert "refused" in shown
        screen.type("\x03")
        screen.wait("interrupted")
        assert screen.end() == 7
