"""Answers `/healthz` (is this process alive?) and `/readyz` (can it do its work?). Both name no server and no path."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from lg_gateway.observability.store_gate import RETRY_AFTER_S
from lg_gateway.serving.gateway import Gateway
from lg_gateway.upstreams.upstream import Upstream, UpstreamState


def health_routes(gateway: Gateway) -> list[Route]:
    """Return the routes. `lg-gateway status` tells more, to the user of this machine."""

    async def alive(_request: Request) -> Response:
        """Answer 200 whatever is wrong with the store or the servers: a restart of the gateway would not help them."""
        well = not gateway.store_health.down and all(map(_is_up, gateway.upstreams.values()))
        return JSONResponse({"status": "ok" if well else "degraded"})

    async def ready(_request: Request) -> Response:
        usable = await gateway.store_health.usable()
        needed = _needed(gateway)
        up = sum(map(_is_up, needed))
        configured = len(needed) + _missing(gateway)
        works = usable and up == configured
        said = {
            "status": "ready" if works else "not ready",
            "store": "ok" if usable else "down",
            "servers": {"configured": configured, "up": up},
        }
        headers = {"Cache-Control": "no-store"} | ({} if works else {"Retry-After": str(RETRY_AFTER_S)})
        return JSONResponse(said, status_code=200 if works else 503, headers=headers)

    return [Route("/healthz", alive, methods=["GET"]), Route("/readyz", ready, methods=["GET"])]


def _needed(gateway: Gateway) -> list[Upstream]:
    """Return the servers that must be up. One with a login for each caller is up once somebody has logged in."""
    needs = gateway.policy.settings.gateway.http.ready_needs
    if needs == "store":
        return []
    servers = [each for each in gateway.upstreams.values() if each.spec.login is None or not each.spec.login.per_caller]
    return [each for each in servers if needs == "servers" or each.spec.builtin is not None]


def _missing(gateway: Gateway) -> int:
    return len(gateway.setup.missing) if gateway.policy.settings.gateway.http.ready_needs == "servers" else 0


def _is_up(upstream: Upstream) -> bool:
    return upstream.state is UpstreamState.UP
