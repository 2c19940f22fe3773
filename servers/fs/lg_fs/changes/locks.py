"""Locks a root for changes: one holder at a time, across threads, servers and state directories."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager

from lg_policy.changes.journal import Journal, wait_for_lock
from lg_policy.jobs import Job
from lg_policy.paths.root import Root
from lg_policy.state import root_lock
from lg_policy.tree.workspace import ServedRoot

log = logging.getLogger(__name__)


@contextmanager
def holding(places: Sequence[ServedRoot], journals: Mapping[str, Journal], job: Job) -> Iterator[None]:
    """Hold several roots. `places` are in the order that every holder uses, so that no two wait for each other.

    Two locks each: the journal's, and one that is the same for servers that keep their journals elsewhere. Both are
    files outside the root, where a command in a sandbox cannot lock them. Raises `CallTimeout`.
    """
    with ExitStack() as stack:
        for place in places:
            stack.enter_context(journals[place.root.id].locked(job))
            stack.enter_context(_locked(place.root, job))
        yield


@contextmanager
def _locked(root: Root, job: Job) -> Iterator[None]:
    path = root_lock(root.path)
    try:
        descriptor = -1 if path is None else os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        log.debug("%s cannot be opened (%s)", path, error)
        descriptor = -1
    if descriptor < 0:
        log.debug("%s has no common lock: the lock of the journal alone holds", root.path)
        yield
        return
    try:
        wait_for_lock(descriptor, job)
        yield
    finally:
        os.close(descriptor)
