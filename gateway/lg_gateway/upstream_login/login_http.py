"""Sends the requests of a login: each address is checked, each answer limited. What fails is `LoginFailed`."""

from __future__ import annotations

from lg_gateway.upstream_login.login_errors import LoginFailed
from lg_policy.outgoing.checked_http import CheckedHttp, RequestFailed, checked_url


class LoginHttp(CheckedHttp):
    """Requests for one login. `trusted` are the addresses from the settings: their networks may be asked."""

    failure = LoginFailed


def checked_address(url: str) -> str:
    """Return an address that a secret may travel to. Raises `LoginFailed` for any other."""
    try:
        return checked_url(url)
    except RequestFailed as error:
        raise LoginFailed(str(error)) from None
