"""Lists the models that may be asked for a role."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from lg_orch.llm.providers import LOCAL
from lg_policy.config.settings import ModelSettings, ModelsSettings

if TYPE_CHECKING:
    pass


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """A model that may be asked, with the settings of the role it is asked for."""

    provider: str
    model: str
    base_url: str | None
    settings: ModelSettings = field(default_factory=ModelSettings)

    @property
    def name(self) -> str:
        """`provider:model`."""
        return f"{self.provider}:{self.model}"


def candidates(settings: ModelsSettings, role: str) -> list[Candidate]:
    """Return the role's model and its fallbacks, which share its address when they are of the same provider.

    A role that is left to the analyst asks the planner's model.
    """
    chosen = settings.role(role)
    if chosen.provider == LOCAL:
        chosen = settings.role("planner")
    found = [Candidate(provider=chosen.provider, model=chosen.model, base_url=chosen.base_url, settings=chosen)]
    for name in chosen.fallbacks:
        provider, _, model = name.partition(":")
        base_url = chosen.base_url if provider == chosen.provider else None
        found.append(Candidate(provider=provider, model=model, base_url=base_url, settings=chosen))
    return found
