"""Whole runs of the installed program over the wires of the other providers, as their users meet them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from lg_orch.testing import Scripted, ScriptedModel, broken, calls, text
from tests.orchestrator.programs import lg_orch
from tests.orchestrator.providers.asking import KEYS, keys
from tests.orchestrator.providers.test_wires import schema_in
from tests.orchestrator.thinker.project import ANSWER, READ, RIGHT, WRONG, Project, make, patch

if TYPE_CHECKING:
    import subprocess
    from pathlib import Path

NAMES = {"anthropic": "claude-scripted", "google_genai": "gemini-3-scripted", "ollama": "scripted:1b"}
others = pytest.mark.parametrize("provider", NAMES)
TESTS = ("fs__read_file", {"path": "tests/test_calc.py"})
ROUTE = text('{"intent": "debug", "lane": "deep", "rationale": "large"}')
STEPS = [{"id": "s1", "description": "look", "tools": []}]
PLAN = text(json.dumps({"steps": STEPS, "acceptance": ["add adds"]}))
REVIEW = text('{"ok": true, "problems": []}')


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return make(tmp_path)


def run(
    project: Project, python: str, *flags: str, request: str = "fix the failing test"
) -> subprocess.CompletedProcess[str]:
    arguments = ("run", request, "--yes", "--trace", "--config", str(project.settings), *flags)
    return lg_orch(*arguments, cwd=project.root, env={**keys(), "LG_MODEL": ""}, python=python)


@others
def test_a_failing_test_is_fixed_and_no_key_is_kept_anywhere(
    project: Project, providers_python: str, provider: str, tmp_path: Path
) -> None:
    key = KEYS[provider][1]
    reads = ((READ[0], json.dumps(READ[1])), (TESTS[0], json.dumps(TESTS[1])))
    script = [
        broken(429, f"slow down, {key}", retry_after=0.01), Scripted(thinking="I think. " * 9, calls=reads, cached=10),
        calls(patch()), text(f"{ANSWER} {key}"),
    ]  # fmt: skip
    state = tmp_path / "state"
    with ScriptedModel(script) as model:
        price = f'[models.prices]\n"{provider}:{NAMES[provider]}" = {{ input = 1, output = 2 }}\n'
        options = "retry_pause_s = 0\ntemperature = 0\n"
        project.configure(model, provider=provider, name=NAMES[provider], extra=price, options=options)
        settings = project.settings.read_text().replace("retries = 0", "retries = 1")
        project.settings.write_text(settings)
        ended = run(project, providers_python, "--state-dir", str(state), "--log-level", "debug")
    assert model.refused == []
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert RIGHT in project.source()
    assert ANSWER in ended.stdout
    trace = project.trace()
    assert trace["verification"]["ok"] is True
    assert trace["usage"]["tokens"] == sum(model.prompt_tokens) + sum(model.completion_tokens)
    assert trace["usage"]["cost_usd"] > 0
    assert [event["phase"] for event in project.events("model")][:4] == ["begin", "retry", "begin", "end"]
    assert "assert -1 == 3" in json.dumps(model.requests[0]), "the first request has the failing test"
    assert key in model.requests[0]["authorization"]
    kept = [path for folder in (state, project.root) for path in folder.rglob("*") if path.is_file()]
    assert any("checkpoint" in path.name for path in kept), [path.name for path in kept]
    assert not [path for path in kept if key.encode() in path.read_bytes()]
    assert key not in ended.stdout + ended.stderr


@others
def test_large_work_is_planned_by_its_schema_and_reviewed_also_without_a_stream(
    project: Project, providers_python: str, provider: str
) -> None:
    script = [ROUTE, PLAN, calls(READ, TESTS), calls(patch(new="return a * b")), text("It multiplies now.")]
    repair = {"reflection": "Multiplying is not adding.", "plan": {"steps": STEPS, "acceptance": ["add adds"]}}
    script += [text(json.dumps(repair)), calls(patch(old="return a * b")), text(ANSWER), REVIEW]
    with ScriptedModel(script) as model:
        options = "streaming = false\njson_schema = true\n"
        project.configure(model, provider=provider, name=NAMES[provider], options=options)
        ended = run(project, providers_python, request="Migrate the whole project to adding numbers.")
    assert model.refused == []
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert len(model.requests) == len(script)
    assert RIGHT in project.source()
    assert WRONG not in project.source()
    assert "rationale" in json.dumps(schema_in(provider, model.requests[0]))
    assert [event["data"]["exit_code"] for event in project.events("verify")] == [1, 1, 0]
