"""The login that a person made: read from the store, renewed before it ends, and once when the server refuses it.

A refresh token is often good for one use. So one task of one process renews a login while all others wait, and what
is stored counts, not what a process remembers. A renewal is not cancelled with the call that began it.

What cannot be had: if this process is killed between the answer and the disk, the new tokens are lost. The next
process tries the old refresh token once more, which servers with a grace period take. If the server refuses it, the
login is over, and the message says why.
"""

from __future__ import annotations

import logging
import shlex
import time
from collections.abc import Callable
from dataclasses import replace

import anyio
from anyio.to_thread import run_sync

from lg_gateway.upstream_login.challenges import Refusal
from lg_gateway.upstream_login.login_errors import LoginFailed, TokenRefused
from lg_gateway.upstream_login.login_http import LoginHttp
from lg_gateway.upstream_login.login_spec import LoginSpec
from lg_gateway.upstream_login.login_store import Login, LoginStore, ended, login_id
from lg_gateway.upstream_login.token_endpoint import Tokens, ask_for_tokens
from lg_gateway.upstream_login.upstream_auth import Learn, UpstreamAuth
from lg_policy.errors import ConfigError

log = logging.getLogger(__name__)

RENEW_AT = 0.8
"""The part of a token's lifetime after which it is renewed."""
LOOK_S = 1.0
"""How often to look whether somebody logged in or out."""
RETRY_S = 30.0
"""After a renewal that failed, how long the old token is used before the next try, while it lasts."""
SCOPES = 200


class StoredLogin(UpstreamAuth):
    """The login of one server and one holder ("" for all callers). `clock` gives seconds since the epoch."""

    def __init__(
        self, spec: LoginSpec, holder: str, learn: Learn, store: LoginStore, *, clock: Callable[[], float] = time.time
    ) -> None:
        self._spec = spec
        self._holder = holder
        self._learn = learn
        self._store = store
        self._clock = clock
        self._key = login_id(spec.url, holder)
        self._http = LoginHttp(spec.trusted_addresses())
        self._held: Login | None = None
        self._stamp: tuple[int, int] | None = None
        self._looked = False
        self._look_again = 0.0
        self._retry = 0.0
        self._renewing = anyio.Lock()

    async def header(self) -> str:
        """Return the value of an `Authorization` header; "" without a login: many servers need none."""
        await self.look_once()
        held = self._held
        if held is None or not held.access:
            return ""
        now = self._clock()
        if now >= held.renew and held.refresh and (now >= held.ends or now >= self._retry):
            held = await self._renewed(held)
        if held is None or (held.ended and self._clock() >= held.ends):
            return ""
        return f"Bearer {held.access}"

    async def again(self, sent: str, refusal: Refusal) -> str:
        """Return a header with another token: one that somebody else stored, or a renewed one."""
        if not refusal.is_about_a_login:
            return ""
        await self._look()
        held = self._held
        if refusal.wants_more_scopes:
            if held is not None and held.access and sent != f"Bearer {held.access}":
                return f"Bearer {held.access}"
            await self._note_wanted(refusal)
            return ""
        if held is not None and held.access and sent == f"Bearer {held.access}":
            held = await self._renewed(held) if held.refresh else None
        if held is None or not held.access or sent == f"Bearer {held.access}":
            return ""
        return f"Bearer {held.access}"

    def advice(self, refusal: Refusal) -> str:
        """Return what a person can do."""
        why = "the login lacks a permission" if refusal.wants_more_scopes else self._why()
        return f"{why}: log in with `{login_command(self._spec.server, self._holder)}`"

    async def changed(self) -> None:
        """Wait until somebody has logged in, or out."""
        while await run_sync(self._store.stamp, self._key) == self._stamp:  # noqa: ASYNC110  another process changes it
            await anyio.sleep(LOOK_S)
        self._looked = False

    async def look_once(self) -> None:
        """Read what is stored, unless that was done, and nobody has logged in or out since."""
        now = anyio.current_time()
        if self._looked and now >= self._look_again:
            self._look_again = now + LOOK_S
            self._looked = self._store.stamp(self._key) == self._stamp
        if not self._looked:
            await self._look()

    def _why(self) -> str:
        if self._held is None:
            return "nobody has logged in" if not self._holder else f"{self._holder} has not logged in"
        return self._held.ended or "the server does not accept the login"

    async def _look(self) -> None:
        """Read what is stored."""
        self._looked = True
        self._stamp = await run_sync(self._store.stamp, self._key)
        try:
            found = await run_sync(self._store.read, self._key)
        except ConfigError as error:
            log.error("%s", error.text())  # noqa: TRY400  no traceback: it says all
            found = None
        self._hold(found)

    def _hold(self, found: Login | None) -> None:
        if (
            found is not None
            and self._spec.issuer is not None
            and found.issuer.rstrip("/") != self._spec.issuer.rstrip("/")
        ):
            found = None  # the settings want another authorization server now
        if found is not None:
            self._learn(found.secrets())
        self._held = found
        self.login = (
            f"{'login of ' + self._holder if self._holder else 'shared login'} {self._key[:8]}" if found else ""
        )

    async def _renewed(self, held: Login) -> Login | None:
        """Return the login with another access token than `held`, or what is left of it. Raises `LoginFailed`."""
        # Shielded: the old refresh token may be used up once the request is sent, so its answer must be stored.
        with anyio.CancelScope(shield=True):
            async with self._renewing:
                if self._held is not None and self._held.access != held.access:
                    return self._held
                try:
                    async with self._store.locked(self._key):
                        await self._look()
                        if self._held is not None and self._held.access == held.access and self._held.refresh:
                            await self._renew(self._held)
                except LoginFailed as error:
                    if self._clock() >= held.ends:
                        raise
                    self._retry = self._clock() + RETRY_S
                    log.warning("server %s: %s; the current token is used until it expires", self._spec.server, error)
        return self._held

    async def _renew(self, held: Login) -> None:
        """Use the refresh token. The caller holds both locks."""
        interrupted = held.renewing is not None
        await self._write(replace(held, renewing=self._clock()))
        try:
            given = await self._asked(held)
        except TokenRefused as error:
            if error.code != "invalid_grant":
                await self._write(replace(held, renewing=None))
                raise
            why = "the authorization server no longer accepts the login"
            if interrupted:
                why += ", probably because a gateway was killed while it renewed it"
            await self._write(ended(held, why))
            raise LoginFailed(f"{why} ({error})") from error
        await self._write(renewed(held, given, self._clock()))

    async def _asked(self, held: Login) -> Tokens:
        client = held.client(self._spec.client_id, self._spec.credential)
        form = {"grant_type": "refresh_token", "refresh_token": held.refresh, "resource": held.resource}
        return await ask_for_tokens(self._http, held.token_endpoint, client, form)

    async def _write(self, login: Login) -> None:
        self._learn(login.secrets())  # before the disk may fail
        await run_sync(self._store.write, self._key, login)
        self._stamp = await run_sync(self._store.stamp, self._key)
        self._hold(login)

    async def _note_wanted(self, refusal: Refusal) -> None:
        """Keep the scopes that were missing, for the next login."""
        scopes = refusal.challenge.scopes
        with anyio.CancelScope(shield=True):
            async with self._renewing, self._store.locked(self._key):
                await self._look()
                held = self._held
                if held is not None and not set(scopes) <= set(held.wanted):
                    wanted = tuple(dict.fromkeys((*held.wanted, *scopes)))[:SCOPES]
                    await self._write(replace(held, wanted=wanted))


def renewed(login: Login, given: Tokens, now: float) -> Login:
    """Return a login with the tokens of a new answer. A server that sends no refresh token means the old one."""
    return replace(
        login,
        access=given.access,
        refresh=given.refresh or login.refresh,
        scopes=given.scopes or login.scopes,
        made=now,
        renew=now + given.lifetime_s * RENEW_AT,
        ends=now + given.lifetime_s,
        renewing=None,
        ended="",
    )


def login_command(server: str, holder: str) -> str:
    """Return the command that makes a login."""
    return f"lg-gateway login {server}" + (f" --identity {shlex.quote(holder)}" if holder else "")
