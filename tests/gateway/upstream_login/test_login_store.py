"""Where logins are kept, and that only what was kept for a login counts as it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from lg_gateway.store.text_cipher import TextCipher
from lg_gateway.upstream_login.login_store import LoginStore
from lg_policy.errors import ConfigError
from lg_policy.state import load_key
from tests.gateway.upstream_login.support_logins import KEY, LOGIN

ROOT = Path(__file__).resolve().parents[3]
IN_A_KEYRING = """
import os
from lg_gateway.upstream_login.login_store import LoginStore
from tests.gateway.upstream_login.support_logins import KEY, LOGIN
store = LoginStore(os.environ)
print(store.write(KEY, LOGIN), store.read(KEY) == LOGIN)
"""


def test_the_systems_keyring_has_the_tokens_and_no_file_of_ours_does(tmp_path: Path, clean_environment: Path) -> None:
    place = tmp_path / "keyring.json"
    backend = {
        "PYTHON_KEYRING_BACKEND": "tests.gateway.clients.keyring_in_file.FileKeyring",
        "TEST_KEYRING_FILE": str(place),
    }
    # In a process of its own: whoever imports a keyring has it from then on.
    done = subprocess.run(
        [sys.executable, "-c", IN_A_KEYRING], env=dict(os.environ) | backend, capture_output=True, text=True, cwd=ROOT
    )
    assert done.stdout == "the keyring True\n", done.stderr
    assert "refresh-of-nobody" in place.read_text()
    ours = [path for path in clean_environment.rglob("*") if path.is_file() and b"of-nobody" in path.read_bytes()]
    assert not ours


def test_a_record_that_was_damaged_is_named_and_a_field_of_a_later_version_is_left_out() -> None:
    store = LoginStore(os.environ)
    path = Path(store.write(KEY, LOGIN))
    assert path.stat().st_mode & 0o077 == 0
    kept = json.loads(path.read_text())
    kept["login"]["of_a_later_version"] = 1
    path.write_text(json.dumps(kept))
    assert store.read(KEY) == LOGIN
    for damaged in (b"", b"[]", b"{", json.dumps(kept | {"login": {**kept["login"], "ends": "soon"}}).encode()):
        path.write_bytes(damaged)
        with pytest.raises(ConfigError, match="cannot read the login"):
            store.read(KEY)


def test_a_login_of_an_earlier_version_opens() -> None:
    store = LoginStore(os.environ)
    path = Path(store.write(KEY, LOGIN))
    kept = json.loads(path.read_text())
    cipher = TextCipher(load_key("gateway-logins", os.environ), "a login")
    secret = json.loads(cipher.decrypted(KEY, kept["secret"]))
    del secret["bound"]
    path.write_text(json.dumps(kept | {"secret": cipher.encrypted(KEY, json.dumps(secret))}))

    assert store.read(KEY) == LOGIN
