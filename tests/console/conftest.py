"""One browser for the tests of a file, which are synchronous: no other event loop can run in its thread meanwhile."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from playwright.sync_api import Browser, Playwright, sync_playwright

from tests.support import require

ARGUMENTS = ("--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--disable-background-networking")
"""Tests may run as root, where Chromium's own sandbox does not start."""


@contextmanager
def launched(playwright: Playwright) -> Iterator[Browser]:
    program = shutil.which("chromium")
    require(program is not None, "Debian's chromium")
    opened = playwright.chromium.launch(executable_path=program, args=list(ARGUMENTS))
    try:
        yield opened
    finally:
        opened.close()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright, launched(playwright) as opened:
        yield opened
