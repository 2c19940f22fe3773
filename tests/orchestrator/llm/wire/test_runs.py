"""A whole run of the installed program over the wire of each of the other providers, as their users meet it: planned by
its schema and not streamed, worked on in a stream, with a model that is busy first and wrong once."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from lg_orch.testing import Scripted, ScriptedModel, broken, calls, text
from tests.orchestrator.llm.project import ANSWER, READ, RIGHT, Project, make, patch
from tests.orchestrator.llm.wire.asking import KEYS, keys, schema_in
from tests.orchestrator.programs import lg_orch

if TYPE_CHECKING:
    from pathlib import Path

NAMES = {"anthropic": "claude-scripted", "google_genai": "gemini-3-scripted", "ollama": "scripted:1b"}
TESTS = ("fs__read_file", {"path": "tests/test_calc.py"})
PRODUCT = "return a * b"
PLAN = {"steps": [{"id": "s1", "description": "look", "tools": []}], "acceptance": ["add adds"]}
REPAIR = {"reflection": "Multiplying is not adding.", "plan": PLAN}


def script(key: str) -> list[Scripted]:
    """What the model does; it and its server repeat the key wherever they can."""
    reads = tuple((name, json.dumps(arguments)) for name, arguments in (READ, TESTS))
    return [
        broken(429, f"slow down, {key}", retry_after=0.01),
        text('{"intent": "debug", "lane": "deep", "rationale": "large"}'),
        text(json.dumps(PLAN)),
        Scripted(thinking="I think. " * 9, calls=reads, content=f"I read with {key}", cached=10),
        calls(patch(new=PRODUCT)),
        text("It multiplies now."),
        text(json.dumps(REPAIR)),
        calls(patch(old=PRODUCT)),
        text(f"{ANSWER} {key}"),
        text('{"ok": true, "problems": []}'),
    ]


def settings(project: Project, provider: str, model: ScriptedModel) -> None:
    name = f"{provider}:{NAMES[provider]}"
    price = f'[models.prices]\n"{name}" = {{ input = 1, output = 2 }}\n'
    project.configure(model, provider=provider, name=NAMES[provider], extra=price, options="temperature = 0\n")
    told = project.settings.read_text().replace("retries = 0", "retries = 1\nretry_pause_s = 0")
    default = told[told.index("[models.default]") :]
    for role in ("router", "planner", "verifier"):
        told += default.replace("default", role) + "streaming = false\njson_schema = true\n"
    project.settings.write_text(told)


@pytest.mark.parametrize("provider", NAMES)
def test_large_work_is_planned_done_repaired_and_proved_and_no_key_is_kept_anywhere(
    tmp_path: Path, providers_python: str, provider: str
) -> None:
    project, key, state = make(tmp_path), KEYS[provider][1], tmp_path / "state"
    with ScriptedModel(script(key)) as model:
        settings(project, provider, model)
        flags = ("--yes", "--trace", "--config", str(project.settings), "--state-dir", str(state))
        ended = lg_orch(
            "run", "Migrate the whole project to adding numbers.", *flags, "--log-level", "debug", cwd=project.root,
            env={**keys(), "LG_MODEL": ""}, python=providers_python,
        )  # fmt: skip
    assert model.refused == []
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert len(model.requests) == len(script(key))
    assert RIGHT in project.source()
    assert ANSWER in ended.stdout
    trace = project.trace()
    assert [event["data"]["exit_code"] for event in project.events("verify")] == [1, 1, 0]
    assert trace["usage"]["tokens"] == sum(model.prompt_tokens) + sum(model.completion_tokens)
    assert trace["usage"]["cost_usd"] > 0
    assert [event["phase"] for event in project.events("model")][:4] == ["begin", "retry", "begin", "end"]
    assert "rationale" in json.dumps(schema_in(provider, model.requests[0]))
    assert "assert -1 == 3" in json.dumps(model.requests[3]), "who works has the failing test"
    assert key in model.requests[0]["authorization"]
    kept = [path for folder in (state, project.root) for path in folder.rglob("*") if path.is_file()]
    assert any("checkpoint" in path.name for path in kept), [path.name for path in kept]
    assert not [path for path in kept if key.encode() in path.read_bytes()]
    assert key not in ended.stdout + ended.stderr
