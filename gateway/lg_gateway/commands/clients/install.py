"""`lg-gateway install CLIENT`: put the gateway into a client's file, or take it out again."""

from __future__ import annotations

import argparse
import glob
import json
import os
import sys
from collections.abc import Mapping
from functools import partial
from pathlib import Path

from lg_gateway.clients.formats.toml_text import table_text
from lg_gateway.clients.installing.entries import NAMES, ROWS, InstallRow, Launch
from lg_gateway.clients.installing.installer import Installer, InstallPlan, InstallTarget
from lg_gateway.clients.installing.places import PROJECT, USER, Machine
from lg_gateway.clients.values import Values
from lg_gateway.commands.clients.import_file import agreed, ask_for, keeps_secrets, say_kept, settings_path
from lg_gateway.commands.clients.import_report import described, report
from lg_gateway.commands.terminal.output import complain, say, word
from lg_gateway.processes.entry_check import check_entry
from lg_policy.errors import ConfigError

PASSED = ("LG_CONFIG", "LG_STATE_DIR", "LG_KEY_DIR", "LG_PROFILE", "XDG_CONFIG_HOME", "XDG_STATE_HOME")
"""What is set here and has to be set for the client's gateway too, so that both use the same settings and state."""
OF_THE_MOMENT = ("/uv/archive-v0/", "/.cache/uv/", "\\uv\\cache\\")
"""Parts of a path that a program has which `uvx` runs: it is gone when the cache is cleaned."""


def run(args: argparse.Namespace) -> int:
    """`lg-gateway install CLIENT`."""
    row = ROWS.get(args.client)
    if row is None:
        raise ConfigError(f"no client is called {args.client!r}", hint=f"choose one of {', '.join(sorted(ROWS))}")
    if args.move and args.client == "continue":
        raise ConfigError("Continue keeps each server in a file of its own", hint="import them: lg-gateway import FILE")
    check = partial(check_entry, root=args.root, environ=os.environ)
    installer = Installer(os.environ, settings_path(args, os.environ), check)
    targets = find_targets(args, row)
    if args.remove:
        return _remove(installer, targets)
    launches = launches_of(args, row)
    if args.print:
        for target in targets:
            complain(f"into {word(target.path)}:")
        print(snippet(row, launches))
        return 0
    plans = [installer.plan(target, launches, move=args.move) for target in targets]
    for plan in plans:
        if not _install(installer, plan, launches, args):
            return 1
    if not args.dry_run and any(plan.changes for plan in plans):
        say(row.then)
    return 0


def find_targets(args: argparse.Namespace, row: InstallRow) -> list[InstallTarget]:
    """Return the files to write. Raises `ConfigError` for a client that has none in a project."""
    if args.project:
        if args.client not in PROJECT:
            raise ConfigError(f"{row.title} has no file in a project", hint="leave --project out")
        root = root_of(args)
        paths = [root / name for name in PROJECT[args.client]]
        for path in paths:
            _refuse_outside(path, root)
        chosen = [path for path in paths if path.exists()][:1] or paths[:1]
    else:
        machine = Machine(platform=sys.platform, environ=os.environ, home=str(Path.home()))
        places = USER[args.client](machine)
        found = [Path(path) for path in (places.first, *places.others) for path in _matches(path)]
        chosen = (found[:1] if places.only_one else found) or [Path(places.first)]
    return [InstallTarget(client=args.client, row=row, path=path) for path in chosen]


def _refuse_outside(path: Path, root: Path) -> None:
    """Raise `ConfigError` for a link in the project that leads out of it: somebody else may have made it."""
    real = os.path.realpath(path)
    if os.path.commonpath([real, root]) != str(root):
        raise ConfigError(f"{path} leads to {real}, outside the project", hint="remove the link")


def launches_of(args: argparse.Namespace, row: InstallRow) -> list[Launch]:
    """Return how the client starts each of our servers that it gets."""
    wanted = [name.strip() for name in args.servers.split(",") if name.strip()]
    if not wanted or not set(wanted) <= NAMES.keys():
        raise ConfigError(f"--servers {args.servers}: choose among {', '.join(NAMES)}")
    root = root_of(args)
    shown = row.folder if args.project and row.folder else str(root)
    more = ["--config", str(args.config.absolute())] if args.config is not None else []
    usual = {"XDG_CONFIG_HOME": str(Path.home() / ".config"), "XDG_STATE_HOME": str(Path.home() / ".local" / "state")}
    env = {name: value for name in PASSED if (value := os.environ.get(name)) and value != usual.get(name)}
    made = []
    for name in wanted:
        command, *words = program(f"lg-{name}")
        made.append(Launch(command=command, args=(*words, "--root", shown, *more), env=env, name=NAMES[name]))
    return made


def program(name: str) -> list[str]:
    """Return the absolute path of a program of ours: a client with windows has a short PATH of its own."""
    ending = ".exe" if sys.platform == "win32" else ""
    beside = Path(sys.executable).parent / f"{name}{ending}"
    words = [str(beside)] if beside.exists() else [sys.executable, "-P", "-m", name.replace("-", "_")]
    if any(part in words[0] for part in OF_THE_MOMENT):
        complain(
            f"{word(words[0])} is in a cache and may go away: install it for good, for instance with `uv tool install`"
        )
    return words


def root_of(args: argparse.Namespace) -> Path:
    """Return the directory that the servers work on. Raises `ConfigError` for one that is too broad."""
    from lg_policy.paths.root import Root

    root = Path(os.path.realpath(args.root if args.root is not None else Path.cwd()))
    if not root.is_dir():
        raise ConfigError(f"--root {root} is not a directory")
    Root(root, allow_broad=args.allow_broad_root).close()
    return root


def snippet(row: InstallRow, launches: list[Launch]) -> str:
    """Return the text to paste into the client's file."""
    entries = {launch.name: row.entry(launch) for launch in launches}
    if row.format == "toml":
        return "\n".join(table_text(row.table, name, entry) for name, entry in entries.items()).rstrip("\n")
    whole: Mapping[str, object] = entries
    for step in reversed(row.table):
        whole = {step: whole}
    if row.format == "yaml":
        import yaml

        return str(yaml.safe_dump(whole, sort_keys=False, allow_unicode=True, width=10_000)).rstrip("\n")
    return json.dumps(whole, indent=2, ensure_ascii=False)


def _install(installer: Installer, plan: InstallPlan, launches: list[Launch], args: argparse.Namespace) -> bool:
    """Show what changes, and do it. Returns false where a person said no."""
    say(f"{plan.target.row.title}: {word(plan.target.path)}")
    for launch in launches if plan.changes else ():
        say(f"  + {launch.name:<20} {described(launch.plain())}")
    if plan.moved is not None:
        say("These move behind the gateway, into your settings; --remove puts them back:")
        report(plan.moved)
    if not plan.changes:
        say("nothing to change: it has the gateway already")
        return True
    if args.dry_run:
        say("--dry-run: nothing was changed")
        return True
    moves = plan.moved is not None and bool(plan.moved.edit.added)
    if moves and not args.yes and sys.stdin.isatty() and not agreed("Let the gateway start these servers?"):
        say("nothing was changed")
        return False
    if plan.moved is not None and keeps_secrets(args, [plan.moved]):
        plan = installer.plan(plan.target, launches, move=args.move, keep_secrets=True)
    kept = installer.install(plan)
    if plan.moved is not None:
        say_kept(plan.moved, kept)
    if plan.base is not None:
        say(f"the file as it was: {word(installer.records.backup(plan.target.client, plan.target.path))}")
    if plan.moved is not None:
        ask_for(plan.moved, Values(environ=os.environ))
    return True


def _remove(installer: Installer, targets: list[InstallTarget]) -> int:
    for target in targets:
        done = installer.remove(target)
        say(f"{word(target.path)}: {'as it was before' if done else 'nothing of ours is in it'}")
    return 0


def _matches(path: str) -> list[str]:
    """Return the files that a place stands for."""
    return sorted(glob.glob(path)) if "*" in path else [path] if os.path.exists(path) else []
