"""Finds a run by its id or the unique beginning of it, from any directory of this machine.

A run's own record says which repository it works on; the directory where you give a command never does.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from lg_orch.runs.run_directory import RUN_ID, RunDir, all_runs
from lg_orch.runs.run_root import RunRoot, require_root, run_root
from lg_policy.config.flags import common_flags
from lg_policy.errors import ConfigError, UnknownName, UsageError
from lg_policy.state import find_states, refuse_missing, root_id, state_home

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator, Mapping

LAST = "last"
_BEGINNING = re.compile(r"[0-9]{4,8}|[0-9]{8}T[0-9]{0,6}(-[0-9a-f]{0,6})?|[0-9a-f]{6}")
_SHOWN = 8


@dataclass(frozen=True, kw_only=True)
class FoundRun:
    """A run and the repository of its record, `None` where it wrote none."""

    run: RunDir
    record: RunRoot | None

    @property
    def root(self) -> Path | None:
        """The directory of the repository, as far as it is known."""
        return self.record.path if self.record is not None else None

    def working_root(self) -> Path | None:
        """Return the directory to work on; `None` leaves it to the flags. Raises `ConfigError` when it is gone."""
        if self.root is not None and not self.root.is_dir():
            raise ConfigError(
                f"run {self.run.run_id} works on {self.root}, which no longer exists",
                hint="restore the directory; a run works only where it was started",
            )
        return self.root


def find(given: str | None, args: argparse.Namespace, environ: Mapping[str, str] = os.environ) -> FoundRun:
    """Return the run that `given` names: an id, the beginning of one, its last six digits, or `last`.

    `None`, where nothing was typed, is `last`; the commands name the run that they found. Every repository of this
    machine is looked at, or `--state-dir` (`LG_STATE_DIR`) alone; `last` is the newest run of the repository here.
    Raises `ConfigError` for an unknown or ambiguous run, and for one whose repository is not the one that
    `--root` or `LG_REPO_ROOT` names.
    """
    if given is None or given == LAST:
        return _last(args, environ)
    given = given.removeprefix("run-").removesuffix(".json")  # as the exported trace's file is named
    if not _BEGINNING.fullmatch(given) and not RUN_ID.fullmatch(given):
        raise UsageError(
            f"{given!r} is not a run id", hint="an id looks like 20260131T093000-1a2b3c; `lg-orch runs list` shows them"
        )
    fitting = [
        found
        for found in _runs(args, environ)
        if found.run.run_id.startswith(given) or found.run.run_id.endswith(f"-{given}")
    ]
    named = _named_root(args, environ)
    matches = [found for found in fitting if named is None or _works_on(found, named)]
    if named is not None and not matches and fitting:
        require_root(fitting[0].run.run_id, fitting[0].record, named)
    if not matches:
        raise UnknownName(f"there is no run {given!r}", hint="`lg-orch runs list --all` shows the runs of this machine")
    if len(matches) > 1:
        names = [f"{found.run.run_id}  {found.root or found.run.path}" for found in matches[:_SHOWN]]
        more = [f"and {len(matches) - _SHOWN} more"] if len(matches) > _SHOWN else []
        raise UsageError(
            f"{given!r} is ambiguous; {len(matches)} runs fit", hint="give more of the id", details=[*names, *more]
        )
    return matches[0]


def everywhere(args: argparse.Namespace, environ: Mapping[str, str] = os.environ) -> list[FoundRun]:
    """Return every run, or those of the repository that the flags name, the newest first."""
    named = _named_root(args, environ)
    chosen = (found for found in _runs(args, environ) if named is None or _works_on(found, named))
    return sorted(chosen, key=lambda found: found.run.run_id, reverse=True)


def runs_of(root: Path, state: Path, environ: Mapping[str, str] = os.environ) -> Iterator[FoundRun]:
    """Yield the runs of one repository in a state directory, which others may share, the newest first."""
    known = find_states(environ)
    for run in all_runs(state):
        found = FoundRun(run=run, record=run_root(run, known))
        if _works_on(found, root):
            yield found


def _works_on(found: FoundRun, root: Path) -> bool:
    """Whether a run is of that repository; one without a record belongs to the state directory's own."""
    if found.record is not None:
        return found.record.id == root_id(root)
    return found.run.path.parent.parent.name == root_id(root)


def _named_root(args: argparse.Namespace, environ: Mapping[str, str]) -> Path | None:
    """The repository that a flag or the environment names."""
    named = common_flags(args).root or (Path(environ["LG_REPO_ROOT"]) if environ.get("LG_REPO_ROOT") else None)
    return Path(os.path.realpath(named)) if named is not None else None


def _runs(args: argparse.Namespace, environ: Mapping[str, str]) -> Iterator[FoundRun]:
    flags, known = common_flags(args), find_states(environ)
    if flags.state_dir is not None:
        refuse_missing(flags.state_dir.absolute())
        places = [flags.state_dir.absolute()]
    else:
        places = [state_home(environ) / state_id for state_id in known]
    for place in places:
        for run in all_runs(place):
            record = run_root(run, known)
            if record is None and place.name in known:
                record = RunRoot(id=place.name, path=Path(known[place.name]))
            yield FoundRun(run=run, record=record)


def _last(args: argparse.Namespace, environ: Mapping[str, str]) -> FoundRun:
    from lg_orch.settings.setup import locate

    root, state = locate(args, environ, existing=True)
    found = next(runs_of(root, state.path, environ), None)
    if found is None:
        raise UnknownName(f"there is no run in {root} yet", hint="`lg-orch runs list --all` shows those elsewhere")
    return found
