"""What was typed, read: in any order, by any beginning, with one line for what is wrong."""

from __future__ import annotations

import argparse
import re

import pytest

from lg_gateway.cli import COMMANDS as GATEWAY
from lg_orch.cli import COMMANDS as ORCH
from lg_policy.command_line.commands import Command, CommandSet
from lg_policy.command_line.parsers import leaf_parser
from lg_policy.command_line.reading import read_command_line
from lg_policy.errors import UsageError

PROGRAMS = [GATEWAY, ORCH]


def leaves(commands: CommandSet) -> list[tuple[Command | None, Command]]:
    alone: list[tuple[Command | None, Command]] = [
        (None, command) for command in commands.commands if not command.actions
    ]
    return alone + [(command, action) for command in commands.commands for action in command.actions]


def gateway(*argv: str) -> argparse.Namespace:
    return read_command_line(GATEWAY, argv)


@pytest.mark.parametrize(
    "argv",
    [
        ("audit", "show", "105", "--result", "--root", "x"),
        ("audit", "--root", "x", "--result", "show", "105"),
        ("--root", "x", "audit", "show", "--result", "105"),
        ("--root=x", "audit", "--res", "show", "105"),
    ],
)
def test_options_stand_before_or_after_command_and_action(argv: tuple[str, ...]) -> None:
    args = gateway(*argv)
    assert (args.command, args.action, args.id, args.result) == ("audit", "show", "105", True)
    assert str(args.root) == "x"


def test_an_option_between_two_arguments_does_not_part_them() -> None:
    args = gateway("call", "fs__read_file", "--root", "x", '{"path": "a"}')
    assert (args.tool, args.arguments) == ("fs__read_file", '{"path": "a"}')
    assert gateway("call", "t", "-").arguments == "-"


@pytest.mark.parametrize(
    "words",
    [
        "--network a.test b.test --env KEY --overlay -- claude -p --network",
        "--overlay --env KEY --network a.test b.test -- claude -p --network",
        "--network a.test --env KEY --network b.test --overlay -- claude -p --network",
        "--network a.test b.test --overlay --env KEY -- claude -p --network",
    ],
)
def test_an_option_with_several_values_keeps_them_wherever_it_stands(words: str) -> None:
    args = read_command_line(GATEWAY, ["confine", *words.split()])
    assert (args.network, args.env, args.overlay) == (["a.test", "b.test"], ["KEY"], True)
    assert args.command_line == ["--", "claude", "-p", "--network"]


def test_a_request_of_many_words_keeps_their_order() -> None:
    args = read_command_line(ORCH, ["run", "fix", "--model", "a:b", "the", "test"])
    assert args.request == ["fix", "the", "test"]
    assert read_command_line(ORCH, ["run", "--", "--odd", "request"]).request == ["--odd", "request"]


def test_a_command_with_a_default_action_takes_its_options_alone() -> None:
    args = gateway("audit", "--limit", "5")
    assert (args.action, args.limit, args.alone) == ("list", 5, False)
    assert gateway("tokens").alone


def test_without_a_command_the_gateway_serves() -> None:
    assert gateway().command == "serve"
    assert gateway("--transport", "http", "--root", "x").transport == "http"


def test_an_option_of_another_action_is_ignored_with_a_word(capsys: pytest.CaptureFixture[str]) -> None:
    args = gateway("audit", "list", "--reason", "why", "--json")
    assert (args.action, args.json) == ("list", True)
    assert "--reason has no meaning here, and is ignored" in capsys.readouterr().err


def test_before_means_until_where_records_are_listed() -> None:
    assert gateway("audit", "list", "--before", "24h").until == "24h"
    assert gateway("audit", "--before", "90d", "seal").before == "90d"


@pytest.mark.parametrize(
    ("commands", "argv", "words"),
    [
        (GATEWAY, ["aprovals"], "there is no command aprovals; did you mean approvals?"),
        (GATEWAY, ["audit", "lst"], "audit has no action lst; did you mean list?"),
        (GATEWAY, ["tools", "--rot", "x"], "lg-gateway tools has no option --rot; did you mean --root?"),
        (
            GATEWAY,
            ["audit", "list", "--reson", "x"],
            "no option --reson; did you mean --reason of lg-gateway audit restart?",
        ),
        (GATEWAY, ["audit", "tail", "--r"], "--r may be --run or --root"),
        (GATEWAY, ["call"], "lg-gateway call needs TOOL"),
        (GATEWAY, ["tools", "x"], "lg-gateway tools does not take x"),
        (GATEWAY, ["audit", "list", "--limit", "x"], "--limit cannot be 'x'; it must be a whole number"),
        (GATEWAY, ["tokens", "create", "--role", "opertor"], "--role cannot be opertor; did you mean operator?"),
        (ORCH, ["run", "--reop-root", ".", "x"], "lg-orch run has no option --reop-root; did you mean --repo-root?"),
        (ORCH, ["run", "x", "--yes", "--deny-all"], "--deny-all and --yes exclude each other; give one of them"),
        (GATEWAY, ["confine", "bash", "-c", "ls"], "lg-gateway confine has no option -c"),
        (ORCH, ["summarize repo"], "there is no command summarize repo"),
        (ORCH, ["runs", "list", "2026"], "lg-orch runs list does not take 2026"),
    ],
)
def test_what_was_typed_wrong_is_said_in_one_line_with_what_is_right(
    commands: CommandSet, argv: list[str], words: str
) -> None:
    with pytest.raises(UsageError) as raised:
        read_command_line(commands, argv)
    assert raised.value.message.startswith(words) or words in raised.value.message
    assert raised.value.hint
    assert "\n" not in raised.value.text()


def test_an_option_of_a_command_to_start_is_told_where_it_belongs() -> None:
    with pytest.raises(UsageError) as raised:
        read_command_line(GATEWAY, ["confine", "bash", "-c", "ls"])
    assert raised.value.hint is not None
    assert "comes after --" in raised.value.hint
    assert gateway("confine", "--", "bash", "-c", "ls").command_line[-3:] == ["bash", "-c", "ls"]


@pytest.mark.parametrize("commands", PROGRAMS, ids=lambda commands: commands.program)
def test_every_command_has_an_example_that_can_be_read(commands: CommandSet) -> None:
    for parent, command in leaves(commands):
        words = [parent.name, command.name] if parent else [command.name]
        assert command.example.split()[: len(words)] == words
        typed = re.sub(r"'[^']*'|\"[^\"]*\"", "X", re.sub(r" >>? \S+$", "", command.example)).split()
        args = read_command_line(commands, typed)
        assert args.chosen is command
        assert callable(command.code())


@pytest.mark.parametrize("commands", PROGRAMS, ids=lambda commands: commands.program)
def test_an_option_takes_a_value_in_every_action_or_in_none(commands: CommandSet) -> None:
    """An option may stand before the action, so what it takes must be known without it."""
    for command in commands.commands:
        kinds: dict[str, object] = {}
        for action in command.actions:
            parser = leaf_parser(commands, action, command)
            for option in parser.options():
                found = parser.flag(option)
                assert found is not None
                assert kinds.setdefault(option, found.nargs) == found.nargs, f"{command.name} {option}"


@pytest.mark.parametrize("commands", PROGRAMS, ids=lambda commands: commands.program)
def test_help_of_every_command_shows_its_example_and_fits_80_columns(
    commands: CommandSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    for parent, command in leaves(commands):
        text = leaf_parser(commands, command, parent).format_help()
        assert f"example:\n  {commands.program} {command.example}" in text
        assert max(map(len, text.splitlines())) <= 80, command.name


@pytest.mark.parametrize("commands", PROGRAMS, ids=lambda commands: commands.program)
def test_every_option_may_stand_before_another_without_a_command(commands: CommandSet) -> None:
    default = commands.by_name.get(commands.default)
    if default is None:
        return
    parser = leaf_parser(commands, default)
    for option in parser.options():
        flag = parser.flag(option)
        if flag is not None and flag.nargs == 0 and option not in ("-h", "--help", "--version"):
            args = read_command_line(commands, [option, "--config", "/x"])
            assert (args.command, str(args.config)) == (commands.default, "/x"), option
