"""The page of the login. Its script takes the secret out of the address before anything else."""

from __future__ import annotations

from urllib.parse import quote

from lg_console.markup.elements import Child, is_own_address, tag
from lg_console.web.console import Console
from lg_console.web.layout import bare_page


def safe_following(following: str) -> str:
    """Return where to go after the login: a path of this console, else its start."""
    return following if following.startswith("/") and is_own_address(following) else "/"


def going_on_page(action_key: str, following: str) -> str:
    """Return the page after a provider's answer: it keeps the action key and goes on by itself."""
    return bare_page(
        "Logged in",
        "login.js",
        tag("h1", "Logged in"),
        tag("p", tag("a", "Go on", href=following), id="going-on", data_key=action_key, data_next=following),
    )


def login_page(console: Console, following: str) -> str:
    """Return the page. `following` is where to go afterwards; only a path of this console counts."""
    safe = safe_following(following)
    by_provider = None
    if console.provider is not None:
        by_provider = tag(
            "p",
            tag("a", "Log in with your organisation", href=f"/login/provider?next={quote(safe)}", class_="button"),
        )
    return bare_page(
        f"Log in · {console.name}",
        "login.js",
        tag("h1", console.name),
        tag("p", "", id="message", role="status"),
        by_provider,
        tag(
            "form",
            tag("label", "Token", for_="token"),
            tag("input", id="token", name="token", type="password", autocomplete="off", required=True),
            tag("button", "Log in", type="submit", class_="primary"),
            tag("p", *_ways_in(console), class_="note"),
            id="login",
            data_next=safe,
        ),
    )


def _ways_in(console: Console) -> tuple[Child, ...]:
    program, who = ("lg-gateway", " An agent's token cannot log in.")
    if console.sources.runs is not None:
        program, who = ("lg-orch", "")
    return (
        "At this machine, run ",
        tag("code", "lg-gateway console"),
        " in a terminal: it shows a link that logs you in. Elsewhere, make a token with ",
        tag("code", f"{program} tokens create NAME --role operator"),
        f".{who}",
    )
