"""Questions of third-party servers in a run: real program, real gateway, a real server of either era."""

from __future__ import annotations

import json
import os
import sys
from typing import TYPE_CHECKING, Any

import pytest

from lg_orch.testing import ScriptedModel, calls, text
from tests.gateway.commands.terminals import on_terminal
from tests.gateway.rig import journal, server
from tests.orchestrator.llm.project import KEY, Project, make
from tests.orchestrator.programs import lg_orch

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.usefixtures("programs_by_fork")

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


def configure(project: Project, model: ScriptedModel, era: str, *args: str, **settings: Any) -> None:
    rule = '[[gateway.rules]]\ntools = ["a__*"]\neffect = "allow"\n'
    ours = "".join(f'[gateway.servers.{name}]\nbuiltin = "{name}"\n' for name in ("fs", "exec"))
    file = str(project.settings.with_name("server.jsonl"))
    part = server("a", "--era", era, "--journal", file, *args, **settings)
    project.configure(model, extra=rule + ours + part)


def given(project: Project) -> list[Any]:
    """What the server was answered."""
    return [line["answer"] for line in journal(project.settings.with_name("server.jsonl")) if "answer" in line]


def arrived(project: Project) -> int:
    """How often the call came to the server."""
    return sum("tool" in line for line in journal(project.settings.with_name("server.jsonl")))


def accepted(project: Project) -> list[Any]:
    return [answer for answer in given(project) if answer == "accept"]


def asked(**arguments: Any) -> ScriptedModel:
    name, known = ASKED
    return ScriptedModel([calls((name, known | arguments)), text("It was answered.")])


def resumed(project: Project, *flags: str) -> tuple[int, str]:
    done = lg_orch("resume", "last", *flags, cwd=project.root)
    return done.returncode, done.stdout + done.stderr


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
            (("--answer", f'{{"colour": "red", "note": "ghp_{"a1B2" * 9}"}}'), "seems to contain a secret"),
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
            shown = screen.wait("(Enter declines)? ")
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
            screen.wait("(Enter declines)? ", times=2)
            screen.type("s\n")
            screen.wait("ended  ")
            assert screen.end() == 0, screen.shown
        assert "accept blue" in str(model.requests[-1]["messages"])
    assert given(project) == ["accept"]


BLUE, RED = ("--answer", '{"colour": "blue"}'), ("--answer", '{"colour": "red"}')


def test_an_answer_that_comes_after_its_gateway_ended_is_kept_for_the_call_that_is_made_anew(project: Project) -> None:
    with asked() as model:
        configure(project, model, "legacy")
        assert project.run("--yes", request=REQUEST).returncode == 3
        status, said = resumed(project, *BLUE)
        assert (status, arrived(project), accepted(project)) == (3, 1, []), said
        assert "it is not known whether it finished" in said
        assert "Your answers to its server are kept" in said
        status, said = resumed(project, "--not-done")
        assert (status, arrived(project), accepted(project)) == (0, 2, ["accept"]), said
        assert "accept blue" in str(model.requests[-1]["messages"])
    by = [event["data"]["by"] for event in project.events("approval") if event["phase"] == "end"]
    assert by == ["resume --answer", "resume --not-done", "resume --answer, kept"]


def test_the_same_question_asked_twice_in_one_call_is_put_twice_and_each_answer_goes_to_its_own(
    project: Project,
) -> None:
    with asked(rounds=2) as model:
        configure(project, model, "legacy")
        assert project.run("--yes", request=REQUEST).returncode == 3
        status, said = resumed(project, *BLUE, "--not-done")
        assert (status, arrived(project), accepted(project)) == (3, 2, ["accept"]), said
        assert "It asks for:" in said
        status, said = resumed(project, *RED, "--not-done")
        assert (status, arrived(project)) == (0, 3), said
        assert "accept blue; accept red" in str(model.requests[-1]["messages"])


def test_a_call_that_a_trusted_server_calls_idempotent_is_made_again_without_a_question(project: Project) -> None:
    with asked() as model:
        configure(project, model, "legacy", "--idempotent", "ask", trusted=True)
        assert project.run("--yes", request=REQUEST).returncode == 3
        status, said = resumed(project, *BLUE)
        assert (status, arrived(project), accepted(project)) == (0, 2, ["accept"]), said
        assert "accept blue" in str(model.requests[-1]["messages"])


def test_what_is_said_of_a_lost_call_goes_alone_or_with_an_answer(project: Project) -> None:
    with asked() as model:
        configure(project, model, "legacy")
        assert project.run("--yes", request=REQUEST).returncode == 3
        status, said = resumed(project, "--deny", "--not-done")
        assert (status, arrived(project)) == (2, 1)
        assert "use it alone, or with --answer" in said
