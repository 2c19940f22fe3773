"""Secrets out of text: known shapes and configured values become markers that can be recognised but not undone.

A marker is `[secret:<kind>:<hmac8>]`: the same secret gives the same marker under one key, so that a log stays
readable, and a call whose arguments contain a marker can be refused before a mask is written into a file.

Not covered: secrets of unknown shape, split over fields, or encoded.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Iterable, Mapping
from typing import Any

MARKER = re.compile(r"\[secret:[a-z0-9_]+:[0-9a-f]{8}\]")
MIN_SECRET = 6
"""Configured values shorter than this many characters are not masked: they would hit ordinary words."""

# Bounded repetition only: these run over untrusted text.
_SHAPES: tuple[tuple[str, str], ...] = (
    (
        "private_key",
        r"-----BEGIN [A-Z ]{0,20}PRIVATE KEY-----[A-Za-z0-9+/=\s:,-]{20,8000}?-----END [A-Z ]{0,20}PRIVATE KEY-----",
    ),
    ("gateway_token", r"\blg[to]_[0-9a-f]{12}_[A-Za-z0-9_-]{43}"),
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
    ("url_password", r"(?<=://)[^\s/:@]{1,200}:[^\s/@]{1,200}(?=@)"),
    ("bearer", r"(?i:(?<=bearer )[A-Za-z0-9._~+/-]{16,2000}=*)"),
)


class Masker:
    """Replaces secrets in text and JSON values. `key` makes the markers; `secrets` are configured values to hide."""

    def __init__(self, key: bytes, secrets: Iterable[str] = ()) -> None:
        self._key = key
        self._known: set[str] = set()
        self._pattern = re.compile("")
        self.learn(secrets)

    def learn(self, secrets: Iterable[str]) -> None:
        """Hide these values too, from now on. What was once a secret stays one."""
        self._known |= set(secrets)
        known = sorted({secret for secret in self._known if len(secret) >= MIN_SECRET}, key=len, reverse=True)
        shapes = [f"(?P<{kind}>{pattern})" for kind, pattern in _SHAPES]
        if known:
            shapes.insert(0, f"(?P<configured>{'|'.join(re.escape(secret) for secret in known)})")
        self._pattern = re.compile("|".join(shapes))

    def mask(self, text: str) -> str:
        """Return `text` with every known secret replaced by its marker."""
        return self._pattern.sub(self._marker, text)

    def mask_json(self, value: Any) -> Any:
        """Return a JSON value with the secrets in all its strings, keys included, replaced."""
        if isinstance(value, str):
            return self.mask(value)
        if isinstance(value, Mapping):
            return {self.mask(str(key)): self.mask_json(item) for key, item in value.items()}
        if isinstance(value, list | tuple):
            return [self.mask_json(item) for item in value]
        return value

    def _marker(self, match: re.Match[str]) -> str:
        kind = match.lastgroup or "secret"
        digest = hmac.new(self._key, match.group().encode("utf-8", "surrogatepass"), hashlib.sha256).hexdigest()[:8]
        return f"[secret:{kind}:{digest}]"


def find_marker(value: Any) -> str | None:
    """Return the first mask found in a JSON value, or `None`."""
    if isinstance(value, str):
        found = MARKER.search(value)
        return found.group() if found else None
    if isinstance(value, Mapping):
        value = [*value.keys(), *value.values()]
    if isinstance(value, list | tuple):
        return next((marker for item in value if (marker := find_marker(item)) is not None), None)
    return None
