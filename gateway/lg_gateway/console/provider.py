"""The identity provider of the settings, with its secret from wherever that is kept."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lg_gateway.clients.values import Values

if TYPE_CHECKING:
    from lg_console.login.oidc import ProviderLogin
    from lg_gateway.serving.setup import GatewaySetup


def provider_login(setup: GatewaySetup) -> ProviderLogin | None:
    """Return the provider that people log in with. Raises `ConfigError` for a secret that is not there."""
    settings = setup.settings.console
    if settings.oidc is None:
        return None
    from lg_console.login.oidc import ProviderLogin

    secret = Values(environ=setup.environ).expand(settings.oidc.client_secret, "console.oidc.client_secret")
    return ProviderLogin(settings.oidc, secret, settings.address)
