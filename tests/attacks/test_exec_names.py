"""Attacks with names: what a tree may be full of must neither be shown nor stop the server."""

from __future__ import annotations

import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import anyio.lowlevel
import pytest
from mcp import Client, StdioServerParameters

from lg_exec.sandbox.mask_layer import MAX_MOUNTS
from lg_policy.sandbox.hidden_paths import MaskFinder
from tests.exec.helpers import py, sandboxed, settings
from tests.support import descriptors, require

pytestmark = pytest.mark.anyio

SECRET = "s3cr3t-token"
ODD = [b"\xff\xfe", b"a\nb", b"\x1b[31m", b"x\xe2\x80\xae", "ä".encode() * 100]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    path = tmp_path / "root"
    path.mkdir()
    return path


def write(root: Path, name: bytes, text: str = SECRET) -> None:
    path = os.path.join(os.fsencode(root), name)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w") as file:
        file.write(text)


READ_ALL = (
    "import os\nfor place, dirs, files in os.walk(b'.'):\n    for name in files:\n"
    "        try: print(open(os.path.join(place, name)).read())\n        except OSError as error: print(error)\n"
    "print('walked')"
)


@asynccontextmanager
async def served(root: Path) -> AsyncIterator[Client]:
    config = root.parent / "config.toml"
    config.write_text(
        '[exec.commands.py]\nfrom = "python"\nargs_allow = ["-c=*..."]\nroot = "ro"\n'
        '[exec.commands.rw]\nfrom = "python"\nargs_allow = ["-c=*..."]\nroot = "rw"\n'
    )
    arguments = ["-P", "-m", "lg_exec", "--root", str(root), "--config", str(config)]
    with anyio.fail_after(120):
        async with Client(StdioServerParameters(command=sys.executable, args=arguments, cwd="/")) as client:
            yield client


async def call(client: Client, cmd: str, code: str) -> dict[str, Any]:
    result = await client.call_tool("exec", {"cmd": cmd, "args": ["-c", code]})
    content: dict[str, Any] | None = result.structured_content
    assert content is not None
    return content


@pytest.mark.attack("Names", "names that are not UTF-8 or hold a newline, in a tree that a server is started on")
async def test_a_server_starts_and_works_among_names_of_any_bytes(root: Path) -> None:
    require(sys.platform == "linux", "bubblewrap")
    for name in ODD:
        write(root, name + b"/" + name, "plain")
        write(root, name + b"/.env")
        write(root, b"deep/" + name + b"/.ssh/" + name)
        write(root, b"keys/" + name + b".pem")
    async with served(root) as client:
        shown = await call(client, "py", READ_ALL)
        written = await call(client, "rw", "import os\nfor name in os.listdir(b'.'): open(name + b'/new', 'w')")
    assert shown["exit_code"] == 0, shown
    assert "walked" in shown["stdout"]
    assert SECRET not in shown["stdout"]
    assert shown["stdout"].count("plain") == len(ODD)
    assert written["exit_code"] == 0, written
    assert r"\xff\xfe/new" in written["changed_paths"]
    assert all(os.path.exists(os.path.join(os.fsencode(root), name, b"new")) for name in ODD)


@pytest.mark.attack("Names", "a deny pattern below a directory whose name holds a newline or is not UTF-8")
@pytest.mark.parametrize("directory", [b"a\nb", b"\n", b"\xff", b"\xff\n\xff"])
def test_deny_patterns_match_below_any_directory(root: Path, directory: bytes) -> None:
    write(root, directory + b"/.env")
    write(root, directory + b"/sub/x.pem")
    found = MaskFinder(str(root), hide=[".env", "*.pem"], protect=[]).find()
    assert {os.fsencode(name) for name in found.hidden_files} == {directory + b"/.env", directory + b"/sub/x.pem"}


@pytest.mark.attack("Names", "more names to hide than a sandbox takes mounts")
@pytest.mark.parametrize("mode", ["ro", "overlay", "rw"])
async def test_thousands_of_hidden_names_are_hidden(root: Path, tmp_path: Path, mode: str) -> None:
    for number in range(MAX_MOUNTS + 50):
        write(root, b"certs/%d.pem" % number)
        write(root, b"p/%d/.env" % number)
    write(root, b"p/7/plain.txt", "plain")
    write(root, b"h/.ssh/id_rsa")
    (root / "certs").chmod(0o750)
    command = {"from": "python", "args_allow": ["-c=*..."], "root": mode}
    code = READ_ALL + "\nprint(oct(os.stat('certs').st_mode), os.listdir('h/.ssh'))"
    change = (
        "import os; os.chmod('certs/7.pem', 0o600); open('certs/7.pem', 'w').write('changed')\n"
        "open('p/7/plain.txt', 'w').write('changed')"
    )
    with sandboxed(root, tmp_path / "s", settings(commands={"py": command})) as executor, anyio.fail_after(100):
        shown = (await py(executor, code)).as_json()
        changed = await py(executor, change)
    assert "walked" in shown["stdout"], shown
    assert SECRET not in shown["stdout"]
    assert "plain" in shown["stdout"]
    assert "0o40750 []" in shown["stdout"]
    assert (root / "certs" / "7.pem").read_text() == SECRET
    assert (root / "p" / "7" / "plain.txt").read_text() == ("changed" if mode == "rw" else "plain")
    if mode == "rw":
        assert changed.changed_paths is not None
        assert any("certs/7.pem (not kept: read_deny" in name for name in changed.changed_paths)
    assert list((tmp_path / "s").glob("masks-*")) == []


@pytest.mark.attack("Names", "a large tree of names to hide, by a call that is cancelled while it is searched")
async def test_a_cancelled_call_stops_looking_for_names(root: Path, tmp_path: Path) -> None:
    for number in range(400):
        write(root, b"d%d/a/b/.env" % number)
    with sandboxed(root, tmp_path / "s") as executor, anyio.fail_after(60):
        before = descriptors()
        for turns in range(0, 40, 4):
            async with anyio.create_task_group() as group:
                group.start_soon(py, executor, "pass")
                for _ in range(turns):
                    await anyio.lowlevel.checkpoint()
                group.cancel_scope.cancel()
        assert (await py(executor, "print('next')")).as_json()["stdout"] == "next\n"
        assert len(descriptors() - before) <= 2
