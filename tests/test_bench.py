"""The table of ratios: every figure against the first row of its table, at the same number of calls at once."""

from __future__ import annotations

from pathlib import Path

import pytest
from bench.all import ratios
from bench.gateway.run import Figures, measure
from bench.gateway.targets import Target, reached, upstream_over_http
from bench.growth.run import HEADS, grown

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


@pytest.mark.anyio
async def test_a_direct_call_to_a_server_over_http_is_measured() -> None:
    figures = Figures()
    with upstream_over_http() as url:
        async with reached(Target(name="direct", front="http", command=None, environment={}, url=url)) as direct:
            await measure(direct, 2, 1, figures)
    assert len(figures.took_ms) == 2
    assert figures.rates


@pytest.mark.anyio
async def test_a_growing_ledger_is_measured(tmp_path: Path) -> None:
    figures = await grown(tmp_path, 1_200)
    assert [len(HEADS), "1,200"] == [len(figures.cells()), figures.cells()[0]]
    assert list((tmp_path / "segments").iterdir())
