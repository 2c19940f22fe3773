"""A failed transport and an answer that is an error are told apart by what happened, not by the code of the error."""

from __future__ import annotations

import socket
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import anyio
import mcp.types as t
import pytest
import uvicorn
from mcp import MCPError

from lg_orch.contracts.errors import GatewayGone
from lg_orch.contracts.plans import PlannedCall
from lg_orch.testing import ScriptedBackend
from lg_orch.tools.gateway import connect
from tests.orchestrator.fake_gateway import FakeGateway, text_result
from tests.orchestrator.helpers import World, world

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from lg_orch.contracts.envelopes import ToolEnvelope
    from lg_orch.tools.connection import Connection

pytestmark = pytest.mark.anyio
TOOL = "exec__exec"


async def call(run: World, tool: str = TOOL) -> ToolEnvelope:
    queued = run.services.mint(PlannedCall(id="c1", tool=tool, input={"path": "a"}))
    with anyio.fail_after(60):
        return await run.services.tools.call(queued, step="executor", timeout_s=40)


@pytest.mark.parametrize("code", [-32000, -32001, -32603, -32602, 7])
async def test_an_error_of_a_living_gateway_keeps_its_message_whatever_its_code(tmp_path: Path, code: int) -> None:
    async def refuse(name: str) -> None:
        if name == TOOL:
            raise MCPError(code=code, message="the printer is on fire")

    gateway = FakeGateway(on_call=refuse)
    async with world(tmp_path, ScriptedBackend(), gateway=gateway) as run:
        envelope = await call(run)
        after = await call(run, "fs__read_file")
    error = envelope.artifacts.error
    assert error is not None
    assert error.message == "the printer is on fire"
    assert error.code == ("invalid_arguments" if code == -32602 else "internal")
    assert [made.name for made in gateway.calls] == [TOOL, "fs__read_file"], "it is not made twice"
    assert after.ok, "and the run goes on"


async def test_a_gateway_that_ends_during_the_call_is_lost(tmp_path: Path) -> None:
    class Ending(FakeGateway):
        @asynccontextmanager
        async def connected(self) -> AsyncIterator[Connection]:
            from mcp.shared.memory import create_client_server_memory_streams

            server = self.server()
            async with create_client_server_memory_streams() as (near, far), anyio.create_task_group() as group:

                async def serve() -> None:
                    with anyio.CancelScope() as self.scope:
                        await server.run(*far, server.create_initialization_options())
                    await far[1].aclose()

                group.start_soon(serve)
                async with connect(near) as connection:
                    yield connection
                group.cancel_scope.cancel()

    async def end(name: str) -> None:
        if name == TOOL:
            gateway.scope.cancel()
            await anyio.sleep_forever()

    gateway = Ending(on_call=end)
    async with world(tmp_path, ScriptedBackend(), gateway=gateway) as run:
        with pytest.raises(GatewayGone, match="lost during the run"):
            await call(run)


class OverHttp(FakeGateway):
    """The same over HTTP; the answers to the first `lost` calls of a tool never reach the caller."""

    lost = 0
    server_name = "lg-gateway"

    @asynccontextmanager
    async def connected(self) -> AsyncIterator[Connection]:
        server = self.server()
        server.name = self.server_name
        app = server.streamable_http_app()

        async def relay(scope: Any, receive: Any, send: Any) -> None:
            body = b""

            async def read() -> Any:
                nonlocal body
                message = await receive()
                body += message.get("body", b"")
                return message

            async def write(message: Any) -> None:
                # By now the whole request was read. The answer becomes a stream that ends before it says anything.
                losing = self.lost and b"tools/call" in body
                if losing and message["type"] == "http.response.start":
                    message = message | {"headers": [(b"content-type", b"text/event-stream")]}
                elif losing:
                    if message.get("more_body"):
                        return
                    self.lost -= 1
                    message = {"type": "http.response.body", "body": b"", "more_body": False}
                await send(message)

            await app(scope, read, write)

        http = uvicorn.Server(uvicorn.Config(relay, log_level="error", lifespan="on", timeout_graceful_shutdown=1))
        with socket.create_server(("127.0.0.1", 0)) as listening:
            async with anyio.create_task_group() as group:
                group.start_soon(lambda: http.serve(sockets=[listening]))
                async with connect(url=f"http://127.0.0.1:{listening.getsockname()[1]}/mcp") as connection:
                    yield connection
                http.should_exit = True


async def test_over_http_a_lost_answer_is_asked_for_again_under_the_same_key(tmp_path: Path) -> None:
    gateway = OverHttp(answers={TOOL: text_result("done")})
    async with world(tmp_path, ScriptedBackend(), gateway=gateway) as run:
        gateway.lost = 1
        envelope = await call(run)
    assert envelope.stdout == "done"
    keys = [dict(made.meta or {})["lg/idempotency-key"] for made in gateway.calls if made.name == TOOL]
    assert len(keys) == 2
    assert len(set(keys)) == 1


async def test_over_http_a_server_of_others_is_not_asked_again(tmp_path: Path) -> None:
    gateway = OverHttp(answers={TOOL: text_result("done")})
    gateway.server_name = "somebody"
    async with world(tmp_path, ScriptedBackend(), gateway=gateway) as run:
        gateway.lost = 1
        envelope = await call(run)
    assert envelope.artifacts.error is not None
    assert len([made for made in gateway.calls if made.name == TOOL]) == 1


async def test_over_http_an_error_of_a_living_gateway_keeps_its_message(tmp_path: Path) -> None:
    async def refuse(name: str) -> None:
        if name == TOOL:
            raise MCPError(code=t.CONNECTION_CLOSED, message="the printer is on fire")

    gateway = OverHttp(on_call=refuse)
    async with world(tmp_path, ScriptedBackend(), gateway=gateway) as run:
        envelope = await call(run)
    assert envelope.artifacts.error is not None
    assert envelope.artifacts.error.message == "the printer is on fire"
