"""One way of working, spoken to three programs in their own tools: what a competent model would do next.

The rule is the same for all: look at how the tests fail, unless that was shown; read the failing test and the source it
names; edit; run the tests again, unless the program says that it does so itself; finish. What can be called at once is
called at once. No step is added or left out for any program.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lg_orch.testing import Scripted

if TYPE_CHECKING:
    from collections.abc import Callable

    from bench.orchestrator.tasks import Task

RUN = "python -m pytest -q"
SUMMARY = "Fixed: the comparison in the source was wrong; all tests pass now."
Call = tuple[str, dict[str, Any]]


@dataclass(frozen=True, kw_only=True)
class Speech:
    """How a step is said with one program's tools."""

    tests: Callable[[], Call]
    read: Callable[[tuple[str, ...]], list[Call]]
    edit: Callable[[Task], Call]
    finish: Call | None
    """A call that ends the work; `None` where words do."""
    checks_itself: bool


def bash(command: str) -> Call:
    return "bash", {"command": command}


MINI = Speech(
    tests=lambda: bash(RUN),
    read=lambda paths: [bash(f"cat {' '.join(paths)}")],
    edit=lambda task: bash(f"sed -i 's/^{task.old}$/{task.new}/' {task.source}"),
    finish=bash("echo COMPLETE_TASK_AND_SUBMIT_FINAL_OUTPUT"),
    checks_itself=False,
)
DEEP = Speech(
    tests=lambda: ("execute", {"command": RUN}),
    read=lambda paths: [("read_file", {"file_path": f"/{path}"}) for path in paths],
    edit=lambda task: (
        "edit_file", {"file_path": f"/{task.source}", "old_string": task.old, "new_string": task.new},
    ),
    finish=None,
    checks_itself=False,
)  # fmt: skip
OURS = Speech(
    tests=lambda: ("exec__exec", {"cmd": "pytest", "args": ["-q"]}),
    read=lambda paths: [("fs__read_file", {"path": path}) for path in paths],
    edit=lambda task: (
        "fs__apply_patch",
        {"patch": f"{task.source}\n<<<<<<< SEARCH\n{task.old}\n=======\n{task.new}\n>>>>>>> REPLACE\n"},
    ),
    finish=None,
    checks_itself=True,
)


class Actor:
    """Decides what to do next from what the conversation shows; one for one run."""

    def __init__(self, task: Task, speech: Speech) -> None:
        self._task = task
        self._speech = speech
        self._done: list[str] = []

    def __call__(self, request: dict[str, Any]) -> Scripted:
        shown = "\n".join(str(message.get("content")) for message in request["messages"])
        step = self._next(shown)
        self._done.append(step)
        speech, task = self._speech, self._task
        if step == "tests":
            return said("I look at how the tests fail.", [speech.tests()])
        if step == "read":
            return said("I read the failing test and the source.", speech.read((task.source, task.test)))
        if step == "edit":
            return said("I repair the line.", [speech.edit(task)])
        if step == "check":
            return said("I run the tests again.", [speech.tests()])
        return said(SUMMARY, [speech.finish] if speech.finish is not None else [])

    def _next(self, shown: str) -> str:
        failing = "1 failed" in shown or f"FAILED {self._task.test}" in shown
        if not failing and "tests" not in self._done:
            return "tests"
        if "read" not in self._done:
            return "read"
        if "edit" not in self._done:
            return "edit"
        if not self._speech.checks_itself and "check" not in self._done:
            return "check"
        return "finish"


def said(words: str, calls: list[Call]) -> Scripted:
    return Scripted(content=words, calls=tuple((name, json.dumps(arguments)) for name, arguments in calls))
