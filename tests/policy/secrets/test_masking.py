"""Secrets become markers that are recognised again."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from lg_policy.errors import ConfigError
from lg_policy.secrets.masking import Masker, Sieve, find_marker
from lg_policy.secrets.shapes import OWN, Shape, library_shapes

KEY = b"k" * 32
SHAPES = [*OWN, *library_shapes()]
SIEVE = Sieve(SHAPES)


@pytest.mark.parametrize(
    ("kind", "secret"),
    [
        ("github_token", "ghp_" + "a1" * 18),
        ("github_token", "github_pat_" + "a1" * 12),
        ("gitlab_token", "glpat-" + "a1" * 10),
        ("google_key", "AIza" + "a1" * 17 + "b"),
        ("stripe_key", "sk_live_" + "a1" * 8),
        ("pypi_token", "pypi-" + "a1" * 25),
        ("gateway_token", "lgt_name_" + "a1" * 8),
        ("aws_access_key", "AKIA" + "A1" * 8),
        ("anthropic_key", "sk-ant-" + "a" * 30),
        ("openai_key", "sk-proj-" + "a" * 40),
        ("slack_token", "xoxb-123456789012-abc"),
        ("jwt", "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.abcdefghijkl"),
        ("npm_token", "npm_" + "a" * 36),
        ("private_key", "-----BEGIN RSA PRIVATE KEY-----\nMIIEow" + "A" * 40 + "\n-----END RSA PRIVATE KEY-----"),
    ],
)
def test_a_known_shape_is_masked_in_place(kind: str, secret: str) -> None:
    masked = Masker(KEY).mask(f"before {secret} after")
    assert secret not in masked
    assert masked.startswith(f"before [secret:{kind}:")
    assert masked.endswith("] after")


def test_every_shape_of_ours_has_an_example_above_or_a_test_of_its_own() -> None:
    (examples,) = (mark.args[1] for mark in test_a_known_shape_is_masked_in_place.pytestmark)  # type: ignore[attr-defined]  # set by the decorator
    assert {kind for kind, _ in examples} | {"url_password", "bearer"} == {shape.kind for shape in OWN}


def test_a_password_in_a_url_and_a_bearer_token_are_masked_and_the_rest_stays() -> None:
    masked = Masker(KEY).mask("postgresql://me:hunter2@host/db Authorization: Bearer abcdefghijklmnopqrstuv")
    assert "hunter2" not in masked
    assert "abcdefghijklmnop" not in masked
    assert masked.startswith("postgresql://[secret:url_password:")
    assert "@host/db Authorization: Bearer [secret:bearer:" in masked


def test_configured_values_are_masked_but_not_words_too_short_to_be_secrets() -> None:
    masked = Masker(KEY, ["s3cret-value", "abc"]).mask("x s3cret-value abc")
    assert masked.endswith("] abc")
    assert "s3cret-value" not in masked


def test_each_of_several_configured_values_is_masked_and_the_longest_as_a_whole() -> None:
    masked = Masker(KEY, ["first-value", "second-value", "first-value-and-more"]).mask(
        "second-value first-value-and-more"
    )
    assert [part.partition(":")[0] for part in masked.split()] == ["[secret", "[secret"]


def test_the_same_secret_gives_the_same_marker_under_one_key_only() -> None:
    secret = "ghp_" + "b" * 36
    assert Masker(KEY).mask(secret) == Masker(KEY).mask(secret)
    assert Masker(KEY).mask(secret) != Masker(b"other").mask(secret)


def test_json_is_masked_in_values_and_keys_and_markers_are_found_again() -> None:
    secret = "ghp_" + "c" * 36
    masked = Masker(KEY).mask_json({"a": [1, None, {"b": f"x{chr(10)}{secret}"}], secret: True})
    assert secret not in str(masked)
    assert find_marker(masked) is not None
    assert find_marker({"a": ["[secret:x]", 3]}) is None


def test_ordinary_text_is_left_alone() -> None:
    text = "def skip(x): return sk - 1  # see https://example.com/a:b, APACHELICENSE2 and 8.8.8.8"
    assert Masker(KEY).mask(text) == text


@pytest.mark.parametrize(
    ("kind", "secret"),
    [
        ("sendgrid", "SG." + "a" * 22 + "." + "b" * 43),
        ("azure_storage_key", "AccountKey=" + "A" * 88),
        ("discord", "M" + "a" * 23 + ".bbbbbb." + "c" * 27),
        ("gitlab_token", "glcbt-aa_" + "c" * 20),
        ("slack", "https://hooks.slack.com/services/T01/B01/abcdefgh"),
        ("square_oauth", "sq0csp-" + "a" * 43),
        ("telegram_token", "110201543:" + "A" * 35),
        ("twilio", "SK" + "a1" * 16),
        ("mailchimp", "a1" * 16 + "-us12"),
    ],
)
def test_shapes_of_the_library_are_masked_too(kind: str, secret: str) -> None:
    masked = Masker(KEY).mask(f"before {secret} after")
    assert secret not in masked
    assert f"[secret:{kind}:" in masked
    assert masked.startswith("before ")
    assert masked.endswith(" after")


def test_only_the_secret_is_masked_where_its_name_stands_beside_it() -> None:
    masked = Masker(KEY).mask("aws_secret_key = '" + "wJalrXUtnF" * 4 + "'")
    assert masked.startswith("aws_secret_key = '[secret:aws:")
    assert masked.endswith("]'")


def test_a_users_own_patterns_are_masked_and_a_wrong_one_is_refused_by_name() -> None:
    assert Masker(KEY, (), {"ticket": "INT-[0-9]{6}"}).mask("see INT-123456").startswith("see [secret:ticket:")
    for pattern in ("(", "(?<=x)y", ""):
        with pytest.raises(ConfigError, match=r"secret_patterns\.mine"):
            Masker(KEY, (), {"mine": pattern})


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.text(max_size=20), st.sampled_from(SHAPES), st.data())
def test_no_shape_is_lost_in_the_sieve(around: str, shape: Shape, data: st.DataObject) -> None:
    """Whatever a shape's own expression finds, the pass over all shapes at once must have found before."""
    text = around + data.draw(st.from_regex(shape.pattern)) + around
    assume("\v" not in text and shape.pattern.search(text) is not None)  # \v is a space for Python only
    assert shape in [SHAPES[number] for number in SIEVE.candidates(text)]


def test_a_mask_is_not_masked_again() -> None:
    masker = Masker(KEY, ["s3cret-value"])
    once = masker.mask("password=s3cret-value Bearer s3cret-value1234567890")
    assert masker.mask(once) == once
    in_a_url = masker.mask("https://me:s3cret-value@host/x")
    assert in_a_url.startswith("https://me:[secret:configured:")
    assert in_a_url.endswith("]@host/x")
