"""The sections of the gateway in the console of the run service: questions, ledger, servers, tools, pins, rules.

They are `lg_gateway`'s own, over the store that the gateways of runs use. The programs do not import each other: this
one is found by its name, as a gateway is when a run starts it.
"""

from __future__ import annotations

from dataclasses import replace
from pkgutil import resolve_name
from typing import TYPE_CHECKING, Protocol, cast

from lg_policy.config.flags import common_flags

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Mapping
    from contextlib import AbstractContextManager

    from lg_console.login.oidc import ProviderLogin
    from lg_console.sources.people import People, SessionStore
    from lg_console.web.console import Sources
    from lg_orch.service.assembly import Parts
    from lg_policy.config.flags import CommonFlags

OPENED_BY = "lg_gateway.console.resting:open_resting"


class GatewaySections(Protocol):
    """What is shown, who else may log in, and where sessions are kept."""

    @property
    def sources(self) -> Sources:
        """Questions, ledger, servers."""
        ...

    @property
    def people(self) -> People:
        """The gateway's operators, and its ledger, which records logins."""
        ...

    @property
    def sessions(self) -> SessionStore:
        """Rows that outlive the process."""
        ...

    @property
    def provider(self) -> Callable[[], ProviderLogin | None]:
        """Returns the identity provider as the settings name it now."""
        ...

    @property
    def announced(self) -> Callable[[str], AbstractContextManager[None]]:
        """Tells `lg-gateway console` the console's address, for as long as the block lasts."""
        ...

    def close(self) -> None:
        """Close the store."""
        ...


class _Opens(Protocol):
    def __call__(self, flags: CommonFlags, environ: Mapping[str, str]) -> GatewaySections: ...


def gateway_sections(parts: Parts, args: argparse.Namespace, environ: Mapping[str, str]) -> GatewaySections:
    """Open the store of the gateways that runs of the service's own repository start. Raises `ConfigError`."""
    opened = cast("_Opens", resolve_name(OPENED_BY))
    flags = common_flags(args)
    return opened(replace(flags, root=parts.repositories.home), environ)
