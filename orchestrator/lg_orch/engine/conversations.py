"""Keeps a run's conversation in its directory, for a run that follows it."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from lg_orch.llm.conversation.earlier import Earlier, dumped, loaded
from lg_orch.llm.ports import AsksModels
from lg_policy.state import replace_file

if TYPE_CHECKING:
    from lg_orch.engine.job import RunJob
    from lg_orch.runs.run_directory import RunDir

log = logging.getLogger(__name__)
MAX_BYTES = 20_000_000
"""A longer file is no conversation of ours."""


def earlier_of(run: RunDir) -> Earlier:
    """Return what the conversation said before a run; nothing for a run that follows no other."""
    return _read(run, "earlier") or Earlier()


def conversation_of(run: RunDir) -> Earlier | None:
    """Return the conversation with a run; `None` when none is kept."""
    return _read(run, "conversation")


def follow(run: RunDir, before: Earlier) -> None:
    """Have a new run follow a conversation."""
    if before.exchanges:
        replace_file(run.earlier, dumped(before))


def keep_conversation(job: RunJob, words: str) -> None:
    """Keep the conversation with a run that has come to its end, where a model worked on it."""
    backend = job.chosen.backend
    found = backend.conversation(job.request, words) if isinstance(backend, AsksModels) else None
    if found is not None:
        try:
            replace_file(job.run.conversation, dumped(found))
        except OSError as error:
            log.warning("the conversation of run %s was not kept: %s", job.run.run_id, error)


def _read(run: RunDir, which: str) -> Earlier | None:
    path = run.earlier if which == "earlier" else run.conversation
    try:
        with open(path, "rb") as file:
            data = file.read(MAX_BYTES + 1)
        return loaded(data) if len(data) <= MAX_BYTES else None
    except FileNotFoundError:
        return None
    except (ValueError, OSError, RecursionError) as error:
        log.warning("%s cannot be read: %s", path, error)
        return None
