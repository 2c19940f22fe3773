"""The packages of all providers, installed apart from our environment by the project's own extras."""

from __future__ import annotations

import shutil
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.orchestrator.llm.wire.asking import asking, keys
from tests.third_party import made_once, python_environment

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.orchestrator.llm.wire.asking import Asker

ROOT = Path(__file__).resolve().parents[4]
EXTRAS = "orch,openai,anthropic,google-genai,ollama"


@pytest.fixture(scope="session")
def providers_python(tmp_path_factory: pytest.TempPathFactory) -> str:
    """An interpreter with this project and its providers."""
    return made_once(
        tmp_path_factory,
        "providers",
        lambda folder: python_environment(
            folder, f"{_source(folder / 'source')}[{EXTRAS}]", newest=_newest(), compiled=True
        ),
    )


@pytest.fixture(scope="session")
def asker(providers_python: str) -> Iterator[Asker]:
    """One process that asks models, for all tests."""
    with asking(providers_python, keys()) as made:
        yield made


def _source(target: Path) -> Path:
    """The files that a build needs, apart from the clone: a build may leave things behind."""
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir()
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, target / name)
    for name in ("policy", "servers", "gateway", "orchestrator"):
        shutil.copytree(ROOT / name, target / name, ignore=shutil.ignore_patterns("__pycache__"))
    return target


def _newest() -> str:
    """The time up to which the project's own environment takes what is published."""
    project: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    return str(project["tool"]["uv"]["exclude-newer"])
