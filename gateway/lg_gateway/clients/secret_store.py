"""Keeps what a person was asked for, such as a server's token: in the system's keyring, or encrypted in a file.

The keyring is that of the operating system: Keychain, Secret Service, Windows' credentials. Where there is none, as on
a server, values are kept in `inputs.json` in the key directory, encrypted under a key beside it.

Not covered: the file protects a copy of itself, not of the whole directory; another program of the same user can read
both, as it can ask most keyrings.
"""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lg_gateway.store.interface import StoreError
from lg_gateway.store.text_cipher import TextCipher
from lg_policy.errors import ConfigError
from lg_policy.state import file_lock, key_dir, load_key, replace_file

log = logging.getLogger(__name__)

SERVICE = "lg-gateway"
"""What the values are filed under in the keyring."""
VALUE_CHARACTERS = 10_000
_USABLE = 1.0
"""The keyring's own measure: a backend below it is insecure or cannot be used."""


class SecretStore:
    """Values by name. A name is in the file or in the keyring, never in both."""

    def get(self, name: str, environ: Mapping[str, str] = os.environ) -> str | None:
        """Return a value, `None` if there is none."""
        kept = self._file(environ).get(name)
        if isinstance(kept, str) and kept:
            return self._decrypted(name, kept, environ)
        if kept is None:
            return None
        keyring = system_keyring()
        return None if keyring is None else ask_keyring(keyring.get_password, SERVICE, name)

    def put(self, name: str, value: str, environ: Mapping[str, str] = os.environ) -> str:
        """Keep a value, and return where: `the keyring` or a path. Raises `ConfigError` for one that is too long."""
        if not value or len(value) > VALUE_CHARACTERS:
            raise ConfigError(f"a value has 1 to {VALUE_CHARACTERS} characters; this one has {len(value)}")
        keyring = system_keyring()
        if keyring is not None and ask_keyring(keyring.set_password, SERVICE, name, value, done=True):
            self._change(name, "", environ)
            return "the keyring"
        self._change(name, self._cipher(environ).encrypted(name, value), environ)
        return str(self._path(environ))

    def remove(self, name: str, environ: Mapping[str, str] = os.environ) -> bool:
        """Forget a value. Returns whether there was one."""
        kept = self._file(environ).get(name)
        if kept == "" and (keyring := system_keyring()) is not None:
            ask_keyring(keyring.delete_password, SERVICE, name)
        if kept is not None:
            self._change(name, None, environ)
        return kept is not None

    def names(self, environ: Mapping[str, str] = os.environ) -> list[str]:
        """Return the name of each value."""
        return sorted(self._file(environ))

    def _path(self, environ: Mapping[str, str]) -> Path:
        return key_dir(environ) / "inputs.json"

    def _file(self, environ: Mapping[str, str]) -> dict[str, Any]:
        """Return the encrypted values by name; "" for those in the keyring, which cannot list its own."""
        path = self._path(environ)
        try:
            content = json.loads(path.read_bytes())
        except FileNotFoundError:
            return {}
        except (OSError, ValueError) as error:
            raise ConfigError(f"cannot read {path}: {error}", hint="remove it, and give the values again") from error
        return content if isinstance(content, dict) else {}

    def _change(self, name: str, kept: str | None, environ: Mapping[str, str]) -> None:
        path = self._path(environ)
        with file_lock(path.with_suffix(".lock")):
            content = self._file(environ)
            if kept is None:
                content.pop(name, None)
            else:
                content[name] = kept
            replace_file(path, json.dumps(content, indent=1, sort_keys=True).encode())

    def _decrypted(self, name: str, kept: str, environ: Mapping[str, str]) -> str:
        try:
            return self._cipher(environ).decrypted(name, kept)
        except StoreError as error:
            raise ConfigError(
                f"the secret {name} cannot be decrypted", hint=f"run `lg-gateway secrets set {name}`"
            ) from error

    def _cipher(self, environ: Mapping[str, str]) -> TextCipher:
        return TextCipher(load_key("gateway-inputs", environ), "a secret")


def system_keyring() -> Any:
    """Return the keyring's backend, `None` where there is none that keeps secrets."""
    import keyring
    from keyring.errors import KeyringError

    try:
        backend = keyring.get_keyring()
        return backend if float(backend.priority) >= _USABLE else None
    except (KeyringError, RuntimeError, OSError, ValueError, ImportError) as error:
        log.info("no keyring: %s", error)
        return None


def ask_keyring(method: Any, *arguments: str, done: Any = None) -> Any:
    """Call the keyring, which belongs to the system: what it cannot do is as if there were none."""
    from keyring.errors import KeyringError

    try:
        return method(*arguments) or done
    except (KeyringError, RuntimeError, OSError, ValueError) as error:
        log.warning("the keyring does not answer: %s", error)
        return None
