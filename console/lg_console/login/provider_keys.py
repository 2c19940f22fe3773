"""The keys that an identity provider signs with, fetched within the limits of all requests to it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jwt
from httpx2 import HTTPError


class ProviderKeys(jwt.PyJWKClient):
    """PyJWT's cache of keys. Its own request has no limit of size, nor one of time for the whole answer."""

    def __init__(self, place: str, fetch: Callable[[], dict[str, Any]]) -> None:
        """`fetch` returns what the address of the keys answers with."""
        super().__init__(place)
        self._fetch = fetch

    def fetch_data(self) -> Any:
        """Return the set of keys. Raises `PyJWKClientConnectionError`."""
        try:
            return self._fetch()
        except (HTTPError, ValueError) as error:
            raise jwt.PyJWKClientConnectionError(str(error)) from error
