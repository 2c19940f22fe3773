"""Providers of language models: their packages, our extras, and where their keys come from. Imports nothing of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from lg_policy.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping


from importlib.util import find_spec
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping


@dataclass(frozen=True, kw_only=True)
class Provider:
    """One provider that has an extra of ours."""

    module: str
    extra: str
    key_names: tuple[str, ...]
    """Environment variables that hold its API key; the first that is set is used by its package."""
    key_needed: bool = True
    """Whether it cannot be asked without one."""
    write_factor: float = 1.0
    """How many times the price of a prompt token one costs that is written into its cache, unless a price says so."""


PROVIDERS: Mapping[str, Provider] = {
    "openai": Provider(module="langchain_openai", extra="openai", key_names=("OPENAI_API_KEY",)),
    "anthropic": Provider(
        module="langchain_anthropic", extra="anthropic", key_names=("ANTHROPIC_API_KEY",), write_factor=1.25
    ),
    "google_genai": Provider(
        module="langchain_google_genai", extra="google-genai", key_names=("GOOGLE_API_KEY", "GEMINI_API_KEY")
    ),
    "ollama": Provider(module="langchain_ollama", extra="ollama", key_names=("OLLAMA_API_KEY",), key_needed=False),
}
_SECRET_ENDINGS = ("_API_KEY", "_API_TOKEN", "_ACCESS_KEY", "_AUTH_TOKEN")


def require_package(provider: str) -> None:
    """Raise `ConfigError` naming the extra when the provider's package is not installed.

    Of a provider that has no extra of ours only LangChain knows the package; it is told when the first request is made.
    """
    known = PROVIDERS.get(provider)
    if known is not None and find_spec(known.module) is None:
        raise ConfigError(
            f"provider {provider!r} needs the package {known.module.replace('_', '-')}",
            hint=f"pip install 'lg-orchestration-platform[orch,{known.extra}]'",
        )


def api_keys(environ: Mapping[str, str]) -> Iterable[str]:
    """Every value of the environment that may be a provider's key, to be hidden wherever text is kept or shown."""
    return tuple(value for name, value in environ.items() if name.upper().endswith(_SECRET_ENDINGS) and value)


LOCAL = "local"


ROLES = ("planner", "coder", "router", "verifier")
