"""Logging in with an identity provider: to it, and back.

Browsers send no cookie that is `SameSite=Strict` with a request that the provider caused. So the login's own cookie is
`Lax` and lasts minutes, and the answer is a page that goes on by itself: the session's cookie stays `Strict`.
"""

from __future__ import annotations

import hmac
import json
import time
from hashlib import sha256
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from starlette.responses import RedirectResponse
from starlette.routing import Route

from lg_console.login.begun_logins import BegunLogins
from lg_console.login.guard import check_site, cookie_name, is_plain, set_cookie
from lg_console.login.oidc import BegunLogin
from lg_console.pages.login import going_on_page, safe_following
from lg_console.web.answers import HEADERS, STATUS, page
from lg_console.web.layout import message_page
from lg_policy.errors import LgError, NotFound, PolicyDenied

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from starlette.requests import Request
    from starlette.responses import Response

    from lg_console.login.oidc import ProviderLogin
    from lg_console.web.console import Console

LOGIN_S = 300.0
CALLBACK = "/login/callback"


def provider_routes(console: Console) -> list[Route]:
    """Return the routes. They are there without a provider too: the settings may name one while the console runs."""
    begun_logins = BegunLogins()

    async def begin(request: Request) -> Response:
        check_site(request)
        provider = _provider(console)
        begun_logins.begin(_address(request))
        begun = BegunLogin.new()
        place = await provider.address_of(begun, _callback(request, provider))
        ends = time.time() + LOGIN_S
        row = {"nonce": begun.nonce, "verifier": begun.verifier, "cookie": _digest(begun.cookie), "ends": ends}
        row |= {"next": safe_following(request.query_params.get("next", ""))}
        await console.store.write(_key(begun.state), json.dumps(row), ends)
        answer = RedirectResponse(place, status_code=303, headers=HEADERS)
        answer.set_cookie(
            _cookie(request), begun.cookie, max_age=int(LOGIN_S), path="/", secure=not is_plain(request), httponly=True,
            samesite="lax",
        )  # fmt: skip
        return answer

    async def back(request: Request) -> Response:
        check_site(request)
        provider = _provider(console)
        given = {name: value[:4_000] for name, value in request.query_params.items()}
        state = given.get("state", "")
        text = await console.store.take(_key(state)) if state else None
        row = json.loads(text) if text is not None else {}
        cookie = _digest(request.cookies.get(_cookie(request), ""))
        if not row or time.time() >= row["ends"] or not hmac.compare_digest(row["cookie"], cookie):
            raise PolicyDenied("this login was not begun in this browser, or is over", hint="log in again")
        begun = BegunLogin(state=state, nonce=row["nonce"], verifier=row["verifier"], cookie="")
        try:
            person = await provider.person(begun, given, _callback(request, provider))
        except PolicyDenied as error:
            await console.people.note("console login refused", "nobody", error.message)
            raise
        begun_logins.succeeded(_address(request))
        made = await console.sessions.begin(person)
        await console.people.note("console login", person.name, f"by the identity provider, as {person.role}")
        answer = page(going_on_page(made.action_key, row["next"]))
        set_cookie(answer, request, made.cookie)
        answer.delete_cookie(_cookie(request), path="/", secure=not is_plain(request), httponly=True, samesite="lax")
        return answer

    return [
        Route("/login/provider", _shown(begin), methods=["GET"]),
        Route(CALLBACK, _shown(back), methods=["GET"]),
    ]


def _provider(console: Console) -> ProviderLogin:
    provider = console.provider
    if provider is None:
        raise NotFound("nobody logs in here with an identity provider", hint="log in with a link or a token")
    return provider


def _address(request: Request) -> str:
    return request.client.host if request.client is not None else ""


def _shown(handle: Callable[[Request], Awaitable[Response]]) -> Callable[[Request], Awaitable[Response]]:
    """Return a handler whose refusals are pages."""

    async def answer(request: Request) -> Response:
        try:
            return await handle(request)
        except LgError as error:
            return page(message_page(error.message, error.hint), STATUS.get(error.code, 500))

    return answer


def _callback(request: Request, provider: ProviderLogin) -> str:
    if provider.address is not None:
        return provider.address.rstrip("/") + CALLBACK
    parts = urlsplit(str(request.url))
    return f"{parts.scheme}://{parts.netloc}{CALLBACK}"


def _cookie(request: Request) -> str:
    return f"{cookie_name(request)}-login"


def _key(state: str) -> str:
    return f"login {_digest(state)}"


def _digest(secret: str) -> str:
    return sha256(secret.encode("utf-8", "surrogateescape")).hexdigest()
