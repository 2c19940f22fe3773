"""Tokens and passwords that a client's file holds in plain text: found, and taken out of a server's settings.

In their place stands `${secret:NAME}`, which means the same to the server. The values go into the secret store, see
`secret_store`.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from lg_gateway.clients.secret_store import VALUE_CHARACTERS
from lg_policy.config.settings import UpstreamSettings
from lg_policy.secrets.configured import secret_parts, secrets_of_arguments

SECRETS = 50
"""Of one server. One with more is left as it is."""
_NAME_LETTERS = 48
_ODD = re.compile(r"[^A-Za-z0-9_]")
_MARK = "${"


@dataclass(frozen=True, kw_only=True)
class PlainSecret:
    """One value that stands in plain text. `name` is what it will be called in the secret store."""

    name: str
    value: str
    where: str
    """Where it stands: the name of a variable or a header, `arguments`, `url`."""


def without_plain_secrets(
    server: str, settings: UpstreamSettings, settings_path: Path
) -> tuple[UpstreamSettings, tuple[PlainSecret, ...]]:
    """Return the settings of a server without secrets in plain text, and what was taken out of them."""
    taken = _Taken(server=server, mark=_mark(settings_path))
    env = {name: taken.out_of(text, name, secret_parts(name, text)) for name, text in settings.env.items()}
    headers = {name: taken.out_of(text, name, secret_parts(name, text)) for name, text in settings.headers.items()}
    pairs = zip(("", *settings.args), settings.args, strict=False)
    args = tuple(taken.out_of(text, "arguments", secrets_of_arguments((before, text))) for before, text in pairs)
    url = settings.url and taken.out_of(settings.url, "url", secret_parts("", settings.url))
    if not 0 < len(taken.secrets) <= SECRETS:
        return settings, ()
    changed = settings.model_copy(update={"env": env, "headers": headers, "args": args, "url": url})
    return changed, tuple(taken.secrets.values())


class _Taken:
    """What was taken out of one server's settings so far. A value that stands twice has one name."""

    def __init__(self, *, server: str, mark: str) -> None:
        self._server = server
        self._mark = mark
        self._numbers: dict[str, int] = {}
        self.secrets: dict[str, PlainSecret] = {}

    def out_of(self, text: str, where: str, parts: list[str]) -> str:
        """Return a text with its secrets replaced. What holds a placeholder already is none of them."""
        fit = (part for part in parts if 0 < len(part) <= VALUE_CHARACTERS and _MARK not in part)
        for part in sorted(fit, key=len, reverse=True):
            text = _outside_placeholders(text, part, partial(self._placeholder, part, where))
        return text

    def _placeholder(self, value: str, where: str) -> str:
        if value not in self.secrets:
            plain = _ODD.sub("-", f"{self._server}-{where}")[:_NAME_LETTERS]
            number = self._numbers[plain] = self._numbers.get(plain, 0) + 1
            name = f"{plain}-{self._mark}" if number == 1 else f"{plain}.{number}-{self._mark}"
            self.secrets[value] = PlainSecret(name=name, value=value, where=where)
        return f"${{secret:{self.secrets[value].name}}}"


def _outside_placeholders(text: str, part: str, stand_in: Callable[[], str]) -> str:
    """Replace a part of a text wherever it stands outside of `${…}`."""
    pieces = text.split(_MARK)
    made = [pieces[0].replace(part, stand_in()) if part in pieces[0] else pieces[0]]
    for piece in pieces[1:]:
        inside, brace, rest = piece.partition("}")
        made.append(inside + brace + (rest.replace(part, stand_in()) if part in rest else rest))
    return _MARK.join(made)


def _mark(settings_path: Path) -> str:
    """Two settings files do not share a name: each may have a server of the same name."""
    return hashlib.sha256(str(settings_path.absolute()).encode("utf-8", "surrogateescape")).hexdigest()[:8]
