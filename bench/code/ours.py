"""Answers questions about one tree with `lg-code`'s index, in this process, and measures what that takes."""

from __future__ import annotations

import resource
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lg_code.index.index import Index, what_is_indexed
from lg_code.search.terms import SearchTerms
from lg_code.search.tool import search_code
from lg_policy.config.settings import Settings
from lg_policy.jobs import Job
from lg_policy.paths.file_rules import FileRules
from lg_policy.paths.root import Root
from lg_policy.tree.workspace import Workspace


def ask(root: Path, questions: Sequence[str], top: int) -> dict[str, Any]:
    """Return the answers, how long each took, and the CPU seconds of the index, parsers included."""
    settings = Settings()
    with tempfile.TemporaryDirectory() as state, Root(root) as opened:
        workspace = Workspace([opened], FileRules.from_settings(settings.policy), settings.fs)
        what = what_is_indexed(workspace, settings.policy, ())
        index = Index(workspace, Path(state) / "index", settings.code, what, (SearchTerms(),))
        own, answers, took = _cpu(resource.RUSAGE_SELF), [], []
        try:
            while not index.refresh(Job(600), wait_s=600).complete:
                time.sleep(0.1)
            own = _cpu(resource.RUSAGE_SELF) - own
            for question in questions:
                start = time.perf_counter()
                found = search_code(index, {"query": question, "limit": top}, Job(60)).structured["results"]
                took.append(time.perf_counter() - start)
                answers.append([[hit["path"], hit["start_line"], hit["end_line"]] for hit in found])
        finally:
            before = _cpu(resource.RUSAGE_CHILDREN)
            index.close()
    return {"answers": answers, "took": took, "index_cpu_s": own + _cpu(resource.RUSAGE_CHILDREN) - before}


def _cpu(who: int) -> float:
    used = resource.getrusage(who)
    return used.ru_utime + used.ru_stime
