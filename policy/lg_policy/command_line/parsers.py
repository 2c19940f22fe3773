"""Parsers of a program, of its commands and of their actions. Each is filled when it is first used."""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any, NoReturn

from lg_policy.command_line.commands import Command, CommandSet
from lg_policy.errors import UsageError
from lg_policy.printing import visible

if TYPE_CHECKING:
    from _typeshed import SupportsWrite

COMMON_TITLE = "options of every command"
_NEGATIVE = re.compile(r"-\d+|-\d*\.\d+")


class _Paragraphs(argparse.HelpFormatter):
    """Fills each paragraph of a text by itself, and leaves those with an indented line as they are."""

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        fill = super()._fill_text
        parts = text.split("\n\n")
        return "\n\n".join(part if "\n " in part else fill(part, width, indent) for part in parts)

    def add_commands(self, title: str, commands: Sequence[tuple[str, str]]) -> None:
        """Add a list of commands, one a line."""
        column = max(len(name) for name, _ in commands) + 4
        text = (self._fill_text(words, self._width, " " * column).lstrip() for _, words in commands)
        lines = (f"  {name:<{column - 2}}{words}\n" for (name, _), words in zip(commands, text, strict=True))
        self._add_item(lambda *parts: "".join(parts), [f"{title}:\n", *lines, "\n"])


class CommandParser(argparse.ArgumentParser):
    """Prints what was typed wrong without the escape sequences in it, and says it in one line with what is right."""

    def __init__(
        self, *, example: str = "", title: str = "", commands: Sequence[tuple[str, str]] = (), **settings: Any
    ) -> None:
        super().__init__(formatter_class=_Paragraphs, **settings)
        self.example, self.title, self.commands = example, title, commands

    def format_help(self) -> str:
        """Return the help. A list of commands stands before the options."""
        if not self.commands:
            return super().format_help()
        formatter = _Paragraphs(self.prog)
        formatter.add_usage(self.usage, self._actions, self._mutually_exclusive_groups)
        formatter.add_text(self.description)
        formatter.add_commands(self.title, self.commands)
        for group in self._action_groups:
            formatter.start_section(group.title)
            formatter.add_arguments(group._group_actions)
            formatter.end_section()
        formatter.add_text(self.epilog)
        return formatter.format_help()

    def _print_message(self, message: str, file: SupportsWrite[str] | None = None) -> None:
        super()._print_message(visible(message, keep="\n"), file)

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        choices = list(action.choices or [])
        if choices and value not in choices:
            shown = action.option_strings[-1] if action.option_strings else str(action.metavar or action.dest)
            raise UsageError(
                f"{shown} cannot be {value}{like(str(value), choices)}", hint=f"choose one of {', '.join(choices)}"
            )

    def error(self, message: str) -> NoReturn:
        """Raise `UsageError` for what argparse found."""
        hint = f"for example `{self.example}`" if self.example else f"`{self.prog} --help` shows what it takes"
        raise UsageError(self._plain(message), hint=hint)

    def _plain(self, message: str) -> str:
        missing = re.fullmatch(r"the following arguments are required: (.*)", message)
        if missing:
            return f"{self.prog} needs {missing[1]}"
        excluded = re.fullmatch(r"argument ([^:]*): not allowed with argument (.*)", message)
        if excluded:
            return f"{excluded[1]} and {excluded[2]} exclude each other; give one of them"
        valued = re.fullmatch(r"argument ([^:]*): expected (one argument|at least one argument)", message)
        if valued:
            return f"{valued[1]} needs a value after it"
        number = re.fullmatch(r"argument ([^:]*): invalid (int|float|_\w+|\w+) value: (.*)", message)
        if number:
            return f"{number[1]} cannot be {number[3]}; it must be {_KINDS.get(number[2], 'another value')}"
        return message.removeprefix("argument ")

    def flag(self, token: str, *, whole: bool = False) -> argparse.Action | None:
        """Return the option that a word of the command line names; unless `whole`, also by a beginning of one only."""
        name = token.partition("=")[0]
        found = self._option_string_actions.get(name)
        if found is None and not whole and name.startswith("--"):
            starting = {
                id(action): action for text, action in self._option_string_actions.items() if text.startswith(name)
            }
            found = next(iter(starting.values())) if len(starting) == 1 else None
        return found

    def options(self) -> list[str]:
        """Return the long options that help shows."""
        return [text for action in self.shown() for text in action.option_strings if text.startswith("--")]

    def shown(self) -> list[argparse.Action]:
        """Return the arguments and options that help shows."""
        return [action for action in self._actions if action.help is not argparse.SUPPRESS]


_KINDS = {"int": "a whole number", "float": "a number", "positive": "a whole number from 1 on"}


def like(word: str, names: Iterable[str]) -> str:
    """Return "; did you mean …?" for the nearest name, nothing if none is near."""
    from difflib import get_close_matches

    near = get_close_matches(word[:60], list(names), n=1, cutoff=0.6)
    return f"; did you mean {near[0]}?" if near else ""


def leaf_parser(commands: CommandSet, command: Command, parent: Command | None = None) -> CommandParser:
    """Return the parser of a command without actions, or of one action."""
    prog = " ".join([commands.program, *([parent.name] if parent else []), command.name])
    example = f"{commands.program} {command.example}" if command.example else ""
    parser = CommandParser(
        prog=prog, description=command.description or _sentence(command.help), example=example, epilog=""
    )
    command.flags(parser)
    words = [_positional(action) for action in parser._actions if not action.option_strings]
    parser.usage = " ".join([prog, "[OPTIONS]", *words])
    parser.epilog = "\n\n".join(filter(None, [f"example:\n  {example}" if example else "", command.epilog]))
    commands.shared(parser.add_argument_group(COMMON_TITLE))
    return parser


def group_parser(commands: CommandSet, command: Command) -> CommandParser:
    """Return the parser of a command with actions; only its help is used."""
    prog = f"{commands.program} {command.name}"
    default = " (the default)"
    return CommandParser(
        prog=prog,
        usage=f"{prog} [ACTION] [OPTIONS]" if command.default else f"{prog} ACTION [OPTIONS]",
        description=command.description or _sentence(command.help),
        title="actions",
        commands=[
            (action.name, action.help + default * (action.name == command.default)) for action in command.actions
        ],
        epilog=f"`{prog} ACTION --help` shows the options of an action and an example.",
    )


def program_parser(commands: CommandSet) -> CommandParser:
    """Return the parser of the program; only its help and its version are used."""
    parser = CommandParser(
        prog=commands.program,
        usage=f"{commands.program} {'[COMMAND]' if commands.default else 'COMMAND'} [OPTIONS]",
        description=commands.description,
        title="commands",
        commands=[(command.name, command.help) for command in commands.commands],
        epilog=commands.epilog,
    )
    parser.add_argument("--version", action="version", version=f"{commands.program} {commands.version}")
    return parser


def split_options(parser: Callable[[str], argparse.Action | None], words: Sequence[str]) -> tuple[list[str], list[str]]:
    """Return the options with their values, and the other words. `parser` says which option a word names."""
    options: list[str] = []
    others: list[str] = []
    left = list(words)
    while left:
        word = left.pop(0)
        if word == "--":
            return options, [*others, word, *left]
        if not is_option(word):
            others.append(word)
            continue
        options.append(word)
        action = parser(word)
        if action is None or "=" in word:
            continue
        if action.nargs is None and left:
            options.append(left.pop(0))
        while action.nargs == "+" and left and not is_option(left[0]):
            options.append(left.pop(0))
    return options, others


def is_option(word: str) -> bool:
    """Tell an option from an argument. `-` alone, a negative number and a text with spaces are arguments."""
    if len(word) < 2 or not word.startswith("-") or _NEGATIVE.fullmatch(word):
        return False
    return " " not in word.partition("=")[0]


def _positional(action: argparse.Action) -> str:
    name = str(action.metavar or action.dest.upper())
    return {"?": f"[{name}]", "+": f"{name}...", "*": f"[{name}...]"}.get(str(action.nargs), name)


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}."
