"""A server whose tools can ask only after the 2025 handshake is spoken to in that era, from then on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from lg_gateway.upstreams.handshake_memory import HandshakeMemory
from tests.gateway.approvals.support_approvals import asked_client
from tests.gateway.elicitation.clients_of_servers import script
from tests.gateway.elicitation.server_questions import CLIENTS
from tests.gateway.rig import ALLOW_ALL, gateway_of, text_of

pytestmark = pytest.mark.anyio
LIVE = "live_asking_server.py"


def red(_message: str) -> dict[str, Any]:
    return {"colour": "red"}


@CLIENTS
async def test_a_server_that_cannot_ask_in_the_newer_era_gets_the_handshake_and_that_is_remembered(
    tmp_path: Path, mode: str
) -> None:
    async with gateway_of(tmp_path, script(LIVE), ALLOW_ALL) as gateway:
        upstream = gateway.upstreams["a"]
        before = upstream.asks_live
        async with asked_client(gateway, mode, red, []) as client:
            first = await client.call_tool("a__ask", {})
            second = await client.call_tool("a__ask", {})
        remembered = HandshakeMemory(gateway.setup.state.path).needs_handshake(upstream.spec)
        starts = upstream.restarts
    async with (
        gateway_of(tmp_path, script(LIVE), ALLOW_ALL) as gateway,
        asked_client(gateway, mode, red, []) as client,
    ):
        third = await client.call_tool("a__ask", {})

    assert not before
    assert first.is_error
    assert "repeat it" in str(first.content[-1])
    assert text_of(second) == "accept red"
    assert starts == 1
    assert remembered
    assert text_of(third) == "accept red"


async def test_a_call_that_changes_nothing_is_made_again_in_the_older_era_at_once(tmp_path: Path) -> None:
    async with (
        gateway_of(tmp_path, script(LIVE, trusted=True), ALLOW_ALL) as gateway,
        asked_client(gateway, "2026-07-28", red, []) as client,
    ):
        result = await client.call_tool("a__look", {})

    assert text_of(result) == "accept red"


async def test_a_server_whose_era_is_set_keeps_it(tmp_path: Path) -> None:
    async with (
        gateway_of(tmp_path, script(LIVE, mode="modern"), ALLOW_ALL) as gateway,
        asked_client(gateway, "2026-07-28", red, []) as client,
    ):
        results = [await client.call_tool("a__ask", {}) for _ in range(2)]
        remembered = HandshakeMemory(gateway.setup.state.path).needs_handshake(gateway.upstreams["a"].spec)

    assert all(result.is_error and "back-channel" in text_of(result) for result in results)
    assert not remembered
