"""Reads `WWW-Authenticate`: what a server that refuses a request says about the login it wants. Pure, in linear time.

Source: RFC 9110, section 11; RFC 6750, section 3; RFC 9728, section 5.1.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from lg_policy.limits import cut_at_word
from lg_policy.printing import visible

HEADER_CHARACTERS = 8_000
SHOWN_CHARACTERS = 300
SCOPES = 100
_PIECE = re.compile(r'\s*(?:,|([!#$%&\'*+.^_`|~0-9A-Za-z-]+)(\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s,"]*)))?)')
_ESCAPED = re.compile(r"\\(.)")
_BEARER = re.compile(r"(?i)\Abearer (.*)\Z", re.DOTALL)
"""In brackets, since what follows `Bearer` is masked as a token."""
_SCOPE = re.compile(r"[\x21\x23-\x5b\x5d-\x7e]{1,200}")
_UNAUTHORIZED, _FORBIDDEN = 401, 403


@dataclass(frozen=True, kw_only=True)
class Challenge:
    """The parameters of a `Bearer` challenge. All of it is the server's text."""

    resource_metadata: str = ""
    scopes: tuple[str, ...] = ()
    error: str = ""


@dataclass(frozen=True, kw_only=True)
class Refusal:
    """An answer that refuses a request for want of a login, or for want of a better one."""

    status: int
    header: str = ""
    challenge: Challenge = field(default_factory=Challenge)

    @property
    def wants_more_scopes(self) -> bool:
        """Whether the login is good, but not for this request."""
        return self.status == _FORBIDDEN and self.challenge.error == "insufficient_scope"

    @property
    def is_about_a_login(self) -> bool:
        """Whether a login, or another one, may help."""
        return self.status == _UNAUTHORIZED or self.wants_more_scopes

    def text(self) -> str:
        """Return the status and the header, as a person may see them."""
        words = "Unauthorized" if self.status == _UNAUTHORIZED else "Forbidden"
        shown = _BEARER.sub(r"Bearer (\1)", visible(cut_at_word(self.header.strip(), SHOWN_CHARACTERS)))
        return f"HTTP {self.status} {words}" + (f", WWW-Authenticate: {shown}" if shown else "")


def refusal_of(status: int, header: str) -> Refusal:
    """Return what a 401 or 403 says."""
    header = header[:HEADER_CHARACTERS]
    return Refusal(status=status, header=header, challenge=bearer_challenge(header))


def bearer_challenge(header: str) -> Challenge:
    """Return the parameters of the first `Bearer` challenge; of none, an empty one."""
    found: dict[str, str] = {}
    inside = seen = False
    at, header = 0, header[:HEADER_CHARACTERS]
    while at < len(header):
        piece = _PIECE.match(header, at)
        if piece is None:
            break
        at = piece.end()
        name, assigned = piece[1], piece[2]
        if name and not assigned:  # a scheme, or the token of one that has no parameters
            inside = name.lower() == "bearer" and not seen
            seen = seen or inside
        elif name and inside:
            value = _ESCAPED.sub(r"\1", piece[3]) if piece[3] is not None else piece[4]
            found.setdefault(name.lower(), value)
    return _challenge(found)


def _challenge(found: Mapping[str, str]) -> Challenge:
    return Challenge(
        resource_metadata=found.get("resource_metadata", ""),
        scopes=scopes_of(found.get("scope", "")),
        error=found.get("error", ""),
    )


def scopes_of(text: object) -> tuple[str, ...]:
    """Return the scopes in a text of a server, each once. What is no scope (RFC 6749, section 3.3) is left out."""
    words = text.split() if isinstance(text, str) else text if isinstance(text, list) else []
    good = (word for word in words[:SCOPES] if isinstance(word, str) and _SCOPE.fullmatch(word))
    return tuple(dict.fromkeys(good))
