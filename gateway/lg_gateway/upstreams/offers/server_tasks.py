"""Tasks of servers: calls that go on after their answer. Reads both forms that the protocol has, and asks about one.

2026-07-28 has them as the extension `io.modelcontextprotocol/tasks`; a server decides for each call of a client that
declares it. 2025-11-25 has them as an experiment: a tool says whether its calls may, or must, be made as tasks.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any, Literal

import mcp_types as t
from mcp.client.client import Client
from mcp.shared.exceptions import MCPError
from mcp_types.version import MODERN_PROTOCOL_VERSIONS
from pydantic import ConfigDict

from lg_gateway.upstreams.replies import RelayedResult, read_call_result, read_error
from lg_policy.limits import cut_at_word

EXTENSION = "io.modelcontextprotocol/tasks"
MISSING = t.MISSING_REQUIRED_CLIENT_CAPABILITY
ID_CHARACTERS = 1_000
MESSAGE_CHARACTERS = 500
"""Of what a server says about the state of a task; more is left out."""
QUESTIONS = 20
"""Questions of one task that are open at once; more are left out."""
LONGEST_MS = 10**12
POLL_S, POLL_LEAST_S, POLL_MOST_S = 2.0, 0.25, 60.0
"""Between two questions to a server about a task, if it does not say; and the least and the most that it may say."""
DECLARED: Mapping[str, Any] = {"extensions": {EXTENSION: {}}}
"""What a 2026 server wants to hear with each request about tasks."""


class TaskStatus(StrEnum):
    """The state of a task."""

    WORKING = "working"
    INPUT_REQUIRED = "input_required"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"


_STATUSES = [str(status) for status in TaskStatus]
ENDED = frozenset((TaskStatus.COMPLETED, TaskStatus.FAILED, TaskStatus.CANCELLED))


@dataclass(frozen=True, kw_only=True)
class ServerTask:
    """What a server says about a task. `questions` are its requests by its own keys, not read yet."""

    id: str
    status: TaskStatus
    message: str = ""
    ttl_ms: int | None = None
    poll_ms: int | None = None
    result: RelayedResult | None = None
    error: t.ErrorData | None = None
    questions: Mapping[str, Any] = field(default_factory=dict)

    @property
    def ended(self) -> bool:
        """Whether nothing more happens to it."""
        return self.status in ENDED


class _Params(t.RequestParams):
    task_id: str


class _UpdateParams(_Params):
    input_responses: dict[str, Any]


class _Get(t.Request[_Params, Literal["tasks/get"]]):
    method: Literal["tasks/get"] = "tasks/get"
    params: _Params
    name_param = "taskId"


class _Result(t.Request[_Params, Literal["tasks/result"]]):
    method: Literal["tasks/result"] = "tasks/result"
    params: _Params


class _Cancel(t.Request[_Params, Literal["tasks/cancel"]]):
    method: Literal["tasks/cancel"] = "tasks/cancel"
    params: _Params
    name_param = "taskId"


class _Update(t.Request[_UpdateParams, Literal["tasks/update"]]):
    method: Literal["tasks/update"] = "tasks/update"
    params: _UpdateParams
    name_param = "taskId"


def has_tasks(client: Client) -> bool:
    """Whether a connected server may answer calls with tasks."""
    said = client.server_capabilities
    if client.protocol_version in MODERN_PROTOCOL_VERSIONS:
        return EXTENSION in (said.extensions or {})
    requests = said.tasks.requests if said.tasks is not None else None
    return requests is not None and requests.tools is not None and requests.tools.call is not None


def with_tasks(capabilities: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a client declares, with tasks among its extensions."""
    return {**capabilities, "extensions": {**capabilities.get("extensions", {}), EXTENSION: {}}}


def wants_tasks(error: t.ErrorData) -> bool:
    """Whether a server says that it takes a call only of a client that declares tasks."""
    data = error.data if isinstance(error.data, Mapping) else {}
    required = data.get("requiredCapabilities")
    extensions = required.get("extensions") if isinstance(required, Mapping) else None
    return error.code == MISSING and isinstance(extensions, Mapping) and EXTENSION in extensions


def read_task(raw: Mapping[str, Any]) -> ServerTask:
    """Read a task. Raises `MCPError` for what cannot be one."""
    task_id, said = raw.get("taskId"), raw.get("status")
    if not isinstance(task_id, str) or not 0 < len(task_id) <= ID_CHARACTERS or said not in _STATUSES:
        raise MCPError(t.INTERNAL_ERROR, "the server sent a task without an id or a known status")
    status = TaskStatus(str(said))
    message, result, error, asked = (raw.get(key) for key in ("statusMessage", "result", "error", "inputRequests"))
    return ServerTask(
        id=task_id,
        status=status,
        message=cut_at_word(message, MESSAGE_CHARACTERS) if isinstance(message, str) else "",
        ttl_ms=_whole(raw.get("ttlMs", raw.get("ttl"))),
        poll_ms=_whole(raw.get("pollIntervalMs", raw.get("pollInterval"))) or None,
        result=read_call_result(result) if status is TaskStatus.COMPLETED and result is not None else None,
        error=read_error(error) if status is TaskStatus.FAILED and error is not None else None,
        questions=_questions(asked) if status is TaskStatus.INPUT_REQUIRED else {},
    )


def poll_pause_s(poll_ms: int | None) -> float:
    """Return the seconds until a server is asked again about a task."""
    return min(POLL_MOST_S, max(POLL_LEAST_S, POLL_S if poll_ms is None else poll_ms / 1000))


async def task_now(client: Client, task_id: str, timeout_s: float) -> ServerTask:
    """Ask a server how a task stands, with its result if it has ended. Raises `MCPError`."""
    task = read_task(await _ask(client, _Get(params=_Params(task_id=task_id)), timeout_s))
    if task.id != task_id:
        raise MCPError(t.INTERNAL_ERROR, "the server answered for another task")
    if client.protocol_version in MODERN_PROTOCOL_VERSIONS or task.status in (TaskStatus.WORKING, TaskStatus.CANCELLED):
        return task
    try:  # a 2025 server hands the result over apart; one that wants input asks while this waits
        raw = await _ask(client, _Result(params=_Params(task_id=task_id)), timeout_s)
    except MCPError as error:
        if task.status is not TaskStatus.FAILED or error.code in (t.CONNECTION_CLOSED, t.REQUEST_TIMEOUT):
            raise
        return replace(task, error=error.error)
    return replace(task, status=TaskStatus.COMPLETED, result=read_call_result(raw))


async def cancel_task(client: Client, task_id: str, timeout_s: float) -> None:
    """Ask a server to give a task up. Raises `MCPError`."""
    await _ask(client, _Cancel(params=_Params(task_id=task_id)), timeout_s)


async def answer_task(client: Client, task_id: str, answers: Mapping[str, Any], timeout_s: float) -> None:
    """Send a server answers to questions of a task, by its own keys. Raises `MCPError`."""
    await _ask(client, _Update(params=_UpdateParams(task_id=task_id, input_responses=dict(answers))), timeout_s)


async def _ask(client: Client, request: t.Request[Any, Any], timeout_s: float) -> dict[str, Any]:
    answer = await client.session.send_request(request, _Whole, request_read_timeout_seconds=timeout_s)
    return answer.model_dump(by_alias=True)


class _Whole(t.Result):
    """A result with everything in it."""

    model_config = ConfigDict(extra="allow")


def _questions(asked: object) -> dict[str, Any]:
    found = asked.items() if isinstance(asked, Mapping) else ()
    return {str(key)[:ID_CHARACTERS]: request for key, request in list(found)[:QUESTIONS]}


def _whole(value: object) -> int | None:
    known = isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= LONGEST_MS
    return int(value) if known and isinstance(value, int | float) else None
