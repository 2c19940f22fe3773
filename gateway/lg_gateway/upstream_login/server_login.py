"""The login of one connection to a server: what is sent, what the server says to it, and what a person can do then."""

from __future__ import annotations

from collections.abc import Callable

import anyio

from lg_gateway.upstream_login.challenges import Refusal
from lg_gateway.upstream_login.client_credentials import ClientCredentials
from lg_gateway.upstream_login.http_refusals import HttpRefusals
from lg_gateway.upstream_login.login_errors import LoginRequired
from lg_gateway.upstream_login.login_spec import LoginSpec
from lg_gateway.upstream_login.login_store import LoginStore
from lg_gateway.upstream_login.stored_login import StoredLogin
from lg_gateway.upstream_login.token_exchange import TokenExchange
from lg_gateway.upstream_login.upstream_auth import Learn, UpstreamAuth


class ServerLogin:
    """What one connection knows about its login. `auth` is `None` where the settings hold the whole login, or none."""

    def __init__(self, server: str, auth: UpstreamAuth | None) -> None:
        self.auth = auth
        self.refusals = HttpRefusals()
        self._server = server

    async def known(self) -> str:
        """Return which login requests carry, as the ledger names it; "" for none of the gateway's making."""
        if isinstance(self.auth, StoredLogin):
            await self.auth.look_once()
        return self.auth.login if self.auth is not None else ""

    def use(self, subject: str) -> None:
        """Take the token that the caller showed, where it is exchanged for another."""
        if isinstance(self.auth, TokenExchange):
            self.auth.use(subject)

    @property
    def needs_a_person(self) -> bool:
        """Whether the server cannot be used until somebody logs in."""
        last = self.refusals.last
        return last is not None and last.is_about_a_login and self.auth is not None and not self.auth.login

    @property
    def last_said(self) -> str:
        """What the server said last, if it refused a request."""
        return self.why(self.refusals.last)

    def why(self, refusal: Refusal | None) -> str:
        """Return what a server said, and what to do; "" where it refused nothing."""
        if refusal is None:
            return ""
        return f"{refusal.text()}; {self._advice(refusal)}" if refusal.is_about_a_login else refusal.text()

    def required(self, refusal: Refusal | None) -> LoginRequired | None:
        """Return the failure of a call that a server refused for want of a login; `None` for any other."""
        if refusal is None or not refusal.is_about_a_login:
            return None
        wants = "more permissions" if refusal.wants_more_scopes else "a login"
        return LoginRequired(
            f"server {self._server} wants {wants}: {refusal.text()}",
            hint=self._advice(refusal),
            server=self._server,
            scopes=refusal.challenge.scopes,
        )

    async def wanted_or_changed(self, wanted: anyio.Event) -> None:
        """Wait until a call wants the server, or until there may be another login."""
        if self.auth is None:
            await wanted.wait()
            return
        changed = self.auth.changed
        async with anyio.create_task_group() as tasks:

            async def wait_for_login() -> None:
                await changed()
                tasks.cancel_scope.cancel()

            tasks.start_soon(wait_for_login)
            await wanted.wait()
            tasks.cancel_scope.cancel()

    def _advice(self, refusal: Refusal) -> str:
        if self.auth is not None:
            return self.auth.advice(refusal)
        return f"check the headers and the url of gateway.servers.{self._server}"


class Logins:
    """Makes the logins of a gateway. `local` is the identity of the user it runs as."""

    def __init__(self, store: LoginStore, learn: Learn, local: Callable[[], str]) -> None:
        self._store = store
        self._learn = learn
        self._local = local

    def of_server(self, server: str, spec: LoginSpec | None) -> ServerLogin:
        """Return the login with which a server is connected and its lists are read.

        Of a server where each caller has a login of its own, that is the local user's, or the gateway's as a client.
        """
        if spec is None:
            return ServerLogin(server, None)
        if spec.grant != "authorization_code":
            return ServerLogin(server, ClientCredentials(spec, self._learn))
        return ServerLogin(server, StoredLogin(spec, spec.holder(self._local()), self._learn, self._store))

    def of_caller(self, server: str, spec: LoginSpec, identity: str) -> ServerLogin:
        """Return the login of one caller."""
        if spec.grant == "token_exchange":
            return ServerLogin(server, TokenExchange(spec, identity, self._learn))
        return ServerLogin(server, StoredLogin(spec, identity, self._learn, self._store))

    def is_shared(self, spec: LoginSpec | None, identity: str) -> bool:
        """Return whether a call of this identity uses the login of the server itself."""
        if spec is None or not spec.per_caller:
            return True
        return spec.grant == "authorization_code" and identity == self._local()
