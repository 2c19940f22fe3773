"""Fills in the placeholders of a server's settings, when it is started.

${NAME}             the environment variable NAME
${NAME:-default}    the same, or `default` where it is not set or empty
${secret:NAME}      what a person gave for NAME, see `secret_store`
${file:PATH}        the content of a file, without white space at its ends
${workspaceFolder}  the gateway's root
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from lg_gateway.clients.secret_store import SecretStore
from lg_policy.errors import ConfigError

PLACEHOLDER = re.compile(
    r"\$\{(?:(?P<kind>secret|file):(?P<what>[^${}]+)|(?P<root>workspaceFolder)"
    r"|(?P<name>[A-Za-z_][A-Za-z0-9_]*)(?::-(?P<default>[^${}]*))?)\}"
)
FILE_BYTES = 64_000
"""Of a file that a value is read from."""
ENV_FILE_BYTES = 256_000
_ENV_LINE = re.compile(r"\s*(?:export\s+)?([A-Za-z_][A-Za-z0-9_]*)\s*=\s*(.*?)\s*")


class MissingValue(ConfigError):
    """A value that a server needs is not there. Only that server is left out."""


@dataclass(frozen=True, kw_only=True)
class Values:
    """Where values come from. `root` is `None` where the gateway works on none."""

    environ: Mapping[str, str]
    root: Path | None = None
    secrets: SecretStore = field(default_factory=SecretStore)

    def expand(self, text: str, where: str) -> str:
        """Return a text with its placeholders filled in. Raises `MissingValue`, which names `where`."""
        return PLACEHOLDER.sub(lambda found: self._value(found, where), text)

    def parts(self, text: str) -> Iterator[tuple[str, str]]:
        """Yield what each placeholder of a text is called, and its value. Those without a value are left out."""
        for found in PLACEHOLDER.finditer(text):
            try:
                value = self._value(found, "")
            except MissingValue:
                continue
            yield found["name"] or found["what"] or "", value

    def unset(self, text: str) -> list[str]:
        """Return the environment variables that a text needs and that are not set."""
        found = PLACEHOLDER.finditer(text)
        return [each["name"] for each in found if each["name"] and each["default"] is None
                and each["name"] not in self.environ]  # fmt: skip

    def env_file(self, path: str, where: str) -> dict[str, str]:
        """Return the variables of a file of `NAME=value` lines. Raises `MissingValue` when it cannot be read."""
        text = self._read(path, where, ENV_FILE_BYTES)
        found = (_ENV_LINE.fullmatch(line) for line in text.splitlines() if not line.lstrip().startswith("#"))
        return {match[1]: _unquoted(match[2]) for match in found if match is not None}

    def _value(self, found: re.Match[str], where: str) -> str:
        if found["root"]:
            if self.root is None:
                raise MissingValue(f"{where} needs the folder that the gateway works on", hint="pass --root DIR")
            return str(self.root)
        if found["kind"] == "secret":
            return self._secret(found["what"], where)
        if found["kind"] == "file":
            return self._read(found["what"], where, FILE_BYTES).strip()
        name, default = found["name"], found["default"]
        if default is not None:
            return self.environ.get(name) or default
        if name not in self.environ:
            raise MissingValue(f"{where} needs the environment variable {name}, which is not set", hint=f"set {name}")
        return self.environ[name]

    def _secret(self, name: str, where: str) -> str:
        value = self.secrets.get(name, self.environ)
        if value is None:
            raise MissingValue(
                f"{where} needs the secret {name}, which nobody gave yet", hint=f"run `lg-gateway secrets set {name}`"
            )
        return value

    def _read(self, path: str, where: str, limit: int) -> str:
        try:
            with open(os.path.expanduser(path), "rb") as file:
                data = file.read(limit + 1)
            if len(data) > limit:
                raise MissingValue(f"{where} needs {path}, which has more than {limit} bytes")
            return data.decode("utf-8-sig")
        except (OSError, ValueError) as error:
            raise MissingValue(f"{where} needs {path}, which cannot be read: {error}") from error


def _unquoted(value: str) -> str:
    if len(value) > 1 and value[0] == value[-1] and value[0] in "\"'":
        return value[1:-1]
    return value.split(" #", 1)[0].rstrip()
