"""Who thinks: the built-in analyst unless the settings name a language model."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lg_policy.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lg_orch.seams import Mind
    from lg_policy.config import ModelSettings

LOCAL = "local"
LOCAL_NAME = "the built-in analyst (no language model)"


@dataclass(frozen=True, kw_only=True)
class Chosen:
    """A mind and how reports name it."""

    mind: Mind
    name: str


def model_overrides(flag: str | None, environ: Mapping[str, str] = os.environ) -> dict[str, Any]:
    """Turn `--model PROVIDER:NAME`, or `LG_MODEL`, into settings. Raises `ConfigError` when it is not of that form."""
    given, source = (flag, "--model") if flag else (environ.get("LG_MODEL"), "LG_MODEL")
    if not given:
        return {}
    if given == LOCAL:
        given = f"{LOCAL}:deterministic"
    provider, colon, name = given.partition(":")
    if not colon or not provider or not name:
        raise ConfigError(
            f"{source} {given!r} is not PROVIDER:NAME", hint="for example openai:gpt-5, ollama:qwen3, or local"
        )
    return {"models": {"default": {"provider": provider, "model": name}}}


def choose_mind(planner: ModelSettings) -> Chosen:
    """Return the mind for these settings. Raises `ConfigError` for a provider that this version cannot use."""
    if planner.provider != LOCAL:
        raise ConfigError(
            f"provider {planner.provider!r}: this version answers with the built-in analyst only",
            hint='use --model local, or leave [models.default] provider = "local"',
        )
    from lg_orch.analyst import LocalAnalyst

    return Chosen(mind=LocalAnalyst(), name=LOCAL_NAME)
