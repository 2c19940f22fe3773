"""What secrets look like: expressions with the kind that a mask names. Ours, and those of detect-secrets.

Where an expression has a group as long as a secret, that is the secret, and what is around it stays.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from lg_policy.errors import ConfigError

_MUST_STAND_BESIDE = re.compile(r"\(\?<?=((?:[^()\\]|\\.)*)\)")
_MUST_NOT = re.compile(r"\(\?<?!(?:[^()\\]|\\.)*\)")
_PEM = r"[A-Z0-9 ]{0,30}PRIVATE KEY(?: BLOCK)?-----"
_KIND = re.compile(r"[a-z0-9_]{1,40}")
_REPEATS = re.compile(r"\{(\d+),(\d{4,})\}")


@dataclass(frozen=True)
class Shape:
    """One expression. It runs over untrusted text, so ours repeat within bounds only."""

    kind: str
    pattern: re.Pattern[str]

    def sieve(self) -> str:
        """Return the expression for RE2, which has no look-around: it matches at least where `pattern` does."""
        text = _MUST_STAND_BESIDE.sub(r"(?:\1)", _MUST_NOT.sub("", self.pattern.pattern))
        text = _REPEATS.sub(r"{\1,}", text)
        return f"(?i:{text})" if self.pattern.flags & re.IGNORECASE else text


OWN = tuple(
    Shape(kind, re.compile(pattern, re.ASCII))
    for kind, pattern in (
        ("private_key", rf"-----BEGIN {_PEM}[A-Za-z0-9+/=\s:,.()-]{{20,8000}}?-----END {_PEM}"),
        ("github_token", r"\b(?:ghp|gho|ghu|ghs|ghr)_[A-Za-z0-9]{36,255}\b|\bgithub_pat_[A-Za-z0-9_]{22,255}\b"),
        ("gitlab_token", r"\bglpat-[A-Za-z0-9_-]{20,64}\b"),
        ("aws_access_key", r"\b(?:AKIA|ASIA)[0-9A-Z]{16}\b"),
        ("slack_token", r"\bxox[abeoprs]-[A-Za-z0-9-]{10,250}\b"),
        ("anthropic_key", r"\bsk-ant-[A-Za-z0-9_-]{20,200}\b"),
        ("openai_key", r"\bsk-(?:proj-|svcacct-)?[A-Za-z0-9_-]{32,200}\b"),
        ("google_key", r"\bAIza[0-9A-Za-z_-]{35}\b"),
        ("stripe_key", r"\b[rs]k_(?:live|test)_[0-9A-Za-z]{16,200}\b"),
        ("npm_token", r"\bnpm_[A-Za-z0-9]{36}\b"),
        ("pypi_token", r"\bpypi-[A-Za-z0-9_-]{50,400}\b"),
        ("jwt", r"\beyJ[A-Za-z0-9_-]{10,2000}\.eyJ[A-Za-z0-9_-]{10,4000}\.[A-Za-z0-9_-]{10,1000}\b"),
        ("gateway_token", r"\blg[to]_[A-Za-z0-9]{4,40}_[A-Za-z0-9_-]{16,200}"),
        ("url_password", r"(?<=://)[^\s/:@]{1,200}:[^\s/@]{1,200}(?=@)"),
        ("bearer", r"(?i:(?<=bearer )[A-Za-z0-9._~+/-]{16,2000}=*)"),
    )
)
# Of the library: those that we do not have, but for three that hit ordinary text too often (addresses, `AP…` words,
# passwords in URLs without a scheme) and those that only see the first line of a key.
_NOT_USED = ("artifactory", "basic_auth", "ip_public", "jwt", "private_key")


def own_shapes(patterns: Mapping[str, str]) -> list[Shape]:
    """Return shapes from the settings. Raises `ConfigError` for one that RE2 or Python does not take."""
    shapes = []
    for kind, pattern in patterns.items():
        where = f"gateway.secret_patterns.{kind}"
        if not _KIND.fullmatch(kind):
            raise ConfigError(f"{where}: a kind is 1 to 40 of a-z 0-9 _")
        try:
            shape = Shape(kind, re.compile(pattern, re.ASCII))
        except re.error as error:
            raise ConfigError(f"{where}: {pattern!r} is no regular expression: {error}") from error
        if not takes(shape) or shape.pattern.search(""):
            raise ConfigError(f"{where}: {pattern!r} must be an expression for RE2 that does not match an empty text")
        shapes.append(shape)
    return shapes


def takes(shape: Shape) -> bool:
    """Whether RE2 compiles the expression as it stands."""
    import re2

    options = re2.Options()
    options.log_errors = False
    try:
        re2.compile(shape.pattern.pattern, options)
    except re2.error:
        return False
    return True


def _ascii(pattern: re.Pattern[str]) -> re.Pattern[str]:
    """Classes of letters, digits and spaces mean ASCII, as they do on RE2."""
    return re.compile(pattern.pattern, (pattern.flags & ~re.UNICODE) | re.ASCII)


def library_shapes() -> list[Shape]:
    """Return the expressions of detect-secrets. The import takes a tenth of a second; it reads no network."""
    from detect_secrets.core.plugins.util import get_mapping_from_secret_type_to_class
    from detect_secrets.plugins.base import RegexBasedDetector

    shapes = []
    plugins: dict[str, Any] = get_mapping_from_secret_type_to_class()
    for plugin in plugins.values():
        kind = plugin.__module__.rpartition(".")[2]
        if issubclass(plugin, RegexBasedDetector) and kind not in _NOT_USED:
            shapes += [Shape(kind, _ascii(pattern)) for pattern in plugin().denylist]
    return shapes
