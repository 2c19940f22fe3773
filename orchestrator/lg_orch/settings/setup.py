"""Turns flags into the settings, state and root that every command needs. Raises `ConfigError` for what is wrong."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from lg_orch.llm.choice import models_asked_for
from lg_orch.runs.run_directory import owing_runs
from lg_orch.settings.find_root import find_root
from lg_policy.config.flags import CommonFlags, common_flags
from lg_policy.config.loading import Loaded, closed_to_changes, load_settings
from lg_policy.config.trust import repository_layer
from lg_policy.state import StateDir, open_state, root_id

if TYPE_CHECKING:
    import argparse
    from collections.abc import Mapping
    from pathlib import Path

LIMITS = ("max_tokens", "max_cost_usd", "max_wall_s")
"""Flags of `run`, `resume` and `fork` that set a key of `[budgets]`."""


@dataclass(frozen=True, kw_only=True)
class CommandSetup:
    """Where a command works and with which settings."""

    root: Path
    root_id: str
    flags: CommonFlags
    loaded: Loaded
    state: StateDir


def locate(
    args: argparse.Namespace, environ: Mapping[str, str] = os.environ, *, existing: bool = False
) -> tuple[Path, StateDir]:
    """Find the root and its state directory, and write the traces that killed runs owe it; settings are not read.

    With `existing`, a state directory that is named must be there. Raises `ConfigError`.
    """
    flags = common_flags(args)
    root = find_root(flags.root, environ)
    _refuse_broad(root, flags.allow_broad_root)
    state = open_state(root=root, explicit=flags.state_dir, existing=existing, environ=environ)
    if owing_runs(state.path):
        from lg_orch.contracts.text import in_line
        from lg_orch.runs.trace import complete_owed

        for line in complete_owed(state.path):
            print(f"lg-orch: {in_line(line)}", file=sys.stderr)
    return root, state


def prepare(args: argparse.Namespace, environ: Mapping[str, str] = os.environ) -> CommandSetup:
    """Find root and state, read the settings. Paths in flags are relative to the current directory until here.

    Raises `ConfigError`.
    """
    flags = common_flags(args)
    if flags.config is not None:
        flags = replace(flags, config=flags.config.absolute())
    root, state = locate(args, environ)
    layer = repository_layer(root, environ)
    loaded = load_settings(
        profile=flags.profile,
        config=flags.config,
        effective=flags.effective_config,
        overrides=_limits(args),
        extra=(layer,) if layer is not None else (),
        environ=environ,
    )
    loaded = closed_to_changes(loaded, root, (flags.config,))
    models = models_asked_for(
        loaded.settings.models, getattr(args, "model", None), environ, getattr(args, "base_url", None)
    )
    loaded = replace(loaded, settings=loaded.settings.model_copy(update={"models": models}))
    return CommandSetup(root=root, root_id=root_id(root), flags=flags, loaded=loaded, state=state)


def _limits(args: argparse.Namespace) -> dict[str, Any]:
    given = {name: value for name in LIMITS if (value := getattr(args, name, None)) is not None}
    return {"budgets": given} if given else {}


def _refuse_broad(root: Path, allowed: bool) -> None:
    from lg_policy.paths.root import Root

    Root(root, allow_broad=allowed).close()
