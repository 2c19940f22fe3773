"""What the tools work with. The index is opened by the first call, so that the server starts at once."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lg_code.index.index import Index, what_is_indexed
from lg_code.ranking.ranks import Ranks
from lg_code.search.terms import SearchTerms
from lg_policy.config.settings import Settings
from lg_policy.jobs import Workers
from lg_policy.tree.workspace import Workspace


class Service:
    """The roots, the index, and the threads that answer."""

    def __init__(
        self,
        *,
        workspace: Workspace,
        directory: Path,
        workers: Workers,
        settings: Settings,
        closed: Sequence[str],
        meta: Mapping[str, Any],
    ) -> None:
        self.workspace = workspace
        self.workers = workers
        self.settings = settings
        self.meta = dict(meta)
        self.ranks = Ranks()
        self._directory = directory
        self._closed = tuple(closed)
        self._index: Index | None = None
        self._lock = threading.Lock()

    def index(self) -> Index:
        """Return the index. The first call opens it."""
        with self._lock:
            if self._index is None:
                what = what_is_indexed(self.workspace, self.settings.policy, self._closed)
                self._index = Index(
                    self.workspace, self._directory, self.settings.code, what, (SearchTerms(),), self.ranks.prepare
                )
            return self._index

    def close(self) -> None:
        """End what was started."""
        self.workers.close()
        with self._lock:
            if self._index is not None:
                self._index.close()
                self._index = None
