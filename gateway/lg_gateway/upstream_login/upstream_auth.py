"""Adds a login to requests, for the SDK's HTTP client and for the gateway's own way past it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, Callable, Iterable

import httpx2

from lg_gateway.upstream_login.challenges import Refusal, refusal_of

Learn = Callable[[Iterable[str]], None]
"""Gets every token, so that it is masked wherever it appears."""
_REFUSED = (401, 403)


class UpstreamAuth(httpx2.Auth, ABC):
    """The login of one connection. A request that was refused for its login was not acted on: it may be sent again."""

    login = ""
    """Which login it is, as the ledger names it; "" while there is none."""

    @abstractmethod
    async def header(self) -> str:
        """Return the value of an `Authorization` header; "" to send none. Raises `LoginFailed`."""

    @abstractmethod
    async def again(self, sent: str, refusal: Refusal) -> str:
        """Return a header to send a refused request again with; "" if there is none. `sent` was its header."""

    @abstractmethod
    def advice(self, refusal: Refusal) -> str:
        """Return what a person can do about a refusal that stands."""

    @abstractmethod
    async def changed(self) -> None:
        """Wait until there may be another login than before."""

    async def async_auth_flow(self, request: httpx2.Request) -> AsyncGenerator[httpx2.Request, httpx2.Response]:
        """Send a request with the login, and once more with another if the server refuses it."""
        sent = await self.header()
        if sent:
            request.headers["Authorization"] = sent
        response = yield request
        if response.status_code in _REFUSED:
            again = await self.again(
                sent, refusal_of(response.status_code, response.headers.get("www-authenticate", ""))
            )
            if again:
                request.headers["Authorization"] = again
                yield request
