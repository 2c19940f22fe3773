"""What a program's commands are. A command names its code as text, so that declaring it imports nothing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import argparse


def no_flags(_parser: argparse._ActionsContainer) -> None:
    """Add nothing."""


@dataclass(frozen=True, kw_only=True)
class Command:
    """A command of a program, an action of a command, or a command with actions below it."""

    name: str
    help: str
    """One line for the list of commands."""
    run: str = ""
    """The code as `package.module:function`; it takes the parsed arguments and returns the exit status."""
    flags: Callable[[argparse._ActionsContainer], None] = no_flags
    """Adds its arguments to a parser."""
    example: str = ""
    """What to type after the program's name."""
    description: str = ""
    """The help's first sentences, where the line for the list does not say enough."""
    epilog: str = ""
    actions: tuple[Command, ...] = ()
    default: str = ""
    """The action that is meant when none is named."""
    starts_servers: bool = False
    """Whether it starts other programs, for which the process may fork before it reads any setting."""

    def action(self, name: str) -> Command | None:
        """Return the action of that name."""
        return next((action for action in self.actions if action.name == name), None)

    def code(self) -> Callable[[argparse.Namespace], int]:
        """Import the module of the command and return its function."""
        module, _, function = self.run.partition(":")
        found: Callable[[argparse.Namespace], int] = getattr(import_module(module), function)
        return found


@dataclass(frozen=True, kw_only=True)
class CommandSet:
    """The commands of one program."""

    program: str
    version: str
    description: str
    commands: tuple[Command, ...]
    shared: Callable[[argparse._ActionsContainer], None] = no_flags
    """Adds the options that every command takes."""
    epilog: str = ""
    default: str = ""
    """The command that is meant when only options are typed; none if one must be named."""
    unknown: str = ""
    """What to type instead, when the first word is no command and none is like it."""
    by_name: dict[str, Command] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "by_name", {command.name: command for command in self.commands})
