"""A server that starts by fork is the process that a start from nothing would make, and knows nothing more."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.attacks.process_view import addresses, holds, seen_from_outside
from tests.processes import descendants
from tests.support import require


@pytest.fixture(autouse=True)
def _on_linux() -> None:
    require(sys.platform == "linux", "servers start by fork on Linux only")


GATEWAY = os.path.join(os.path.dirname(sys.executable), "lg-gateway")
COMMANDS = [(GATEWAY,), (sys.executable, "-P", "-m", "lg_gateway")]
SERVERS = ("lg_exec", "lg_fs")
SECRET = "only-the-gateway-may-know-this-6f1c"
HELLO = {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "test", "version": "1"}}
WITHIN_S = 60


@contextmanager
def gateway(tmp_path: Path, start: str, command: tuple[str, ...] = (GATEWAY,)) -> Iterator[subprocess.Popen[bytes]]:
    """A gateway that has listed the tools of both of our servers."""
    root = tmp_path / "root"
    root.mkdir(exist_ok=True)
    names = {f"XDG_{name}_HOME": str(tmp_path / start / name.lower()) for name in ("STATE", "CONFIG", "CACHE", "DATA")}
    environ = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "LANG": "C.UTF-8", "LG_START": start, "TOKEN": SECRET}
    with subprocess.Popen(
        [*command, "serve", "--root", str(root)], env=environ | names, cwd=root,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    ) as process:  # fmt: skip
        hello = {"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": HELLO}
        ask(process, hello, {"jsonrpc": "2.0", "method": "notifications/initialized"})
        listed = ask(process, {"jsonrpc": "2.0", "id": 2, "method": "tools/list"})
        assert {tool["name"] for tool in listed["result"]["tools"]} >= {"fs__read_file", "exec__exec"}
        yield process
        if process.stdin is not None:
            process.stdin.close()
        process.wait(WITHIN_S)


def ask(process: subprocess.Popen[bytes], *messages: dict[str, object]) -> dict[str, dict[str, list[dict[str, str]]]]:
    """Send messages, of which the first is a request; returns its answer."""
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(b"".join(json.dumps(message).encode() + b"\n" for message in messages))
    process.stdin.flush()
    while (answer := json.loads(process.stdout.readline())).get("id") != messages[0]["id"]:
        pass
    found: dict[str, dict[str, list[dict[str, str]]]] = answer
    return found


def servers(process: subprocess.Popen[bytes]) -> dict[str, int]:
    """The processes of both servers, found as `ps` finds them."""
    found = {}
    for pid in descendants(process.pid):
        words = Path(f"/proc/{pid}/cmdline").read_bytes().decode().split("\0")
        if len(words) > 3 and words[3] in SERVERS:
            found[words[3]] = pid
    assert set(found) == set(SERVERS)
    return found


@pytest.mark.attack(
    "Processes", "a server that starts by fork keeps a file, signal, variable or session of the gateway"
)
def test_the_kernel_shows_a_forked_server_as_one_that_was_started_from_nothing(tmp_path: Path) -> None:
    seen = {}
    for start in ("exec", "fork"):
        with gateway(tmp_path, start) as process:
            found = servers(process)
            seen[start] = {name: seen_from_outside(pid, start) for name, pid in found.items()}
            for facts in seen[start].values():
                assert facts.pop("parent") == str(process.pid)
            forked = [addresses(pid) == addresses(process.pid) for pid in found.values()]
            assert forked == [start == "fork"] * 2
    assert seen["fork"] == seen["exec"]


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.attack("Secrets", "a server that starts by fork looks for the gateway's variables and keys in its memory")
def test_a_forked_server_has_no_secret_of_the_gateway_in_its_memory(tmp_path: Path, command: tuple[str, ...]) -> None:
    with gateway(tmp_path, "fork", command) as process:
        keys = [path.read_bytes().strip() for path in (tmp_path / "fork" / "config").rglob("gateway-*")]
        assert keys
        assert holds(process.pid, [SECRET.encode()])
        assert all(holds(process.pid, [key]) for key in keys[:1])
        for pid in servers(process).values():
            assert addresses(pid) == addresses(process.pid)
            assert not holds(pid, [SECRET.encode(), *keys])


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.attack("Planted programs", "a repository has modules of the names that a start imports")
def test_no_module_of_the_directory_it_is_started_in_is_imported(tmp_path: Path, command: tuple[str, ...]) -> None:
    root = tmp_path / "root"
    root.mkdir()
    for name in ("anyio", "mcp", "lg_policy", "lg_fs", "lg_gateway", "json", "ctypes", "sitecustomize"):
        (root / f"{name}.py").write_text(f"open({str(tmp_path / 'hit')!r}, 'a').write({name!r})\n")
    with gateway(tmp_path, "fork", command):
        pass
    assert not (tmp_path / "hit").exists()


@pytest.mark.attack("Processes", "the gateway is killed, and servers that started by fork live on")
def test_a_killed_gateway_leaves_no_forked_server(tmp_path: Path) -> None:
    with gateway(tmp_path, "fork") as process:
        watched = [os.pidfd_open(pid) for pid in servers(process).values()]
        process.kill()
        for descriptor in watched:
            assert select.select([descriptor], [], [], WITHIN_S)[0]
            os.close(descriptor)


@pytest.mark.attack("Processes", "a server that started by fork is killed")
def test_a_forked_server_that_is_killed_starts_again(tmp_path: Path) -> None:
    with gateway(tmp_path, "fork") as process:
        os.kill(servers(process)["lg_fs"], signal.SIGKILL)
        call = {"name": "fs__list_files", "arguments": {}}
        answers = (
            ask(process, {"jsonrpc": "2.0", "id": number, "method": "tools/call", "params": call})["result"]
            for number in range(3, 100)
        )
        assert next(answer for answer in answers if not answer.get("isError"))
