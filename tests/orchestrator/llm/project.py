"""A small project with a failing test, and runs of the installed program on it with a scripted model."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tests.orchestrator.programs import lg_orch
from tests.small_environment import pytest_environment

if TYPE_CHECKING:
    import subprocess
    from pathlib import Path

    from lg_orch.testing import ScriptedModel

KEY = "sk-scripted-0123456789abcdef0123456789abcdef"
WRONG, RIGHT = "return a - b", "return a + b"
ANSWER = "`add` subtracted; it adds now."
READ = ("fs__read_file", {"path": "calc.py"})


def patch(old: str = WRONG, new: str = RIGHT) -> tuple[str, dict[str, Any]]:
    text = f"calc.py\n<<<<<<< SEARCH\n    {old}\n=======\n    {new}\n>>>>>>> REPLACE\n"
    return "fs__apply_patch", {"patch": text}


@dataclass(frozen=True, kw_only=True)
class Project:
    root: Path
    settings: Path

    def source(self) -> str:
        return (self.root / "calc.py").read_text()

    def configure(
        self,
        model: ScriptedModel,
        *,
        provider: str = "openai",
        name: str = "scripted",
        fallbacks: tuple[str, ...] = (),
        extra: str = "",
        options: str = "",
    ) -> None:
        base_url = model.base_url if provider == "openai" else model.url_for(provider)
        self.settings.write_text(
            f'{extra}\n[exec]\nenvironment = "{pytest_environment()}"\n'
            f'[models.default]\nprovider = "{provider}"\nmodel = "{name}"\nbase_url = "{base_url}"\n'
            f"fallbacks = {json.dumps(fallbacks)}\nretries = 0\n{options}"
        )

    def run(self, *flags: str, request: str = "fix the failing test") -> subprocess.CompletedProcess[str]:
        return lg_orch("run", request, "--trace", "--config", str(self.settings), *flags, cwd=self.root, env=self.env())

    def env(self) -> dict[str, str]:
        return {"OPENAI_API_KEY": KEY, "LG_MODEL": ""}

    def trace(self) -> dict[str, Any]:
        """Return the newest trace."""
        path = max((self.root / "artifacts" / "runs").iterdir())
        found: dict[str, Any] = json.loads(path.read_text())
        return found

    def events(self, kind: str) -> list[dict[str, Any]]:
        return [event for event in self.trace()["events"] if event["kind"] == kind]


def make(folder: Path) -> Project:
    root = folder / "repo"
    (root / "tests").mkdir(parents=True)
    (root / "calc.py").write_text(f"def add(a, b):\n    {WRONG}\n")
    (root / "tests" / "test_calc.py").write_text(
        "from calc import add\n\n\ndef test_add():\n    assert add(1, 2) == 3\n"
    )
    (root / "pyproject.toml").write_text(
        '[project]\nname = "p"\nversion = "1"\n[tool.pytest.ini_options]\npythonpath = ["."]\n'
    )
    return Project(root=root, settings=folder / "settings.toml")
