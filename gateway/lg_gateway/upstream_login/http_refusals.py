"""Remembers what a server over HTTP said when it refused requests for want of a login."""

from __future__ import annotations

from lg_gateway.upstream_login.challenges import Refusal, refusal_of

REMEMBERED = 1_000


class HttpRefusals:
    """The refusals of one connection: by the number of the request, and the last one of any request."""

    def __init__(self) -> None:
        self.last: Refusal | None = None
        self._by_number: dict[str | int, Refusal] = {}

    def note(self, number: str | int | None, status: int, header: str) -> None:
        """Take note of a 401 or 403."""
        self.last = refusal_of(status, header)
        if number is not None:
            self._by_number[number] = self.last
            if len(self._by_number) > REMEMBERED:
                del self._by_number[next(iter(self._by_number))]

    def forget(self, number: str | int | None) -> None:
        """Note that the server took a request after all, or in the end."""
        self.last = None
        if number is not None:
            self._by_number.pop(number, None)

    def of(self, number: str | int | None) -> Refusal | None:
        """Return what was said to one request."""
        return self._by_number.get(number) if number is not None else None
