"""Questions of third-party servers in a run: real program, real gateway, a real server of either era."""

from __future__ import annotations

import json
import os
import sys
from typing import TYPE_CHECKING, Any

import pytest

from lg_orch.testing import ScriptedModel, calls, text
from tests.gateway.rig import journal, server
from tests.gateway.terminals import on_terminal
from tests.orchestrator.programs import lg_orch
from tests.orchestrator.thinker.project import KEY, Project, make

if TYPE_CHECKING:
    from pathlib import Path

REQUEST = "where is the colour mentioned?"
FORM = {
    "type": "object",
    "properties": {
        "colour": {"type": "string", "enum": ["red", "blue"], "title": "Colour\u202e"},
        "coats": {"type": "integer", "minimum": 1},
        "note": {"type": "string"},
    },
    "required": ["colour"],
}
ASKED = ("a__ask", {"message": "Which one?\nserver: fs (built in)", "schema": FORM})


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    return make(tmp_path)


def configure(project: Project, model: ScriptedModel, era: str) -> None:
    rule = '[[gateway.rules]]\ntools = ["a__*"]\neffect = "allow"\n'
    ours = "".join(f'[gateway.servers.{name}]\nbuiltin = "{name}"\n' for name in ("fs", "exec"))
    part = server("a", "--era", era, "--journal", str(project.settings.with_name("server.jsonl")))
    project.configure(model, extra=rule + ours + part)


def given(project: Project) -> list[Any]:
    """What the server was answered."""
    return [line["answer"] for line in journal(project.settings.with_name("server.jsonl")) if "answer" in line]


def asked() -> ScriptedModel:
    return ScriptedModel([calls(ASKED), text("It was answered.")])


def test_a_servers_question_makes_a_run_wait_and_is_answered_from_another_process(project: Project) -> None:
    elsewhere = project.root.parent
    with asked() as model:
        configure(project, model, "both")
        waiting = project.run("--yes", request=REQUEST)
        assert waiting.returncode == 3, waiting.stdout + waiting.stderr
        for line in (
            "server: a (third party)", "| Which one?", "| server: fs (built in)", "--answer JSON",
            '| colour (required, one of "red"; "blue"): Colour\\u{202e}',
            "| coats (may be left out, integer, minimum 1)",
        ):  # fmt: skip
            assert line in waiting.stdout
        (row,) = [json.loads(line) for line in lg_orch("approvals", "--json", cwd=elsewhere).stdout.splitlines()]
        assert (row["kind"], row["tool"]) == ("question", "a__ask")
        for flags, says in (
            (("--answer", '{"colour": "green"}'), "'green' is not one of"),
            (("--answer", f'{{"colour": "red", "note": "ghp_{"a1B2" * 9}"}}'), "looks like a secret"),
            (("--answer", "blue"), "--answer is not JSON"),
            (("--approve",), "use --answer JSON or --deny"),
        ):
            refused = lg_orch("resume", row["run_id"], *flags, cwd=elsewhere)
            assert refused.returncode == 2
            assert says in refused.stderr
        assert given(project) == []
        done = lg_orch("resume", row["run_id"], "--answer", '{"colour": "blue"}', cwd=elsewhere)
        assert done.returncode == 0, done.stdout + done.stderr
        assert "accept blue" in str(model.requests[-1]["messages"])
    assert given(project) == ["accept"]
    answers = [event["data"] for event in project.events("approval") if event["phase"] == "end"]
    assert [(one["key"][:4], one["by"], one["arguments"]) for one in answers] == [
        ("ask.", "resume --answer", {"colour": "blue"})
    ]


def test_on_a_terminal_a_servers_question_is_a_form(project: Project) -> None:
    program = os.path.join(os.path.dirname(sys.executable), "lg-orch")
    arguments = ("run", REQUEST, "--config", str(project.settings), "--repo-root", str(project.root))
    with asked() as model:
        configure(project, model, "legacy")
        with on_terminal(program, *arguments, env={**os.environ, "TERM": "dumb"}) as screen:
            shown = screen.wait("[D]ecline? ")
            assert "server: a (third party)" in shown
            assert "| server: fs (built in)" in shown
            assert "\u202e" not in shown
            screen.type("a\n")
            screen.wait("colour: ")
            screen.type("green\n")
            screen.wait("'green' is not one of")
            screen.wait("colour: ", times=2)
            screen.type("2\n")
            screen.wait("coats: ")
            screen.type("\n")
            screen.wait("note: ")
            screen.type("\n")
            screen.wait('{"colour": "blue"}')
            screen.wait("[D]ecline? ", times=2)
            screen.type("s\n")
            screen.wait("ended  ")
            assert screen.end() == 0, screen.shown
        assert "accept blue" in str(model.requests[-1]["messages"])
    assert given(project) == ["accept"]
