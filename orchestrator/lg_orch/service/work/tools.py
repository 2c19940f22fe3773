"""What a worker drives its runs with."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from lg_policy.config.service import ServiceSettings

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from lg_orch.service.records.interface import WorkerPresence
    from lg_orch.service.records.lease_table import LeaseTable
    from lg_orch.service.repositories import Repositories
    from lg_orch.service.work.chores import Chores
    from lg_orch.service.work.places import Places


@dataclass(frozen=True, kw_only=True)
class WorkerTools:
    """What a worker drives its runs with."""

    leases: LeaseTable
    repositories: Repositories
    places: Places
    presence: Callable[[str], WorkerPresence | None]
    """Shows others that a worker of that name lives."""
    chores: Chores | None = None
    """What is done beside runs, now and then."""
    gateway_url: str | None = None
    """Of repositories that `gateways` does not name; `None` for one of the run's own."""
    gateway_token: str | None = None
    gateways: Mapping[str, str] = field(default_factory=dict)
    service: ServiceSettings = field(default_factory=ServiceSettings)
    """How repositories are cloned."""

    def gateway(self, root: str) -> tuple[str | None, str | None]:
        """Return the address of a repository's gateway and the token for it. A clone has a gateway of its own."""
        if self.repositories.workspaces.is_clone(root):
            return None, None
        url = self.gateways.get(root, self.gateway_url)
        return url, self.gateway_token if url is not None else None
