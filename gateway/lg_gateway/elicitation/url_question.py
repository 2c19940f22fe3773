"""Checks the address of a page that a server wants opened, and names its host. The gateway never opens it. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from urllib.parse import urlsplit

import mcp_types as t

from lg_gateway.elicitation.refusals import Refused
from lg_policy.printing import visible

URL_CHARACTERS = 2_000
HOST_CHARACTERS = 253
"""Of a name in the DNS. All of it is shown: who owns a host stands at its end."""
_HOST = re.compile(r"[a-z0-9_.:-]+")
PAGES = 5
"""Pages that one refused call may want opened."""


def host_of(url: str) -> str:
    """Return the host of an address that can be shown as what it is. Raises `Refused` for any other."""
    if len(url) > URL_CHARACTERS:
        raise Refused(f"the address of its page has more than {URL_CHARACTERS} characters")
    if not url.isascii() or visible(url) != url or " " in url or "\\" in url:
        raise Refused("the address of its page has characters that do not show as what they are")
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        raise Refused("the address of its page is not a URL") from None
    if parts.scheme not in ("http", "https") or not host:
        raise Refused("the address of its page does not begin with https:// or http:// and a host")
    if _HOST.fullmatch(host) is None:
        raise Refused("the host of its page has characters that a browser reads otherwise")
    if len(host) > HOST_CHARACTERS:
        raise Refused(f"the host of its page has more than {HOST_CHARACTERS} characters")
    if parts.username is not None or parts.password is not None:
        raise Refused("the address of its page has a user name in it, which hides the host")
    return host


def wanted_pages(error: t.ErrorData) -> dict[str, t.ElicitRequest]:
    """Return the pages that a 2025 server wants opened before it takes a call (-32042), by the server's own ids."""
    data = error.data
    listed = data.get("elicitations") if isinstance(data, Mapping) else None
    if error.code != t.URL_ELICITATION_REQUIRED or not isinstance(listed, list):
        return {}
    found: dict[str, t.ElicitRequest] = {}
    for page in listed[:PAGES]:
        url, message = (page.get(key) for key in ("url", "message")) if isinstance(page, Mapping) else (None, None)
        if not isinstance(url, str):
            continue
        theirs = str(page.get("elicitationId") or len(found))[:200]
        params = t.ElicitRequestURLParams(
            message=message if isinstance(message, str) else "", url=url, elicitation_id=theirs
        )
        found[theirs] = t.ElicitRequest(params=params)
    return found
