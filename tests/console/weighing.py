"""What is measured on pages: the bytes that a visit takes, and faults that axe-core finds."""

from __future__ import annotations

from playwright.sync_api import Response

MOST_BYTES = 150_000
"""Of one page with all that it loads."""


def serious(fault: dict[str, str]) -> bool:
    return fault["impact"] in ("serious", "critical")


def add_size(sizes: list[int], answer: Response) -> None:
    sizes.append(int(answer.headers.get("content-length", "0")))
