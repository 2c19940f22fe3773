"""Names of the models in `prices.toml`. Light: a misspelt name is told before anything else is imported."""

from __future__ import annotations

import re
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

_DATED = re.compile(r"-(\d{8}|\d{4}-\d{2}-\d{2}|latest)$")


def undated(model: str) -> str:
    """Return a model's name without the date of its version."""
    return _DATED.sub("", model)


def price_table(provider: str) -> Mapping[str, Any]:
    """Return the table of a provider: `source`, `checked`, and `models` by name. Empty where there is none."""
    table: Mapping[str, Any] = _tables().get(provider, {})
    return table


def listed_models(provider: str) -> tuple[str, ...]:
    """Return the names of a provider's models."""
    return tuple(price_table(provider).get("models", {}))


def is_listed(provider: str, model: str) -> bool:
    """Tell whether a provider's table has that model."""
    return undated(model) in listed_models(provider)


def providers_of(model: str) -> tuple[str, ...]:
    """Return the providers whose table has a model of that name."""
    return tuple(provider for provider in _tables() if is_listed(provider, model))


@cache
def _tables() -> dict[str, Any]:
    import tomllib

    return tomllib.loads((files("lg_orch.llm.cost") / "prices.toml").read_text("utf-8"))
