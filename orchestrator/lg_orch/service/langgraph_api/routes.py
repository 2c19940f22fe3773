"""The addresses below `/lg`: threads, their state, their runs and streams."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal

import anyio
import anyio.to_thread
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import JSONResponse, Response

from lg_orch.service.api.acting import answer, create
from lg_orch.service.api.endpoints import Call, Endpoint
from lg_orch.service.api.event_stream import LOOK_S, require_stream
from lg_orch.service.langgraph_api.shapes import (
    ASSISTANT,
    answers_of,
    interrupts_of,
    is_over,
    new_run,
    request_of,
    run_shown,
    state_shown,
    thread_shown,
    values_of,
)  # fmt: skip
from lg_orch.service.langgraph_api.stream import ThreadStream
from lg_orch.service.langgraph_api.threads import ThreadTable
from lg_policy.errors import Conflict, InvalidArguments, NotFound
from lg_policy.version import __version__

if TYPE_CHECKING:
    from lg_orch.service.langgraph_api.threads import Thread
    from lg_orch.service.records.rows import RunPhase, RunRow

THREAD_ID = r"^[A-Za-z0-9-]{1,64}$"
SHOWN = 50
ASKING: tuple[RunPhase, ...] = ("waiting", "queued", "running")
"""States in which a run may have an open question."""


class Loose(BaseModel):
    """Base of what these clients send: fields that mean nothing here are left alone."""

    model_config = ConfigDict(frozen=True, extra="ignore", use_attribute_docstrings=True)


class NewThread(Loose):
    """A new thread."""

    thread_id: str | None = Field(default=None, pattern=THREAD_ID)
    metadata: dict[str, Any] = Field(default_factory=dict, max_length=50)
    if_exists: Literal["raise", "do_nothing"] = "raise"


class Searched(Loose):
    """Which threads or assistants to list."""

    limit: int = Field(default=10, ge=1, le=SHOWN)


class NewThreadRun(Loose):
    """A run of a thread: a request, or the answer to what the thread waits for."""

    input: Any = None
    command: dict[str, Any] | None = None
    config: dict[str, Any] = Field(default_factory=dict)
    context: dict[str, Any] = Field(default_factory=dict)
    stream_mode: str | list[str] = "values"


def _threads(call: Call) -> ThreadTable:
    return ThreadTable(call.service.runs.database)


def _thread(call: Call) -> Thread:
    return _threads(call).get(str(call.request.path_params["thread_id"]))


def _run(call: Call) -> tuple[Thread, RunRow]:
    thread = _thread(call)
    if call.run_id not in thread.runs:
        raise NotFound(f"thread {thread.thread_id} has no run {call.run_id!r}")
    return thread, call.service.runs.get(call.run_id)


def begin(call: Call) -> tuple[Thread, RunRow]:
    """Begin a run, or answer what the thread waits for. Raises `Conflict` while a run of the thread goes on."""
    thread, body, service = _thread(call), call.body, call.service
    last = service.runs.get(thread.runs[-1]) if thread.runs else None
    if body.command is not None and "resume" in body.command:
        if last is None:
            raise InvalidArguments("the thread waits for nothing", hint="send `input` to begin a run")
        for said in answers_of(body.command["resume"], interrupts_of(service, last, ASKING)):
            last = answer(replace(call, run_id=last.run_id, body=said))
        return thread, last
    if last is not None and last.work is not None:
        raise Conflict(f"run {last.run_id} of this thread is {last.state}", hint="join it, or cancel it first")
    if last is not None and last.state == "waiting":
        words = {"text": service.masker.mask(request_of(body.input))}
        return thread, service.runs.say(last.run_id, "say", words, call.caller.name, expected=("waiting",))
    configured = body.config.get("configurable")
    wanted = new_run(body.input, {**(configured if isinstance(configured, dict) else {}), **body.context})
    row, _ = create(replace(call, body=wanted))
    _threads(call).add_run(thread.thread_id, row.run_id)
    return thread, row


async def _info(_call: Call) -> Response:
    return JSONResponse({"version": __version__, "flags": {"assistants": True, "crons": False}, "metadata": {}})


async def _assistants(_call: Call) -> Response:
    return JSONResponse([{"assistant_id": ASSISTANT, "graph_id": ASSISTANT, "name": ASSISTANT, "config": {},
                          "context": {}, "metadata": {}, "version": 1}])  # fmt: skip


async def _make(call: Call) -> Response:
    def make() -> dict[str, Any]:
        body: NewThread = call.body
        again = body.if_exists == "do_nothing"
        return thread_shown(
            call.service, _threads(call).create(body.thread_id, body.metadata, call.caller.name, again=again)
        )

    return JSONResponse(await anyio.to_thread.run_sync(make))


async def _search(call: Call) -> Response:
    def found() -> list[dict[str, Any]]:
        return [thread_shown(call.service, thread) for thread in _threads(call).newest(call.body.limit)]

    return JSONResponse(await anyio.to_thread.run_sync(found))


async def _get(call: Call) -> Response:
    return JSONResponse(await anyio.to_thread.run_sync(lambda: thread_shown(call.service, _thread(call))))


async def _state(call: Call) -> Response:
    return JSONResponse(await anyio.to_thread.run_sync(lambda: state_shown(call.service, _thread(call))))


async def _history(call: Call) -> Response:
    return JSONResponse([await anyio.to_thread.run_sync(lambda: state_shown(call.service, _thread(call)))])


async def _begin(call: Call) -> Response:
    thread, row = await anyio.to_thread.run_sync(begin, call)
    call.service.wake()
    return JSONResponse(run_shown(thread.thread_id, row), headers=_where(thread, row))


async def _begin_stream(call: Call) -> Response:
    require_stream(call.service)
    thread = await anyio.to_thread.run_sync(_thread, call)
    before = await anyio.to_thread.run_sync(_last_event, call, thread)
    thread, row = await anyio.to_thread.run_sync(begin, call)
    call.service.wake()
    after = before if thread.runs and thread.runs[-1] == row.run_id else 0
    modes = call.body.stream_mode
    return ThreadStream(replace(call, run_id=row.run_id), row, after, modes, _where(thread, row))


def _last_event(call: Call, thread: Thread) -> int:
    return call.service.events.last(call.service.runs.get(thread.runs[-1])) if thread.runs else 0


async def _runs(call: Call) -> Response:
    def found() -> list[dict[str, Any]]:
        thread = _thread(call)
        return [run_shown(thread.thread_id, call.service.runs.get(run_id)) for run_id in reversed(thread.runs)]

    return JSONResponse(await anyio.to_thread.run_sync(found))


async def _one_run(call: Call) -> Response:
    thread, row = await anyio.to_thread.run_sync(_run, call)
    return JSONResponse(run_shown(thread.thread_id, row))


async def _stream(call: Call) -> Response:
    require_stream(call.service)
    thread, row = await anyio.to_thread.run_sync(_run, call)
    last = call.request.headers.get("last-event-id", "")
    after = int(last) if last.isascii() and last.isdigit() and len(last) < 10 else 0
    if after > await anyio.to_thread.run_sync(call.service.events.last, row):
        after = 0  # of another journal
    modes = call.request.query_params.getlist("stream_mode") or "values"
    return ThreadStream(call, row, after, modes, _where(thread, row))


async def _join(call: Call) -> Response:
    """Answer once the run has ended or waits for a human."""
    require_stream(call.service)
    waiting = object()
    call.service.streams.append(waiting)
    try:
        while True:
            _, row = await anyio.to_thread.run_sync(_run, call)
            if is_over(row) or call.service.closing.is_set() or await call.request.is_disconnected():
                return JSONResponse(values_of([row]))
            await anyio.sleep(LOOK_S)
    finally:
        call.service.streams.remove(waiting)


async def _cancel(call: Call) -> Response:
    if call.request.query_params.get("action", "interrupt") != "interrupt":
        raise InvalidArguments("a run is not rolled back by a cancel", hint="POST /v1/runs/ID/undo does that")
    _, row = await anyio.to_thread.run_sync(_run, call)
    await anyio.to_thread.run_sync(call.service.runs.cancel, row.run_id)
    call.service.wake()
    return JSONResponse(None)


def _where(thread: Thread, row: RunRow) -> dict[str, str]:
    path = f"/threads/{thread.thread_id}/runs/{row.run_id}"
    return {"content-location": path, "location": f"{path}/stream"}


_T = "/lg/threads/{thread_id}"
_ROWS: tuple[tuple[str, str, Any, Any, Any], ...] = (
    ("GET", "/lg/info", "viewer", _info, None),
    ("POST", "/lg/assistants/search", "viewer", _assistants, Searched),
    ("POST", "/lg/threads", "operator", _make, NewThread),
    ("POST", "/lg/threads/search", "viewer", _search, Searched),
    ("GET", _T, "viewer", _get, None),
    ("GET", f"{_T}/state", "viewer", _state, None),
    ("POST", f"{_T}/history", "viewer", _history, Searched),
    ("POST", f"{_T}/runs", "operator", _begin, NewThreadRun),
    ("GET", f"{_T}/runs", "viewer", _runs, None),
    ("POST", f"{_T}/runs/stream", "operator", _begin_stream, NewThreadRun),
    ("GET", f"{_T}/runs/{{run_id}}", "viewer", _one_run, None),
    ("GET", f"{_T}/runs/{{run_id}}/stream", "viewer", _stream, None),
    ("GET", f"{_T}/runs/{{run_id}}/join", "viewer", _join, None),
    ("POST", f"{_T}/runs/{{run_id}}/cancel", "operator", _cancel, None),
)
LANGGRAPH = tuple(
    Endpoint(method=method, path=path, name="", summary="", role=role, handler=handler, body=body)
    for method, path, role, handler, body in _ROWS
)
"""All of them. They are not part of the description of the run API: clients bring their own."""
