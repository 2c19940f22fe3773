"""Answers of a scripted model, in words that no provider's wire has: each wire says them in its own."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Literal

CHARS_PER_TOKEN = 4
CHUNK = 24
"""Characters of one piece of a stream."""

End = Literal["stop", "calls", "length", "refused"]


@dataclass(frozen=True, kw_only=True)
class Scripted:
    """One answer: an HTTP status and what goes with it."""

    status: int = 200
    content: str | None = None
    thinking: str = ""
    """What is shown of the model's thinking, where the wire has a place for it."""
    calls: tuple[tuple[str, str], ...] = ()
    """Tool names and arguments, the latter as the text that is sent."""
    error: str = ""
    """What the provider says went wrong; `status` is that of the answer."""
    end: End | None = None
    """Why the reply ends; `None`: because it calls tools, or has nothing more to say."""
    tokens: tuple[int, int] | None = None
    """Prompt and completion tokens that the usage figures report; `None`: by the length of the texts."""
    cached: int = 0
    """Prompt tokens reported as found in the provider's cache."""
    cache_written: int = 0
    """Prompt tokens reported as written into the provider's cache, where the wire reports it."""
    retry_after: float | None = None
    silent: bool = False
    """Nothing is sent until the server ends."""
    breaks_off: bool = False
    """The connection is closed after the first pieces of a stream."""
    fails_midway: bool = False
    """A stream begins and then says `error`, as a provider does that is overloaded meanwhile."""
    endless: bool = False
    """The words are streamed again and again, whatever the limit of a reply, until the client closes the connection."""
    finish: bool = True
    """Whether the reply says why it ends, where the wire can leave that out (OpenAI's chat completions)."""
    object_arguments: bool = False
    """Arguments of calls are sent as objects, where the wire has them as text (the same)."""
    usage: bool = True
    """Whether usage figures are reported at all."""
    raw: tuple[bytes, ...] = ()
    """Sent as it is in place of all this, piece by piece: what a server says that does not keep to the wire."""


Script = Iterable[Scripted] | Callable[[dict[str, Any]], Scripted]


def text(content: str, *, tokens: tuple[int, int] | None = None) -> Scripted:
    """An answer in words."""
    return Scripted(content=content, tokens=tokens)


def calls(*made: tuple[str, dict[str, Any]], tokens: tuple[int, int] | None = None, content: str = "") -> Scripted:
    """An answer that calls tools."""
    return Scripted(
        calls=tuple((name, json.dumps(arguments)) for name, arguments in made), tokens=tokens, content=content or None
    )


def broken(status: int, message: str, *, retry_after: float | None = None) -> Scripted:
    """An HTTP error."""
    return Scripted(status=status, error=message, retry_after=retry_after)


def silent() -> Scripted:
    """No answer at all."""
    return Scripted(silent=True)


def in_order(script: Iterator[Scripted]) -> Callable[[dict[str, Any]], Scripted]:
    """A script as a function: its answers one after the other, then status 410."""
    return lambda _request: next(script, broken(410, "the script has no further answer"))
