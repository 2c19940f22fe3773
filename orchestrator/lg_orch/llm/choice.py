"""Chooses the decision-maker: the built-in analyst, unless the settings name a language model."""

from __future__ import annotations

import os
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lg_orch.contracts.errors import ModelGone
from lg_orch.llm.model_names import provider_and_model, require_model
from lg_orch.llm.providers import LOCAL, ROLES
from lg_policy.config.settings import ModelSettings, ModelsSettings
from lg_policy.errors import ConfigError
from lg_policy.quick_imports import quick_imports

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from lg_orch.agent.interfaces import ActingBackend, Backend

LOCAL_NAME = "the built-in analyst (no language model)"


@dataclass(frozen=True, kw_only=True)
class ChosenBackend:
    """A backend and how reports name it."""

    backend: Backend | ActingBackend
    name: str


def models_asked_for(
    configured: ModelsSettings, flag: str | None, environ: Mapping[str, str] = os.environ, base_url: str | None = None
) -> ModelsSettings:
    """Apply `--model PROVIDER:NAME`, or `LG_MODEL`: that model serves every role. `--base-url` is its address.

    `base_url` and `fallbacks` of `[models.default]` are kept only for the same provider: another one's key must not be
    sent to an address that was configured for the first. Raises `ConfigError` when the name is not of that form.
    """
    given, source = (flag, "--model") if flag else (environ.get("LG_MODEL"), "LG_MODEL")
    if given:
        provider, name = provider_and_model(given, source)
        same = configured.default if configured.default.provider == provider else ModelSettings()
        only = {"default": same.model_copy(update={"provider": provider, "model": name})}
        configured = configured.model_copy(update=only | dict.fromkeys(ROLES))
    if base_url is None:
        return configured
    if configured.default.provider == LOCAL:
        raise ConfigError("--base-url needs a model to ask there", hint="add --model, for example --model openai:NAME")
    moved = configured.default.model_copy(update={"base_url": base_url})
    return configured.model_copy(update={"default": moved})


def require_prices(models: ModelsSettings, environ: Mapping[str, str] = os.environ) -> None:
    """Raise `ConfigError` for a model without a price, when a limit in money was asked for."""
    from lg_orch.llm.cost.prices import asked, prices_of

    if missing := sorted({candidate.name for candidate in asked(models)} - prices_of(models, environ).keys()):
        raise ConfigError(
            f"--max-cost-usd cannot be enforced: there is no price for {', '.join(missing)}",
            hint=f'for example: [models.prices."{missing[0]}"] input = 1.25, output = 10 (US dollars per million '
            "tokens; 0 for one that costs nothing)",
        )


def require_keys(models: ModelsSettings, environ: Mapping[str, str] = os.environ) -> None:
    """Raise `ConfigError` when the first model of a role needs an API key and has none, or when there is no such model.

    A run checks that before it does anything. What a fallback lacks is told when it is needed.
    """
    if models.role("planner").provider == LOCAL:
        return
    from lg_orch.llm.candidates import candidates
    from lg_orch.llm.wire.clients import Clients

    clients = Clients(environ)
    for candidate in dict.fromkeys(candidates(models, role)[0] for role in ROLES):
        try:
            clients.require_key(candidate)
        except ModelGone as error:
            raise ConfigError(error.message, hint=error.hint) from error
        require_model(candidate, environ)


def choose_backend(
    models: ModelsSettings, environ: Mapping[str, str] = os.environ, *, cache_dir: Path | None = None
) -> ChosenBackend:
    """Return the analyst, unless the planner is a language model. Raises `ConfigError` when a provider cannot be used.

    Replies at temperature 0 are kept in `cache_dir`, if one is given.
    """
    if models.role("planner").provider == LOCAL:
        from lg_orch.analyst.analyst import LocalAnalyst

        return ChosenBackend(backend=LocalAnalyst(), name=LOCAL_NAME)
    from lg_orch.llm.providers import require_package

    # LangChain's import turns its beta warnings on; whatever it does to the filters ends with the block.
    with quick_imports(), warnings.catch_warnings():
        from lg_orch.llm.backend import ModelBackend
        from lg_orch.llm.candidates import candidates
        from lg_orch.llm.requests import Models

    named = {candidate: None for role in ROLES for candidate in candidates(models, role)}
    for candidate in named:
        if candidate.provider != LOCAL and candidate.model in ("", ModelSettings().model):
            raise ConfigError(
                f"the settings name provider {candidate.provider!r} and none of its models",
                hint=f"set `model` beside `provider` in [models.*], or pass --model {candidate.provider}:NAME",
            )
        require_package(candidate.provider)
    backend = ModelBackend(Models(models, environ, cache_dir=cache_dir), tools_at_once=models.tools_at_once)
    return ChosenBackend(backend=backend, name=" / ".join(dict.fromkeys(candidate.name for candidate in named)))
