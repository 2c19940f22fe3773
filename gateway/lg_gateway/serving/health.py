"""`/healthz`: whether this process serves and whether all of its servers are up. It names no tool and no path.

Whoever may call tools is also told which servers are up. A stranger is not told their names.
"""

from __future__ import annotations

from mcp.server.auth.middleware.bearer_auth import AuthenticatedUser
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from lg_gateway.serving.gateway import Gateway
from lg_gateway.upstreams.upstream import UpstreamState


def health_route(gateway: Gateway, *, login: bool) -> Route:
    """Return the route. 200 while the process serves, even with servers down: restarting it would not help those.

    `login`: callers need a token, so only those that send one are told the names of servers.
    """

    async def health(request: Request) -> Response:
        servers = {name: str(upstream.state) for name, upstream in gateway.upstreams.items()}
        status = "ok" if all(state == UpstreamState.UP for state in servers.values()) else "degraded"
        known = not login or isinstance(request.scope.get("user"), AuthenticatedUser)
        return JSONResponse({"status": status} | ({"servers": servers} if known else {}))

    return Route("/healthz", health, methods=["GET"])
