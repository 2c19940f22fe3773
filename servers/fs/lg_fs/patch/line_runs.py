"""Finds a run of lines among others, in linear time for any lines."""

from __future__ import annotations

from collections.abc import Callable, Sequence

Step = Callable[[int], None]
"""Counts work and may raise to stop it, as `Job.step` does."""

_EVERY = 1_024


def no_step(_weight: int) -> None:
    """Neither count nor stop the work."""


def find_runs(texts: Sequence[str], wanted: Sequence[str], first: int, step: Step = no_step) -> list[int]:
    """Return every index from `first` on at which the wanted lines begin. `wanted` must not be empty."""
    last = len(texts) - len(wanted)
    starts: list[int] = []
    at = first
    while at <= last:
        try:
            at = texts.index(wanted[0], at, last + 1)
        except ValueError:
            break
        starts.append(at)
        at += 1
        step(1)
    if len(starts) * len(wanted) > 4 * (len(texts) + len(wanted)):
        return _in_one_pass(texts, wanted, first, step)
    return [at for at in starts if all(texts[at + n] == line for n, line in enumerate(wanted))]


def _in_one_pass(texts: Sequence[str], wanted: Sequence[str], first: int, step: Step) -> list[int]:
    """Find runs as Knuth, Morris and Pratt do: no line is compared again when a run breaks off."""
    borders = _borders(wanted, step)
    found: list[int] = []
    matched = 0
    for at in range(first, len(texts)):
        if at % _EVERY == 0:
            step(_EVERY)
        while matched and texts[at] != wanted[matched]:
            matched = borders[matched - 1]
        if texts[at] == wanted[matched]:
            matched += 1
        if matched == len(wanted):
            found.append(at + 1 - matched)
            matched = borders[matched - 1]
    return found


def _borders(wanted: Sequence[str], step: Step) -> list[int]:
    """Return, for each index, the length of the longest proper prefix that also ends there."""
    borders = [0] * len(wanted)
    length = 0
    for at in range(1, len(wanted)):
        if at % _EVERY == 0:
            step(_EVERY)
        while length and wanted[at] != wanted[length]:
            length = borders[length - 1]
        if wanted[at] == wanted[length]:
            length += 1
        borders[at] = length
    return borders
