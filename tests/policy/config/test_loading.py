"""Layers, provenance and the errors a person reads."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from lg_policy.config.loading import denials_only, expand_env, load_settings, read_layer, write_effective
from lg_policy.config.settings import Settings
from lg_policy.errors import ConfigError


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def test_without_any_file_the_documented_defaults_apply() -> None:
    loaded = load_settings()
    assert loaded.settings.budgets.max_loops == 3
    assert loaded.settings.policy.network_default == "deny"
    assert "*.pem" in loaded.settings.policy.read_deny
    assert loaded.settings.exec.sandbox == "required"
    assert "pytest" in loaded.settings.exec.commands


def test_later_layers_win_and_lists_of_the_policy_extend(tmp_path: Path) -> None:
    user = Path(os.environ["XDG_CONFIG_HOME"]) / "lg" / "config.toml"
    write(user, '[budgets]\nmax_loops = 5\nmax_wall_s = 9\n[policy]\nread_deny = ["secret/"]\n')
    named = write(
        tmp_path / "a.toml",
        '[budgets]\nmax_loops = 7\n[policy]\nwrite_allow = ["src/**"]\nwrite_allow_replace = true\n',
    )
    settings = load_settings(config=named, overrides={"budgets": {"max_tokens": 11}}).settings
    assert (settings.budgets.max_loops, settings.budgets.max_wall_s, settings.budgets.max_tokens) == (7, 9, 11)
    assert settings.policy.read_deny[-1] == "secret/"
    assert ".env" in settings.policy.read_deny
    assert settings.policy.write_allow == ("src/**",)


def test_rules_of_all_files_add_up(tmp_path: Path) -> None:
    write(
        Path(os.environ["XDG_CONFIG_HOME"]) / "lg" / "config.toml",
        '[[gateway.rules]]\ntools = ["a"]\neffect = "deny"\n',
    )
    named = write(tmp_path / "a.toml", '[[gateway.rules]]\ntools = ["b"]\neffect = "allow"\n')
    assert [rule.tools for rule in load_settings(config=named).settings.gateway.rules] == [("a",), ("b",)]


def test_a_template_in_a_file_changes_only_the_keys_it_names(tmp_path: Path) -> None:
    named = write(tmp_path / "a.toml", "[exec.commands.pytest]\napproval = true\n")
    template = load_settings(config=named).settings.exec.commands["pytest"]
    assert template.approval is True
    assert template.args_allow == load_settings().settings.exec.commands["pytest"].args_allow


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("[budgets]\nmax_loop = 3\n", ["a.toml", "[budgets] max_loop: unknown key", "did you mean 'max_loops'"]),
        ('[budgets]\nmax_loops = "x"\n', ["[budgets] max_loops", "integer", "'x'"]),
        ("[budgets]\nmax_loops = 0\n", ["[budgets] max_loops", "greater than 0"]),
        ("[exec.commands.pytest]\nfoo = 1\n", ["[exec.commands.pytest] foo: unknown key", "args_allow"]),
        ('[exec]\nsandbox = "maybe"\n', ["[exec] sandbox", "'required' or 'off'"]),
        ('[[gateway.rules]]\ntools = ["a"]\neffect = "perhaps"\n', ["effect", "'allow', 'approve' or 'deny'"]),
        ('[policy]\nread_deny = "x"\n', ["[policy] read_deny", "a list"]),
        ('[models.coder]\nfallbacks = ["gpt"]\n', ["a.toml", "[models.coder.fallbacks] 0: a model", "provider:model"]),
        ("a = [", ["not valid TOML"]),
        ("[policy]\nread_deny_replace = true\n", ["read_deny_replace is set but read_deny is not"]),
    ],
)
def test_bad_settings_name_the_key_the_file_and_what_is_allowed(tmp_path: Path, text: str, parts: list[str]) -> None:
    with pytest.raises(ConfigError) as caught:
        load_settings(config=write(tmp_path / "a.toml", text))
    for part in parts:
        assert part in caught.value.text()


def test_a_missing_file_and_an_unknown_profile_are_errors(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="does not exist"):
        load_settings(config=tmp_path / "none.toml")
    with pytest.raises(ConfigError, match="unknown profile 'x'"):
        load_settings(profile="x")


@pytest.mark.parametrize("profile", ["dev", "stage", "prod"])
def test_every_shipped_profile_loads_and_says_so(profile: str) -> None:
    loaded = load_settings(profile=profile)
    assert loaded.settings.profile == profile
    assert f"profile {profile}" in loaded.sources


def test_relative_paths_are_relative_to_their_file(tmp_path: Path) -> None:
    named = write(
        tmp_path / "conf" / "a.toml",
        '[exec]\nenvironment = "../env"\n[gateway.servers.x]\ncommand = "./run"\ncwd = "w"\n'
        '[gateway.servers.y]\ncommand = "npx"\n',
    )
    settings = load_settings(config=named).settings
    assert settings.exec.environment == str(tmp_path / "env")
    assert settings.gateway.servers["x"].command == str(tmp_path / "conf" / "run")
    assert settings.gateway.servers["x"].cwd == str(tmp_path / "conf" / "w")
    assert settings.gateway.servers["y"].command == "npx"


def test_the_effective_file_of_a_child_is_private_complete_and_holds_no_upstream_secret(tmp_path: Path) -> None:
    named = write(
        tmp_path / "a.toml",
        '[policy]\nread_deny = ["only"]\nread_deny_replace = true\n'
        '[gateway.servers.x]\nurl = "https://u"\nheaders = { A = "s3cr3t" }\n',
    )
    settings = load_settings(config=named).settings
    target = tmp_path / "effective.json"
    write_effective(settings, target)
    assert stat.S_IMODE(target.stat().st_mode) == 0o600
    assert "s3cr3t" not in target.read_text()
    child = load_settings(effective=target, overrides={"budgets": {"max_loops": 9}}).settings
    assert child.policy == settings.policy
    assert child.policy_digest() == settings.policy_digest()


def test_the_policy_digest_changes_with_the_policy_only() -> None:
    base = Settings().policy_digest()
    assert Settings.model_validate({"policy": {"read_deny": ["x"]}}).policy_digest() != base
    assert Settings.model_validate({"budgets": {"max_loops": 9}}).policy_digest() == base


def test_an_untrusted_layer_keeps_only_its_denials(tmp_path: Path) -> None:
    layer = read_layer(
        write(
            tmp_path / ".lg.toml",
            '[policy]\nread_deny = ["x"]\nread_deny_replace = true\nread_allow = ["**"]\n[exec]\nsandbox = "off"\n'
            '[[gateway.rules]]\ntools = ["*"]\neffect = "allow"\n[[gateway.rules]]\ntools = ["b"]\neffect = "deny"\n',
        )
    )
    settings = load_settings(extra=[denials_only(layer)]).settings
    assert ".env" in settings.policy.read_deny
    assert "x" in settings.policy.read_deny
    assert settings.exec.sandbox == "required"
    assert [rule.effect for rule in settings.gateway.rules] == ["deny"]


def test_environment_references_expand_and_a_missing_one_is_named() -> None:
    assert expand_env("Bearer ${T}", {"T": "abc"}, "here") == "Bearer abc"
    with pytest.raises(ConfigError, match="headers of x needs the environment variable T"):
        expand_env("${T}", {}, "headers of x")


@pytest.mark.parametrize(
    "text",
    [
        '[console.oidc]\nissuer = "https://idp.example"\nclient_id = "x"\nclient_secret = "{}"\n',
        '[gateway.servers.x]\ncommand = "x"\n[gateway.servers.x.env]\nA = ["{}"]\n',
        '[models.default]\ntemperature = "postgres://u:{}@host/db"\n',
    ],
)
def test_an_error_about_a_setting_shows_no_secret(tmp_path: Path, text: str) -> None:
    config = write(tmp_path / "a.toml", text.format("Kx7-literal-value-91"))
    with pytest.raises(ConfigError) as caught:
        load_settings(config=config)
    assert "Kx7-literal" not in str(caught.value)
    assert "a.toml" in str(caught.value)
