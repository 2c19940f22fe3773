"""Two gateway processes on one store: a question asked by one is answered through the other."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import anyio
import mcp_types as t
import pytest
from mcp.client import Client

from tests.gateway.approvals.support_approvals import APPROVE, accept
from tests.gateway.elicitation.server_questions import SERVERS, answer, ask, blue
from tests.gateway.rig import http_gateway, server, text_of, write_config

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("programs_by_fork")]


def human(seen: list[str]) -> Any:
    async def elicit(_context: Any, params: Any) -> t.ElicitResult:
        seen.append(params.message)
        return t.ElicitResult(action="accept", content=blue(params.message))

    return elicit


@SERVERS
async def test_questions_of_gateway_and_server_survive_a_change_of_the_gateway_process(
    tmp_path: Path, era: str
) -> None:
    config = ("--config", str(write_config(tmp_path, server("a", "--era", era), APPROVE)))
    seen: list[str] = []
    with http_gateway(*config) as (one, _), http_gateway(*config) as (two, _):
        with anyio.fail_after(60):
            async with (
                Client(f"{one}/mcp", mode="2026-07-28", elicitation_callback=human(seen)) as first,
                Client(f"{two}/mcp", mode="2026-07-28", elicitation_callback=human(seen)) as second,
                Client(f"{two}/mcp", mode="legacy", elicitation_callback=human(seen)) as legacy,
            ):
                gate = await ask(first)
                asked = await ask(second, input_responses=accept(gate), request_state=gate.request_state)
                given = answer(asked, {"colour": "red"})
                elsewhere = await ask(first, input_responses=given, request_state=asked.request_state)
                here = await ask(second, input_responses=given, request_state=asked.request_state)
                live = await legacy.call_tool("a__ask", {"rounds": 2})

    if era == "both":
        assert text_of(elsewhere) == "accept red"
        assert here.structured_content["error"]["code"] == "conflict"
    else:  # the call waits in the process that holds the server's connection, and that one says so
        assert "another gateway process" in text_of(elsewhere)
        assert text_of(here) == "accept red"
    assert text_of(live) == "accept blue; accept blue"
    assert len(seen) == 3
