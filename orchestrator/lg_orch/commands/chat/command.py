"""`lg-orch chat`, and `lg-orch` without arguments on a terminal."""

from __future__ import annotations

import logging
import os
import sys
import warnings
from importlib.util import find_spec
from typing import TYPE_CHECKING

from lg_orch.commands.session import get_ready
from lg_policy.errors import ConfigError, UsageError
from lg_policy.install_hints import extra_command
from lg_policy.quick_imports import quick_imports

if TYPE_CHECKING:
    import argparse


def command(args: argparse.Namespace) -> int:
    """Hold a conversation until the person leaves it. Exit status 2 where there is no terminal."""
    if not (sys.stdin.isatty() and sys.stdout.isatty() and sys.stderr.isatty()):
        raise UsageError("a conversation needs a terminal", hint='without one: lg-orch run "REQUEST"')
    if find_spec("prompt_toolkit") is None:
        raise ConfigError("lg-orch chat needs prompt_toolkit", hint=extra_command("orch"))
    get_ready(args)
    # LangChain's import turns its beta warnings on; whatever it does to the filters ends with the block.
    with quick_imports(), warnings.catch_warnings():
        import anyio

        from lg_orch.commands.chat.chat import Chat
        from lg_orch.commands.chat.keyboards import keyboard_for
        from lg_orch.commands.resume import adopt, options_of
        from lg_orch.recording.journal import read_journal
        from lg_orch.settings.find_run import find
        from lg_orch.settings.setup import prepare
    followed = None
    args.trace = args.trace or False
    if args.follows is not None:
        found = find(args.follows, args)
        followed, args.root = found.run, found.working_root() or args.root
        adopt(args, options_of(read_journal(followed.journal)))
    setup = prepare(args)
    logging.basicConfig(level=setup.flags.log_level.upper(), stream=sys.stderr, force=True)
    # Some libraries read a `.env` of the current directory when imported: that must not be the repository's.
    os.chdir(setup.state.path)
    chat = Chat(args, setup, keyboard_for(setup.state.path), followed)
    return anyio.run(chat.hold)
