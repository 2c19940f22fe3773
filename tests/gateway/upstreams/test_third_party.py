"""Servers that nobody here wrote, from PyPI and npm, behind the gateway."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from lg_gateway.serving.gateway import Gateway
from tests.gateway.approvals.support_approvals import asked_client
from tests.gateway.rig import ALLOW_ALL, call, gateway_of
from tests.support import require
from tests.third_party import EVERYTHING_SERVER, time_server_program

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="session")
def time_server(tmp_path_factory: pytest.TempPathFactory) -> str:
    """`mcp-server-time` in an environment of its own."""
    return time_server_program(tmp_path_factory)


async def test_a_python_server_from_the_package_index_answers_through_the_gateway(
    tmp_path: Path, time_server: str
) -> None:
    part = f"[gateway.servers.time]\ncommand = {json.dumps(time_server)}\n"
    async with gateway_of(tmp_path, part, ALLOW_ALL) as gateway:
        names = [entry.name for entry in gateway.catalog.entries()]
        arguments = {"source_timezone": "UTC", "time": "12:00", "target_timezone": "Asia/Tokyo"}
        result = await call(gateway, "time__convert_time", **arguments)

    assert names == ["time__convert_time", "time__get_current_time"]
    assert "21:00" in result.content[0].text


async def test_an_npm_server_started_by_npx_answers_and_ends_with_all_its_wrappers(tmp_path: Path) -> None:
    npx = shutil.which("npx")
    require(npx is not None, "npx, to run server-everything")
    done = subprocess.run(
        [str(npx), "-y", "-p", EVERYTHING_SERVER, "node", "-e", ""],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        timeout=150,
    )
    require(done.returncode == 0, f"{EVERYTHING_SERVER} from npm: {done.stderr[-300:]}")
    seen: list[str] = []
    part = f'[gateway.servers.every]\ncommand = "npx"\nargs = ["-y", "{EVERYTHING_SERVER}"]\n'
    async with gateway_of(tmp_path, part, ALLOW_ALL) as gateway:
        names = [entry.name for entry in gateway.catalog.entries()]
        result = await call(gateway, "every__echo", message="through npx")
        told = [await asked(gateway, mode, seen) for mode in ("legacy", "2026-07-28")]
        group = gateway.upstreams["every"].process_group()

    assert len(names) > 8
    assert "through npx" in result.content[0].text
    assert all("- Name: Ada" in text for text in told)
    assert [question.splitlines()[1] for question in seen] == ["server: every (third party)"] * 2
    assert group is not None
    assert members(group) == []


async def asked(gateway: Gateway, mode: str, seen: list[str]) -> str:
    """Have the server ask its question of a client of one era; return what it says of the answer."""
    async with asked_client(gateway, mode, lambda _message: {"name": "Ada", "check": True}, seen) as client:
        return str((await client.call_tool("every__trigger-elicitation-request", {})).content)


def members(group: int) -> list[int]:
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[2]) == group and fields[0] != "Z":
            found.append(int(stat.parent.name))
    return found
