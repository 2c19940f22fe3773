"""Compares what a server offers with the pins, and lets only accepted definitions into the catalogue."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from pathlib import Path

import anyio
import mcp_types as t

from lg_gateway.catalog.definitions import Definition, definitions, only
from lg_gateway.catalog.offer import Offer
from lg_gateway.catalog.pin_table import PinTable, read_pins_file
from lg_gateway.processes.server_specs import ServerSpec
from lg_gateway.store.interface import Store, StoreError, Tx
from lg_policy.config.settings import Settings
from lg_policy.errors import ConfigError
from lg_policy.version import __version__

log = logging.getLogger(__name__)

POLL_S = 1.0
OfferAgain = Callable[[str, Offer], Awaitable[None]]


class Pinning:
    """Compares what each server offers with the pins. `held` names what was held back, by server."""

    def __init__(self, store: Store, pins: PinTable, settings: Callable[[], Settings]) -> None:
        self._store = store
        self._pins = pins
        self._settings = settings
        self._offered: dict[str, Offer] = {}
        self.held: dict[str, list[str]] = {}

    async def accepted(self, spec: ServerSpec, offer: Offer) -> Offer:
        """Return what may be offered. While the pins cannot be read, a foreign server has nothing."""
        self._offered[spec.name] = offer
        if spec.builtin is not None:
            await self._renew(spec, list(offer.tools))
            return offer
        items = definitions(offer)
        settings = self._settings().gateway
        if settings.pins == "off":
            return offer
        try:
            digests = read_pins_file(Path(settings.pins_file)) if settings.pins_file is not None else {}
            passed, held = await self._store.write(partial(self._sift, spec=spec, items=items, digests=digests))
        except (StoreError, ConfigError) as error:
            log.error("%s: offering nothing of it: %s", spec.name, error)  # noqa: TRY400  no traceback: it says all
            return Offer()
        self.held[spec.name] = held
        if held:
            names = ", ".join(held)[:500]
            log.warning("%s: held back, see `lg-gateway pins diff %s`: %s", spec.name, spec.name, names)
        return only(offer, passed)

    def offered(self) -> dict[str, Offer]:
        """Return what each server listed last, accepted or not."""
        return dict(self._offered)

    def forget(self, server: str) -> None:
        """Forget a server that is gone. Its pins stay in case it comes back."""
        self._offered.pop(server, None)
        self.held.pop(server, None)

    async def watch(self, offer: OfferAgain) -> None:
        """Offer what was held back once someone accepts them, in this process or another."""
        while True:
            await anyio.sleep(POLL_S)
            for name in [name for name, held in self.held.items() if held]:
                try:
                    pins = await self._store.read(partial(self._pins.all, server=name))
                except StoreError as error:
                    log.warning("%s", error)
                    continue
                held = set(self.held[name])
                if held - {pin.tool for pin in pins if pin.waiting is not None}:
                    await offer(name, self._offered[name])

    async def _renew(self, spec: ServerSpec, tools: list[t.Tool]) -> None:
        basis = f"version {__version__}, configuration {self._settings().policy_digest()}"
        try:
            await self._store.write(lambda tx: self._pins.renew(tx, spec.name, tools, basis))
        except StoreError as error:
            log.error("%s: cannot pin its definitions: %s", spec.name, error)  # noqa: TRY400  it has the cause

    def _sift(
        self, tx: Tx, *, spec: ServerSpec, items: list[Definition], digests: Mapping[str, Mapping[str, str]]
    ) -> tuple[list[Definition], list[str]]:
        settings = self._settings().gateway
        if spec.name in digests:
            basis = f"file {settings.pins_file}"
            return self._pins.sift_by_file(tx, spec.name, items, digests[spec.name], basis)
        return self._pins.sift(tx, spec.name, items, strict=settings.pins == "strict")
