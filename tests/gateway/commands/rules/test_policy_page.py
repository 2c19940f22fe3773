"""docs/policy.md: each example is taken over by a running gateway and decides as the table below it says."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

import anyio
import pytest

from lg_gateway.commands.rules.policy import failures, mistakes, read_cases
from lg_gateway.serving.reload import Reloader
from lg_gateway.serving.running import running_gateway
from lg_gateway.serving.setup import GatewaySetup, prepare
from tests.gateway.rig import flags

pytestmark = pytest.mark.anyio
PAGE = (Path(__file__).parents[4] / "docs" / "policy.md").read_text("utf-8")
SERVERS = f"""
[gateway.servers.fs]
builtin = "fs"
[gateway.servers.exec]
builtin = "exec"
[gateway.servers.tickets]
command = {json.dumps(sys.executable)}
args = {json.dumps([str(Path(__file__).parents[2] / "tickets_server.py")])}
[gateway.servers.docs]
command = {json.dumps(sys.executable)}
args = {json.dumps([str(Path(__file__).parents[2] / "offers_server.py")])}
"""


def examples() -> list[tuple[str, str, str]]:
    """Each example: its heading, its settings, its table ("" where it has none)."""
    found = []
    for section in re.split(r"^#{2,3} ", PAGE, flags=re.MULTILINE)[1:]:
        blocks = re.findall(r"^```toml\n(.*?)^```$", section, flags=re.MULTILINE | re.DOTALL)
        for number, block in enumerate(blocks):
            following = "".join(blocks[number + 1 : number + 2])
            if "[[case]]" not in block:
                found.append((section.splitlines()[0], block, following if "[[case]]" in following else ""))
    return found


async def test_every_example_decides_as_its_table_says(tmp_path: Path) -> None:
    config, table = tmp_path / "settings.toml", tmp_path / "cases.toml"
    (tmp_path / "project").mkdir()
    config.write_text(SERVERS)

    def load() -> GatewaySetup:
        return prepare(flags(config=config, root=tmp_path / "project"), mcp_json=None)

    cases = 0
    with anyio.fail_after(90):
        async with running_gateway(load()) as gateway:
            await gateway.settled()
            reloader = Reloader(gateway, load)
            for heading, settings, expected in examples():
                config.write_text(f"{settings}\n{SERVERS}")
                assert await reloader.reload(heading), heading
                assert mistakes(gateway) == [], heading
                assert gateway.policy.rules.shadowed() == [], heading
                if expected:
                    table.write_text(expected)
                    read = read_cases(table)
                    cases += len(read)
                    assert failures(gateway, read, "local:ann") == [], heading
    assert cases >= 25


def test_every_recipe_has_a_table() -> None:
    without = [heading for heading, _, table in examples() if not table]
    assert without == ["How a call is decided", "Profiles", "How much, not only what"]
