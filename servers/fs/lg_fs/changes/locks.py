"""Who may change what is below a root: one holder at a time, between threads, servers and state directories."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager

from lg_fs.changes.journal import Journal, wait_for_lock
from lg_fs.job import Job
from lg_fs.tree.workspace import ServedRoot
from lg_policy.paths.root import Root

log = logging.getLogger(__name__)


@contextmanager
def holding(places: Sequence[ServedRoot], journals: Mapping[str, Journal], job: Job) -> Iterator[None]:
    """Hold several roots. `places` come in an order that everybody keeps, so that no two wait for each other.

    Two locks each: the journal's, and one on the root directory itself, for servers that keep their journals
    elsewhere. Raises `CallTimeout`.
    """
    with ExitStack() as stack:
        for place in places:
            stack.enter_context(journals[place.root.id].locked(job))
            stack.enter_context(_locked(place.root, job))
        yield


@contextmanager
def _locked(root: Root, job: Job) -> Iterator[None]:
    # A descriptor of its own: threads that shared the root's would share the lock.
    descriptor = os.open(".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=root.fd)
    try:
        try:
            wait_for_lock(descriptor, job)
        except OSError as error:
            log.debug("%s cannot be locked (%s): the lock of the journal alone holds", root.path, error)
        yield
    finally:
        os.close(descriptor)
