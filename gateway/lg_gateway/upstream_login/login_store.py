"""Keeps logins at servers: one record for each server and holder, its tokens in the keyring or encrypted in its file.

The records are below the key directory, so all gateways of one user share a login: a refresh token is often good for
one use, and two gateways that each used it would log each other out. Whoever renews a login holds its lock.

Not covered: another program of the same user can read the records and the key, as it can ask most keyrings.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import anyio
from pydantic import TypeAdapter

from lg_gateway.clients.secret_store import SERVICE, ask_keyring, system_keyring
from lg_gateway.store.canonical_json import digest
from lg_gateway.store.interface import StoreError
from lg_gateway.store.text_cipher import TextCipher
from lg_gateway.upstream_login.login_errors import LoginFailed
from lg_gateway.upstream_login.token_endpoint import Client
from lg_policy.errors import ConfigError
from lg_policy.state import key_dir, load_key, make_private, replace_file, try_file_lock

log = logging.getLogger(__name__)

FOLDER = "logins"
RECORD_BYTES = 300_000
LOCK_S = 60.0
"""How long to wait for another process that renews the same login: longer than one request of it may take."""
_LOOK_S = 0.02
_SECRETS = ("access", "refresh", "client_secret")
_BOUND = ("holder", "url", "resource", "issuer", "token_endpoint", "revocation_endpoint", "client_id", "client_method")
"""Where a login's secrets go, and for whom. A digest of it is kept with the secrets, so that no edit moves them."""


@dataclass(frozen=True, kw_only=True)
class Login:
    """One login. Times are in seconds since the epoch."""

    server: str
    """The name in the settings under which it was made."""
    holder: str
    """The identity whose login it is; "" for one that all callers share."""
    url: str
    resource: str
    issuer: str
    token_endpoint: str
    client_id: str
    revocation_endpoint: str = ""
    client_method: str = "none"
    scopes: tuple[str, ...] = ()
    """What was asked for, or what was given where the server said so."""
    wanted: tuple[str, ...] = ()
    """Scopes that a call lacked. The next login asks for them too."""
    made: float = 0.0
    renew: float = 0.0
    ends: float = 0.0
    renewing: float | None = None
    """When a renewal began whose outcome was not stored."""
    ended: str = ""
    """Why it is over, if it is."""
    access: str = field(default="", repr=False)
    refresh: str = field(default="", repr=False)
    client_secret: str = field(default="", repr=False)

    def client(self, configured_id: str | None, configured_secret: str) -> Client:
        """Return the client that made it. The secret of one from the settings is only there."""
        secret = configured_secret if self.client_id == configured_id else self.client_secret
        return Client(client_id=self.client_id, secret=secret, method=self.client_method, audience=self.issuer)

    def secrets(self) -> list[str]:
        """Return what must never show up in a record, an answer or a log."""
        return [secret for secret in (self.access, self.refresh, self.client_secret) if secret]


def login_id(url: str, holder: str) -> str:
    """Return the id of a login: what a server's address and a holder are filed under."""
    return hashlib.sha256(f"{url}\0{holder}".encode("utf-8", "surrogatepass")).hexdigest()[:24]


class LoginStore:
    """The logins below one key directory."""

    def __init__(self, environ: Mapping[str, str] = os.environ) -> None:
        self._environ = environ
        self._made: Path | None = None

    def read(self, key: str) -> Login | None:
        """Return a login. Raises `ConfigError` for a record that cannot be read."""
        path = self._path(key)
        try:
            content = json.loads(path.read_bytes()[:RECORD_BYTES])
            public, kept = dict(content["login"]), content["secret"]
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise ConfigError(
                f"cannot read the login in {path}: {error}", hint="remove the file, and log in"
            ) from error
        text = self._secret(key, kept)
        if text is None:
            return None
        try:
            secret = json.loads(text)
            if secret.pop("bound", None) not in (None, _bound(public)):  # an earlier version kept none
                raise ConfigError(
                    f"the login in {path} was changed outside the gateway, so its secrets are sent nowhere",
                    hint="remove the file, and log in again",
                )
            return TypeAdapter(Login).validate_python({**public, **secret})
        except (ValueError, TypeError) as error:
            raise ConfigError(f"cannot read the login in {path}", hint="remove the file, and log in") from error

    def write(self, key: str, login: Login) -> str:
        """Keep a login, and return where its tokens are: `the keyring` or a path. Hold its lock while others run."""
        fields = asdict(login)
        text = json.dumps({name: fields.pop(name) for name in _SECRETS} | {"bound": _bound(fields)})
        keyring = system_keyring()
        kept, place = "", "the keyring"
        if keyring is None or not ask_keyring(keyring.set_password, SERVICE, f"login {key}", text, done=True):
            kept, place = self._cipher().encrypted(key, text), str(self._path(key))
        replace_file(self._path(key), json.dumps({"login": fields, "secret": kept}, indent=1).encode())
        return place

    def remove(self, key: str) -> bool:
        """Forget a login. Returns whether there was one."""
        path = self._path(key)
        keyring = system_keyring()
        if keyring is not None and path.exists():
            ask_keyring(keyring.delete_password, SERVICE, f"login {key}")
        try:
            path.unlink()
        except FileNotFoundError:
            return False
        return True

    def ids(self) -> list[str]:
        """Return the id of each login."""
        return sorted(path.stem for path in self._folder().glob("*.json"))

    def stamp(self, key: str) -> tuple[int, int] | None:
        """Return a value that changes when a login does; `None` where there is none."""
        try:
            status = self._path(key).stat()
        except OSError:
            return None
        return status.st_ino, status.st_mtime_ns

    @asynccontextmanager
    async def locked(self, key: str) -> AsyncIterator[None]:
        """Hold a login's lock, between processes. Raises `LoginFailed` if another process keeps it for too long."""
        path = self._path(key).with_suffix(".lock")
        with anyio.move_on_after(LOCK_S) as waited:
            while (held := try_file_lock(path)) is None:  # noqa: ASYNC110  another process holds it: no event tells
                await anyio.sleep(_LOOK_S)
        if waited.cancelled_caught or held is None:
            raise LoginFailed(f"another process has been renewing this login for {LOCK_S:g} s")
        with held:
            yield

    def _folder(self) -> Path:
        if self._made is None:
            self._made = key_dir(self._environ) / FOLDER
            make_private(self._made)
        return self._made

    def _path(self, key: str) -> Path:
        return self._folder() / f"{key}.json"

    def _secret(self, key: str, kept: object) -> str | None:
        if isinstance(kept, str) and kept:
            try:
                return self._cipher().decrypted(key, kept)
            except StoreError as error:
                raise ConfigError(
                    f"the login in {self._path(key)} cannot be decrypted", hint="remove the file, and log in again"
                ) from error
        keyring = system_keyring()
        return None if keyring is None else ask_keyring(keyring.get_password, SERVICE, f"login {key}")

    def _cipher(self) -> TextCipher:
        return TextCipher(load_key("gateway-logins", self._environ), "a login")


def _bound(public: Mapping[str, object]) -> str:
    return digest([public.get(name) for name in _BOUND])


def ended(login: Login, why: str) -> Login:
    """Return a login that is over. Its access token is kept for as long as it lasts."""
    return replace(login, refresh="", renewing=None, ended=why)
