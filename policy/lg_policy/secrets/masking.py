"""Secrets out of text: known shapes and configured values become markers that can be recognised but not undone.

A marker is `[secret:<kind>:<hmac8>]`: the same secret gives the same marker under one key, so that a log stays
readable, and a call whose arguments contain a marker can be refused before a mask is written into a file.

Shapes are our own and those of detect-secrets. A text is first tried against all of them at once, in linear time; only
shapes that occur are then looked for with the rules' own expressions.

Not covered: secrets of unknown shape, split over fields, or encoded.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any

from lg_policy.secrets.shapes import OWN, Shape, library_shapes, own_shapes

MARKER = re.compile(r"\[secret:[a-z0-9_]+:[0-9a-f]{8}\]")
MIN_SECRET = 6
"""Configured values shorter than this many characters are not masked: they would hit ordinary words."""
GROUP_LENGTH = 16
"""A shorter group of an expression is not the secret but a part of it."""
# No shape of the library is shorter: texts without such a run need not wait for it to be loaded.
_LONG_RUN = re.compile(r"[A-Za-z0-9+/=_-]{20}")


class Masker:
    """Replaces secrets in text and JSON values. `key` makes the markers; `secrets` are configured values to hide.

    `patterns` are further shapes, kind to expression.
    """

    def __init__(self, key: bytes, secrets: Iterable[str] = (), patterns: Mapping[str, str] | None = None) -> None:
        """Raises `ConfigError` for a pattern that is none."""
        self._key = key
        self._patterns: dict[str, str] = {}
        self._known: set[str] = set()
        self._own = Sieve(OWN)
        self.learn(secrets, patterns)
        self._library: Sieve | None = None
        self._loading = threading.Lock()

    def learn(self, secrets: Iterable[str], patterns: Mapping[str, str] | None = None) -> None:
        """Hide these too, from now on. What was once a secret stays one. Raises `ConfigError` like the constructor."""
        shapes = own_shapes({**self._patterns, **(patterns or {})})
        self._patterns |= patterns or {}
        self._known |= {secret for secret in secrets if len(secret) >= MIN_SECRET}
        known = "|".join(re.escape(secret) for secret in sorted(self._known, key=len, reverse=True))
        configured = [Shape("configured", re.compile(known))] if known else []
        self._own = Sieve([*configured, *shapes, *OWN])

    def load(self) -> None:
        """Load the library's rules now, which takes a tenth of a second, rather than when first needed."""
        with self._loading:
            if self._library is None:
                self._library = Sieve(library_shapes())

    def mask(self, text: str) -> str:
        """Return `text` with every known secret replaced by its marker."""
        text = self._own.replace(text, self._marker)
        if _LONG_RUN.search(text) is None:
            return text
        if self._library is None:
            self.load()
        return self._library.replace(text, self._marker) if self._library is not None else text

    def mask_json(self, value: Any) -> Any:
        """Return a JSON value with the secrets in all its strings, keys included, replaced."""
        if isinstance(value, str):
            return self.mask(value)
        if isinstance(value, Mapping):
            return {self.mask(str(key)): self.mask_json(item) for key, item in value.items()}
        if isinstance(value, list | tuple):
            return [self.mask_json(item) for item in value]
        return value

    def _marker(self, kind: str, match: re.Match[str]) -> str:
        """Replace what a shape calls the secret itself, or all of it; a mask is not masked again."""
        whole, at = match.group(), match.start()
        if MARKER.search(whole):
            return whole
        group = match.lastindex or 0
        start, end = match.span(group if len(match.group(group)) >= GROUP_LENGTH else 0)
        secret = match.string[start:end]
        digest = hmac.new(self._key, secret.encode("utf-8", "surrogatepass"), hashlib.sha256).hexdigest()[:8]
        return f"{whole[: start - at]}[secret:{kind}:{digest}]{whole[end - at :]}"


class Sieve:
    """Finds which of many shapes a text may hold in one pass, and replaces those."""

    def __init__(self, shapes: Sequence[Shape]) -> None:
        self._shapes = shapes
        self._set: Any = None

    def replace(self, text: str, marker: Callable[[str, re.Match[str]], str]) -> str:
        """Return `text` with what `marker` gives for the kind and place of each secret."""
        for number in self.candidates(text):
            shape = self._shapes[number]
            text = shape.pattern.sub(partial(marker, shape.kind), text)
        return text

    def candidates(self, text: str) -> list[int]:
        """Return the numbers of the shapes that may occur: all that do, and maybe some that do not."""
        if self._set is None:
            self._set = self._compiled()
        return sorted(self._set.Match(text.encode("utf-8", "surrogatepass")) or ())

    def _compiled(self) -> Any:
        import re2

        options = re2.Options()
        options.log_errors = False
        options.max_mem = 64 << 20
        made = re2.Set.SearchSet(options)
        for shape in self._shapes:
            made.Add(shape.sieve())
        made.Compile()
        return made


def find_marker(value: Any) -> str | None:
    """Return the first mask found in a JSON value, or `None`."""
    if isinstance(value, str):
        found = MARKER.search(value) if "[secret:" in value else None
        return found.group() if found else None
    if isinstance(value, Mapping):
        value = [*value.keys(), *value.values()]
    if isinstance(value, list | tuple):
        return next((marker for item in value if (marker := find_marker(item)) is not None), None)
    return None
