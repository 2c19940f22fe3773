"""Refuses to serve HTTP if no one could log in, or if anyone could. Runs before anything is started."""

from __future__ import annotations

import time

from lg_gateway.serving.setup import GatewaySetup
from lg_gateway.serving.store_access import StoreAccess
from lg_gateway.store.interface import StoreError
from lg_policy.config.http import is_loopback
from lg_policy.errors import ConfigError


def check_login(setup: GatewaySetup, host: str, *, login: bool) -> None:
    """Raise `ConfigError` if the address needs a login or host names that are not set, or if no one could log in."""
    settings = setup.settings.gateway.http
    if not is_loopback(host) and not login:
        raise ConfigError(
            f"--host {host} is reachable from other machines", hint="without a login, the gateway serves only 127.0.0.1"
        )
    if not is_loopback(host) and not settings.allowed_hosts:
        raise ConfigError(
            f"--host {host} is reachable from other machines",
            hint="list the host names that clients use in gateway.http.allowed_hosts, and put TLS in front of it",
        )
    if login and settings.oauth is None and not active_tokens(setup):
        raise ConfigError(
            "no one could log in: there is no token",
            hint="make one with `lg-gateway tokens create NAME` and the same --root or --config, or let every program "
            "on this machine call with --no-login",
        )


def active_tokens(setup: GatewaySetup) -> int:
    """Return how many clients' tokens are valid now. Raises `ConfigError` when the store cannot be read."""
    try:
        access = StoreAccess(setup)
        try:
            return access.read(lambda tx: access.tokens.active(tx, time.time()))
        finally:
            access.close()
    except StoreError as error:
        raise ConfigError(str(error)) from error
