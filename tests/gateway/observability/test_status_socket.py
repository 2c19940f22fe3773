"""The socket on which a running gateway says how it is."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest

from lg_gateway.observability.status_socket import FOLDER, forget_ended, status_socket

pytestmark = pytest.mark.anyio
NOBODY: Any = None


async def test_a_gateway_that_starts_is_not_taken_for_one_that_ended(tmp_path: Path) -> None:
    over, folder = threading.Event(), tmp_path / FOLDER
    folder.mkdir()

    def look() -> None:
        while not over.is_set():
            forget_ended(folder)

    others = [threading.Thread(target=look) for _ in range(2)]
    for other in others:
        other.start()
    try:
        for number in range(50):
            async with status_socket(NOBODY, tmp_path, str(number), {}):
                assert (folder / f"{number}.sock").exists()
    finally:
        over.set()
        for other in others:
            other.join()
    assert list(folder.iterdir()) == []
