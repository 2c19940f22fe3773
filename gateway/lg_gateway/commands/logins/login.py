"""`lg-gateway login`: a person logs in at a server, in the browser."""

from __future__ import annotations

import argparse
import os
import sys
import threading
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import anyio

from lg_gateway.commands.logins.chosen import chosen, record
from lg_gateway.commands.logins.pasting import finish_pasted
from lg_gateway.commands.terminal.output import complain, fail, say, say_whole, word
from lg_gateway.serving.logs import start_logging
from lg_gateway.serving.setup import GatewaySetup, prepare, user_name
from lg_policy.config.flags import common_flags
from lg_policy.errors import UsageError

if TYPE_CHECKING:
    from lg_gateway.upstream_login.login_spec import LoginSpec
    from lg_gateway.upstream_login.login_store import Login, LoginStore

LONGEST_S = 3_600.0


def run(args: argparse.Namespace) -> int:
    """`lg-gateway login [SERVER]`."""
    from lg_gateway.upstream_login.login_errors import LoginFailed
    from lg_gateway.upstream_login.login_store import LoginStore

    start_logging(args.log_level)
    setup = prepare(common_flags(args), mcp_json=args.mcp_json)
    store = LoginStore(setup.environ)
    if args.server is None:
        return _list(store)
    if not 0 < args.wait <= LONGEST_S:
        raise UsageError(f"--wait {args.wait:g} must be more than 0 and at most {LONGEST_S:g}")
    spec, holder = chosen(setup, args)
    try:
        login, place = anyio.run(_log_in, spec, holder, store, args)
    except LoginFailed as error:
        fail(f"not logged in at {word(spec.server)}: {error}")
        return 1
    _say_what_was_made(setup, login, place)
    return 0


async def _log_in(spec: LoginSpec, holder: str, store: LoginStore, args: argparse.Namespace) -> tuple[Login, str]:
    import webbrowser

    from lg_gateway.upstream_login.person_login import begin_login

    async with begin_login(spec, holder, store, scopes=tuple(args.scope)) as begun:
        complain(f"log in at {word(begun.issuer)} for server {word(spec.server)}, which is {word(spec.url)}")
        opens = not args.no_browser and not args.paste and _has_browser()
        complain("your browser opens this page; if it does not, open it yourself:" if opens else "open this page:")
        say_whole(begun.url)
        sys.stdout.flush()
        if opens:
            # Beside the login: some browsers run until they are closed.
            threading.Thread(target=webbrowser.open, args=(begun.url,), daemon=True).start()
        return await (finish_pasted(begun, args.wait) if args.paste else begun.finish(args.wait))


def _has_browser() -> bool:
    """Return whether a page opens beside this terminal. A browser of the terminal itself would take it over."""
    if os.environ.get("BROWSER") or sys.platform in ("win32", "darwin"):
        return True
    return bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))


def _say_what_was_made(setup: GatewaySetup, login: Login, place: str) -> None:
    from lg_gateway.upstream_login.login_store import login_id

    whose = f"for {word(login.holder)}" if login.holder else "for all callers"
    say(f"logged in at {word(login.server)} {whose}; the tokens are in {word(place)}")
    if not login.refresh:
        complain(f"the server gave no token to renew it with: it ends at {_day(login.ends)}")
    key = login_id(login.url, login.holder)
    detail = f"{login.server}: {login.holder or 'shared'} at {login.issuer}, {key[:8]}"
    record(setup, "logged in at a server", detail, f"local:{user_name()}")


def _list(store: LoginStore) -> int:
    found = [login for key in store.ids() if (login := store.read(key)) is not None]
    for login in found:
        holder = word(login.holder) if login.holder else "all callers"
        say(f"{word(login.server):<20}  {holder:<11}  {word(login.url)}  {_state(login)}")
    if not found:
        complain("no login; make one with `lg-gateway login SERVER`")
    return 0


def _state(login: Login) -> str:
    if login.ended:
        return f"over: {login.ended}"
    if login.refresh:
        return "renewed when needed"
    return f"{'ended' if login.ends < time.time() else 'until'} {_day(login.ends)}"


def _day(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
