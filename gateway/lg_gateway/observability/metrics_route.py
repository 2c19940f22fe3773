"""Answers `/metrics` on the gateway's own address, to an operator's token and nobody else."""

from __future__ import annotations

import time

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from lg_gateway.identity.tokens import TokenTable
from lg_gateway.observability.metrics_pages import MetricsPages
from lg_gateway.observability.store_gate import unavailable
from lg_gateway.store.interface import Store, StoreError


def metrics_route(pages: MetricsPages, store: Store, tokens: TokenTable) -> Route:
    """Return the route. Without the store no token can be looked up: then it answers 503."""

    async def metrics(request: Request) -> Response:
        scheme, _, text = request.headers.get("authorization", "").partition(" ")
        given = text.strip() if scheme.lower() == "bearer" else ""
        try:
            token = await store.read(lambda tx: tokens.check(tx, given, time.time())) if given else None
        except StoreError:
            return unavailable()
        if token is None or token.role != "operator":
            pages.observed.counts.failed_logins += bool(given)
            return PlainTextResponse(
                "metrics need an operator's token\n", status_code=401, headers={"WWW-Authenticate": "Bearer"}
            )
        kind, body = await pages.page(request.headers)
        return Response(body, headers={"Content-Type": kind, "Cache-Control": "no-store"})

    return Route("/metrics", metrics, methods=["GET"])
