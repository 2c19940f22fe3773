"""`--model` over the settings."""

from __future__ import annotations

import pytest

from lg_orch.commands.doctor import models_usable
from lg_orch.llm.choice import choose_backend, models_asked_for
from lg_policy.config.settings import ModelsSettings
from lg_policy.errors import ConfigError

CONFIGURED = ModelsSettings.model_validate(
    {
        "default": {"provider": "openai", "model": "a", "base_url": "http://127.0.0.1:1/v1", "fallbacks": ["openai:b"]},
        "planner": {"provider": "local", "model": "deterministic"},
    }
)


def test_without_the_flag_the_settings_stand() -> None:
    assert models_asked_for(CONFIGURED, None, {}) == CONFIGURED


def test_the_named_model_serves_every_role() -> None:
    models = models_asked_for(CONFIGURED, "openai:c", {})
    for role in ("router", "planner", "coder", "verifier"):
        assert (models.role(role).provider, models.role(role).model) == ("openai", "c")
    assert models.default.base_url == "http://127.0.0.1:1/v1"


def test_another_provider_gets_neither_the_address_nor_the_fallbacks_of_the_first() -> None:
    models = models_asked_for(CONFIGURED, None, {"LG_MODEL": "anthropic:x"})
    assert models.default.base_url is None
    assert models.default.fallbacks == ()


def test_a_provider_without_the_name_of_a_model_is_refused_before_anything_is_asked() -> None:
    with pytest.raises(ConfigError, match="'openai' and none of its models"):
        choose_backend(ModelsSettings.model_validate({"default": {"provider": "openai"}}), {})


@pytest.mark.parametrize("given", ["openai", ":x", "openai:"])
def test_a_name_of_another_form_is_refused(given: str) -> None:
    with pytest.raises(ConfigError, match="PROVIDER:NAME"):
        models_asked_for(CONFIGURED, given, {})


def test_doctor_says_of_each_model_whether_its_package_and_its_key_are_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    keyless = ModelsSettings.model_validate({"default": {"provider": "openai", "model": "a"}})
    assert list(models_usable(keyless)) == [(False, "model: there is no API key for openai:a (set OPENAI_API_KEY)")]
    own = CONFIGURED.model_copy(update={"planner": None})
    assert list(models_usable(own)) == [
        (True, f"model: openai:{name} (no price is known; set one in [models.prices] to count its cost)")
        for name in "ab"
    ]
    unknown = ModelsSettings.model_validate({"default": {"provider": "openai"}})
    [(fine, text)] = models_usable(unknown)
    assert (fine, "none of its models" in text) == (False, True)
