"""Answers of the console: their headers, and what a refusal looks like to a browser and to a program."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import quote

from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect, Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from lg_console.login.guard import Guard, NotLoggedIn, Visitor
from lg_policy.errors import InvalidArguments, LgError, TooLarge

CSP = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self';"
    " form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "content-security-policy": CSP,
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), microphone=(), geolocation=()",
    "cache-control": "no-store",
}
STATUS = {
    "policy_denied": 403, "approval_denied": 403, "not_found": 404, "conflict": 409, "invalid_arguments": 400,
    "invalid_config": 400, "too_large": 413, "limit_exceeded": 429, "upstream_unavailable": 503, "timeout": 504,
}  # fmt: skip
BODY_BYTES = 64_000
BROWSED = "text/html"

Endpoint = Callable[[Request], Awaitable[Response]]


def page(html: str, status: int = 200) -> Response:
    """Return a page."""
    return HTMLResponse(html, status_code=status, headers=HEADERS)


def as_json(value: Any, status: int = 200) -> Response:
    """Return a value as JSON."""
    text = json.dumps(value, ensure_ascii=True)
    return Response(text, status_code=status, headers=HEADERS | {"content-type": "application/json"})


def refused(error: LgError) -> Response:
    """Return a refusal as JSON."""
    return as_json({"error": error.payload()}, STATUS.get(error.code, 500))


def endpoint(guard: Guard, handle: Callable[[Request, Visitor], Awaitable[Response]]) -> Endpoint:
    """Return a handler for people who are logged in. A browser that is not is led to the login."""

    async def answer(request: Request) -> Response:
        try:
            visitor = await guard.visitor(request)
            _require_storable(request.url.path)
            for name, value in request.query_params.multi_items():
                _require_storable(name + value)
            return await handle(request, visitor)
        except NotLoggedIn:
            return _to_login(request)
        except LgError as error:
            return _refusal(request, error)

    return answer


def opened(handle: Callable[[Request], Awaitable[Response]]) -> Endpoint:
    """Return a handler for anybody."""

    async def answer(request: Request) -> Response:
        try:
            return await handle(request)
        except LgError as error:
            return refused(error)

    return answer


async def fields_of(request: Request) -> dict[str, Any]:
    """Return the JSON object of a request's body. Raises `InvalidArguments`, `TooLarge`."""
    if request.headers.get("content-type", "").partition(";")[0].strip() != "application/json":
        raise InvalidArguments("the body is not application/json")
    body = bytearray()
    try:
        async for part in request.stream():
            body += part
            if len(body) > BODY_BYTES:
                raise TooLarge(f"the body has more than {BODY_BYTES} bytes")
    except ClientDisconnect as error:
        raise InvalidArguments("the body ended early") from error
    try:
        found = await run_in_threadpool(_read, bytes(body))
    except (ValueError, RecursionError) as error:
        raise InvalidArguments("the body is not JSON") from error
    if not isinstance(found, dict):
        raise InvalidArguments("the body is not a JSON object")
    return found


def _read(body: bytes) -> Any:
    """Return the value of a body. Raises `ValueError`, `RecursionError`, `InvalidArguments` for unstorable text."""
    found = json.loads(body)
    if b"\\u" in body:
        _require_storable(json.dumps(found, ensure_ascii=False).replace("\\u0000", "\0"))
    return found


def _require_storable(text: str) -> None:
    """Raise `InvalidArguments` for text that no database takes."""
    if "\0" in text or any("\ud800" <= letter <= "\udfff" for letter in text):
        raise InvalidArguments("the request has text with U+0000, or that is not valid Unicode")


def text_of(fields: dict[str, Any], name: str, limit: int = 500) -> str:
    """Return a text of a body. Raises `InvalidArguments`."""
    value = fields.get(name, "")
    if not isinstance(value, str) or len(value) > limit:
        raise InvalidArguments(f"{name} is not a text of at most {limit} characters")
    return value


def _to_login(request: Request) -> Response:
    if request.method == "GET" and BROWSED in request.headers.get("accept", ""):
        path = request.url.path + (f"?{request.url.query}" if request.url.query else "")
        return RedirectResponse(f"/login?next={quote(path)}", status_code=303, headers=HEADERS)
    hint = "send an operator's token as `Authorization: Bearer TOKEN`, or log in at /login"
    body = {"error": {"code": "not_logged_in", "message": "log in first", "hint": hint}}
    return as_json(body, 401)


def _refusal(request: Request, error: LgError) -> Response:
    if request.method == "GET" and BROWSED in request.headers.get("accept", ""):
        from lg_console.web.layout import message_page

        return page(message_page(error.message, error.hint), STATUS.get(error.code, 500))
    return refused(error)
