"""Answers `/healthz`: is this process serving, and are all of its servers up? It names no tool and no path.

Callers who may call tools also see which servers are up. Strangers do not see the names of servers.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from lg_gateway.serving.gateway import Gateway
from lg_gateway.upstreams.upstream import UpstreamState

Verify = Callable[[str], Awaitable[object | None]]
"""Returns the caller that a token names, or `None`."""


def health_route(gateway: Gateway, verify: Verify | None) -> Route:
    """Return the route. It answers 200 even if servers are down: restarting the gateway would not help them.

    With `verify`, only callers with a token see the names of servers. Without a login, everyone does.
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
