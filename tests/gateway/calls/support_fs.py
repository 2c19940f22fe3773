"""A gateway before `lg-fs`, and a patch for its root."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from lg_gateway.serving.gateway import Gateway
from lg_gateway.serving.running import running_gateway
from lg_gateway.serving.setup import prepare
from tests.gateway.approvals.support_approvals import NO_HOLD
from tests.gateway.rig import flags, send, write_config

PATCH = "*** Begin Patch\n*** Update File: note.txt\n@@\n-one\n+two\n*** End Patch\n"


def fs_gateway(tmp_path: Path, root: Path, *settings: str, state: Path | None = None) -> Any:
    config = write_config(tmp_path, "[gateway]", *settings, '[gateway.servers.fs]\nbuiltin = "fs"\n', NO_HOLD)
    return running_gateway(prepare(flags(config=config, root=root, state_dir=state), mcp_json=None))


async def patch(gateway: Gateway, **arguments: Any) -> Any:
    return await send(gateway, "fs__apply_patch", {"patch": PATCH} | arguments)
