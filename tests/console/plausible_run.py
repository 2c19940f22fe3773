"""A run as people see one: a model thinks, reads, changes a file and has it checked, and stops where it is told."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2

from lg_orch.testing import Scripted, ScriptedModel, calls, text
from tests.console.served_runs import ServedRuns, served_runs

WAIT_S = 120.0
FILES = {
    "src/tidal/model.py": '"""Water levels."""\n\n\ndef depth(chart: float, tide: float) -> float:\n'
    '    """Water above the sill, in metres."""\n    return chart - tide\n',
    "tests/test_model.py": "from tidal.model import depth\n\n\ndef test_depth():\n    assert depth(2.0, 1.5) == 3.5\n",
    "Makefile": "test:\n\t@echo '1 passed in 0.02s'\n",
    "README.md": "# Tidal\n\nHow deep the water is above the sill of a harbour.\n",
}
REQUEST = "depth() subtracts the tide; it must add it. Fix it and run the tests."
ROUTE = '{"intent": "code_change", "lane": "interactive", "rationale": "One function adds with the wrong sign."}'
PATCH = (
    "src/tidal/model.py\n<<<<<<< SEARCH\n    return chart - tide\n=======\n    return chart + tide\n>>>>>>> REPLACE\n"
)
STEPS: tuple[tuple[str, list[tuple[str, dict[str, Any]]]], ...] = (
    ("I look at the function and at its test first.", [
        ("fs__read_file", {"path": "src/tidal/model.py"}), ("fs__read_file", {"path": "tests/test_model.py"}),
    ]),
    ("The test expects the sum, so the sign is wrong.", [("fs__apply_patch", {"patch": PATCH})]),
)  # fmt: skip
SETTINGS = """
[exec]
sandbox = "off"
[exec.commands.make]
executable = "{make}"
needs_sandbox = false
[[gateway.rules]]
tools = ["exec__exec"]
effect = "allow"
reason = "the only command does nothing"
[models.default]
provider = "openai"
model = "scripted"
base_url = "{model}"
"""


@dataclass
class PlausibleModel:
    """Answers step by step; holds its answer to a step until `go_on`."""

    held: set[int] = field(default_factory=set)
    silent: threading.Event = field(default_factory=threading.Event)
    go_on: threading.Event = field(default_factory=threading.Event)

    def __call__(self, request: dict[str, Any]) -> Scripted:
        if not request.get("tools"):
            return text(ROUTE)
        made = sum(message["role"] == "assistant" for message in request["messages"])
        if made in self.held:
            self.silent.set()
            self.go_on.wait(WAIT_S)
        if made >= len(STEPS):
            return text("`depth()` adds the tide now, and the tests pass.")
        thought, wanted = STEPS[made]
        return calls(*wanted, content=thought)


@contextmanager
def plausible_runs(folder: Path, model: PlausibleModel) -> Iterator[ServedRuns]:
    """Serve runs of a small project with that model."""
    root = folder / "tidal"
    for name, content in FILES.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(content)
    with ScriptedModel(model) as scripted:
        config = folder / "settings.toml"
        config.write_text(SETTINGS.format(model=scripted.base_url, make=shutil.which("make") or "/bin/true"))
        try:
            with served_runs(root, "--config", str(config)) as served:
                yield served
        finally:
            model.go_on.set()


def begin(served: ServedRuns, request: str = REQUEST) -> str:
    """Begin a run; returns its id."""
    with httpx2.Client(base_url=served.address, timeout=WAIT_S) as client:
        bearer = {"authorization": f"Bearer {served.token}"}
        return str(client.post("/v1/runs", json={"request": request}, headers=bearer).json()["run_id"])
