"""What the parsers are made into: completion scripts, tried in a real bash, and manual pages."""

from __future__ import annotations

import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from lg_gateway.cli import COMMANDS as GATEWAY
from lg_orch.cli import COMMANDS as ORCH
from lg_policy.command_line.commands import CommandSet
from lg_policy.command_line.completion import SHELLS, script
from lg_policy.command_line.words import places
from tests.gateway.commands.terminals import on_terminal
from tests.gateway.rig import program_environment

ROOT = Path(__file__).resolve().parents[3]
PROGRAMS = [GATEWAY, ORCH]
BASH = "bash"


def completed(commands: CommandSet, *lines: str) -> list[list[str]]:
    """Return what bash offers at the end of each line."""
    function = "_" + commands.program.replace("-", "_")
    tried = "\n".join(
        f"COMP_WORDS=({line}{' ' + shlex.quote('') if line.endswith(' ') else ''})\n"
        f'COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1)); {function}; echo "${{COMPREPLY[*]}}"'
        for line in lines
    )
    done = subprocess.run(
        [BASH, "--norc", "--noprofile"], input=f"{script(commands, 'bash')}\n{tried}\n", capture_output=True, text=True
    )
    assert (done.returncode, done.stderr) == (0, "")
    return [line.split() for line in done.stdout.splitlines()]


def test_bash_completes_commands_actions_options_and_values() -> None:
    found = completed(
        GATEWAY,
        "lg-gateway au",
        "lg-gateway audit ver",
        "lg-gateway audit verify --pub",
        "lg-gateway --root . tokens create --role ",
        "lg-gateway tools --root ",
        "lg-gateway tools --limit",
    )
    assert found == [["audit"], ["verify"], ["--public-key"], ["client", "operator"], [], []]
    runs, options = completed(ORCH, "lg-orch runs ", "lg-orch runs show --di")
    assert runs == ["list", "show", "prune"]
    assert options == ["--diff"]


@pytest.mark.parametrize("commands", PROGRAMS, ids=lambda commands: commands.program)
def test_bash_offers_everything_that_help_shows(commands: CommandSet) -> None:
    known = list(places(commands))
    lines = [" ".join([commands.program, *place.words, ""]) for place in known]
    offered = completed(commands, *lines, *(f"{line}-" for line in lines))
    names, options = offered[: len(known)], offered[len(known) :]
    assert names == [[name for name, _ in place.names] for place in known]
    assert options == [[name for option in place.options for name in option.names] for place in known]


def test_tab_completes_in_an_interactive_bash(tmp_path: Path) -> None:
    file = tmp_path / "completion.bash"
    file.write_text(script(GATEWAY, "bash"))
    env = {**program_environment(), "PS1": "ready> ", "TERM": "dumb", "INPUTRC": "/dev/null"}
    with on_terminal(BASH, "--norc", "--noprofile", "-i", env=env, size=(24, 80)) as screen:
        screen.wait("ready> ")
        screen.type(f"source {file}\n")
        screen.wait("ready> ", 2)
        screen.type("lg-gateway approvals gra\t")
        screen.wait("lg-gateway approvals grants ")


@pytest.mark.parametrize("commands", PROGRAMS, ids=lambda commands: commands.program)
@pytest.mark.parametrize("shell", SHELLS)
def test_a_script_names_every_command_action_and_option(commands: CommandSet, shell: str) -> None:
    text = script(commands, shell)
    for place in places(commands):
        assert all(name in text for name, _ in place.names)
        for option in place.options:
            assert all((name.lstrip("-") if shell == "fish" else name) in text for name in option.names)


def test_manual_pages_name_every_command_and_option_and_are_formatted_without_complaint(tmp_path: Path) -> None:
    made = subprocess.run(
        [sys.executable, str(ROOT / "scripts" / "man_pages.py"), str(tmp_path)], capture_output=True, text=True
    )
    assert made.returncode == 0, made.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "lg-code.1",
        "lg-exec.1",
        "lg-fs.1",
        "lg-gateway.1",
        "lg-orch.1",
    ]
    for commands in PROGRAMS:
        text = (tmp_path / f"{commands.program}.1").read_text("utf-8").replace("\\-", "-")
        for place in places(commands):
            assert " ".join([commands.program, *place.words]) in text
            assert all(
                name in text for option in place.options for name in option.names if name not in ("-h", "--help")
            )
