"""Tells clients of 2026 on a stream of `subscriptions/listen` how their tasks stand: at first and at each change."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from typing import Any, Literal

import anyio
import anyio.abc
import mcp_types as t
from mcp.server.context import ServerRequestContext
from mcp.server.subscriptions import SUBSCRIPTION_ID_META_KEY
from pydantic import ConfigDict

from lg_gateway.tasks.public_task import public_task
from lg_gateway.tasks.task_keeper import TaskKeeper
from lg_gateway.tasks.task_table import KeptTask

Context = ServerRequestContext[Any, Any]
Serve = Callable[[Context], Awaitable[t.SubscriptionsListenResult]]
WAITING = 200
"""Changes of one stream that wait for their client; of more, the client asks."""


class _TaskParams(t.NotificationParams):
    model_config = ConfigDict(extra="allow")


class _TaskNotification(t.Notification[_TaskParams, Literal["notifications/tasks"]]):
    method: Literal["notifications/tasks"] = "notifications/tasks"
    params: _TaskParams


class _Acknowledging:
    """A session whose acknowledgement of a stream names tasks too. `acknowledged` is set once it is sent."""

    def __init__(self, session: Any, task_ids: Sequence[str]) -> None:
        self._session = session
        self._task_ids = list(task_ids)
        self.acknowledged = anyio.Event()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._session, name)

    async def send_notification(self, notification: Any, related_request_id: t.RequestId | None = None) -> None:
        """Send a notification on the stream."""
        if isinstance(notification, t.SubscriptionsAcknowledgedNotification):
            given = notification.params.notifications.model_dump(mode="json", by_alias=True, exclude_none=True)
            more = t.SubscriptionFilter.model_validate({**given, "taskIds": self._task_ids})
            params = notification.params.model_copy(update={"notifications": more})
            notification = notification.model_copy(update={"params": params})
        await self._session.send_notification(notification, related_request_id=related_request_id)
        self.acknowledged.set()


class TaskStreams:
    """The open streams that tell of tasks."""

    def __init__(self, keeper: TaskKeeper) -> None:
        self._keeper = keeper
        self._streams: dict[str, set[Any]] = {}
        keeper.on_change(self._changed)

    async def serve(
        self, ctx: Context, identity: str, task_ids: Sequence[str], serve: Serve
    ) -> t.SubscriptionsListenResult:
        """Serve a stream as `serve` does, and tell of these tasks of a caller on it."""
        session = _Acknowledging(ctx.session, task_ids)
        send, receive = anyio.create_memory_object_stream[KeptTask](WAITING)
        for task_id in task_ids:
            self._streams.setdefault(task_id, set()).add(send)
        try:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(self._tell, ctx, session, identity, task_ids, receive)
                served = await serve(replace(ctx, session=session))  # type: ignore[arg-type]  # it is all but the class
                tasks.cancel_scope.cancel()
        except BaseExceptionGroup as group:
            if len(group.exceptions) > 1:
                raise
            raise group.exceptions[0] from None
        finally:
            for task_id in task_ids:
                self._streams[task_id].discard(send)
                if not self._streams[task_id]:
                    del self._streams[task_id]
            send.close()
            receive.close()
        return served

    async def _tell(
        self, ctx: Context, session: _Acknowledging, identity: str, task_ids: Sequence[str], receive: Any
    ) -> None:
        await session.acknowledged.wait()
        for task_id in task_ids:
            task = await self._keeper.find(identity, task_id)
            if task is not None:
                await self._send(ctx, session, task)
        async for task in receive:
            await self._send(ctx, session, task)

    async def _send(self, ctx: Context, session: _Acknowledging, task: KeptTask) -> None:
        shown = {**public_task(task), "_meta": {SUBSCRIPTION_ID_META_KEY: ctx.request_id}}
        params = _TaskParams.model_validate(shown)
        await session.send_notification(_TaskNotification(params=params), related_request_id=ctx.request_id)

    async def _changed(self, task: KeptTask) -> None:
        for stream in list(self._streams.get(task.id, ())):
            try:
                stream.send_nowait(task)
            except (anyio.WouldBlock, anyio.ClosedResourceError, anyio.BrokenResourceError):
                continue
