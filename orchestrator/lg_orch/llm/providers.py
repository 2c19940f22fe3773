"""Describes the providers of language models, one row of `PROVIDERS` each. Imports none of their packages."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from lg_policy.errors import ConfigError
from lg_policy.install_hints import extra_command, install_command

if TYPE_CHECKING:
    from lg_policy.config.settings import ModelSettings


def hosted_limits(settings: ModelSettings, room: int) -> dict[str, Any]:
    """Return the options of a client for replies of at most `room` tokens.

    The client repeats nothing: our repetitions are seen in the trace, and each is measured against the budgets.
    """
    return {"max_tokens": room, "max_retries": 0, "timeout": settings.timeout_s}


def ollama_limits(settings: ModelSettings, room: int) -> dict[str, Any]:
    """Return the same for Ollama, whose server silently cuts what is longer than its context.

    The context is always the same number: for another one the server reloads the model.
    """
    context = settings.context_tokens + settings.max_reply_tokens
    return {"num_predict": room, "num_ctx": context, "client_kwargs": {"timeout": settings.timeout_s}}


@dataclass(frozen=True, kw_only=True)
class Provider:
    """All that is known of one provider that has an extra of ours."""

    module: str
    extra: str
    key_names: tuple[str, ...]
    """Environment variables that hold its API key; its package uses the first that is set."""
    address_names: tuple[str, ...] = ()
    """Environment variables by which its package asks another address than the provider's own."""
    names_address: str = ""
    """Where the provider lists the names of its models."""
    key_needed: bool = True
    """Whether it cannot be asked without one."""
    write_factor: float = 1.0
    """How many times the price of a prompt token one costs that is written into its cache, unless a price says so."""
    limits: Callable[[ModelSettings, int], dict[str, Any]] = hosted_limits
    """Options of its client that limit a reply and its time."""
    options: Mapping[str, Any] = field(default_factory=dict)
    """Further options of its client."""
    address_options: Mapping[str, Any] = field(default_factory=dict)
    """Further options for an address of the user's own."""
    direct_client: bool = False
    """Whether we have a client class of our own (`lg_orch.llm.wire.openai_client`)."""
    plain_schemas: bool = False
    """Whether its client knows only a part of JSON Schema, so that tools are described in plain types."""
    open_schemas: bool = True
    """Whether an answer may be held to a schema with objects that may contain anything."""
    marked_cache: bool = False
    """Whether it caches only what is marked."""


PROVIDERS: Mapping[str, Provider] = {
    "openai": Provider(
        module="langchain_openai",
        extra="openai",
        key_names=("OPENAI_API_KEY",),
        address_names=("OPENAI_API_BASE", "OPENAI_BASE_URL"),
        names_address="https://api.openai.com/v1/models",
        options={"stream_usage": True},
        address_options={"use_responses_api": False},
        direct_client=True,
    ),
    "anthropic": Provider(
        module="langchain_anthropic",
        extra="anthropic",
        key_names=("ANTHROPIC_API_KEY",),
        address_names=("ANTHROPIC_API_URL", "ANTHROPIC_BASE_URL"),
        names_address="https://api.anthropic.com/v1/models?limit=1000",
        write_factor=1.25,
        open_schemas=False,
        marked_cache=True,
    ),
    "google_genai": Provider(
        module="langchain_google_genai",
        extra="google-genai",
        key_names=("GOOGLE_API_KEY", "GEMINI_API_KEY"),
        address_names=("GOOGLE_GEMINI_BASE_URL",),
        names_address="https://generativelanguage.googleapis.com/v1beta/models?pageSize=1000",
        plain_schemas=True,
    ),
    "ollama": Provider(
        module="langchain_ollama",
        extra="ollama",
        key_names=("OLLAMA_API_KEY",),
        address_names=("OLLAMA_HOST",),
        names_address="http://127.0.0.1:11434/api/tags",
        key_needed=False,
        limits=ollama_limits,
        plain_schemas=True,
    ),
}
_SECRET_ENDINGS = ("_API_KEY", "_API_TOKEN", "_ACCESS_KEY", "_AUTH_TOKEN")


def require_package(provider: str) -> None:
    """Raise `ConfigError` when there is no such provider, or its package is not installed."""
    known = PROVIDERS.get(provider)
    if known is None:
        _require_of_langchain(provider)
    elif find_spec(known.module) is None:
        raise ConfigError(
            f"provider {provider!r} needs the package {known.module.replace('_', '-')}",
            hint=extra_command(known.extra),
        )


def _require_of_langchain(provider: str) -> None:
    """The same for a provider that has no extra of ours: LangChain knows its package."""
    from langchain.chat_models import base

    listed: Mapping[str, Any] = getattr(base, "_BUILTIN_PROVIDERS", {})
    if listed and provider not in listed:
        near = get_close_matches(provider.lower().replace("-", "_"), [*PROVIDERS, *listed], n=1)
        meant = f"did you mean {near[0]!r}? " if near else ""
        raise ConfigError(
            f"there is no provider {provider[:80]!r} of language models",
            hint=f"{meant}providers are {', '.join(PROVIDERS)}, and LangChain knows {', '.join(sorted(listed))}",
        )
    entry = listed.get(provider)
    package = str(entry[0]).partition(".")[0] if isinstance(entry, tuple) and entry else ""
    if package and find_spec(package) is None:
        name = package.replace("_", "-")
        raise ConfigError(f"provider {provider!r} needs the package {name}", hint=install_command(name))


def api_keys(environ: Mapping[str, str]) -> Iterable[str]:
    """Return every environment value that may be a provider's key, so that it is hidden in stored and shown text."""
    return tuple(value for name, value in environ.items() if name.upper().endswith(_SECRET_ENDINGS) and value)


def model_hint() -> str:
    """Return how a language model is chosen, for a request that needs one."""
    return (
        "choose a language model with --model PROVIDER:NAME, with LG_MODEL=PROVIDER:NAME, or with provider and model "
        "in [models.default] of the settings, and set the provider's key, such as OPENAI_API_KEY. "
        f"Providers are {', '.join(PROVIDERS)} and every other that LangChain's init_chat_model knows. "
        "For a server that speaks OpenAI's API, set base_url in [models.default]"
    )


LOCAL = "local"


ROLES = ("planner", "coder", "router", "verifier")
