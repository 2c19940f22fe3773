"""Secrets become markers that are recognised again."""

from __future__ import annotations

import pytest

from lg_policy.redact import Masker, find_marker

KEY = b"k" * 32


@pytest.mark.parametrize(
    ("kind", "secret"),
    [
        ("github_token", "ghp_" + "a1" * 18),
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


def test_a_password_in_a_url_and_a_bearer_token_are_masked_and_the_rest_stays() -> None:
    masked = Masker(KEY).mask("postgresql://me:hunter2@host/db Authorization: Bearer abcdefghijklmnopqrstuv")
    assert "hunter2" not in masked
    assert "abcdefghijklmnop" not in masked
    assert "@host/db" in masked


def test_configured_values_are_masked_but_not_words_too_short_to_be_secrets() -> None:
    masked = Masker(KEY, ["s3cret-value", "abc"]).mask("x s3cret-value abc")
    assert masked.endswith("] abc")
    assert "s3cret-value" not in masked


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
    text = "def skip(x): return sk - 1  # see https://example.com/a:b"
    assert Masker(KEY).mask(text) == text
