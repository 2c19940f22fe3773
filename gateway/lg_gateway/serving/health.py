"""`/healthz`: whether this process serves and which of its servers are up. It names no tool and no path."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from lg_gateway.serving.gateway import Gateway
from lg_gateway.upstreams.upstream import UpstreamState


def health_route(gateway: Gateway) -> Route:
    """Return the route. 200 while the process serves, even with servers down: restarting it would not help those."""

    async def health(_request: Request) -> Response:
        servers = {name: str(upstream.state) for name, upstream in gateway.upstreams.items()}
        status = "ok" if all(state == UpstreamState.UP for state in servers.values()) else "degraded"
        return JSONResponse({"status": status, "servers": servers})

    return Route("/healthz", health, methods=["GET"])
