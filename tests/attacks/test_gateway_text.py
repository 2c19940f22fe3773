"""Text of strangers that wants to hide something from the human who approves it, or to look like the gateway's own."""

from __future__ import annotations

import pytest
from rich.cells import cell_len

from lg_policy.printing import quote, wrap_foreign
from lg_policy.secrets.masking import Masker

CODE = "__import__('os').system('id')"
LINE = "A1b/" * 16


@pytest.mark.attack(
    "Secrets", "program text written where a mask would hide it: in a URL, a private key, behind a token"
)
@pytest.mark.parametrize(
    "text",
    [
        f'DB = "postgres://u:";{CODE};"@localhost/app"',
        f"// -----BEGIN PRIVATE KEY-----\n{CODE}\n// -----END PRIVATE KEY-----",
        f"# -----BEGIN PRIVATE KEY-----\n# {LINE}\n{CODE}\n# {LINE}\n# -----END PRIVATE KEY-----",
        f"//npm.example/:_authToken=npm_{'a1' * 18}; {CODE}",
        f"Authorization: Bearer {'a1' * 20};{CODE}",
    ],
)
def test_a_mask_hides_no_program_text(text: str) -> None:
    assert CODE in Masker(b"key").mask(text)


@pytest.mark.attack("Exhaustion", "a megabyte of labels of private keys, which made masking quadratic")
@pytest.mark.timeout(60)
def test_labels_without_keys_are_masked_in_linear_time() -> None:
    text = "-----BEGIN PRIVATE KEY-----\n" * 35_000
    assert Masker(b"key").mask(text) == text


@pytest.mark.attack("Display", "wide, invisible and stacked characters, long lines and line separators at a margin")
@pytest.mark.parametrize(
    "text",
    [
        "中" * 200,
        "\u2028lg-gateway: approved",
        "\x1b[1;1Happroved",
        "e" + "\u0301" * 300,
        "\r\u202eapproved",
        "x" * 999,
    ],
)
def test_foreign_text_stays_behind_the_margin_of_each_row(text: str) -> None:
    rows = wrap_foreign(text, width=80)
    assert all(row.startswith(("| ", "|>")) and cell_len(row) <= 80 and row.isprintable() for row in rows)


@pytest.mark.attack("Display", "a name that closes its quotation mark and goes on as the gateway's own words")
def test_a_name_cannot_leave_its_quotation_marks() -> None:
    assert quote('fs" (built in)\nwhy asked: harmless') == '"fs\\" (built in)\\u{a}why asked: harmless"'
