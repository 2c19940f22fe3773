"""Checks requests before any handler sees them: who may send them, how large they are, what they say."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError
from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import Response

from lg_orch.service.api.access import require_role
from lg_orch.service.api.endpoints import Call
from lg_orch.service.api.problems import ApiError, of_fields, problem
from lg_policy.wire.http_front import LOOPBACK_HOSTS, LOOPBACK_ORIGINS, Addresses, two_lengths

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pydantic import BaseModel
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from lg_orch.service.api.endpoints import Endpoint
    from lg_orch.service.api.service import RunService

MAX_DEPTH = 100
"""Levels of a body. No tool takes as many."""
Answer = Callable[[Request], Awaitable[Response]]
HEADERS = (
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
)
"""On every answer that does not say otherwise."""


class Guard:
    """ASGI middleware: refuses foreign hosts and origins, adds headers that keep browsers careful."""

    def __init__(self, app: ASGIApp, *, hosts: Iterable[str] = (), origins: Iterable[str] = ()) -> None:
        self._app = app
        self._hosts = Addresses((*LOOPBACK_HOSTS, *hosts, *(f"{host}:*" for host in hosts if ":" not in host)))
        self._origins = Addresses((*LOOPBACK_ORIGINS, *origins))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer 400 for two lengths, 421 for a foreign host, 403 for a foreign origin; pass on any other request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        refused = self._refused(scope)
        answered = self._app if refused is None else refused
        await answered(scope, receive, _with_headers(send))

    def _refused(self, scope: Scope) -> Response | None:
        headers = Headers(scope=scope)
        if two_lengths(scope):
            text = "the request says its length in two ways"
            return problem(400, "invalid_request", text, headers={"connection": "close"})
        hosts, origins = headers.getlist("host"), headers.getlist("origin")
        if len(hosts) != 1 or hosts[0] not in self._hosts:
            hint = "an operator adds the name to service.allowed_hosts"
            return problem(421, "foreign_host", "the Host header names no host of this service", hint=hint)
        if len(origins) > 1 or (origins and origins[0] not in self._origins):
            hint = "an operator adds the page's origin to service.allowed_origins"
            return problem(403, "foreign_origin", "pages of this origin may not call the service", hint=hint)
        return None


def _with_headers(send: Send) -> Send:
    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            given = list(message["headers"])
            names = {name.lower() for name, _ in given}
            message = {**message, "headers": given + [(name, text) for name, text in HEADERS if name not in names]}
        await send(message)

    return sending


def answering(service: RunService, endpoint: Endpoint) -> Answer:
    """Return what answers one address: login, path, query and body are checked first."""

    async def answer(request: Request) -> Response:
        caller = await require_role(service.logins, request, endpoint.role)
        if "\0" in request.url.path or "\0" in str(request.path_params):
            raise ApiError(404, "not_found", "the address has a U+0000")
        query: Any = None
        if endpoint.query is not None:
            try:
                query = endpoint.query.model_validate_strings(_query(request))
            except ValidationError as error:
                return of_fields(error, "query")
        body: Any = None
        if endpoint.body is not None:
            try:
                body = await _body(request, endpoint.body, service.settings.max_body_kb * 1024, endpoint.optional)
            except ValidationError as error:
                return of_fields(error, "body")
        run_id = str(request.path_params.get("run_id", ""))
        return await endpoint.handler(
            Call(service=service, request=request, caller=caller, run_id=run_id, body=body, query=query)
        )

    return answer


def _query(request: Request) -> dict[str, str]:
    found: dict[str, str] = {}
    for name, value in request.query_params.multi_items():
        if name in found:
            raise ApiError(422, "invalid_arguments", f"the query names {name!r} twice")
        found[name] = value
    return found


async def _body(request: Request, model: type[BaseModel], limit: int, optional: bool) -> BaseModel:
    """Read the body. Raises `ApiError` for one that is too large or no JSON, `ValidationError` for an unfit one."""
    data = bytearray()
    async for piece in request.stream():
        data += piece
        if len(data) > limit:
            raise ApiError(
                413, "too_large", f"the body is larger than {limit // 1024} KiB",
                hint="an operator raises service.max_body_kb", headers={"connection": "close"},
            )  # fmt: skip
    if not data and optional:
        return model.model_validate({})
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json":
        raise ApiError(
            415,
            "invalid_request",
            "the body is not application/json",
            hint="send the header Content-Type: application/json",
        )
    try:
        value = json.loads(data, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise ApiError(400, "invalid_json", f"the body is not JSON: {error}") from error
    _require_flat(value)
    _require_storable(data, value)
    return model.model_validate(value, strict=False)


def _require_flat(value: Any) -> None:
    """Raise `ApiError` for a value that is nested too deep to be worked on."""
    level = [value]
    for _ in range(MAX_DEPTH):
        level = [
            item
            for part in level
            if isinstance(part, dict | list)
            for item in (part.values() if isinstance(part, dict) else part)
        ]
        if not level:
            return
    raise ApiError(422, "invalid_arguments", f"the body is nested deeper than {MAX_DEPTH} levels")


def _no_constant(name: str) -> float:
    raise ValueError(f"{name} is no JSON number")


def _require_storable(data: bytearray, value: Any) -> None:
    """Raise `ApiError` for text that no database takes, however deep it lies."""
    if b"\\u" not in data and b"\0" not in data:
        return
    try:
        plain = json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError as error:
        raise ApiError(422, "invalid_arguments", "the body has text that is not valid Unicode") from error
    if b"\\u0000" in plain:
        raise ApiError(422, "invalid_arguments", "the body has text with U+0000")
