"""A configured value is hidden because it is a secret, not because it was configured."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lg_policy.secrets.configured import is_secret_setting, secret_parts

GITHUB = "ghp_" + "a1" * 18


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("TZ", "Europe/Berlin"),
        ("TZ", "America/Argentina/Buenos_Aires"),
        ("NODE_ENV", "production"),
        ("ALLOWED_DIR", "/home/me/project"),
        ("DATA", "~/data/files"),
        ("WINDIR", "C:\\Users\\me\\project"),
        ("LANG", "en_US.UTF-8"),
        ("LC_ALL", "de_DE.UTF-8"),
        ("PATH", "/usr/local/bin:/usr/bin:/bin"),
        ("HOME", "/home/somebody"),
        ("PORT", "8080000"),
        ("BASE_URL", "https://example.com/api/v1"),
        ("GREETING", "hello there everybody"),
        ("DEBUG", "express:router"),
        ("GOOGLE_APPLICATION_CREDENTIALS", "/home/me/credentials.json"),
        ("SSH_AUTH_SOCK", "/tmp/ssh-Xy12/agent.123"),
        ("TOKEN_URL", "https://example.com/oauth/token"),
        ("MAX_TOKENS", "4096000"),
        ("AUTH_MODE", "disabled"),
        ("API_KEY", "disabled"),
        ("POSTGRES_PASSWORD", "postgres"),
        ("Accept", "application/json"),
        ("SECRET", "abc"),
    ],
)
@pytest.mark.parametrize("referenced", [False, True])
def test_paths_zones_words_numbers_and_addresses_are_no_secrets(name: str, value: str, referenced: bool) -> None:
    assert not is_secret_setting(name, value, referenced=referenced)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("GITHUB_TOKEN", "opaque-value-1"),
        ("apiKey", "hunterhunter"),
        ("X-Api-Key", "k-12345678"),
        ("dbPassword", "12345678"),
        ("PGPASSWORD", "correct horse battery staple"),
        ("CLIENT_SECRET", "abcdefghijkl"),
        ("SECRET_KEY_BASE", "xyzxyzxyz9"),
        ("NPM_AUTH", "bm9ib2R5OnNlY3JldA=="),
        ("Cookie", "session=abcdef; theme=dark"),
        ("AWS_SECRET_ACCESS_KEY", "/wJalrXUtnFEMIK7MDENGbPxRfiCYEXAMPLEKEY1"),
    ],
)
def test_a_value_is_a_secret_by_its_name(name: str, value: str) -> None:
    assert secret_parts(name, value) == [value]
    assert not is_secret_setting("PLAIN", value) or name == "NPM_AUTH"


def test_a_value_is_a_secret_by_reference() -> None:
    assert not is_secret_setting("ACCOUNT", "opaque-9f8e7d")
    assert is_secret_setting("ACCOUNT", "opaque-9f8e7d", referenced=True)


def test_a_value_is_a_secret_by_shape_whatever_it_is_called() -> None:
    assert secret_parts("PATH", GITHUB) == [GITHUB]
    assert secret_parts("", f"  {GITHUB}\n") == [GITHUB]


def test_only_the_password_of_an_address_and_what_follows_a_scheme_are_secret() -> None:
    assert secret_parts("DATABASE_URL", "postgres://me:pa55word@host/db") == ["pa55word"]
    assert secret_parts("DATABASE_URL", "postgres://me@host/db", referenced=True) == []
    assert secret_parts("Authorization", "Bearer abcdef1234567") == ["abcdef1234567"]
    assert secret_parts("HOOK", f"https://host/{GITHUB}") == [GITHUB]


@given(st.text(), st.text(), st.booleans())
def test_any_name_and_value_is_judged(name: str, value: str, referenced: bool) -> None:
    assert all(part and part in value for part in secret_parts(name, value, referenced=referenced))
