"""Expensive things that the tests of runs share."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.orchestrator.stage import KEY, Place, standing

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(scope="session")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    with standing(tmp_path_factory.mktemp("stage")) as made:
        yield made


@pytest.fixture
def place(stage: Place, clean_environment: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    """The shared place as it was at first, and the environment that its state is found by."""
    for name in ("STATE", "CONFIG"):
        monkeypatch.setenv(f"XDG_{name}_HOME", str(stage.folder / name.lower()))
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    stage.reset()
    return stage
