"""Records which files of a repository a user trusts.

`.lg.toml` counts in full once its digest is trusted, else only its denials. `AGENTS.md` is advice that language models
see only after the user accepts its digest.

Trust is recorded below the configuration directory, per root and for exactly one content: any change to the file ends
it. The bytes that are hashed are the bytes that are parsed.

Not covered: changes after the file was read, and what a trusted file contains. Trusting it is like running it.
"""

from __future__ import annotations

import hashlib
import json
import os
import stat
import tomllib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lg_policy.config.loading import Layer, denials_only
from lg_policy.errors import ConfigError
from lg_policy.state import config_home, file_lock, make_private, replace_file, root_id

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

FILE_NAME, GUIDE_NAME = ".lg.toml", "AGENTS.md"
_KEYS = {FILE_NAME: "sha256", GUIDE_NAME: "guide_sha256"}
MAX_BYTES = 256_000


@dataclass(frozen=True, kw_only=True)
class RepositoryFile:
    """The content of one of these files, and whether it is trusted."""

    path: Path
    data: bytes
    digest: str
    trusted: bool


def read_repository_file(
    root: Path, environ: Mapping[str, str] = os.environ, *, name: str = FILE_NAME
) -> RepositoryFile | None:
    """Read the file; return `None` if it does not exist. Raises `ConfigError` unless it is a small regular file."""
    path = root / name
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise ConfigError(
            f"cannot read {path}: {error.strerror or error}", hint="remove it or make it a file"
        ) from error
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise ConfigError(f"{path} is not a regular file", hint="remove it or make it a file")
    with os.fdopen(descriptor, "rb") as file:
        data = file.read(MAX_BYTES + 1)
    if len(data) > MAX_BYTES:
        raise ConfigError(f"{path} is over {MAX_BYTES} bytes", hint="make it shorter")
    digest = hashlib.sha256(data).hexdigest()
    recorded = _read(_records(environ)).get(root_id(root), {}).get(_KEYS[name])
    return RepositoryFile(path=path, data=data, digest=digest, trusted=recorded == digest)


def repository_layer(root: Path, environ: Mapping[str, str] = os.environ) -> Layer | None:
    """Return the settings that `ROOT/.lg.toml` may contribute, or `None`. Raises `ConfigError` if it cannot be read.

    An unreadable or malformed file is an error even if untrusted: breaking it must not remove its denials.
    """
    found = read_repository_file(root, environ)
    if found is None:
        return None
    try:
        values = tomllib.loads(found.data.decode())
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(f"{found.path} is not valid TOML: {error}", hint="correct that line") from error
    layer = Layer(name=str(found.path), values=values, base=root)
    return layer if found.trusted else denials_only(layer)


def accepted_guide(root: Path, environ: Mapping[str, str] = os.environ) -> str | None:
    """Return the SHA-256 of the `AGENTS.md` that the user accepted for this root. The file itself is not read."""
    return _read(_records(environ)).get(root_id(root), {}).get(_KEYS[GUIDE_NAME])


def trust_repository_file(
    root: Path, environ: Mapping[str, str] = os.environ, *, name: str = FILE_NAME
) -> RepositoryFile:
    """Record the present digest of the file. Raises `ConfigError` if it does not exist."""
    found = read_repository_file(root, environ, name=name)
    if found is None:
        raise ConfigError(f"{root / name} does not exist", hint="there is nothing to trust")
    _update(root, {"path": os.path.realpath(root), _KEYS[name]: found.digest}, environ)
    return RepositoryFile(path=found.path, data=found.data, digest=found.digest, trusted=True)


def forget_repository_file(root: Path, environ: Mapping[str, str] = os.environ) -> bool:
    """Withdraw the trust in this root's files; return whether there was any."""
    known = root_id(root) in _read(_records(environ))
    if known:
        _update(root, None, environ)
    return known


def _records(environ: Mapping[str, str]) -> Path:
    return config_home(environ) / "trust.json"


def _update(root: Path, record: dict[str, str] | None, environ: Mapping[str, str]) -> None:
    path = _records(environ)
    make_private(path.parent)
    with file_lock(path.with_suffix(".lock")):
        records = _read(path)
        before = records.pop(root_id(root), {})
        if record is not None:
            records[root_id(root)] = {**before, **record}
        replace_file(path, json.dumps(records, indent=1, sort_keys=True).encode())


def _read(path: Path) -> dict[str, dict[str, str]]:
    try:
        records = json.loads(path.read_bytes())
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise ConfigError(
            f"cannot read {path}: {error}", hint="remove it, then trust your repositories again"
        ) from error
    if not isinstance(records, dict):
        raise ConfigError(f"{path} does not hold an object", hint="remove it, then trust your repositories again")
    return records
