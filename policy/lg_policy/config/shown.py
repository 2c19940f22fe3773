"""Lists settings for a reader: each with its value and where that comes from. No secret is among them.

A value that may be a secret is hidden as a whole: literal values of `env` and `headers`, `client_secret`, arguments of
a server's program that look like one or follow an option such as `--token`, and passwords and queries in addresses.
References such as `${NAME}` stay: they say where a secret comes from.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from lg_policy.config.loading import BUILT_IN, Loaded
from lg_policy.config.settings import Settings
from lg_policy.secrets.configured import is_secret_setting, names_a_secret, secret_parts

HIDDEN = "(hidden)"
_REFERENCES = re.compile(r"(?:[A-Za-z]{1,10} )?(?:\$\{(?:secret:|file:)?[^}:]*\})+")
"""Nothing but references, perhaps after a word such as `Bearer`. One with a default is a literal value as well."""
_ALL_SECRET = ("env", "headers")


@dataclass(frozen=True, kw_only=True)
class ShownSetting:
    """One setting as it may be shown."""

    key: tuple[str, ...]
    value: Any
    origin: str
    changed: bool
    """Whether it differs from the built-in default, or has none."""

    @property
    def name(self) -> str:
        """The key as it is written in a settings file."""
        return ".".join(part if re.fullmatch(r"[A-Za-z0-9_-]+", part) else f'"{part}"' for part in self.key)


def shown_settings(loaded: Loaded) -> Iterator[ShownSetting]:
    """Yield every setting in force, in the order of the tree."""
    defaults = dict(_leaves(Settings().model_dump(mode="json", by_alias=True), ()))
    places = iter(loaded.rule_places)
    for key, value in _leaves(loaded.settings.model_dump(mode="json", by_alias=True), ()):
        origin = _origin(loaded, key)
        changed = defaults[key] != value if key in defaults else origin != BUILT_IN
        if key == ("gateway", "rules"):
            for number, rule in enumerate(value, 1):
                place = next(places, BUILT_IN)
                yield ShownSetting(key=(*key, str(number)), value=_safe(key, rule), origin=place, changed=True)
            continue
        yield ShownSetting(key=key, value=_safe(key, value), origin=origin, changed=changed)


def _leaves(value: Mapping[str, Any], at: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Any]]:
    for name, found in value.items():
        if isinstance(found, Mapping) and found:
            yield from _leaves(found, (*at, name))
        else:
            yield (*at, name), found


def _origin(loaded: Loaded, key: tuple[str, ...]) -> str:
    known = (key[:length] for length in range(len(key), 0, -1) if key[:length] in loaded.origins)
    found = next(known, ())
    # Of a table only the named keys are from its source.
    return loaded.origins[found] if found and (len(found) == len(key)) else BUILT_IN


def _safe(key: tuple[str, ...], value: Any) -> Any:
    if isinstance(value, Mapping):
        return {name: _safe((*key, str(name)), found) for name, found in value.items()}
    if isinstance(value, list):
        return _safe_list(key, value)
    if not isinstance(value, str) or not value:
        return value
    if _REFERENCES.fullmatch(value):
        return value
    if any(part in _ALL_SECRET for part in key[:-1]) and len(key) > 1:
        return HIDDEN
    if names_a_secret(key[-1]) and key[:3] != ("exec", "commands", key[-1]):
        return HIDDEN
    return _safe_text(value)


def _safe_list(key: tuple[str, ...], values: list[Any]) -> list[Any]:
    shown, before = [], ""
    for value in values:
        follows = before.startswith("-") and "=" not in before and names_a_secret(before.lstrip("-"))
        if isinstance(value, str) and not _REFERENCES.fullmatch(value):
            shown.append(HIDDEN if follows else _safe_word(value))
        else:
            shown.append(_safe((*key[:-1], "list"), value))
        before = value if isinstance(value, str) else ""
    return shown


def _safe_word(text: str) -> str:
    """Return an argument as it may be shown: of `--token=VALUE` only the name."""
    name, equals, _ = text.partition("=")
    if equals and names_a_secret(name.lstrip("-")) and not _REFERENCES.fullmatch(text.partition("=")[2]):
        return f"{name}={HIDDEN}"
    return _safe_text(text)


def _safe_text(text: str) -> str:
    if "://" in text:
        parts = urlsplit(text)
        user, at, where = parts.netloc.rpartition("@")
        netloc = (
            f"{user.partition(':')[0] if ':' in user else HIDDEN}@{where}" if at and "${" not in user else parts.netloc
        )
        query = HIDDEN if parts.query and not _REFERENCES.fullmatch(parts.query) else parts.query
        text = urlunsplit((parts.scheme, netloc, parts.path, query, ""))
    if is_secret_setting("", text):
        return HIDDEN
    for secret in secret_parts("", text):
        text = text.replace(secret, HIDDEN)
    return text
