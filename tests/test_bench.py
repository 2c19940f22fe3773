"""The table of ratios: every figure against the first row of its table, at the same number of calls at once."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from bench.all import ratios
from bench.code import questions
from bench.gateway.run import Figures, measure
from bench.gateway.targets import Target, reached, upstream_over_http
from bench.growth.run import HEADS, grown
from bench.soak.checks import against_ledger, against_servers
from bench.soak.clients import Made, Seen
from bench.soak.processes import Usage, leaks

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


def made(name: str, outcome: str, *, keyed: bool = False) -> Made:
    return Made(name=name, effect=True, keyed=keyed, outcome=outcome)


def test_the_soak_notices_calls_that_were_lost_or_done_twice() -> None:
    calls = [made("1-1", "ok"), made("1-2", "ok"), made("1-3", "ok", keyed=True), made("1-4", "upstream_unavailable")]
    counts = {"1-1": 1, "1-3": 2, "1-4": 1}

    assert against_servers(Seen(made=calls[:1]), counts) == []
    problems = against_servers(Seen(made=calls, lost=["1-5: no answer"]), counts)
    assert [problem.split(":")[0] for problem in problems] == ["1-5", "lost", "doubled", "wrong"]


def test_the_soak_notices_a_ledger_that_says_otherwise_than_the_clients() -> None:
    def record(phase: str, request: str, name: str, outcome: str | None = None) -> str:
        body = {"phase": phase, "request_id": request, "arguments": f'{{"text": "{name}"}}' if name else ""}
        return json.dumps({"record": json.dumps({**body, "outcome": outcome})})

    whole = [record("begun", "a", "1-1"), record("ended", "a", "", "ok")]
    seen = Seen(made=[made("1-1", "ok")])

    assert against_ledger(seen, whole) == []
    assert len(against_ledger(seen, whole[:1])) == 2, "no end, and no outcome"
    assert len(against_ledger(seen, [*whole, whole[1]])) == 2, "two ends, and two outcomes"
    assert len(against_ledger(seen, [whole[0], record("ended", "a", "", "error")])) == 1


def test_the_soak_notices_what_grows() -> None:
    def used(memory: float, descriptors: int) -> Usage:
        return Usage(memory_mb=memory, descriptors=descriptors, threads=8, processes=3)

    assert leaks("gateway", [used(100, 30)] * 4 + [used(110, 33)] * 4) == []
    grown = leaks("gateway", [used(100, 30)] * 4 + [used(160, 90)] * 4)
    assert [problem.split(" grew")[0] for problem in grown] == ["gateway: memory_mb", "gateway: descriptors"]


def test_a_ranking_is_scored_by_the_places_of_the_answers() -> None:
    question = questions.Question(
        text="why", category="semantic", targets=(questions.Target("a/x.py"), questions.Target("a/y.py", 10, 20))
    )
    files = ["a/x.py", "a/y.py", "a/z.py"]
    whole, other = questions.Hit("a/x.py", 1, 5), questions.Hit("a/y.py", 30, 40)
    assert questions.ndcg([whole, questions.Hit("a/y.py", 20, 25)], question, files) == 1.0
    assert questions.ndcg([other, questions.Hit("a/z.py", 1, 1)], question, files) == 0.0
    assert 0.6 < (questions.ndcg([whole, other], question, files) or 0) < 0.7
    assert questions.ndcg([whole], question, ["b/x.py"]) is None
    assert questions.first_five([*["a/z.py"] * 9, "a/x.py"], question)
    assert not questions.first_five([f"{number}.py" for number in range(5)] + ["a/x.py"], question)
