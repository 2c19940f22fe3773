"""Which configured values are secrets. Pure.

A server is configured by names and values: `API_TOKEN`, `TZ`, `ALLOWED_DIR`. Only secrets are hidden everywhere:
hiding `Europe/Berlin` or `/home/me/project` would only spoil results. A value counts as a secret

- by its name: `GITHUB_TOKEN`, `X-Api-Key`, `dbPassword`;
- by reference: it was written as `${…}` and taken from the environment;
- by shape: it looks like a token or a key.

A path, a number, a time zone, a locale, an address without a password and a common word never count.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from typing import Any
from urllib.parse import unquote, unquote_plus

from lg_policy.secrets.finder import Finder, encoded
from lg_policy.secrets.shapes import OWN

MAX_INSIDE = 20_000
"""Characters of a configured value that is searched for named secrets."""
MIN_SECRET = 6
"""Configured values shorter than this many characters are not masked: they would hit ordinary words."""
RANDOM_LENGTH = 20
"""From this length on a part of a path that mixes cases and digits is taken for a key that contains a slash."""

_SECRET = frozenset((
    "token", "tokens", "key", "keys", "apikey", "secret", "secrets", "password", "passwords", "passwd",
    "passphrase", "pass", "pwd", "pat", "jwt", "bearer", "cookie", "credential", "credentials", "auth",
    "authorization", "signature", "salt",
))  # fmt: skip
_SECRET_ENDINGS = (
    "token", "secret", "password", "passwd", "passphrase", "apikey", "accesskey", "secretkey", "privatekey", "authkey",
    "credential", "credentials",
)  # fmt: skip
_PASSWORDS = frozenset(["password", "passwords", "passwd", "passphrase", "pass", "pwd"])
# `TOKEN_URL` and `KEY_FILE` are about a secret and are none.
_ABOUT = frozenset((
    "algorithm", "audience", "budget", "count", "dir", "directory", "domain", "enabled", "endpoint", "env",
    "expires", "expiry", "file", "folder", "format", "header", "home", "host", "id", "issuer", "kind", "length",
    "limit", "location", "max", "method", "min", "mode", "name", "path", "port", "prefix", "profile", "provider",
    "realm", "region", "required", "role", "root", "scope", "scopes", "server", "size", "sock", "socket", "store",
    "suffix", "timeout", "ttl", "type", "uri", "url", "user", "username", "version",
))  # fmt: skip
_PLAIN_NAMES = re.compile(
    r"(?i)PATH|HOME|USER|LOGNAME|SHELL|LANG|LANGUAGE|LC_\w+|TZ|TERM|COLORTERM|PWD|OLDPWD|TMP|TEMP|TMPDIR|HOSTNAME|"
    r"DISPLAY|EDITOR|CI|DEBUG|LOG_?LEVEL|NODE_ENV|NODE_OPTIONS|PYTHON\w+|VIRTUAL_ENV|NO_COLOR|FORCE_COLOR|XDG_\w+|"
    r"(?:HTTPS?|NO|ALL)_PROXY|ACCEPT|CONTENT-TYPE|USER-AGENT"
)
_COMMON = frozenset((
    "true", "false", "yes", "no", "on", "off", "none", "null", "auto", "always", "never", "enabled", "disabled",
    "enable", "disable", "required", "optional", "default", "production", "development", "staging", "test",
    "testing", "local", "debug", "info", "warning", "error", "basic", "bearer", "digest", "oauth", "oauth2",
    "password", "passwd", "secret", "changeme", "change-me", "example", "admin", "root", "guest", "postgres",
    "mysql", "redis", "token", "key", "anonymous",
))  # fmt: skip
_SCHEMES = re.compile(r"(?i)(?:bearer|basic|digest|token|apikey|negotiate)\s+")
_NAME_PARTS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")
_NUMBER = re.compile(r"[+-]?[\d.,_:]+\s?[A-Za-z%]{0,3}")
_ZONE = re.compile(r"(?:[A-Z][A-Za-z_]+/){1,2}[A-Z][A-Za-z_+-]+\d{0,2}|(?:UTC|GMT)(?:[+-]\d{1,2}(?::?\d\d)?)?")
_LOCALE = re.compile(r"[a-z]{2,3}[_-][A-Z]{2}(?:\.[A-Za-z0-9-]+)?(?:@\w+)?")
_PATH = re.compile(r"(?:~|\.{1,2})?[/\\]|~$|\.{1,2}$|[A-Za-z]:[/\\]|file:")
_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")
_URL_PASSWORD = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://[^\s/:@]*:([^\s/@]+)@")
_HEADER = re.compile(r"([A-Za-z][A-Za-z0-9_-]{0,60}): {1,4}(\S[^\n]*)")
_PAIRS = re.compile(r"[A-Za-z][\w .-]{0,60}=[^;&\s]*(?:[;&] ?|\s)[A-Za-z][\w .-]{0,60}=")
"""A connection string: at least two names with values."""
_PAIR = re.compile(r"(?:^|[;&\s])\s?([A-Za-z][\w.-]{0,60}(?: [A-Za-z]{1,20})?)=(\"[^\"]*\"|'[^']*'|[^;&\s\"']+)")
_BLANK = re.compile(r"\s")
_WORDS = re.compile(r"[A-Za-z]+(?:[\s_./:,@-]+[A-Za-z]+)*[.!?]?")

_FINDER = Finder(OWN, private_keys=True)


def is_secret_setting(name: str, value: str, *, referenced: bool = False) -> bool:
    """Return whether the value of a configured variable, header or argument is a secret and must be hidden.

    `name` is what the value is called, "" if nothing. `referenced`: it was written as `${…}`. Call it once for each
    reference, with the name of the variable, where a value is put together from several.
    """
    return bool(secret_parts(name, value, referenced=referenced))


def secret_parts(name: str, value: str, *, referenced: bool = False) -> list[str]:
    """Return what must be hidden of a configured value: nothing, all of it, or the part that is secret.

    That is the password of a URL, and what has the name of a secret in its query, what follows the scheme of an
    `Authorization` header, and what has such a name in a connection string, in a header that is written out, or in a
    JSON object.
    """
    text = value.strip()
    within = None if names_a_secret(name) else _named_inside(text)
    if within is not None:
        return [part for key, inner in within for part in secret_parts(key, inner)]
    if _URL.match(text):
        return _secrets_of_address(text)
    scheme = _SCHEMES.match(text)
    secret = text[scheme.end() :] if scheme is not None else text
    by_name = scheme is not None or names_a_secret(name)
    if _has_shape(secret):
        return [secret]
    if _PLAIN_NAMES.fullmatch(name) or not (by_name or referenced):
        return []
    if _NUMBER.fullmatch(secret) and not _PASSWORDS.intersection(_parts(name)):
        return []
    return [secret] if _may_be_hidden(secret, by_name=by_name) else []


def _secrets_of_address(url: str) -> list[str]:
    """Return the password of an address, the values of its query that have the name of a secret, or else its shapes."""
    password = _URL_PASSWORD.match(url)
    found = [password[1]] if password is not None else []
    for pair in url.partition("#")[0].partition("?")[2][:MAX_INSIDE].split("&"):
        name, _, value = pair.partition("=")
        if names_a_secret(unquote(name)):
            found += dict.fromkeys((value, unquote_plus(value)))
    if not found:
        return [url[span.start : span.end] for span in _FINDER.find(url, encoded(url))]
    return [part for part in found if _may_be_hidden(part, by_name=True)]


def secrets_of_arguments(arguments: Sequence[str]) -> list[str]:
    """Return the secrets among a program's arguments, which follow an option such as `--token`, or its `=`."""
    found: list[str] = []
    for before, text in zip(("", *arguments), arguments, strict=False):
        option, equals, value = text.partition("=")
        if before.startswith("-") and "=" not in before:
            found += secret_parts(before.lstrip("-"), text)
        if equals and option.startswith("-"):
            found += secret_parts(option.lstrip("-"), value)
        found += secret_parts("", text)
    return found


def _named_inside(text: str) -> list[tuple[str, str]] | None:
    """Return the names and values that a text consists of; `None` for any other text."""
    if len(text) > MAX_INSIDE:
        return None
    if text[:1] == "{":
        try:
            return list(_texts_of(json.loads(text), ""))
        except (ValueError, RecursionError):
            return None
    header = _HEADER.fullmatch(text)
    if header is not None:
        return [(header[1], header[2])]
    if "," in text and ";" not in text and not _BLANK.search(text):
        text = text.replace(",", ";")  # as OpenTelemetry writes headers
    if _PAIRS.match(text) is None:
        return None
    pairs = [(pair[1], pair[2].strip("\"'")) for pair in _PAIR.finditer(text)]
    # `PWD` alone is a directory, and here it is a password.
    return [("password" if key.lower() == "pwd" else key, inner) for key, inner in pairs] or None


def _texts_of(value: Any, name: str) -> Iterator[tuple[str, str]]:
    if isinstance(value, str):
        if value[:1] != "{":  # text in text in text ends here
            yield name, value
    elif isinstance(value, dict):
        for key, inner in value.items():
            yield from _texts_of(inner, key)
    elif isinstance(value, list):
        for inner in value:
            yield from _texts_of(inner, name)


def names_a_secret(name: str) -> bool:
    """Return whether a name says that its value is a secret: `GITHUB_TOKEN` does, `TOKEN_URL` does not."""
    parts = _parts(name)
    if not parts or parts[-1] in _ABOUT:
        return False
    return any(part in _SECRET or part.endswith(_SECRET_ENDINGS) for part in parts)


def _parts(name: str) -> list[str]:
    return [part.lower() for part in _NAME_PARTS.findall(name[:500])]


def _may_be_hidden(text: str, *, by_name: bool) -> bool:
    """Return whether hiding a text everywhere would hide a secret and not what everybody may know."""
    if len(text) < MIN_SECRET or text.lower() in _COMMON:
        return False
    if _ZONE.fullmatch(text) or _LOCALE.fullmatch(text) or _is_path(text):
        return False
    return by_name or not _WORDS.fullmatch(text)


def _is_path(text: str) -> bool:
    if not _PATH.match(text) or "=" in text:
        return False
    return not any(_looks_random(part) for part in re.split(r"[/\\]", text))


def _looks_random(part: str) -> bool:
    kinds = (any(map(str.isupper, part)), any(map(str.islower, part)), any(map(str.isdigit, part)))
    return len(part) >= RANDOM_LENGTH and all(kinds) and not re.search(r"[._-]", part)


def _has_shape(secret: str) -> bool:
    """Return whether one known shape covers all of a value."""
    spans = _FINDER.find(secret, encoded(secret))
    return any(span.start == 0 and span.end == len(secret) for span in spans)
