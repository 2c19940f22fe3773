"""Small tasks that each show one habit of the flow, with a model that answers whatever a version of `lg-orch` asks.

A scene is a project, the commands that a user gives, and what a competent model says. The model tells by the request
what is wanted of it: JSON where no tools are offered, else its next turn.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bench.orchestrator.tasks import PYPROJECT, TASKS
from lg_orch.testing import Scripted, calls, text

Request = dict[str, Any]
PLAN = {"steps": [{"id": "s1", "description": "do it", "tools": []}], "acceptance": [], "verification": []}
ROUTE = {"intent": "debug", "lane": "interactive", "rationale": "a small repair"}
_TABLE = "".join(f"def rate_{number}(amount):\n    return amount * {number}\n\n\n" for number in range(40))


@dataclass(frozen=True, kw_only=True)
class Scene:
    """`commands` are given one after the other; LAST stands for the run."""

    name: str
    files: Mapping[str, str]
    commands: Sequence[tuple[str, ...]]
    turns: Sequence[Scripted]
    settings: str = ""
    done: Callable[[Mapping[str, str]], bool]
    """Whether the files are right afterwards."""


class Actor:
    """Says the turns of a scene in order, and JSON where that is asked for."""

    def __init__(self, scene: Scene) -> None:
        self._turns = iter(scene.turns)

    def __call__(self, request: Request) -> Scripted:
        if request.get("tools"):
            return next(self._turns, text("Done."))
        rules = str(request["messages"][0]["content"])
        if '"reflection"' in rules:
            return text(json.dumps({"reflection": "It was refused.", "plan": PLAN}))
        return text(json.dumps(ROUTE if '"lane"' in rules else PLAN))


def edit(path: str, old: str, new: str) -> tuple[str, dict[str, Any]]:
    return "fs__apply_patch", {"patch": f"{path}\n<<<<<<< SEARCH\n{old}\n=======\n{new}\n>>>>>>> REPLACE\n"}


def read(*paths: str) -> Scripted:
    return calls(*(("fs__read_file", {"path": path}) for path in paths))


_ONE, _PACKAGE = TASKS
_CALC = {**_ONE.files, "pyproject.toml": PYPROJECT}
_FIX = edit("calc.py", "    return a - b", "    return a + b")
_LEDGER = {**_PACKAGE.files, "pyproject.toml": PYPROJECT}
_MANY = {f"src/part{number // 10}/module_{number}.py": f'"""Part {number}."""\n' for number in range(150)}


def _fixed(files: Mapping[str, str]) -> bool:
    return "return a + b" in files["calc.py"]


SCENES = (
    Scene(
        name="a repair", files=_CALC, commands=[("run", "Fix the failing test.", "--yes")],
        turns=[read("calc.py", "tests/test_calc.py"), calls(_FIX), text("Fixed.")], done=_fixed,
    ),
    Scene(
        name="a repair in a package", files=_LEDGER, commands=[("run", "Fix the failing test.", "--yes")],
        turns=[
            read(_PACKAGE.source, _PACKAGE.test), calls(edit(_PACKAGE.source, _PACKAGE.old, _PACKAGE.new)),
            text("Fixed."),
        ],
        done=lambda files: _PACKAGE.new in files[_PACKAGE.source],
    ),
    Scene(
        name="a request in other words", files=_CALC,
        commands=[("run", "calc.add gives -1 for add(1, 2), it should be 3", "--yes")],
        turns=[read("calc.py"), calls(_FIX), text("Fixed.")], done=_fixed,
    ),
    Scene(
        name="a search with context", files=_CALC | {"rates.py": _TABLE},
        commands=[("run", "fix add in calc.py, and see whether rates.py adds anywhere", "--yes")],
        turns=[
            calls(("fs__search_files", {"regex": "def rate_", "path": "rates.py", "context_lines": 6})),
            read("calc.py"), calls(_FIX), text("Fixed."),
        ],
        done=_fixed,
    ),
    Scene(
        name="a change that is denied", files=_CALC,
        commands=[
            ("run", "Fix the failing test."), ("resume", "last", "--deny", "--reason", "write sum((a, b))"),
            ("resume", "last", "--approve"),
        ],
        turns=[
            read("calc.py"), calls(_FIX), calls(edit("calc.py", "    return a - b", "    return sum((a, b))")),
            text("Fixed."),
        ],
        done=lambda files: "sum((a, b))" in files["calc.py"],
    ),
    Scene(
        name="a word from the user", files=_CALC,
        commands=[("run", "Fix the failing test."), ("resume", "last", "--approve", "--say", "keep it short")],
        turns=[read("calc.py", "tests/test_calc.py"), calls(_FIX), text("Fixed.")], done=_fixed,
    ),
    Scene(
        name="long results", files=_CALC | {f"log{number}.txt": "a line of a log file\n" * 900 for number in range(4)},
        commands=[("run", "Fix the failing test.", "--yes")], settings="context_tokens = 12000\n",
        turns=[*(read(f"log{number}.txt") for number in range(4)), read("calc.py"), calls(_FIX), text("Fixed.")],
        done=_fixed,
    ),
    Scene(
        name="a repository of 150 files", files=_CALC | _MANY,
        commands=[("run", "Fix the failing test.", "--yes")],
        turns=[
            calls(("fs__search_files", {"regex": "def add"})), read("calc.py", "tests/test_calc.py"), calls(_FIX),
            text("Fixed."),
        ],
        done=_fixed,
    ),
)  # fmt: skip
