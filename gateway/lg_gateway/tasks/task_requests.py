"""Answers `tasks/get`, `tasks/update` and `tasks/cancel` of clients. Nobody hears of a task but its caller."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import AbstractContextManager
from typing import Any, TypeVar

import mcp_types as t
from mcp.server.context import ServerRequestContext
from mcp.server.lowlevel.server import Server
from mcp.shared.exceptions import MCPError
from mcp.shared.inbound import MCP_NAME_HEADER, decode_header_value
from mcp_types.version import MODERN_PROTOCOL_VERSIONS

from lg_gateway.calls.call import TaskUse
from lg_gateway.calls.results import GATEWAY, REFUSED
from lg_gateway.store.interface import StoreError
from lg_gateway.tasks.public_task import public_task
from lg_gateway.tasks.task_keeper import TaskKeeper
from lg_gateway.tasks.task_table import KeptTask
from lg_gateway.upstreams.offers.server_tasks import DECLARED, EXTENSION
from lg_policy.errors import Internal, LgError

TASKS_PER_STREAM = 200
Context = ServerRequestContext[Any, Any]
Found = TypeVar("Found")


class TaskParams(t.RequestParams):
    """The parameters of a request about a task."""

    task_id: str


class TaskUpdateParams(TaskParams):
    """Those of answers to its questions."""

    input_responses: dict[str, Any] = {}  # noqa: RUF012  a field of a model


class TaskRequests:
    """The handlers. `identify` tells who asks; `limit` counts a caller's request and raises `LimitExceeded`."""

    def __init__(
        self,
        keeper: TaskKeeper,
        *,
        identify: Callable[[Context], str],
        limit: Callable[[str], AbstractContextManager[object]],
        refuse_if_halted: Callable[[], Awaitable[None]],
    ) -> None:
        self._keeper = keeper
        self._identify = identify
        self._limit = limit
        self._refuse_if_halted = refuse_if_halted

    def attach(self, server: Server[Any]) -> None:
        """Have a server answer these requests."""
        server.add_request_handler("tasks/get", TaskParams, self.get)
        server.add_request_handler("tasks/update", TaskUpdateParams, self.update)
        server.add_request_handler("tasks/cancel", TaskParams, self.cancel)

    async def get(self, ctx: Context, params: TaskParams) -> dict[str, Any]:
        """Say how a task stands."""
        return public_task(await self._task(ctx, params, self._keeper.find))

    async def update(self, ctx: Context, params: TaskUpdateParams) -> dict[str, Any]:
        """Take answers to the questions of a task."""

        async def answer(identity: str, task_id: str) -> KeptTask | None:
            await self._refuse_if_halted()
            return await self._keeper.answer(identity, task_id, params.input_responses)

        await self._task(ctx, params, answer)
        return {}

    async def cancel(self, ctx: Context, params: TaskParams) -> dict[str, Any]:
        """Have a task given up."""
        await self._task(ctx, params, self._keeper.cancel)
        return {}

    async def own_tasks(self, ctx: Context, asked: object) -> list[str]:
        """Return those ids that are tasks of the caller. Raises `MCPError` if the client does not take tasks."""
        _require_declared(ctx)
        identity = self._identify(ctx)
        task_ids = [task_id for task_id in asked if isinstance(task_id, str)] if isinstance(asked, list) else []
        once = list(dict.fromkeys(task_ids))[:TASKS_PER_STREAM]
        found = [(task_id, await self._keeper.known(identity, task_id)) for task_id in once]
        return [task_id for task_id, known in found if known]

    async def _task(
        self, ctx: Context, params: TaskParams, work: Callable[[str, str], Awaitable[KeptTask | None]]
    ) -> KeptTask:
        _require_declared(ctx)
        _check_name(ctx, params.task_id)
        identity = self._identify(ctx)
        try:
            with self._limit(identity):
                task = await work(identity, params.task_id)
        except LgError as error:
            code = t.INVALID_PARAMS if error.code == "invalid_arguments" else REFUSED
            raise MCPError(code, error.text(), {"error": error.payload(), GATEWAY: True}) from error
        except StoreError as error:
            raise MCPError(t.INTERNAL_ERROR, Internal("tasks cannot be read now").text()) from error
        if task is None:
            raise MCPError(t.INVALID_PARAMS, "Unknown task")
        return task


def task_use(ctx: Context) -> TaskUse:
    """Return what the client of a request does with tasks."""
    if ctx.protocol_version not in MODERN_PROTOCOL_VERSIONS:
        return TaskUse.WAITED
    declared = ctx.session.client_capabilities
    extensions = (declared.extensions if declared is not None else None) or {}
    return TaskUse.HANDLES if EXTENSION in extensions else TaskUse.REFUSED


def _require_declared(ctx: Context) -> None:
    use = task_use(ctx)
    if use is TaskUse.WAITED:
        raise MCPError(t.METHOD_NOT_FOUND, "Method not found", ctx.method)
    if use is TaskUse.REFUSED:
        raise MCPError(
            t.MISSING_REQUIRED_CLIENT_CAPABILITY,
            "Missing required client capability",
            {"requiredCapabilities": dict(DECLARED)},
        )


def _check_name(ctx: Context, task_id: str) -> None:
    """Refuse an HTTP request that is routed by another task than the one in its body."""
    headers = getattr(ctx.request, "headers", None)
    if headers is not None and decode_header_value(headers.get(MCP_NAME_HEADER)) != task_id:
        message = f"{MCP_NAME_HEADER} header does not match the request body's 'taskId' parameter"
        raise MCPError(t.HEADER_MISMATCH, message)
