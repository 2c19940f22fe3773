"""Turns a server and its URI into the one address that clients use, and back. Pure.

    fx, test://a        <->  fx+test://a
    fx, ui://app/x      <->  ui://fx/app/x          ui and skill keep their scheme: hosts look at it
    Big_1, test://a     <->  x...big.-1+test://a    schemes know no capitals and no `_`

`Addresses.own(Addresses.public(server, uri))` is `(server, uri)` for every text, so addresses of different servers
never meet. A server with `naming = "none"` keeps its URIs as they are, if it is the first such server by name and the
URI does not read as another server's address.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

KEPT_SCHEMES = ("ui://", "skill://")
_AWKWARD_START = "x.."
_BEGINNING = re.compile(r"([A-Za-z0-9.-]{1,100})\+(.*)", re.DOTALL)


class Addresses:
    """The addresses of a set of servers. `bare` names those with `naming = "none"`, first the one that is favoured."""

    def __init__(self, servers: Iterable[str], bare: Iterable[str] = ()) -> None:
        self._servers = {scheme_of(server): server for server in servers}
        self._bare = next(iter(bare), None)

    def public(self, server: str, uri: str) -> str:
        """Return the address of a server's URI, or of a template of URIs, which is a text like any other."""
        if server == self._bare and self._prefixed(uri) is None:
            return uri
        return qualified(server, uri)

    def own(self, address: str) -> tuple[str, str] | None:
        """Return the server and its URI; `None` for what is no server's address."""
        found = self._prefixed(address)
        if found is not None:
            return found
        return (self._bare, address) if self._bare is not None else None

    def _prefixed(self, address: str) -> tuple[str, str] | None:
        for scheme in KEPT_SCHEMES:
            if address.startswith(scheme):
                name, slash, rest = address[len(scheme) :].partition("/")
                server = self._servers.get(name.lower()) if slash else None
                return (server, scheme + rest) if server is not None else None
        found = _BEGINNING.match(address)
        server = self._servers.get(found.group(1).lower()) if found is not None else None
        if found is None or server is None or found.group(2).startswith(KEPT_SCHEMES):
            return None
        return server, found.group(2)


def qualified(server: str, uri: str) -> str:
    """Return the address with the server's name in it: the form that rules and records use."""
    for scheme in KEPT_SCHEMES:
        if uri.startswith(scheme):
            return f"{scheme}{scheme_of(server)}/{uri[len(scheme) :]}"
    return f"{scheme_of(server)}+{uri}"


def scheme_of(server: str) -> str:
    """Return a server's name as the beginning of a URI scheme. Different names give different schemes."""
    name = "".join(f".{letter.lower()}" if letter.isupper() else ".-" if letter == "_" else letter for letter in server)
    return name if "a" <= name[:1] <= "z" else _AWKWARD_START + name
