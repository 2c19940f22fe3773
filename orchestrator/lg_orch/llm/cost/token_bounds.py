"""Bounds the tokens of a request, whatever tokenizer the provider uses. The bound decides whether it may be made.

A vocabulary over bytes, and one of SentencePiece that falls back to bytes, never makes more tokens of a text than the
text has bytes. That is three to four times what the text really has, so it is used only for what is new: what a
provider counted for an earlier request is known, and a request repeats most of the one before it. A prompt is taken
apart into parts (one for each message and each tool); groups of parts have the size that reports told, the others
their bytes and something for what stands around them.

Not covered: tokens of a prompt that nothing in it tells of, beyond what `REQUEST` and `TOOLS` leave for them. The
first report shows them; from then on each request of that model is taken to be as much larger as was ever seen.
"""

from __future__ import annotations

import hashlib
import unicodedata
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from lg_orch.contracts.events import Event

PART = 32
"""Tokens around one message or tool: roles, names, ends."""
REQUEST = 64
"""Tokens around a whole request."""
TOOLS = 1_000
"""Tokens of what a provider writes itself into a prompt that offers tools."""
RISE = 1 / 8
"""By how much a provider may count the same text higher the next time without passing the bound."""
REMEMBERED = 4_000
FORMS: tuple[Literal["NFC", "NFD", "NFKC", "NFKD"], ...] = ("NFC", "NFD", "NFKC", "NFKD")
_ENDS = ("end", "failed", "retry")


def most_tokens(text: str) -> int:
    """Return the most tokens a text can have: its bytes, in the longest form that tokenizers normalise texts to."""
    if text.isascii():
        return len(text)
    forms = (text, *(unicodedata.normalize(form, text) for form in FORMS))
    return max(len(form.encode("utf-8", "surrogatepass")) for form in forms)


@dataclass(frozen=True, kw_only=True)
class Part:
    """A message or tool of a prompt, by the digest of its text."""

    key: str
    most: int
    """Tokens that it can have at most."""


@lru_cache(maxsize=REMEMBERED)
def _part(text: str) -> Part:
    digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:12]
    return Part(key=digest, most=most_tokens(text) + PART)


def parts_of(texts: Sequence[str], *, tools: bool) -> tuple[Part, ...]:
    """Return the parts of a prompt; the same text twice is two parts.

    What stands around all of it is a part as well.
    """
    parts = [Part(key="tools", most=REQUEST + TOOLS) if tools else Part(key="frame", most=REQUEST)]
    seen: dict[str, int] = {}
    for part in map(_part, texts):
        again = seen[part.key] = seen.get(part.key, 0) + 1
        parts.append(part if again == 1 else Part(key=f"{part.key}.{again}", most=part.most))
    return tuple(parts)


@dataclass(frozen=True, kw_only=True)
class Counted:
    """What one usage report says: these parts together have so many tokens. Journalled for the next process."""

    keys: tuple[str, ...]
    tokens: int


@dataclass(kw_only=True)
class _Group:
    """Parts that were counted together."""

    keys: set[str]
    tokens: int
    exact: bool = True
    """False once some of them were counted again with others: then `tokens` is more than the rest of them have."""


@dataclass(kw_only=True)
class TokenBound:
    """What is known of one model's counting."""

    prompt_surplus: int = 0
    """The most by which a report that was above the bound of its prompt was above the estimate of its texts."""
    reply_surplus: int = 0
    """The most by which a reply was longer than it was allowed to be."""
    _group_of: dict[str, int] = field(default_factory=dict)
    _groups: dict[int, _Group] = field(default_factory=dict)
    _next: int = 0

    def most(self, parts: Sequence[Part]) -> int:
        """Return the tokens that a prompt can have at most."""
        total = self.prompt_surplus
        present: dict[int, int] = {}
        for part in parts:
            group = self._group_of.get(part.key)
            if group is None:
                total += part.most
            else:
                present[group] = present.get(group, 0) + part.most
        return total + sum(self._of_group(group, most) for group, most in present.items())

    def _of_group(self, number: int, most: int) -> int:
        """Tokens that parts of a group can have at most, `most` by themselves.

        If only a part of a group is here, it is not known which tokens are gone. There are at most those of the group.
        """
        group = self._groups[number]
        raised = int(group.tokens * (1 + RISE)) + 1
        return min(most, raised) if group.tokens <= most else raised

    def learn(self, parts: Sequence[Part], reported: int) -> Counted:
        """Take in what the provider counted for a prompt; returns what is new of it."""
        keys = {part.key for part in parts}
        numbers = {group for group in map(self._group_of.get, keys) if group is not None}
        whole = [group for group in map(self._groups.__getitem__, numbers) if group.exact and group.keys <= keys]
        known = sum(group.tokens for group in whole)
        rest = keys.difference(*(group.keys for group in whole))
        if rest and reported > known:
            counted = Counted(keys=tuple(sorted(rest)), tokens=reported - known)
        else:
            counted = Counted(keys=tuple(sorted(keys)), tokens=reported)
        self.take(counted)
        return counted

    def take(self, counted: Counted) -> None:
        """Let these parts be a group of their own."""
        for key in counted.keys:
            before = self._group_of.get(key)
            if before is not None:
                group = self._groups[before]
                group.keys.discard(key)
                group.exact = False
                if not group.keys:
                    del self._groups[before]
            self._group_of[key] = self._next
        self._groups[self._next] = _Group(keys=set(counted.keys), tokens=counted.tokens)
        self._next += 1

    def exceeded(self, prompt: int, reply: int) -> None:
        """Note what a prompt had besides its texts, and by how much a reply was above its limit."""
        self.prompt_surplus = max(self.prompt_surplus, prompt)
        self.reply_surplus = max(self.reply_surplus, reply)


@dataclass(kw_only=True)
class TokenBounds:
    """One run's bounds, by model (`provider:name`)."""

    by_model: dict[str, TokenBound] = field(default_factory=dict)

    def of(self, model: str) -> TokenBound:
        """Return what is known of a model's counting."""
        return self.by_model.setdefault(model, TokenBound())


def bounds_of(events: Sequence[Event]) -> TokenBounds:
    """Return the bounds that the reports in a journal give."""
    found = TokenBounds()
    for event in events:
        if event.kind != "model" or event.phase != "end":
            continue
        bound, data = found.of(event.name), event.data
        if counted := data.get("counted"):
            bound.take(Counted(keys=tuple(counted["parts"]), tokens=int(counted["tokens"])))
        above: Mapping[str, Any] = data.get("above_limit") or {}
        bound.exceeded(int(above.get("expected", 0)), int(above.get("reply", 0)))
    return found


def open_requests(events: Sequence[Event]) -> list[Event]:
    """Return the begins of requests whose end is not in the journal: they were sent, and may be billed."""
    found: list[Event] = []
    begun: Event | None = None
    for event in events:
        if event.kind != "model":
            continue
        if event.phase == "begin":
            found += [begun] if begun is not None else []
            begun = event
        elif event.phase in _ENDS:
            begun = None
    return found + ([begun] if begun is not None else [])
