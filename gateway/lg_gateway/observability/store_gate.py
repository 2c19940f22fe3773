"""Answers 503 over HTTP while the store cannot be used, instead of a refusal that is not meant for the caller.

Without the store no token can be looked up, so a caller with a good token would get 401 and throw it away. A request
whose own token could not be looked up gets the same answer.
"""

from __future__ import annotations

from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from lg_gateway.identity.authentication import unknown_caller
from lg_gateway.observability.call_counts import CallCounts
from lg_gateway.observability.store_health import StoreHealth

RETRY_AFTER_S = 5
OPEN_PATHS = ("/healthz", "/readyz", "/metrics")
"""Paths that answer whatever the store does."""


class StoreGate:
    """ASGI middleware before the login. `counts` hears of logins that failed."""

    def __init__(self, app: ASGIApp, health: StoreHealth, counts: CallCounts) -> None:
        self._app = app
        self._health = health
        self._counts = counts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request, or answer that it may be made again later."""
        if scope["type"] != "http" or scope["path"] in OPEN_PATHS:
            await self._app(scope, receive, send)
            return
        if self._health.down and not await self._health.usable():
            await unavailable()(scope, receive, send)
            return
        unknown: list[Exception] = []
        replaced = False

        async def told(message: Message) -> None:
            nonlocal replaced
            if message["type"] == "http.response.start" and message["status"] == 401:
                if unknown:
                    replaced = True
                    await unavailable()(scope, receive, send)
                elif any(name == b"authorization" for name, _ in scope["headers"]):
                    self._counts.failed_logins += 1
            if not replaced:
                await send(message)

        mark = unknown_caller.set(unknown)
        try:
            await self._app(scope, receive, told)
        finally:
            unknown_caller.reset(mark)


def unavailable() -> Response:
    """Return the answer, as JSON-RPC clients can read it."""
    error = {"code": -32603, "message": f"the gateway's store cannot be used; try again in {RETRY_AFTER_S} s"}
    return JSONResponse(
        {"jsonrpc": "2.0", "id": None, "error": error},
        status_code=503,
        headers={"Retry-After": str(RETRY_AFTER_S), "Cache-Control": "no-store"},
    )
