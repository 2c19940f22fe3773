"""The documents and keys of one issuer of tokens, fetched from a thread, within the limits of `CheckedHttp`."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any
from urllib.parse import urlencode

import jwt

from lg_policy.outgoing.checked_http import Answered, CheckedHttp, RequestFailed, shown
from lg_policy.outgoing.proxies import Proxies

FAILED_S = 5.0
"""How long nobody asks for keys again after that failed. A request with an unknown token costs no more than that."""
_OK = 200


class IssuerRequests:
    """Requests to an issuer. They block, so a thread without an event loop makes them.

    `trusted` are its addresses in the settings. Others that it names must be on the same network or a public one.
    """

    def __init__(self, trusted: Iterable[str], timeout_s: float, proxies: Proxies | None = None) -> None:
        self._http = CheckedHttp(trusted, deadline_s=timeout_s, proxies=proxies)

    def get(self, url: str) -> Answered:
        """Fetch a document, whatever its status. Raises `RequestFailed`."""
        return asyncio.run(self._http.get(url))

    def document(self, url: str) -> Mapping[str, Any]:
        """Fetch a JSON object. Raises `RequestFailed`."""
        return _object(self.get(url), url)

    def post(self, url: str, form: Mapping[str, str], headers: Mapping[str, str]) -> Mapping[str, Any]:
        """Send a form, and return the JSON object of the answer. Raises `RequestFailed`."""
        sent = {"Content-Type": "application/x-www-form-urlencoded", **headers}
        return _object(asyncio.run(self._http.post(url, urlencode(form).encode("ascii"), sent)), url)


class IssuerKeys(jwt.PyJWKClient):
    """PyJWT's cache of keys. Its own request has no limit of size, of time for the whole answer, or of address."""

    def __init__(
        self,
        url: str,
        requests: IssuerRequests,
        *,
        lifespan: float = 300,
        cooldown: float = 30,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(url, lifespan=lifespan, cooldown_duration=cooldown)
        self._requests = requests
        self._clock = clock
        self._failed: tuple[float, str] | None = None

    def fetch_data(self) -> Any:
        """Return the set of keys. Raises `PyJWKClientConnectionError`."""
        if self._failed is not None and self._clock() - self._failed[0] < FAILED_S:
            raise jwt.PyJWKClientConnectionError(self._failed[1])
        try:
            found = self._requests.document(self.uri)
        except RequestFailed as error:
            self._failed = (self._clock(), str(error))
            raise jwt.PyJWKClientConnectionError(str(error)) from error
        self._failed = None
        self._last_successful_fetch = time.monotonic()  # PyJWT notes it in the method that this one replaces
        return found


def _object(answer: Answered, url: str) -> Mapping[str, Any]:
    if answer.status != _OK or answer.body is None:
        said = f"it answered {answer.status}" if answer.status != _OK else "its answer is no JSON object"
        raise RequestFailed(f"{shown(url)} cannot be used: {said}")
    return answer.body
