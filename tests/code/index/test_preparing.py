"""What is computed when a pass has ended, so that the next call need not wait for it."""

from __future__ import annotations

import threading
import time
from pathlib import Path

from lg_code.answers.repo_map import repo_map
from lg_code.index.index import Index
from lg_code.index.rows import generation
from lg_code.ranking.ranks import Ranks
from lg_code.ranking.stored_ranks import load
from lg_policy.jobs import Job, StoppedError
from tests.code.helpers import index_of, job
from tests.fs.helpers import write_tree

WAIT_S = 60


class Endless:
    """Something to prepare that has no end of its own."""

    def __init__(self) -> None:
        self.begun = threading.Semaphore(0)
        self.stopped = threading.Semaphore(0)

    def __call__(self, _index: Index, job: Job) -> None:
        self.begun.release()
        try:
            while True:
                job.wait(0.01)
        except StoppedError:
            self.stopped.release()
            raise


def test_ranks_are_there_before_the_first_map_is_asked_for(tmp_path: Path) -> None:
    write_tree(tmp_path / "repo", {"a.py": "def used():\n    pass\n", "b.py": "from a import used\n\nused()\n"})
    ranks = Ranks()
    with index_of(tmp_path / "repo", afterwards=ranks.prepare) as index:
        assert index.refresh(job()).complete
        deadline = time.monotonic() + WAIT_S
        stored = None
        while stored is None:
            assert time.monotonic() < deadline
            with index.read() as db:
                stored, wanted = load(db), generation(db)
            time.sleep(0.01)
        assert stored.generation == wanted
        kept: list[str] = []
        with index.read() as db:
            ranks.of(db, job(), lambda name, _generation, _parts: kept.append(name))
        assert kept == [], "they are not computed again"
        assert "a.py" in repo_map(index, ranks, {}, job()).text


def test_a_call_that_needs_a_pass_does_not_wait_for_what_is_prepared(tmp_path: Path) -> None:
    write_tree(tmp_path / "repo", {"a.py": "def first():\n    pass\n"})
    endless = Endless()
    with index_of(tmp_path / "repo", afterwards=endless) as index:
        assert index.refresh(job()).complete
        assert endless.begun.acquire(timeout=WAIT_S)
        write_tree(tmp_path / "repo", {"b.py": "def second():\n    pass\n"})
        coverage = index.refresh(job(), wait_s=WAIT_S)
        assert coverage.complete
        assert coverage.files == 2
        assert endless.stopped.acquire(timeout=WAIT_S)
        assert endless.begun.acquire(timeout=WAIT_S), "after that pass it begins anew"
    assert endless.stopped.acquire(timeout=WAIT_S), "it ends with the index"
