"""Settings with the fixture that makes tasks of calls, and clients that take them."""

from __future__ import annotations

import json
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Literal

import anyio
import mcp_types as t
from conformance.programs import FIXTURE, ROOT
from mcp.client import Client
from mcp.client.extension import ClientExtension, NotificationBinding
from pydantic import ConfigDict

from lg_gateway.serving.gateway import Gateway
from tests.gateway.offers_rig import ALLOW, client_to

EXTENSION = "io.modelcontextprotocol/tasks"


class Whole(t.Result):
    """A result with everything in it."""

    model_config = ConfigDict(extra="allow")


class Params(t.RequestParams):
    model_config = ConfigDict(extra="allow")


class About(t.Request[Params, Literal["tasks/get", "tasks/update", "tasks/cancel"]]):
    method: Literal["tasks/get", "tasks/update", "tasks/cancel"]
    params: Params


CHILD = f"""\
[gateway.servers.child]
command = {json.dumps(sys.executable)}
args = {json.dumps(FIXTURE)}
env = {{ PYTHONPATH = {json.dumps(str(ROOT))} }}
"""
"""The same server as a process of the gateway's own."""


def tasks_server(url: str, mode: str = "auto", **settings: Any) -> str:
    """Return settings in which every tool of the fixture may be called without asking."""
    lines = ["[gateway.servers.fx]", f"url = {json.dumps(url)}", f'mode = "{mode}"']
    given = "\n".join(f"{name} = {json.dumps(value)}" for name, value in settings.items())
    return "\n".join(["[gateway]", given, *lines, ALLOW])


class Told(t.NotificationParams):
    model_config = ConfigDict(extra="allow")


class TakingTasks(ClientExtension):
    """What a client says that takes tasks. `told` gets what streams tell of them."""

    identifier = EXTENSION

    def __init__(self, told: list[dict[str, Any]]) -> None:
        self._told = told

    def notifications(self) -> list[NotificationBinding[Any]]:
        async def heard(params: Told) -> None:
            self._told.append(params.model_dump(by_alias=True))

        return [NotificationBinding(method="notifications/tasks", params_type=Told, handler=heard)]


@asynccontextmanager
async def taking_tasks(
    gateway: Gateway, identity: str = "local:me", told: list[dict[str, Any]] | None = None, **options: Any
) -> AsyncIterator[Client]:
    """A client of 2026 that takes tasks and answers forms."""

    async def answer(_context: Any, _params: Any) -> t.ElicitResult:
        return t.ElicitResult(action="accept", content={"confirm": True})

    given = {"extensions": [TakingTasks([] if told is None else told)], "elicitation_callback": answer, **options}
    async with client_to(gateway, identity=identity, **given) as client:
        yield client


async def called(client: Client, tool: str, key: str | None = None, **arguments: Any) -> dict[str, Any]:
    """Make a call and return whatever its answer is."""
    meta: Any = {"lg/idempotency-key": key} if key is not None else None
    params = t.CallToolRequestParams(name=tool, arguments=arguments, _meta=meta)
    answer = await client.session.send_request(t.CallToolRequest(params=params), Whole)
    return answer.model_dump(by_alias=True)


async def about(client: Client, method: Any, task_id: str, **more: Any) -> dict[str, Any]:
    """Make a request about a task."""
    request = About(method=method, params=Params.model_validate({"taskId": task_id, **more}))
    return (await client.session.send_request(request, Whole)).model_dump(by_alias=True)


async def stands(client: Client, task_id: str, *statuses: str) -> dict[str, Any]:
    """Ask until a task has one of these states."""
    with anyio.fail_after(60):
        while True:
            task = await about(client, "tasks/get", task_id)
            if task["status"] in statuses:
                return task
            await anyio.sleep(0.05)
