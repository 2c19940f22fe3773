"""A keyring in a file, as the package `keyring` lets anybody add one: the test's stand-in for the system's."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from keyring.backend import KeyringBackend


class FileKeyring(KeyringBackend):
    priority: Any = 5

    def _path(self) -> Path:
        return Path(os.environ["TEST_KEYRING_FILE"])

    def _content(self) -> dict[str, str]:
        return dict(json.loads(self._path().read_text())) if self._path().exists() else {}

    def get_password(self, service: str, username: str) -> str | None:
        return self._content().get(f"{service}/{username}")

    def set_password(self, service: str, username: str, password: str) -> None:
        self._path().write_text(json.dumps(self._content() | {f"{service}/{username}": password}))

    def delete_password(self, service: str, username: str) -> None:
        content = self._content()
        del content[f"{service}/{username}"]
        self._path().write_text(json.dumps(content))
