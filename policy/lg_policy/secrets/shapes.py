"""What secrets look like: expressions with the kind that a mask names. Ours, and those of detect-secrets.

All run on RE2, in time linear in the text. Where an expression has a group as long as a secret, that is the secret, and
what is around it stays. Private keys span several lines and have a module of their own, `private_keys`.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from lg_policy.errors import ConfigError
from lg_policy.quick_imports import put_off

log = logging.getLogger(__name__)

_KIND = re.compile(r"[a-z0-9_]{1,40}")
# RE2 has no look-around. What stands before a secret becomes part of the match, which its group leaves out again; what
# must not follow is left out, and the repetition before it takes all there is.
_START_OR_SIGN = r"(?:(?<=\W)|(?<=^))"
_NOT_FOLLOWED = re.compile(r"\{(\d+)(?:,\d+)?\}\(\?!(?:[^()\\]|\\.)*\)")
_MANY = re.compile(r"\{(\d+),(\d{3,})\}")
# A password in a URL: what RFC 3986 allows there, without quotation marks, brackets and other signs of program text.
_WORD = r"A-Za-z0-9._~%+!*^,=#$\x{80}-\x{10FFFF}-"


@dataclass(frozen=True)
class Shape:
    """One expression for RE2."""

    kind: str
    expression: str
    exact: int | None = None
    """The length that the group must have, where what follows it must not go on."""
    own_words: bool = False
    """Whether a user wrote it: then all of its match is secret, whatever that holds."""
    names_secret: bool = False
    """Whether the first group is the secret, however short it is."""

    @cached_property
    def compiled(self) -> Any:
        """Return the expression for RE2, over UTF-8. Raises `re2.error`."""
        import re2

        options = re2.Options()
        options.log_errors = False
        return re2.compile(self.expression.encode(), options)


_NAMED = frozenset({"url_password", "bearer", "npm"})
OWN = tuple(
    Shape(kind, expression, names_secret=kind in _NAMED)
    for kind, expression in (
        ("github_token", r"\b(?:gh[opusr]_[A-Za-z0-9]{36,}|github_pat_[A-Za-z0-9_]{22,})"),
        ("gitlab_token", r"\bglpat-[A-Za-z0-9_-]{20,}"),
        ("aws_access_key", r"\b(?:AKIA|ASIA)[0-9A-Z]{16}\b"),
        ("slack_token", r"\bxox[abeoprs]-[A-Za-z0-9-]{10,}"),
        ("anthropic_key", r"\bsk-ant-[A-Za-z0-9_-]{20,}"),
        ("openai_key", r"\bsk-(?:proj-|svcacct-)?[A-Za-z0-9_-]{32,}"),
        ("google_key", r"\bAIza[0-9A-Za-z_-]{35}"),
        ("stripe_key", r"\b[rs]k_(?:live|test)_[0-9A-Za-z]{16,}"),
        ("npm_token", r"\bnpm_[A-Za-z0-9]{36}\b"),
        ("npm", r":_(?:authToken|auth|password)[ \t]*=[ \t]*([A-Za-z0-9._~+/-]{16,}={0,2})"),
        ("pypi_token", r"\bpypi-[A-Za-z0-9_-]{50,}"),
        ("jwt", r"\beyJ[A-Za-z0-9_-]{10,}\.eyJ[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{10,}"),
        # Whole ones also where they are glued to a word, as in the name of a tool.
        ("gateway_token", r"\blg[to]_[A-Za-z0-9]{4,40}_[A-Za-z0-9_-]{16,}|lg[to]_[0-9a-f]{12}_[A-Za-z0-9_-]{40,}"),
        ("url_password", rf"://([{_WORD}]*:[:{_WORD}]+)@"),
        ("bearer", r"(?i:\bbearer) ([A-Za-z0-9][A-Za-z0-9._~+/-]{15,}=*)"),
    )
)
# Of the library: those that we do not have, but for three that hit ordinary text too often (addresses, `AP…` words,
# passwords in URLs without a scheme), one that only sees the first line of a key, and one that takes all that follows.
_NOT_USED = ("artifactory", "basic_auth", "ip_public", "jwt", "npm", "private_key")


def own_shapes(patterns: Mapping[str, str]) -> list[Shape]:
    """Return shapes from the settings. Raises `ConfigError` for one that RE2 does not take."""
    import re2

    shapes = []
    for kind, pattern in patterns.items():
        where = f"gateway.secret_patterns.{kind}"
        if not _KIND.fullmatch(kind):
            raise ConfigError(f"{where}: {kind!r} is not a kind", hint="use 1 to 40 of a-z, 0-9 and _")
        shape = Shape(kind, pattern, own_words=True)
        try:
            empty = shape.compiled.search(b"") is not None
        except re2.error as error:
            raise ConfigError(
                f"{where}: {pattern!r} is not a regular expression that RE2 can run: {error}",
                hint="RE2 has no look-around and no back-references",
            ) from error
        if empty:
            raise ConfigError(f"{where}: {pattern!r} matches an empty text", hint="require at least one character")
        shapes.append(shape)
    return shapes


def library_shapes() -> list[Shape]:
    """Return the expressions of detect-secrets. The import takes a tenth of a second; it reads no network."""
    import re2

    # The library can ask issuers whether a secret is valid, and scan files in processes of its own. Neither is done
    # here, and what it needs for that takes 9 and 2 MB.
    with put_off("requests", Response=object), put_off("multiprocessing"):
        from detect_secrets.core.plugins.util import get_mapping_from_secret_type_to_class
        from detect_secrets.plugins.base import RegexBasedDetector

        plugins: dict[str, Any] = get_mapping_from_secret_type_to_class()
    shapes = []
    for plugin in plugins.values():
        kind = plugin.__module__.rpartition(".")[2]
        if not issubclass(plugin, RegexBasedDetector) or kind in _NOT_USED:
            continue
        for pattern in plugin().denylist:
            shape = _converted(kind, pattern)
            try:
                shape.compiled.search(b"")
            except re2.error as error:
                log.warning("a shape of detect-secrets (%s) does not run on RE2 and is left out: %s", kind, error)
                continue
            shapes.append(shape)
    return shapes


def _converted(kind: str, pattern: re.Pattern[str]) -> Shape:
    """Return an expression of the library for RE2. Classes of letters, digits and spaces mean ASCII there."""
    text = pattern.pattern.replace(_START_OR_SIGN, r"(?:^|\W)")
    followed = _NOT_FOLLOWED.search(text)
    in_group = followed is not None and text[followed.end() :].startswith(")")
    exact = int(followed[1]) if followed is not None and in_group else None
    text = _MANY.sub(r"{\1,}", _NOT_FOLLOWED.sub(r"{\1,}", text))
    flags = "".join(sign for sign, flag in (("i", re.IGNORECASE), ("m", re.MULTILINE)) if pattern.flags & flag)
    return Shape(kind, f"(?{flags}:{text})" if flags else text, exact)
