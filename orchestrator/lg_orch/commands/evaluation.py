"""`lg-orch eval`: runs the evaluation of a clone.

Tasks and their judge are in the folder `eval` of the sources, not in the installed package: the judge starts processes,
which this package never does. Its code is run, so the folder is the clone's own, or one that was named; never one that
the current directory happens to have.
"""

from __future__ import annotations

import sys
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

import lg_orch
from lg_orch.llm.model_names import check_flags
from lg_policy.errors import ConfigError
from lg_policy.printing import quote

if TYPE_CHECKING:
    import argparse

CLONE = Path(lg_orch.__file__).resolve().parents[2]
"""The clone's top, where this is installed from one."""
FOLDER, RUNNER = "eval", "work_run"


def command(args: argparse.Namespace) -> int:
    """Run the tasks and print what each took. Returns the exit status: 1 where one is not solved."""
    folder = (args.tasks or CLONE / FOLDER).resolve()
    if not (folder / f"{RUNNER}.py").is_file() or folder.name != FOLDER:
        where = (
            f"{quote(str(folder))} is not the folder `eval` of a clone" if args.tasks else "the tasks are not installed"
        )
        hint = "they are in the sources: clone the repository, and name its folder with --tasks CLONE/eval"
        raise ConfigError(where, hint=hint)
    if args.model:
        check_flags(args.model, args.base_url)
    sys.path.insert(0, str(folder.parent))
    status: int = import_module(f"{FOLDER}.{RUNNER}").evaluate(args)
    return status
