"""Of a private key every base64 line is found, and nothing else."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    KeySerializationEncryption,
    NoEncryption,
    PrivateFormat,
)
from hypothesis import given
from hypothesis import strategies as st

from lg_policy.secrets.masking import MARKER, Masker
from lg_policy.secrets.private_keys import key_lines

MASKER = Masker(b"k" * 32)
PLAIN, LOCKED = NoEncryption(), BestAvailableEncryption(b"pass")
BEGIN, END = "-----BEGIN PRIVATE KEY-----", "-----END PRIVATE KEY-----"


def pem(key: rsa.RSAPrivateKey, style: PrivateFormat, lock: KeySerializationEncryption) -> str:
    return key.private_bytes(Encoding.PEM, style, lock).decode()


RSA = rsa.generate_private_key(65537, 2048)
KEYS = {
    "pkcs8": pem(RSA, PrivateFormat.PKCS8, PLAIN),
    "pkcs1": pem(RSA, PrivateFormat.TraditionalOpenSSL, PLAIN),
    "openssh": pem(RSA, PrivateFormat.OpenSSH, PLAIN),
    "encrypted": pem(RSA, PrivateFormat.PKCS8, LOCKED),
    "with headers": pem(RSA, PrivateFormat.TraditionalOpenSSL, LOCKED),
    "ec": ec.generate_private_key(ec.SECP256R1())
    .private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, PLAIN)
    .decode(),
    "ed25519": ed25519.Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, PLAIN).decode(),
}
LAYOUTS: dict[str, Callable[[str], str]] = {
    "as it is": lambda key: key,
    "CRLF": lambda key: key.replace("\n", "\r\n"),
    "indented": lambda key: "".join(f"        {line}\n" for line in key.splitlines()),
    "commented out": lambda key: "".join(f"# {line}\n" for line in key.splitlines()),
    "a C comment": lambda key: "".join(f"// {line}\n" for line in key.splitlines()),
    "added in a diff": lambda key: "".join(f"+{line}\n" for line in key.splitlines()),
    "removed and indented": lambda key: "".join(f"-    {line}\n" for line in key.splitlines()),
    "quoted in a question": lambda key: "".join(f"|   +{line}\n" for line in key.splitlines()),
    "in JSON": lambda key: json.dumps({"key": key}),
    "in JSON in JSON": lambda key: json.dumps(json.dumps({"key": key})),
    "in a string": lambda key: f'key = """{key}"""',
    "strings side by side": lambda key: "(" + "\n".join(f'    "{line}\\n"' for line in key.splitlines()) + ")",
    "strings with a plus": lambda key: " +\n".join(f'    "{line}\\n"' for line in key.splitlines()),
    "on one line": lambda key: " ".join(key.splitlines()),
}


def secret_lines(key: str) -> list[str]:
    lines = [line for line in key.splitlines() if "-----" not in line and ": " not in line]
    return [line for line in lines if line]


@pytest.mark.parametrize(
    ("kind", "layout"),
    # Headers need lines of their own.
    [(kind, layout) for kind in KEYS for layout in LAYOUTS if (kind, layout) != ("with headers", "on one line")],
)
def test_every_line_of_a_real_key_is_masked_and_the_rest_stays(kind: str, layout: str) -> None:
    key = KEYS[kind]
    text = LAYOUTS[layout](key)
    masked = MASKER.mask(text)
    lines = secret_lines(key)
    # A last line of a few characters that could be a word is shown.
    long = [line for line in lines if len(line) >= 20 or line.endswith("=")]
    assert not [line for line in long if line in masked]
    assert masked.count("PRIVATE KEY-----") == 2
    assert masked.count("\n") == text.count("\n")
    assert len(MARKER.findall(masked)) >= len(long)
    shown = text
    for line in lines:
        shown = shown.replace(line, "", 1)
    for line in lines:
        masked = masked.replace(line, "", 1)
    assert MARKER.sub("", masked) == shown


def test_program_text_between_two_labels_is_shown() -> None:
    line = "A1b/" * 16
    for text in (
        f'// {BEGIN}\nrequire("child_process").exec("id");\n// {END}',
        f"# {BEGIN}\n# {line}\n{line}\nreboot\n# {END}",
        f"{BEGIN}\n{line}\nimport os; os.system('id')\n{line}\n{END}",
        f"{BEGIN}\nshutdown\n{END}",
        f"{BEGIN}\n{line}\nshutdown\n{END}",
        f"{BEGIN}\nrm -rf /home/me/important\n{END}",
        f"{BEGIN} x = 1\n{END}",
        f"/* {BEGIN} */ evil(1); /* {END} */",
    ):
        masked = MASKER.mask(text)
        for word in ("require", "exec", "reboot", "import os", "os.system", "shutdown", "rm -rf", "x = 1", "evil(1);"):
            assert masked.count(word) == text.count(word), (text, masked)


def test_what_stands_outside_of_a_comment_is_no_part_of_a_key_in_it() -> None:
    line = "A1b/" * 16
    assert MASKER.mask(f"# {BEGIN}\n{line}\n# {END}") == f"# {BEGIN}\n{line}\n# {END}"
    assert line not in MASKER.mask(f"# {BEGIN}\n# {line}\n# {END}")


def test_a_key_that_was_cut_off_is_masked_as_far_as_it_goes() -> None:
    key = KEYS["pkcs8"]
    masked = MASKER.mask(key[: len(key) // 2])
    assert not [line for line in secret_lines(key) if line in masked]


def test_a_short_key_of_a_test_is_masked() -> None:
    masked = MASKER.mask(f"before {BEGIN}\nMIIEow{'A' * 40}\n{END} after")
    assert "MIIEow" not in masked
    assert masked.startswith(f"before {BEGIN}\n[secret:private_key:")
    assert masked.endswith(f"]\n{END} after")


@given(
    st.lists(
        st.one_of(
            st.sampled_from(
                (BEGIN, END, "\n", "\\n", "# ", "+", "| ", "A1b/" * 16, "abcd", "evil();", "Version: 1", " ", '"')
            ),
            st.text(max_size=3),
        ),
        max_size=20,
    )
)
def test_a_place_is_one_run_of_base64(parts: list[str]) -> None:
    data = "".join(parts).encode("utf-8", "replace")
    places = list(key_lines(data))
    assert places == sorted(places)
    for start, end in places:
        assert data[start:end].rstrip(b"=").translate(None, b"+/").isalnum()
