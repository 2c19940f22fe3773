"""What a user is told when no model can be asked, and where keys must not turn up."""

from __future__ import annotations

import os
import signal
import socket
from importlib.util import find_spec
from typing import TYPE_CHECKING

import pytest

from lg_orch.testing import ScriptedModel, broken, calls, text
from tests.orchestrator.llm.project import KEY, READ, Project, make
from tests.orchestrator.programs import lg_orch, running

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.usefixtures("programs_by_fork")


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return make(tmp_path)


def test_a_missing_provider_package_ends_with_the_extra_to_install(project: Project) -> None:
    assert find_spec("langchain_anthropic") is None, "the tests' environment has the openai package only"
    ended = lg_orch("run", "fix the failing test", "--model", "anthropic:some-model", cwd=project.root)
    assert ended.returncode == 2
    assert "pip install 'langchain-anthropic>=" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_a_missing_key_is_noticed_before_anything_is_done_and_the_message_says_which_to_set(project: Project) -> None:
    ended = lg_orch(
        "run", "fix the failing test", "--model", "openai:some-model", cwd=project.root, env={"OPENAI_API_KEY": ""}
    )
    assert ended.returncode == 2
    assert "there is no API key for openai:some-model (set OPENAI_API_KEY)" in ended.stderr
    assert "Traceback" not in ended.stderr
    assert "exec__exec" not in ended.stderr, "no check was run"


@pytest.mark.parametrize("name", ["opnai", "openai-compatible", "x" * 300])
def test_a_provider_that_does_not_exist_is_a_mistake_and_no_outage(project: Project, name: str) -> None:
    ended = lg_orch("run", "fix the failing test", "--model", f"{name}:some-model", cwd=project.root)
    assert ended.returncode == 2
    assert "there is no provider" in ended.stderr
    assert "did you mean openai:some-model?" in ended.stderr or "providers are openai, anthropic" in ended.stderr
    assert "resume" not in ended.stderr


def test_a_provider_of_langchain_whose_package_is_not_there_is_named_with_it(project: Project) -> None:
    ended = lg_orch("run", "fix the failing test", "--model", "mistralai:some-model", cwd=project.root)
    assert ended.returncode == 2
    assert "needs the package langchain-mistralai" in ended.stderr


def test_a_key_turns_up_nowhere_even_if_a_server_repeats_it(project: Project, tmp_path: Path) -> None:
    echo = [calls(READ, ("fs__search_files", {"regex": KEY}), content=f"I search {KEY}"), text(f"The key is {KEY}.")]
    with ScriptedModel([*echo, broken(401, f"wrong key {KEY}")]) as model:
        project.configure(model, options="temperature = 0\n")
        state = tmp_path / "state"
        flags = ("--yes", "--state-dir", str(state), "--log-level", "debug")
        answered = project.run(*flags, request="where is add defined?")
        refused = project.run(*flags, request=f"fix the failing test; my key is {KEY}")
    assert answered.returncode == 0, answered.stdout + answered.stderr
    assert "The key is [secret:" in answered.stdout.replace("\\", "")
    assert refused.returncode == 1
    assert "OPENAI_API_KEY" in refused.stdout
    assert KEY in model.requests[0]["authorization"]
    assert not [request for request in model.requests if KEY in str(request["messages"])]
    kept = [path for folder in (state, project.root) for path in folder.rglob("*") if path.is_file()]
    assert any("checkpoint" in path.name for path in kept), [path.name for path in kept]
    assert not [path for path in kept if KEY.encode() in path.read_bytes()]
    shown = refused.stderr.partition("\n")[2]  # the first line repeats to the user what they typed
    assert KEY not in answered.stdout + answered.stderr + refused.stdout + shown
    assert os.environ.get("OPENAI_API_KEY") != KEY


def test_a_second_ctrl_c_does_not_wait_for_a_model_that_says_nothing(project: Project) -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        project.configure(ScriptedModel([], base_url=f"http://127.0.0.1:{silent.getsockname()[1]}/v1"))
        flags = ("fix the failing test", "--yes", "--config", str(project.settings))
        with running(*flags, cwd=project.root) as run:
            run.wait_for("model", "openai:scripted", "begin")
            run.process.send_signal(signal.SIGINT)
            run.wait_for("thought", "run", "note")
            run.process.send_signal(signal.SIGINT)
            status, out, err = run.end()
    assert status == 130, err
    assert "interrupted" in out
    assert "Traceback" not in err
