"""List prices that ship: dated, with their source, and only for the provider's own address."""

from __future__ import annotations

from datetime import date

import pytest

from lg_orch.commands.doctor import models_usable
from lg_orch.llm.candidates import Candidate
from lg_orch.llm.choice import require_prices
from lg_orch.llm.cost.listed_models import listed_models, price_table
from lg_orch.llm.cost.prices import list_price, prices_of
from lg_orch.llm.providers import PROVIDERS
from lg_policy.config.settings import ModelSettings, ModelsSettings
from lg_policy.errors import ConfigError

LISTED = [(provider, model) for provider in PROVIDERS for model in listed_models(provider)]


def models(name: str, **options: object) -> ModelsSettings:
    provider, _, model = name.partition(":")
    return ModelsSettings.model_validate({"default": {"provider": provider, "model": model, **options}})


def candidate(provider: str, model: str, context_tokens: int = 60_000, base_url: str | None = None) -> Candidate:
    settings = ModelSettings(context_tokens=context_tokens)
    return Candidate(provider=provider, model=model, base_url=base_url, settings=settings)


def test_each_price_of_the_file_can_be_read_and_is_plausible() -> None:
    assert len(LISTED) > 50
    for provider, model in LISTED:
        for tokens in (60_000, 1_000_000):
            found = list_price(candidate(provider, model, tokens), {})
            assert found is not None
            price = found.price
            assert 0 < price.input < price.output < 1_000, (provider, model)
            assert price.cached_input is None or price.cached_input < price.input
            assert price.cache_write is None or price.cache_write > price.input
            assert found.source.startswith("https://")
            assert date(2025, 1, 1) < found.checked


def test_the_model_that_a_hint_names_is_listed() -> None:
    for provider in ("openai", "anthropic", "google_genai"):
        assert price_table(provider)["example"] in listed_models(provider)


def test_a_version_of_a_model_has_its_price() -> None:
    plain = list_price(candidate("openai", "gpt-5"), {})
    assert plain is not None
    assert list_price(candidate("openai", "gpt-5-2025-08-07"), {}) == plain
    assert list_price(candidate("openai", "gpt-5-unknown"), {}) is None
    assert list_price(candidate("mistralai", "gpt-5"), {}) is None


def test_where_long_prompts_are_dearer_their_price_counts_if_the_settings_allow_them() -> None:
    short = list_price(candidate("anthropic", "claude-sonnet-4-5"), {})
    long = list_price(candidate("anthropic", "claude-sonnet-4-5", 200_001), {})
    assert short is not None
    assert long is not None
    assert (short.price.input, long.price.input) == (3, 6)


def test_the_price_of_the_settings_goes_before_the_list() -> None:
    own = models("openai:gpt-5").model_copy(update=dict(ModelsSettings.model_validate({
        "default": {"provider": "openai", "model": "gpt-5", "fallbacks": ["openai:gpt-4o", "ollama:x"]},
        "prices": {"openai:gpt-5": {"input": 7, "output": 8}},
    })))  # fmt: skip
    found = prices_of(own, {})
    assert {name: price.input for name, price in found.items()} == {"openai:gpt-5": 7, "openai:gpt-4o": 2.5}


def test_somebody_elses_address_has_no_list_price() -> None:
    assert prices_of(models("openai:gpt-5", base_url="http://127.0.0.1:1/v1"), {}) == {}
    assert prices_of(models("openai:gpt-5"), {"OPENAI_BASE_URL": "http://127.0.0.1:1/v1"}) == {}


def test_a_limit_in_money_needs_no_settings_for_a_listed_model() -> None:
    require_prices(models("openai:gpt-5"), {})
    with pytest.raises(ConfigError, match="no price for openai:zork"):
        require_prices(models("openai:zork"), {})


def test_doctor_shows_the_price_and_its_day(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-doctor-0123456789")
    for name in PROVIDERS["openai"].address_names:
        monkeypatch.delenv(name, raising=False)
    [(fine, text)] = models_usable(models("openai:gpt-5"))
    day = price_table("openai")["checked"]
    assert (fine, text) == (True, f"model: openai:gpt-5 ($1.25 and $10 per million tokens, list price of {day})")
