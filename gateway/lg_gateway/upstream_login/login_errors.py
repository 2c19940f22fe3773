"""The ways in which a login at a server fails. No message holds a secret."""

from __future__ import annotations

from collections.abc import Iterable

from lg_policy.errors import UpstreamUnavailable


class LoginFailed(Exception):
    """There is no token; the message says why and holds no secret."""


class TokenRefused(LoginFailed):
    """The authorization server looked at the request and said no. `code` is its `error`, such as `invalid_grant`."""

    def __init__(self, message: str, code: str) -> None:
        super().__init__(message)
        self.code = code


class LoginRequired(UpstreamUnavailable):
    """The server wants a login that this caller does not have, or wants one with more scopes. It did nothing."""

    def __init__(self, message: str, *, hint: str = "", server: str, scopes: Iterable[str] = ()) -> None:
        super().__init__(message, hint=hint)
        self.server = server
        self.scopes = tuple(scopes)
