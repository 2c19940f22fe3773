"""What a wire is: how one provider's requests are read and how a scripted answer is said on it."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from lg_orch.testing.script import CHARS_PER_TOKEN, CHUNK, End, Scripted


@dataclass(frozen=True, kw_only=True)
class WireRequest:
    """What a request asks for, whatever its wire calls it."""

    model: str
    stream: bool
    limit: int | None
    """Tokens that the reply may have; `None`: it does not say."""
    chars: int
    """Characters of what the provider would count as the prompt."""
    problem: str = ""
    """Why the provider would refuse the request; empty when it would not."""


@dataclass(frozen=True, kw_only=True)
class WireAnswer:
    """A scripted answer with all that a wire needs to say it."""

    given: Scripted
    model: str
    number: int
    """Of the request, from 1; ids are made of it."""
    prompt: int
    completion: int

    @property
    def end(self) -> End:
        """Why the reply ends."""
        return self.given.end or ("calls" if self.given.calls else "stop")


class Wire(Protocol):
    """One provider's protocol. A wire keeps nothing between two requests."""

    provider: str
    """As `init_chat_model` names it."""
    key_headers: tuple[str, ...]
    """Headers that may carry the key, in lower case."""
    stream_type: str
    """Content type of a stream."""

    def base_url(self, origin: str) -> str:
        """What the provider's client wants as `base_url`."""
        ...

    def asked(self, path: str, body: Mapping[str, Any]) -> WireRequest | None:
        """What a request asks for; `None` when the path is not one of this wire's."""
        ...

    def possible(self, given: Scripted) -> Scripted:
        """What becomes of an answer that the wire has no words for."""
        ...

    def error(self, given: Scripted) -> tuple[dict[str, Any], dict[str, str]]:
        """The body and further headers of an error."""
        ...

    def whole(self, answer: WireAnswer) -> dict[str, Any]:
        """The body of an answer that is not streamed."""
        ...

    def pieces(self, answer: WireAnswer) -> Iterator[bytes]:
        """An answer as the pieces of a stream."""
        ...


def within_limit(given: Scripted, limit: int | None) -> Scripted:
    """The answer as a provider cuts it that was told the limit of a reply."""
    if limit is None or given.content is None or given.endless or len(given.content) <= limit * CHARS_PER_TOKEN:
        return given
    return dataclasses.replace(given, content=given.content[: limit * CHARS_PER_TOKEN], calls=(), end="length")


def tokens_of(given: Scripted, chars: int) -> tuple[int, int]:
    """Prompt and completion tokens of an answer, as said or by length."""
    said = len(given.content or "") + len(given.thinking)
    said += sum(len(name) + len(arguments) for name, arguments in given.calls)
    return given.tokens or (chars // CHARS_PER_TOKEN, said // CHARS_PER_TOKEN)


def chunks(text: str) -> Iterator[str]:
    """A text in the pieces of a stream."""
    return (text[at : at + CHUNK] for at in range(0, len(text), CHUNK))


def chars_of(value: Any) -> int:
    """Characters of all texts in a piece of JSON, keys not among them."""
    if isinstance(value, str):
        return len(value)
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return sum(map(chars_of, inner))


def is_object(text: str) -> bool:
    """Whether a call's arguments are a JSON object."""
    try:
        return isinstance(json.loads(text or "{}"), dict)
    except ValueError:
        return False


def asks_for_pause(given: Scripted) -> dict[str, str]:
    """The header by which most providers ask for a pause."""
    return {"retry-after": str(given.retry_after)} if given.retry_after is not None else {}


def arguments_of(text: str) -> dict[str, Any]:
    """A call's arguments where the wire has only objects: what is torn or no object becomes an empty one."""
    found: dict[str, Any] = json.loads(text or "{}") if is_object(text) else {}
    return found


def event(data: Mapping[str, Any], name: str = "") -> bytes:
    """One server-sent event."""
    head = f"event: {name}\n" if name else ""
    return f"{head}data: {json.dumps(data)}\n\n".encode()
