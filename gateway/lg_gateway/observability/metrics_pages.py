"""Serves the metrics: to this user at the status socket, to anybody at an address of their own, if settings name one.

With several workers, whichever is asked asks the others too, and each sample says which worker it is from.
"""

from __future__ import annotations

import json
import logging
import socket
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread

from lg_gateway.ledger.ledger import Ledger
from lg_gateway.observability.gateway_metrics import families
from lg_gateway.observability.observed import Observed
from lg_gateway.observability.page_server import Page, PageServer
from lg_gateway.observability.status_socket import SUFFIX, ask
from lg_policy.errors import ConfigError
from lg_policy.metrics_text import Family, merged, metrics_text

log = logging.getLogger(__name__)

TAKEN_PAUSE_S = 5.0
"""Between two tries to listen where another process of this machine does: it may end."""
LOCAL_NAMES = ("localhost",)


@dataclass(frozen=True, kw_only=True)
class MetricsPages:
    """The metrics of a process, and of the other workers of its address."""

    observed: Observed
    ledger: Ledger
    store_file: Path | None
    folder: Path
    """Where the status sockets are."""
    worker: str = ""
    """The name of this worker's socket: `GROUP.NUMBER`. Empty without workers."""

    def pages(self) -> dict[str, Page]:
        """Return the pages of the status socket."""
        return {"/metrics": self.page, "/families": self._own}

    async def page(self, headers: Mapping[str, str]) -> tuple[str, bytes]:
        """Return all metrics, in the format that is asked for."""
        return metrics_text(await self.everything(), headers.get("accept", ""))

    async def everything(self) -> list[Family]:
        """Return the metrics of this process and of the other workers."""
        own = await self._families()
        if not self.worker:
            return own
        group, _, number = self.worker.rpartition(".")
        parts = {number: own}
        async with anyio.create_task_group() as tasks:
            for path in self.folder.glob(f"{group}.*{SUFFIX}"):
                other = path.name.removesuffix(SUFFIX).rpartition(".")[2]
                if other != number:
                    tasks.start_soon(self._of_other, path, other, parts)
        return merged([each.labelled(worker=name) for each in parts[name]] for name in sorted(parts))

    async def _families(self) -> list[Family]:
        return await families(self.observed, self.ledger, self.store_file)

    async def _own(self, _headers: Mapping[str, str]) -> tuple[str, bytes]:
        return "application/json", json.dumps([each.as_json() for each in await self._families()]).encode()

    async def _of_other(self, path: Path, number: str, parts: dict[str, list[Family]]) -> None:
        text = await anyio.to_thread.run_sync(ask, path, "/families")
        try:
            found: list[dict[str, Any]] = json.loads(text or b"[]")
            parts[number] = [Family.from_json(each) for each in found]
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
            log.warning("worker %s answers with no metrics (%s); the others' are served", number, type(error).__name__)


async def serve_metrics(pages: MetricsPages, listen: str, hosts: Collection[str]) -> None:
    """Serve the metrics at `HOST:PORT` until cancelled. Of several processes with the same address, one does."""
    server = PageServer({"/metrics": pages.page}, hosts={*LOCAL_NAMES, *hosts})
    told = False
    while True:
        try:
            listener = _listening(*address(listen))
        except OSError as error:
            if not told:
                log.info("metrics at %s are served by another process, or cannot be: %s", listen, error)
            told = True
            await anyio.sleep(TAKEN_PAUSE_S)
            continue
        host, port = listener.getsockname()[:2]
        log.info("metrics are at http://%s:%d/metrics", f"[{host}]" if ":" in host else host, port)
        async with server.serving(listener):
            await anyio.sleep_forever()


def address(listen: str) -> tuple[str, int]:
    """Read `HOST:PORT`. Raises `ConfigError`."""
    host, _, port = listen.rpartition(":")
    host = host.strip("[]")
    if not host or not port.isascii() or not port.isdigit() or int(port) > 65_535:
        raise ConfigError(f"gateway.metrics.listen {listen!r} is no address", hint="write HOST:PORT, as 127.0.0.1:9464")
    return host, int(port)


def _listening(host: str, port: int) -> socket.socket:
    listener = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(64)
    except BaseException:
        listener.close()
        raise
    return listener
