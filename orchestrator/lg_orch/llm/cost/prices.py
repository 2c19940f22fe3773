"""List prices of well-known models, dated and with their source, from `prices.toml`; settings go before them.

A list price is that of the provider's own address. With `base_url`, or an address in the environment, somebody else
answers, and the price is not known.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lg_orch.llm.candidates import candidates
from lg_orch.llm.cost.listed_models import price_table, undated
from lg_orch.llm.providers import LOCAL, PROVIDERS, ROLES
from lg_policy.config.models import PriceSettings

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import date

    from lg_orch.llm.candidates import Candidate
    from lg_policy.config.settings import ModelsSettings


@dataclass(frozen=True, kw_only=True)
class ListPrice:
    """What a provider asks for a model, where that stands, and when it was so."""

    price: PriceSettings
    source: str
    checked: date


def prices_of(models: ModelsSettings, environ: Mapping[str, str] = os.environ) -> dict[str, PriceSettings]:
    """Return the price of every model that may be asked, by `provider:model`, as far as it is known."""
    known = dict(models.prices)
    for candidate in asked(models):
        if candidate.name not in known and (found := list_price(candidate, environ)) is not None:
            known[candidate.name] = found.price
    return known


def asked(models: ModelsSettings) -> list[Candidate]:
    """Return every model that may be asked, each once."""
    roles = [role for role in ROLES if models.role(role).provider != LOCAL]
    return list(dict.fromkeys(found for role in roles for found in candidates(models, role)))


def list_price(candidate: Candidate, environ: Mapping[str, str] = os.environ) -> ListPrice | None:
    """Return the provider's list price of a model; that of long requests where the settings allow such."""
    known = PROVIDERS.get(candidate.provider)
    if candidate.base_url or (known is not None and any(map(environ.get, known.address_names))):
        return None
    table = price_table(candidate.provider)
    row = table.get("models", {}).get(undated(candidate.model))
    if row is None:
        return None
    plain = {name: value for name, value in row.items() if name != "long"}
    long: dict[str, Any] = dict(row.get("long", {}))
    if long and candidate.settings.context_tokens > long.pop("above"):
        plain = long
    return ListPrice(price=PriceSettings.model_validate(plain), source=table["source"], checked=table["checked"])
