"""How alike two short texts are, in linear time: for hints that name what may have been meant."""

from __future__ import annotations

from collections.abc import Iterable

_MAX_LENGTH = 300  # of a longer text only the beginning counts


def closest(wanted: str, others: Iterable[str], *, count: int, cutoff: float) -> list[str]:
    """Return at most `count` of the others, the most alike first, none of them less alike than `cutoff` (0 to 1)."""
    pairs = _pairs(wanted)
    scored: list[tuple[float, str]] = []
    for other in others:
        score = _score(pairs, _pairs(other))
        if score >= cutoff:
            scored.append((-score, other))
    return [other for _, other in sorted(scored)[:count]]


def similarity(first: str, second: str) -> float:
    """Return how many pairs of neighbouring characters two texts share: 1 for all, 0 for none."""
    return _score(_pairs(first), _pairs(second))


def _pairs(text: str) -> set[str]:
    text = f"\0{text[:_MAX_LENGTH]}\0".lower()
    return {text[at : at + 2] for at in range(len(text) - 1)}


def _score(first: set[str], second: set[str]) -> float:
    return 2 * len(first & second) / (len(first) + len(second))
