"""Measure what an index of one tree costs: CPU time and memory of the first one, of a check, a search, and a map.

    python -m bench.code.times --tree DIR

The index is made in a temporary directory. CPU time is told, as it depends least on what else the machine does.
"""

from __future__ import annotations

import argparse
import resource
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from bench.machine import machine
from lg_code.answers.repo_map import repo_map
from lg_code.index.index import Index, what_is_indexed
from lg_code.ranking.ranks import Ranks
from lg_code.search.terms import SearchTerms
from lg_code.search.tool import search_code
from lg_policy.config.settings import Settings
from lg_policy.jobs import Job
from lg_policy.paths.file_rules import FileRules
from lg_policy.paths.root import Root
from lg_policy.tree.workspace import Workspace

_LIMIT_S = 3_600
_QUERIES = (
    "where is the retry header parsed",
    "how are cookies of a session signed",
    "Serializer",
    "validate input schema",
    "cancel a coroutine after a timeout",
    "logging handler that rotates files",
)


def _cpu_ms(work: Callable[[str], object]) -> float:
    took: list[float] = []
    for query in _QUERIES * 3:
        began = time.process_time()
        work(query)
        took.append(time.process_time() - began)
    return 1_000 * statistics.median(took)


def _is_ranked(index: Index) -> bool:
    with index.read() as db:
        return db.execute("SELECT 1 FROM computed").fetchone() is not None


def _measured(index: Index, ranks: Ranks) -> list[tuple[str, str]]:
    began = time.process_time()
    while not index.refresh(Job(_LIMIT_S), wait_s=_LIMIT_S).complete:
        time.sleep(0.1)
    rows = [("first index, CPU s of the server", f"{time.process_time() - began:.1f}")]
    began = time.process_time()
    while not _is_ranked(index):
        time.sleep(0.05)
    rows.append(("ranks, computed when it is complete, CPU s", f"{time.process_time() - began:.2f}"))
    rows.append(("check that nothing changed, CPU ms", f"{_cpu_ms(lambda _: index.refresh(Job(60))):.0f}"))
    rows.append(
        ("search, its check included, CPU ms", f"{_cpu_ms(lambda q: search_code(index, {'query': q}, Job(60))):.0f}")
    )
    for which in ("first map, CPU s", "next map, CPU s"):
        began = time.process_time()
        repo_map(index, ranks, {}, Job(60))
        rows.append((which, f"{time.process_time() - began:.2f}"))
    return rows


def main(arguments: Sequence[str]) -> int:
    """Print one table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tree", type=Path, required=True)
    given = parser.parse_args(arguments)
    settings = Settings()
    with tempfile.TemporaryDirectory() as state, Root(given.tree) as opened:
        workspace = Workspace([opened], FileRules.from_settings(settings.policy), settings.fs)
        what = what_is_indexed(workspace, settings.policy, ())
        ranks = Ranks()
        index = Index(workspace, Path(state) / "index", settings.code, what, (SearchTerms(),), ranks.prepare)
        try:
            rows = _measured(index, ranks)
            with index.read() as db:
                files = db.execute("SELECT count(*) FROM files").fetchone()[0]
        finally:
            index.close()
    children, own = (resource.getrusage(who) for who in (resource.RUSAGE_CHILDREN, resource.RUSAGE_SELF))
    rows.append(("parser processes, CPU s", f"{children.ru_utime + children.ru_stime:.1f}"))
    rows.append(("most memory of the server, MB", str(own.ru_maxrss >> 10)))
    print(f"{machine()}\n\n{files} files\n\n| what | |\n|---|---|")
    for name, value in rows:
        print(f"| {name} | {value} |")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
