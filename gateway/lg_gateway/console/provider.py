"""The identity provider of the settings, with its secret from wherever that is kept."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from lg_gateway.clients.values import Values
from lg_policy.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable

    from lg_console.login.oidc import ProviderLogin
    from lg_gateway.serving.setup import GatewaySetup

log = logging.getLogger(__name__)


class CurrentProvider:
    """The provider as the settings name it now. Who logged in under other settings has to log in again."""

    def __init__(self, setup: Callable[[], GatewaySetup]) -> None:
        """Raise `ConfigError` for a secret that is not there."""
        self._setup = setup
        self._settings = setup().settings.console
        self._known = provider_login(setup())

    def __call__(self) -> ProviderLogin | None:
        """Return it; `None` where nobody can log in with one."""
        setup = self._setup()
        if setup.settings.console != self._settings:
            self._settings = setup.settings.console
            try:
                self._known = provider_login(setup)
            except ConfigError as error:
                log.error("nobody can log in with the identity provider of the new settings: %s", error)  # noqa: TRY400  a trace says no more
                self._known = None
        return self._known


def provider_login(setup: GatewaySetup) -> ProviderLogin | None:
    """Return the provider that people log in with. Raises `ConfigError` for a secret that is not there."""
    settings = setup.settings.console
    if settings.oidc is None:
        return None
    from lg_console.login.oidc import ProviderLogin

    secret = Values(environ=setup.environ).expand(settings.oidc.client_secret, "console.oidc.client_secret")
    return ProviderLogin(settings.oidc, secret, settings.address)
