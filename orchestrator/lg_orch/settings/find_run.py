"""Which run is meant: by its id or the unique beginning of it, from any directory of this machine."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from lg_orch.runs.run_directory import RUN_ID, RunDir, all_runs
from lg_policy.config.flags import common_flags
from lg_policy.errors import ConfigError
from lg_policy.state import find_states, state_home

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator, Mapping

LAST = "last"
_BEGINNING = re.compile(r"[0-9]{4,8}|[0-9]{8}T[0-9]{0,6}(-[0-9a-f]{0,6})?|[0-9a-f]{6}")
_SHOWN = 8


@dataclass(frozen=True, kw_only=True)
class FoundRun:
    """A run, and the repository it works on where the index knows it."""

    run: RunDir
    root: Path | None


def find(given: str, args: argparse.Namespace, environ: Mapping[str, str] = os.environ) -> FoundRun:
    """Return the run that `given` names: an id, the beginning of one, its last six digits, or `last`.

    `--state-dir` (or `LG_STATE_DIR`) and `--repo-root` limit the search; else every repository of the index is looked
    at, and `last` is the newest run of the repository here. Raises `ConfigError` for an unknown or ambiguous one.
    """
    if given == LAST:
        return _last(args, environ)
    if not _BEGINNING.fullmatch(given) and not RUN_ID.fullmatch(given):
        raise ConfigError(
            f"{given!r} is not a run id", hint="one looks like 20260131T093000-1a2b3c; `lg-orch runs list` shows them"
        )
    matches = [
        found
        for found in _places(args, environ)
        if found.run.run_id.startswith(given) or found.run.run_id.endswith(f"-{given}")
    ]
    if not matches:
        raise ConfigError(f"there is no run {given!r}", hint="`lg-orch runs list --all` shows the runs of this machine")
    if len(matches) > 1:
        names = "".join(f"\n    {one.run.run_id}  {one.root or one.run.path}" for one in matches[:_SHOWN])
        more = f"\n    and {len(matches) - _SHOWN} more" if len(matches) > _SHOWN else ""
        raise ConfigError(f"{given!r} is ambiguous; {len(matches)} runs fit:{names}{more}", hint="give more of the id")
    return matches[0]


def everywhere(args: argparse.Namespace, environ: Mapping[str, str] = os.environ) -> list[FoundRun]:
    """Every run of the places that the flags allow, the newest first."""
    return sorted(_places(args, environ), key=lambda found: found.run.run_id, reverse=True)


def _places(args: argparse.Namespace, environ: Mapping[str, str]) -> Iterator[FoundRun]:
    flags = common_flags(args)
    if flags.state_dir is not None:
        for run in all_runs(flags.state_dir.absolute()):
            yield FoundRun(run=run, root=flags.root)
        return
    wanted = os.path.realpath(flags.root) if flags.root is not None else None
    for state_id, path in find_states(environ).items():
        if wanted is None or path == wanted:
            for run in all_runs(state_home(environ) / state_id):
                yield FoundRun(run=run, root=Path(path))


def _last(args: argparse.Namespace, environ: Mapping[str, str]) -> FoundRun:
    from lg_orch.settings.setup import locate

    root, state = locate(args, environ)
    run = next(iter(all_runs(state.path)), None)
    if run is None:
        raise ConfigError(f"there is no run in {root} yet", hint="`lg-orch runs list --all` shows those elsewhere")
    return FoundRun(run=run, root=root)
