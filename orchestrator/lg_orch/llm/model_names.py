"""Checks the name of a model: its form, its provider, and whether the provider has such a model.

The first two need nothing but the name. The third asks the provider for its list, once, and only for a name that
`prices.toml` does not have. A list that cannot be had decides nothing: the first request will tell.
"""

from __future__ import annotations

import os
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from lg_orch.llm.cost.listed_models import is_listed, price_table, providers_of
from lg_orch.llm.providers import LOCAL, PROVIDERS
from lg_policy.errors import ConfigError
from lg_policy.printing import quote

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from lg_orch.llm.candidates import Candidate

EXAMPLES = "for example openai:gpt-5, ollama:qwen3, or local"
WAIT_S = 3.0
"""Seconds that a provider may take to list its models."""
MAX_LIST_BYTES = 4_000_000
MAX_SHOWN = 80
_ALIKE = 0.6
"""How much alike two names must be to be taken for one another."""


def provider_and_model(given: str, source: str) -> tuple[str, str]:
    """Return both parts of `PROVIDER:NAME`. Raises `ConfigError` that says what was probably meant."""
    if given == LOCAL:
        return LOCAL, "deterministic"
    provider, colon, name = given.strip().partition(":")
    if not colon or not provider.strip() or not name.strip():
        raise ConfigError(f"{source} {quote(given, limit=MAX_SHOWN)} is not PROVIDER:NAME", hint=_form_hint(given))
    provider, name = provider.strip(), name.strip()
    if provider not in PROVIDERS and provider != LOCAL and (meant := _provider_meant(provider)) is not None:
        raise ConfigError(
            f"{source}: there is no provider {quote(provider, limit=MAX_SHOWN)}",
            hint=f"did you mean {meant}:{_shown(name)}?",
        )
    return provider, name


def check_flags(model: str | None, base_url: str | None, environ: Mapping[str, str] = os.environ) -> None:
    """Raise `ConfigError` for a name or an address that cannot be right, before anything is imported or started."""
    if base_url is not None:
        check_address(base_url)
    given, source = (model, "--model") if model else (environ.get("LG_MODEL"), "LG_MODEL")
    if given:
        provider_and_model(given, source)


def check_address(url: str) -> None:
    """Raise `ConfigError` unless a base URL is an address of the web."""
    try:
        parts = urlsplit(url)
        host = parts.hostname
    except ValueError:
        host = None
    if not host or parts.scheme not in ("http", "https"):
        raise ConfigError(
            f"--base-url {quote(url, limit=MAX_SHOWN)} is not an http or https address",
            hint="for example http://127.0.0.1:8080/v1",
        )
    if parts.username or parts.password:
        raise ConfigError("--base-url holds a user or a password", hint="set the provider's key in its variable")


def require_model(candidate: Candidate, environ: Mapping[str, str] = os.environ, *, address: str = "") -> None:
    """Raise `ConfigError` when the provider's own list of models lacks this one. `address` is that of the list."""
    known = PROVIDERS.get(candidate.provider)
    own = bool(candidate.base_url) or (known is not None and any(map(environ.get, known.address_names)))
    if known is None or own or is_listed(candidate.provider, candidate.model) or candidate.model.startswith("ft:"):
        return
    names = _names_at(address or known.names_address, _headers(candidate.provider, known.key_names, environ))
    if not names or any(_fits(candidate.model, name) for name in names):
        return
    near = get_close_matches(candidate.model, names, n=1, cutoff=_ALIKE)
    meant = f"did you mean {candidate.provider}:{_shown(near[0])}? " if near else ""
    pull = f"`ollama pull {_shown(candidate.model)}` fetches it" if candidate.provider == "ollama" else ""
    raise ConfigError(
        f"{candidate.provider} has no model {quote(candidate.model, limit=MAX_SHOWN)}",
        hint=f"{meant}{pull}".strip() or f"it lists {len(names)} models, none with a name like that",
    )


def _form_hint(given: str) -> str:
    """What was probably meant by a name without its provider, or a provider without a name."""
    bare = given.strip().strip(":").strip()
    provider, slash, name = bare.partition("/")
    if slash and name and provider in PROVIDERS:
        return f"did you mean {provider}:{_shown(name)}?"
    if owners := providers_of(bare):
        return f"did you mean {owners[0]}:{_shown(bare)}?"
    meant = bare if bare in PROVIDERS else _provider_meant(bare)
    if meant is not None and (example := price_table(meant).get("example")):
        return f"add the name of a model, for example {meant}:{example}"
    return EXAMPLES


def _provider_meant(text: str) -> str | None:
    """The provider of ours that a misspelt one stands for; none for a name that LangChain may know."""
    low = text.lower().replace("-", "_")
    aliases = {"claude": "anthropic", "gemini": "google_genai", "google": "google_genai", "gpt": "openai"}
    if low in PROVIDERS or low in aliases:
        return aliases.get(low, low)
    near = get_close_matches(low, PROVIDERS, n=1, cutoff=0.8)
    return near[0] if near else None


def _shown(name: str) -> str:
    from lg_policy.printing import one_line

    return one_line(name, MAX_SHOWN)


def _fits(model: str, name: str) -> bool:
    """Whether a listed name is that model, or a version or tag of it."""
    return name == model or name.startswith((f"{model}-", f"{model}:"))


def _headers(provider: str, key_names: Iterable[str], environ: Mapping[str, str]) -> dict[str, str]:
    key = next(filter(None, map(environ.get, key_names)), None)
    if key is None:
        return {}
    if provider == "anthropic":
        return {"x-api-key": key, "anthropic-version": "2023-06-01"}
    return {"x-goog-api-key": key} if provider == "google_genai" else {"authorization": f"Bearer {key}"}


def _names_at(address: str, headers: Mapping[str, str]) -> tuple[str, ...]:
    """The names in a provider's list; empty when it cannot be had or read."""
    import json
    import time

    import httpx2

    data, deadline = bytearray(), time.monotonic() + WAIT_S
    try:
        with (
            httpx2.Client(timeout=WAIT_S, follow_redirects=False) as client,
            client.stream("GET", address, headers=dict(headers)) as response,
        ):
            if response.status_code != 200:
                return ()
            for part in response.iter_bytes():
                data += part
                if len(data) > MAX_LIST_BYTES or time.monotonic() > deadline:
                    return ()
        found: Any = json.loads(data)
    except (httpx2.HTTPError, httpx2.InvalidURL, ValueError, RecursionError, UnicodeError):
        return ()
    rows = found.get("data", found.get("models")) if isinstance(found, dict) else None
    listed = (row for row in (rows if isinstance(rows, list) else ()) if isinstance(row, dict))
    names = (str(row.get("id") or row.get("name") or "") for row in listed)
    return tuple(name.removeprefix("models/") for name in names if name)
