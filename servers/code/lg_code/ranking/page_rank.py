"""Page rank over the graph of files, with the weight on the files that a caller cares about."""

from __future__ import annotations

from collections.abc import Mapping

from lg_code.ranking.graph import Graph
from lg_policy.jobs import Job

_DAMPING = 0.85
_ROUNDS = 25
_NEAR_ENOUGH = 1e-4


def page_rank(graph: Graph, job: Job, focus: Mapping[int, float] | None = None) -> list[float]:
    """Return a rank for each file, by position; they add up to 1. `focus`: where a reader begins, by position."""
    count = len(graph.files)
    if not count:
        return []
    total = sum(focus.values()) if focus else 0.0
    start = [0.0 if total > 0 else 1.0 / count] * count
    if focus and total > 0:
        for place, weight in focus.items():
            start[place] = weight / total
    rank = list(start)
    for _ in range(_ROUNDS):
        job.check_time()
        new = _round(graph, rank, start)
        moved = sum(abs(before - after) for before, after in zip(rank, new, strict=True))
        rank = new
        if moved < _NEAR_ENOUGH:
            break
    return rank


def _round(graph: Graph, rank: list[float], start: list[float]) -> list[float]:
    new = [0.0] * len(rank)
    loose = 0.0
    targets, weights = graph.targets, graph.weights
    for have, begin, end in zip(rank, graph.starts, graph.starts[1:], strict=False):
        if have <= 0.0:
            continue
        if begin == end:
            loose += have
        for target, weight in zip(targets[begin:end], weights[begin:end], strict=True):
            new[target] += have * weight
    again = _DAMPING * loose + 1 - _DAMPING
    return [value * _DAMPING + again * begin for value, begin in zip(new, start, strict=True)]
