"""Reads what was typed: the command, its action, its options and arguments, in any order that leaves no doubt."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from lg_policy.command_line.commands import Command, CommandSet
from lg_policy.command_line.parsers import (
    CommandParser,
    group_parser,
    is_option,
    leaf_parser,
    like,
    program_parser,
    split_options,
)
from lg_policy.errors import UsageError

_HELP = ("-h", "--help")


def read_command_line(commands: CommandSet, argv: Sequence[str]) -> argparse.Namespace:
    """Return the arguments, with `command`, `action`, `chosen` (the `Command` to run) and `command_set`.

    Raises `UsageError` with what was wrong and what is right. Help and the version are printed, and raise `SystemExit`.
    """
    command, words = _command(commands, list(argv))
    if not command.actions:
        return _arguments(commands, command, None, words)
    action, words = _action(commands, command, words)
    return _arguments(commands, action, command, words)


def tell_actions(commands: CommandSet, args: argparse.Namespace) -> None:
    """Name the other actions at a terminal, after a command with actions was typed alone."""
    command = commands.by_name[args.command]
    if args.alone and sys.stdout.isatty() and sys.stderr.isatty():
        names = ", ".join(action.name for action in command.actions if action.name != command.default)
        print(f"\n`{commands.program} {command.name}` also does: {names}", file=sys.stderr)


def _command(commands: CommandSet, words: list[str]) -> tuple[Command, list[str]]:
    """Return the command, and the words without it. Options of every command may stand before it."""
    if words[:1] and words[0] in (*_HELP, "--version"):
        program_parser(commands).parse_args(words[:1])
    if words and not is_option(words[0]):
        return _named(commands, words[0]), words[1:]
    default = commands.by_name.get(commands.default)
    known = leaf_parser(commands, default or Command(name="", help=""))
    options: list[str] = []
    left = list(words)
    while left and is_option(left[0]):
        alone = len(left) > 1 and is_option(left[1])  # two options, the first of which takes no value
        taken, _ = split_options(known.flag, left[:1] if alone else left[:2])
        options += taken
        del left[: len(taken)]
    if not left or options[-1:] == ["--"]:
        if set(_HELP) & set(words):
            program_parser(commands).parse_args(["--help"])
        if default is None:
            program_parser(commands).print_help(sys.stderr)
            raise SystemExit(2)
        return default, words
    return _named(commands, left[0]), [*options, *left[1:]]


def _named(commands: CommandSet, name: str) -> Command:
    found = commands.by_name.get(name)
    if found is None:
        near = like(name, commands.by_name)
        hint = f"`{commands.program} --help` lists the commands"
        raise UsageError(f"there is no command {name}{near}", hint=hint if near else commands.unknown or hint)
    return found


def _action(commands: CommandSet, command: Command, words: list[str]) -> tuple[Command, list[str]]:
    """Return the action, and the words without it. Its options may stand before it, as they once had to be read."""
    if words and (found := command.action(words[0])) is not None:
        return found, words[1:]
    leaves = _leaves(commands, command)
    options, others = split_options(lambda word: _flag_of_any(leaves, word), words)
    if others and others[0] != "--":
        found = command.action(others[0])
        if found is None:
            names = [action.name for action in command.actions]
            raise UsageError(
                f"{command.name} has no action {others[0]}{like(others[0], names)}", hint=f"choose {_or(names)}"
            )
        return found, [*options, *others[1:]]
    default = command.action(command.default)
    if default is None or set(_HELP) & set(options):
        group_parser(commands, command).print_help(sys.stdout if options else sys.stderr)
        raise SystemExit(0 if options else 2)
    return default, words


def _arguments(commands: CommandSet, chosen: Command, parent: Command | None, words: list[str]) -> argparse.Namespace:
    parser = leaf_parser(commands, chosen, parent)
    options, others = split_options(parser.flag, words)
    if any(parser.flag(word) is None for word in options if is_option(word)):
        options, others = _without_foreign(commands, parent, parser, words)
    args, left = parser.parse_known_args([*options, *others])
    if left:
        takes = " ".join(str(action.metavar) for action in parser.shown() if not action.option_strings)
        hint = f"it takes {takes}" if takes else "it takes options only"
        raise UsageError(f"{parser.prog} does not take {' '.join(left)}", hint=f"{hint}; `{parser.prog} --help`")
    args.command = parent.name if parent else chosen.name
    if parent:
        args.action = chosen.name
    args.chosen, args.command_set, args.alone = chosen, commands, bool(parent) and not words
    return args


def _without_foreign(
    commands: CommandSet, parent: Command | None, parser: CommandParser, words: list[str]
) -> tuple[list[str], list[str]]:
    """Leave out options that only other actions of the command have, and say so: they were accepted once.

    Raises `UsageError` for an option that none has.
    """
    siblings = _leaves(commands, parent) if parent else []
    options, others = split_options(lambda word: parser.flag(word) or _flag_of_any(siblings, word, whole=True), words)
    kept: list[str] = []
    while options:
        word = options.pop(0)
        own, foreign = parser.flag(word), _flag_of_any(siblings, word, whole=True)
        flag = own or foreign
        if flag is None:
            raise _no_option(parser, siblings, word)
        value = [options.pop(0)] if flag.nargs is None and "=" not in word and options else []
        if own is None:
            print(f"{parser.prog}: {word} has no meaning here, and is ignored", file=sys.stderr)
        else:
            kept += [word, *value]
    return kept, others


def _no_option(parser: CommandParser, siblings: list[CommandParser], word: str) -> UsageError:
    name = word.partition("=")[0]
    starting = [option for option in parser.options() if name.startswith("--") and option.startswith(name)]
    if len(starting) > 1:
        return UsageError(f"{name} may be {_or(starting)}", hint="write it in full")
    of_whom = {option: sibling.prog for sibling in siblings for option in sibling.options()}
    near = like(name, of_whom | dict.fromkeys(parser.options(), ""))
    found = near.removeprefix("; did you mean ").removesuffix("?")
    if found and found not in parser.options():
        near = f"; did you mean {found} of {of_whom[found]}?"
    hint = f"`{parser.prog} --help` lists the options"
    if any(action.nargs == argparse.REMAINDER for action in parser.shown()):
        hint = f"an option of the command that it starts comes after --; {hint}"
    return UsageError(f"{parser.prog} has no option {name}{near}", hint=hint)


def _leaves(commands: CommandSet, command: Command) -> list[CommandParser]:
    return [leaf_parser(commands, action, command) for action in command.actions]


def _flag_of_any(parsers: list[CommandParser], word: str, *, whole: bool = False) -> argparse.Action | None:
    flags = (parser.flag(word, whole=whole) for parser in parsers)
    return next((flag for flag in flags if flag is not None), None)


def _or(names: Sequence[str]) -> str:
    return " or ".join(filter(None, [", ".join(names[:-1]), names[-1]]))
