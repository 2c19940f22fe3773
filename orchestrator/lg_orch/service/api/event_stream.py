"""Streams a run's events (Server-Sent Events), from its journal alone.

`id:` is an event's number, so that a client that was cut off goes on without a gap (`Last-Event-ID`). Besides the
journal's events (`event: run`) there are `state` when the run's state changes, `end` when nothing more will come, and
`reset` when the client names a number that the journal has not reached. A comment comes at least every 15 seconds.

Nothing is kept for a slow reader: what it has not read is read from the journal later. One that takes nothing for
`SEND_S` seconds is dropped.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated

import anyio
import anyio.to_thread
from pydantic import Field
from starlette.responses import Response

from lg_orch.contracts.errors import StoreGone
from lg_orch.service.api.access import require_role
from lg_orch.service.api.bodies import Body
from lg_orch.service.api.problems import ApiError
from lg_orch.service.records.rows import ENDED
from lg_policy.errors import InvalidArguments

if TYPE_CHECKING:
    from starlette.types import Receive, Scope, Send

    from lg_orch.contracts.events import Event
    from lg_orch.service.api.endpoints import Call
    from lg_orch.service.api.service import RunService
    from lg_orch.service.records.rows import RunRow
    from lg_orch.service.records.run_events import Follower

LAST = "last-event-id"
LOOK_S = 0.4
"""Seconds between two looks into the journal."""
COMMENT_S = 15.0
SEND_S = 30.0
RETRY_MS = 2_000
"""How long a client waits before it connects again."""
LINE_ENDS = "\x85\u2028\u2029"
"""Stand in texts of a run, and some clients end a line at them."""
PIECE = 64_000
"""Bytes that are sent at once."""


class FollowEvents(Body):
    """Where the stream begins."""

    after: Annotated[int, Field(ge=0, le=10**9)] | None = None
    """Only events after that number, where the client cannot send `Last-Event-ID`."""
    follow: bool = True
    """Whether to wait for further events; without, the stream ends with the newest one."""


async def run_events(call: Call) -> Response:
    """Answer the run's events as they come."""
    service, asked = call.service, call.query
    after = _after(call.request.headers.get(LAST), asked.after)
    row = await anyio.to_thread.run_sync(service.runs.get, call.run_id)
    require_stream(service)
    return EventStream(call, row, after, follow=asked.follow)


def require_stream(service: RunService) -> None:
    """Raise `ApiError` when too many streams are open."""
    if len(service.streams) >= service.settings.max_streams:
        raise ApiError(
            503, "limit_exceeded", f"{len(service.streams)} event streams are open", headers={"retry-after": "5"},
            hint="close one, or raise service.max_streams",
        )  # fmt: skip


def _after(header: str | None, query: int | None) -> int:
    if header is None or not header.strip():
        return query or 0
    if not header.isascii() or not header.isdigit() or len(header) > 9:
        raise InvalidArguments(
            "the header Last-Event-ID is not the `id` of an event", hint="leave it out to begin anew"
        )
    return int(header)


class EventStream(Response):
    """The answer that does not end before the run does."""

    def __init__(self, call: Call, row: RunRow, after: int, *, follow: bool) -> None:
        super().__init__(
            media_type="text/event-stream", headers={"cache-control": "no-store", "x-accel-buffering": "no"}
        )
        del self.headers["content-length"]
        self._call = call
        self._row = row
        self._after = after
        self._follow = follow

    async def __call__(self, _scope: Scope, receive: Receive, send: Send) -> None:
        """Send until the run has ended, the client leaves or reads nothing, or the service stops."""
        streams = self._call.service.streams
        streams.append(self)
        try:
            await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
            async with anyio.create_task_group() as group:

                async def gone() -> None:
                    while (await receive())["type"] != "http.disconnect":
                        pass
                    group.cancel_scope.cancel()

                async def stopped() -> None:
                    await self._call.service.closing.wait()
                    group.cancel_scope.cancel()

                async def shut_out() -> None:
                    while True:
                        await anyio.sleep(self._call.service.recheck_s)
                        if not await self._may_look():
                            group.cancel_scope.cancel()

                group.start_soon(gone)
                group.start_soon(shut_out)
                group.start_soon(stopped)
                await self._stream(send)
                group.cancel_scope.cancel()
            with anyio.move_on_after(SEND_S):
                await send({"type": "http.response.body", "body": b"", "more_body": False})
        finally:
            streams.remove(self)

    async def _stream(self, send: Send) -> None:
        service, row, known = self._call.service, self._row, ""
        follower = await anyio.to_thread.run_sync(service.events.follow, row, self._after)
        if not await _sent(send, f"retry: {RETRY_MS}\n\n".encode()):
            return
        quiet = anyio.current_time()
        first = True
        while True:
            try:
                row, events = await anyio.to_thread.run_sync(self._look, follower)
            except StoreGone:
                return  # the client connects again
            text = await anyio.to_thread.run_sync(self.opening, row) if first else ""
            text += "".join(map(self.of_event, events))
            state = self.of_state(row)
            if state != known and not events:
                known = state
                text += state
            over = not events and (not self._follow or self.is_over(row))
            text += await anyio.to_thread.run_sync(self.of_end, row) if over else ""
            if not text and anyio.current_time() - quiet > COMMENT_S:
                text = ": still here\n\n"
            if text:
                quiet = anyio.current_time()
                if not await _sent(send, text.encode()):
                    return
            if over:
                return
            first = False
            if not events:
                await anyio.sleep(LOOK_S)

    async def _may_look(self) -> bool:
        """Whether the caller may still read, however much the run writes: a token ends or is revoked."""
        try:
            await require_role(self._call.service.logins, self._call.request, "viewer")
        except (ApiError, StoreGone):
            return False
        return True

    def _look(self, follower: Follower) -> tuple[RunRow, list[Event]]:
        # The row first: what a worker wrote before it gave the run back is then seen.
        row = self._call.service.runs.get(self._call.run_id)
        return row, follower.read()

    def opening(self, row: RunRow) -> str:
        """Return what comes before everything else."""
        last = self._call.service.events.last(row) if self._after else 0
        return framed("reset", {"last": last}) if self._after > last else ""

    def of_event(self, event: Event) -> str:
        """Return what is sent of one event."""
        data = event.model_dump_json()
        for letter in LINE_ENDS:
            data = data.replace(letter, f"\\u{ord(letter):04x}")
        return f"id: {event.seq}\nevent: run\ndata: {data}\n\n"

    def of_state(self, row: RunRow) -> str:
        """Return what is sent of the run's state."""
        return framed("state", {"state": row.state, "stopping": bool(row.stop), "undo": row.undo})

    def of_end(self, row: RunRow) -> str:
        """Return what comes last."""
        return framed("end", {"state": row.state})

    def is_over(self, row: RunRow) -> bool:
        """Tell whether nothing more will come."""
        return row.state in ENDED and row.work is None


def framed(name: str, data: object, number: int | None = None) -> str:
    """Return one event of a stream."""
    return f"{f'id: {number}' + chr(10) if number is not None else ''}event: {name}\ndata: {json.dumps(data)}\n\n"


async def _sent(send: Send, data: bytes) -> bool:
    """Send; false for a client that takes nothing."""
    for at in range(0, len(data), PIECE):
        with anyio.move_on_after(SEND_S) as waiting:
            await send({"type": "http.response.body", "body": data[at : at + PIECE], "more_body": True})
        if waiting.cancelled_caught:
            return False
    return True
