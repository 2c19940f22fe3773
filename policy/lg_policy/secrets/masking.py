"""Secrets out of text: known shapes and configured values become markers that can be recognised but not undone.

A marker is `[secret:<kind>:<hmac8>]`. The same secret gives the same marker under one key, so that a log stays
readable. A call whose arguments contain a marker can be refused, so that a mask is never written into a file.

`Masker.mask` replaces the secrets; `Masker.spans` says where they lie and changes nothing, for a screen that marks a
secret and still shows everything. Both take time linear in the text. A mask never hides a line end, and never program
text: see `finder`.

Not covered: secrets of unknown shape, split over fields, or encoded.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import threading
from collections.abc import Iterable, Mapping
from typing import Any

from lg_policy.secrets.configured import MIN_SECRET
from lg_policy.secrets.finder import MARKER, Finder, Span, encoded, settled
from lg_policy.secrets.shapes import OWN, Shape, library_shapes, own_shapes

__all__ = ["MARKER", "MIN_SECRET", "Masker", "Span", "find_marker"]

MIN_LINE = 16
"""A line of a configured value in several lines is masked on its own from this length on."""
KEY_CHARACTERS = 64
KEYS = 4_000
"""Keys of JSON objects that are known to hold no secret: so many, none longer than that."""
VALUES_AT_ONCE = 200
"""Configured values that are looked for in one pass over a text."""
LONG_TEXT = 4_000
"""Characters of a text that is not looked through first: meanwhile no other thread could work."""
# No shape of the library is shorter: texts without such a run need not wait for it to be loaded.
_LONG_RUN = re.compile(r"[A-Za-z0-9+/=_-]{20}")
_LABEL = re.compile(r"-----(?:BEGIN|END) ")


class Masker:
    """Finds and replaces secrets in text and JSON values. `key` makes the markers; `secrets` are configured values.

    `patterns` are further shapes, kind to expression.
    """

    def __init__(self, key: bytes, secrets: Iterable[str] = (), patterns: Mapping[str, str] | None = None) -> None:
        """Raises `ConfigError` for a pattern that RE2 does not take."""
        self._key = key
        self._patterns: dict[str, str] = {}
        self._known: set[str] = set()
        self._own = Finder(OWN, private_keys=True)
        self.learn(secrets, patterns)
        self._library: Finder | None = None
        self._loading = threading.Lock()

    def learn(self, secrets: Iterable[str], patterns: Mapping[str, str] | None = None) -> None:
        """Hide these too, from now on. What was once a secret stays one. Raises `ConfigError` like the constructor."""
        shapes = own_shapes({**self._patterns, **(patterns or {})})
        self._patterns |= patterns or {}
        self._known |= {part for secret in secrets for part in _parts(secret)}
        self._own = Finder([*_configured(self._known), *shapes, *OWN], private_keys=True)
        self._plain_keys: set[str] = set()  # another set than that of threads that mask meanwhile by older shapes

    def load(self) -> None:
        """Load the library's rules now, which takes a tenth of a second, rather than when first needed."""
        with self._loading:
            if self._library is None:
                self._library = Finder(library_shapes())

    def spans(self, text: str) -> list[Span]:
        """Return where the known secrets lie in `text`, in order and without overlap."""
        data = encoded(text)
        found = self._own.find(text, data)
        if len(text) > LONG_TEXT or _LONG_RUN.search(text) is not None:
            if self._library is None:
                self.load()
            if self._library is not None:
                found += self._library.find(text, data)
        return settled(text, found) if found else []

    def mask(self, text: str) -> str:
        """Return `text` with every known secret replaced by its marker."""
        at, parts = 0, []
        for span in self.spans(text):
            parts += [text[at : span.start], self.marker(span.kind, text[span.start : span.end])]
            at = span.end
        return "".join([*parts, text[at:]]) if parts else text

    def _masked_key(self, key: str) -> str:
        """Mask a key of a JSON object. Objects have the same few keys: those without a secret are remembered."""
        known, plain = self._plain_keys, len(key) <= KEY_CHARACTERS
        if plain and key in known:
            return key
        masked = self.mask(key)
        if plain and masked == key and len(known) < KEYS:
            known.add(key)
        return masked

    def marker(self, kind: str, secret: str) -> str:
        """Return the marker that stands for a secret."""
        digest = hmac.new(self._key, secret.encode("utf-8", "surrogatepass"), hashlib.sha256).hexdigest()
        return f"[secret:{kind}:{digest[:8]}]"

    def mask_json(self, value: Any) -> Any:
        """Return a JSON value with the secrets in all its strings, keys included, replaced."""
        if isinstance(value, str):
            return self.mask(value)
        if isinstance(value, dict) or isinstance(value, Mapping):  # noqa: SIM101  a mapping is found out slowly
            return {self._masked_key(str(key)): self.mask_json(item) for key, item in value.items()}
        if isinstance(value, list | tuple):
            return [self.mask_json(item) for item in value]
        return value


def _parts(secret: str) -> list[str]:
    """A configured value, and each long line of one in several lines."""
    lines = [line.strip() for line in secret.splitlines()] if "\n" in secret else []
    parts = [secret, *(line for line in lines if len(line) >= MIN_LINE and not _LABEL.match(line))]
    return [part for part in parts if len(part) >= MIN_SECRET]


def _configured(values: Iterable[str]) -> list[Shape]:
    """Return shapes of exact values, the longer before the shorter."""
    import re2

    texts = [re2.escape(encoded(value).decode()) for value in sorted(values, key=lambda value: (-len(value), value))]
    groups = (texts[at : at + VALUES_AT_ONCE] for at in range(0, len(texts), VALUES_AT_ONCE))
    return [Shape("configured", "|".join(group), own_words=True) for group in groups]


def find_marker(value: Any) -> str | None:
    """Return the first mask found in a JSON value, or `None`."""
    if isinstance(value, str):
        found = MARKER.search(value) if "[secret:" in value else None
        return found.group() if found else None
    if isinstance(value, dict) or isinstance(value, Mapping):  # noqa: SIM101  a mapping is found out slowly
        value = (*value.keys(), *value.values())
    if isinstance(value, list | tuple):
        for item in value:
            marker = find_marker(item)
            if marker is not None:
                return marker
    return None
