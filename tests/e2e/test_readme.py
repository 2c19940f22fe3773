"""Every command and example in README.md is run, loaded or compared with one that is."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

import pytest

from lg_gateway.clients.installing.entries import ROWS
from lg_policy.config.loading import load_settings
from tests.e2e.programs import run

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text("utf-8")
BY_FORK = pytest.mark.usefixtures("programs_by_fork")
BY_SCRIPT = ['./scripts/dev.sh run "summarize repo" --trace', "./scripts/dev.sh test"]
"""Run in a fresh clone by test_dev_script.py, the second also by continuous integration."""


def blocks(language: str, text: str = README) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", text, flags=re.MULTILINE | re.DOTALL)


ON_PATH = 'export PATH="/path/to/lg-orchestration-platform/.venv/bin:$PATH"'
"""What the page says before it calls programs by name; the tests below know where they are."""
COMMANDS = [
    lines for block in blocks("sh") if (lines := block.split("\n")[:-1]) and lines[0] not in (*BY_SCRIPT, ON_PATH)
]


def test_the_two_commands_stand_first_as_they_are() -> None:
    assert [block.strip() for block in blocks("sh")[:2]] == BY_SCRIPT
    assert "scripts/dev.sh test" in (ROOT / ".ci" / "run").read_text()


def test_the_page_says_where_the_programs_are_before_it_calls_them_by_name() -> None:
    assert README.index(ON_PATH) < README.index("\nlg-orch run")


def test_each_kind_of_user_finds_what_to_type_and_a_tutorial_at_the_top() -> None:
    uses = README[: README.index("## Try it")].split("\n- **")[1:]
    assert len(uses) == 3
    for use in uses:
        commands = re.findall(r"^ {6}(\S.+)$", use, flags=re.MULTILINE)
        assert re.search(r"\[Tutorial\]\(docs/tutorial-\w+\.md\)$", use, flags=re.MULTILINE)
        assert commands
        assert all(command.startswith(("./scripts/dev.sh ", "claude mcp add ")) for command in commands)
    made, served = (uses[2].index(words) for words in ("tokens create", "serve"))
    assert made < served, "a gateway over HTTP does not start without a token"


@BY_FORK
@pytest.mark.parametrize("commands", COMMANDS, ids=lambda commands: commands[0])
def test_the_commands_of_the_page_work_in_their_order(project: Path, commands: list[str]) -> None:
    for command in commands:
        name, *args = shlex.split(command, comments=True)
        done = run(name, *args, cwd=project)
        assert done.returncode == 0, command + done.stdout + done.stderr
        assert done.stdout.strip()


def test_each_client_that_the_page_names_can_be_installed_into() -> None:
    section = README.partition("## Plug into the client you have")[2].partition("\n## ")[0]
    named = re.findall(r"`([a-z-]+)`", section.partition("```")[0])
    assert len(named) > 5
    assert set(named) <= ROWS.keys()
    assert re.findall(r"^\$ lg-gateway install ([\w-]+)$", section, flags=re.MULTILINE) == ["claude-desktop"]


def test_each_client_configuration_is_one_that_docs_clients_md_tests() -> None:
    tested = [json.loads(block) for block in blocks("json", (ROOT / "docs" / "clients.md").read_text("utf-8"))]
    assert [block for block in blocks("json") if json.loads(block) not in tested] == []


@pytest.mark.parametrize("text", blocks("toml"))
def test_a_settings_example_loads(tmp_path: Path, text: str) -> None:
    path = tmp_path / "example.toml"
    path.write_text(text)
    assert load_settings(config=path).sources[-2] == str(path)


def test_every_link_leads_somewhere() -> None:
    for target in re.findall(r"\]\(([^)#]+)\)", README):
        assert (ROOT / target).exists(), target
