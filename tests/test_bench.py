"""The table of ratios: every figure against the first row of its table, at the same number of calls at once."""

from __future__ import annotations

from bench.all import ratios

OUTPUT = """
2 cores, load 0.1

| path | at once | p50 ms | CPU ms a call (median; rounds) | RSS MB |
|---|---|---|---|---|
| direct | 1 | 1.00 | - |  |
| direct | 32 | 20.0 | - |  |
| ours | 1 | 1.50 | 0.60 (0.50, 0.70) | 90 |
| ours | 32 | 30.0 | 0.40 (0.40) |  |

words between

| 1 MB of | one by one, ms | masked, ms |
|---|---|---|
| prose | 1,000 | 4.0 |
| code | 500 | 6.0 |
"""


def test_every_figure_is_divided_by_the_reference_at_the_same_concurrency() -> None:
    lines = [ratio.line() for ratio in ratios("gateway", OUTPUT)]

    assert lines == [
        "| gateway | ours, 1 | p50 ms | 1.5 | 1.50 |",
        "| gateway | ours, 32 | p50 ms | 30 | 1.50 |",
        "| gateway | code | one by one, ms | 500 | 0.50 |",
        "| gateway | code | masked, ms | 6 | 1.50 |",
    ]
