"""`/healthz`: whether this process serves and whether all of its servers are up. It names no tool and no path.

Whoever may call tools is also told which servers are up. A stranger is not told their names.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from lg_gateway.serving.gateway import Gateway
from lg_gateway.upstreams.upstream import UpstreamState

Verify = Callable[[str], Awaitable[object | None]]
"""Tells who a token speaks for; `None` for nobody."""


def health_route(gateway: Gateway, verify: Verify | None) -> Route:
    """Return the route. 200 while the process serves, even with servers down: restarting it would not help those.

    With `verify`, only callers with a token are told the names of servers; without a login, everybody is.
    """

    async def health(request: Request) -> Response:
        servers = {name: str(upstream.state) for name, upstream in gateway.upstreams.items()}
        status = "ok" if all(state == UpstreamState.UP for state in servers.values()) else "degraded"
        known = verify is None or await _is_caller(request, verify)
        return JSONResponse({"status": status} | ({"servers": servers} if known else {}))

    return Route("/healthz", health, methods=["GET"])


async def _is_caller(request: Request, verify: Verify) -> bool:
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    return scheme.lower() == "bearer" and await verify(token.strip()) is not None
