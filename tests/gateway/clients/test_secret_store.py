"""What a person gives for a server is kept in the keyring, or encrypted where there is none."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from lg_gateway.clients.secret_store import SecretStore
from lg_policy.errors import ConfigError

ROOT = Path(__file__).resolve().parents[3]


def secrets(*words: str, given: str = "", **environ: str) -> subprocess.CompletedProcess[str]:
    argv = [sys.executable, "-m", "lg_gateway", "secrets", *words]
    return subprocess.run(
        argv, input=given, env=dict(os.environ) | environ, capture_output=True, text=True, timeout=60, cwd=ROOT
    )


def test_the_systems_keyring_has_the_value_and_no_file_of_ours_does(tmp_path: Path, clean_environment: Path) -> None:
    backend = {
        "PYTHON_KEYRING_BACKEND": "tests.gateway.clients.keyring_in_file.FileKeyring",
        "TEST_KEYRING_FILE": str(tmp_path / "keyring.json"),
    }
    kept = secrets("set", "token", given="s3cr3t-value\n", **backend)
    assert (kept.returncode, kept.stdout) == (0, 'kept in "the keyring"\n'), kept.stderr
    assert json.loads((tmp_path / "keyring.json").read_text()) == {"lg-gateway/token": "s3cr3t-value"}
    ours = [path for path in clean_environment.rglob("*") if path.is_file() and b"s3cr3t" in path.read_bytes()]
    assert not ours
    assert secrets("list", **backend).stdout == "token\n"
    assert secrets("remove", "token", **backend).returncode == 0
    assert json.loads((tmp_path / "keyring.json").read_text()) == {}
    assert secrets("remove", "token", **backend).returncode == 1


def test_without_a_keyring_the_value_is_encrypted_below_the_key_directory(tmp_path: Path) -> None:
    environ = {"LG_KEY_DIR": str(tmp_path / "keys"), "XDG_STATE_HOME": str(tmp_path / "state")}
    store = SecretStore()
    place = Path(store.put("token", "s3cr3t-value", environ))
    assert place.is_relative_to(tmp_path / "keys")
    assert place.stat().st_mode & 0o077 == 0
    assert b"s3cr3t" not in place.read_bytes()
    assert store.get("token", environ) == "s3cr3t-value"
    content = json.loads(place.read_text())
    place.write_text(json.dumps({"other": content["token"]}))
    with pytest.raises(ConfigError, match="cannot be decrypted"):
        store.get("other", environ)


@pytest.mark.parametrize("given", ["", "x" * 10_001])
def test_an_empty_value_and_one_that_is_too_long_are_refused(given: str) -> None:
    done = secrets("set", "token", given=given)
    assert done.returncode == 2
    assert "a value has 1 to 10000 characters" in done.stderr
