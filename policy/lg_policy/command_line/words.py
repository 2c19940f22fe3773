"""What can be typed where: the commands, options and values of a program, for completion and manuals."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import dataclass

from lg_policy.command_line.commands import Command, CommandSet
from lg_policy.command_line.parsers import CommandParser, leaf_parser

FILES = frozenset({"FILE", "DIR"})
"""What an option's value is called that is a path."""


@dataclass(frozen=True, kw_only=True)
class OptionWords:
    """One option, as it is typed."""

    names: tuple[str, ...]
    help: str
    value: str = ""
    """What its value is called; empty if it takes none."""
    choices: tuple[str, ...] = ()

    @property
    def takes_file(self) -> bool:
        """Whether its value is a path."""
        return self.value in FILES


@dataclass(frozen=True, kw_only=True)
class TypedPlace:
    """What can be typed after a program's name, a command, or an action."""

    words: tuple[str, ...]
    """The command and its action; none after the program's name."""
    names: tuple[tuple[str, str], ...] = ()
    """Commands or actions that can follow, with what they do; or the values of an argument."""
    options: tuple[OptionWords, ...] = ()


def places(commands: CommandSet) -> Iterator[TypedPlace]:
    """Return every place of a program, its first one first."""
    yield TypedPlace(words=(), names=tuple((command.name, command.help) for command in commands.commands))
    for command in commands.commands:
        if not command.actions:
            yield _leaf(commands, command, None)
            continue
        names = tuple((action.name, action.help) for action in command.actions)
        default = command.action(command.default)
        options = _leaf(commands, default, command).options if default is not None else ()
        yield TypedPlace(words=(command.name,), names=names, options=options)
        for action in command.actions:
            yield _leaf(commands, action, command)


def _leaf(commands: CommandSet, command: Command, parent: Command | None) -> TypedPlace:
    parser = leaf_parser(commands, command, parent)
    words = (parent.name, command.name) if parent is not None else (command.name,)
    choices = [str(choice) for action in parser.shown() if not action.option_strings for choice in action.choices or ()]
    return TypedPlace(words=words, names=tuple((choice, "") for choice in choices), options=tuple(option_words(parser)))


def option_words(parser: CommandParser) -> Iterator[OptionWords]:
    """Return the options that help shows."""
    for action in parser.shown():
        if action.option_strings:
            takes = action.nargs is None
            yield OptionWords(
                names=tuple(action.option_strings),
                help=help_text(action, parser.prog),
                value=str(action.metavar or action.dest.upper()) if takes else "",
                choices=tuple(map(str, action.choices or ())),
            )


def help_text(action: argparse.Action, prog: str) -> str:
    """Return the help of an argument as it is shown."""
    return (action.help or "").replace("%(prog)s", prog).replace("%%", "%")
