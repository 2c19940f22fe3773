"""Write a manual page for each program from its parsers: `scripts/man_pages.py DIR`, then `man DIR/lg-gateway.1`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path

from lg_code.cli import parser as code_parser
from lg_exec.cli import build_parser as exec_parser
from lg_fs.cli import parser as fs_parser
from lg_gateway.cli import COMMANDS as GATEWAY
from lg_orch.cli import COMMANDS as ORCH
from lg_policy.command_line.commands import Command, CommandSet
from lg_policy.command_line.parsers import COMMON_TITLE, leaf_parser
from lg_policy.command_line.words import help_text
from lg_policy.version import __version__


def main(argv: list[str]) -> int:
    """Write the pages into a directory."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("directory", type=Path, metavar="DIR")
    directory: Path = parser.parse_args(argv).directory
    directory.mkdir(parents=True, exist_ok=True)
    for name, text in pages().items():
        (directory / f"{name}.1").write_text(text, "utf-8")
        print(directory / f"{name}.1")
    return 0


def pages() -> dict[str, str]:
    """Return the text of each page, by its program."""
    made = {commands.program: _joined(_program(commands)) for commands in (GATEWAY, ORCH)}
    return made | {parser.prog: _joined(_server(parser)) for parser in (fs_parser(), exec_parser(), code_parser())}


def _program(commands: CommandSet) -> Iterator[str]:
    yield from _head(commands.program, commands.description)
    yield f".B {_text(commands.program)}"
    yield r"[\fICOMMAND\fR] [\fIOPTIONS\fR]" if commands.default else r"\fICOMMAND\fR [\fIOPTIONS\fR]"
    yield from (".SH DESCRIPTION", _text(commands.description))
    if commands.epilog:
        yield from (".PP", _text(commands.epilog))
    yield ".SH COMMANDS"
    for command in commands.commands:
        if not command.actions:
            yield from _command(commands, command, None)
            continue
        yield from (f".SS {_text(f'{commands.program} {command.name} ACTION')}", _text(_described(command)))
        for action in command.actions:
            yield from _command(commands, action, command)
    yield ".SH OPTIONS OF EVERY COMMAND"
    shared = argparse.ArgumentParser(prog=commands.program, add_help=False)
    commands.shared(shared)
    yield from _options(shared._actions, shared.prog)


def _command(commands: CommandSet, command: Command, parent: Command | None) -> Iterator[str]:
    parser = leaf_parser(commands, command, parent)
    common = next(group for group in parser._action_groups if group.title == COMMON_TITLE)
    own = [action for action in parser.shown() if action not in common._group_actions and action.dest != "help"]
    yield from (f".SS {_text(str(parser.usage))}", _text(_described(command)))
    yield from _options(own, parser.prog)
    yield from (".PP", "Example:", ".PP", f".RS 4\n.nf\n{_text(parser.example)}\n.fi\n.RE")


def _described(command: Command) -> str:
    return command.description or f"{command.help[:1].upper()}{command.help[1:]}."


def _server(parser: argparse.ArgumentParser) -> Iterator[str]:
    yield from _head(parser.prog, str(parser.description))
    yield from (f".B {_text(parser.prog)}", r"[\fIOPTIONS\fR]")
    yield from (".SH DESCRIPTION", _text(str(parser.description)), ".SH OPTIONS")
    yield from _options(parser._actions, parser.prog)


def _head(program: str, description: str) -> Iterator[str]:
    yield f'.TH {program.upper()} 1 "" "LG Orchestration Platform {__version__}" "User Commands"'
    yield from (".SH NAME", _text(f"{program} - {description.partition('. ')[0].rstrip('.')}"), ".SH SYNOPSIS")


def _options(actions: list[argparse.Action], prog: str) -> Iterator[str]:
    for action in actions:
        if action.help is argparse.SUPPRESS or isinstance(action, argparse._SubParsersAction):
            continue
        names = ", ".join(rf"\fB{_text(name)}\fR" for name in action.option_strings)
        choices = "{" + ",".join(map(str, action.choices)) + "}" if action.choices else ""
        takes = action.nargs != 0
        value = str(action.metavar or choices or action.dest.upper()) if takes else ""
        shown = rf"\fI{_text(value)}\fR" if value else ""
        yield from (".TP", " ".join(filter(None, [names, shown])), _text(help_text(action, prog)) or "\\&")


def _text(text: str) -> str:
    """Return a text for the formatter: no character of it is a command."""
    shown = text.replace("\\", "\\e").replace("-", "\\-").replace("…", "...")
    lines = shown.split("\n")
    return "\n".join(f"\\&{line}" if line.startswith((".", "'")) else line for line in lines)


def _joined(lines: Iterator[str]) -> str:
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
