"""Lets an operator look at the process that serves: status, and metrics where the settings turn them on."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import anyio

from lg_gateway.observability.status_socket import FOLDER, status_socket

if TYPE_CHECKING:
    from starlette.routing import Route

    from lg_gateway.observability.metrics_pages import MetricsPages
    from lg_gateway.observability.page_server import Page
    from lg_gateway.serving.gateway import Gateway
    from lg_gateway.serving.worker import WorkerPlace
    from lg_policy.config.flags import ServeFlags


class Watching:
    """What is served to operators, for as long as the gateway serves. `place`: which worker it is, if it is one."""

    def __init__(self, gateway: Gateway, flags: ServeFlags, place: WorkerPlace | None, config: Path | None) -> None:
        """Raise `ConfigError` if the address of the metrics is none."""
        self._gateway = gateway
        self._state = gateway.setup.state.path
        self._name = str(os.getpid()) if place is None else place.socket_name()
        self._http = flags.transport == "http"
        self._settings = gateway.policy.settings.gateway.metrics
        self._observed = gateway.observed(
            transport=flags.transport,
            worker=None if place is None else place.number,
            config=str(config) if config is not None else None,
        )
        self._metrics = self._made(place) if self._settings.enabled else None

    def routes(self) -> list[Route]:
        """Return the routes on the gateway's own address."""
        if self._metrics is None or self._settings.listen or not self._http:
            return []
        from lg_gateway.observability.metrics_route import metrics_route

        return [metrics_route(self._metrics, self._gateway.store, self._gateway.tokens)]

    async def run(self) -> None:
        """Serve at the other places until cancelled."""
        if sys.platform == "win32":
            return
        pages: dict[str, Page] = self._metrics.pages() if self._metrics is not None else {}
        async with status_socket(self._observed, self._state, self._name, pages):
            if self._metrics is not None and self._settings.listen:
                from lg_gateway.observability.metrics_pages import serve_metrics

                await serve_metrics(
                    self._metrics, self._settings.listen, self._gateway.policy.settings.gateway.http.allowed_hosts
                )
            await anyio.sleep_forever()

    def _made(self, place: WorkerPlace | None) -> MetricsPages:
        from lg_gateway.observability.metrics_pages import MetricsPages, address

        if self._settings.listen:
            address(self._settings.listen)
        setup = self._gateway.setup
        return MetricsPages(
            observed=self._observed,
            ledger=self._gateway.ledger,
            store_file=setup.store_place.path if setup.store_url is None else None,
            folder=self._state / FOLDER,
            worker=self._name if place is not None else "",
        )
