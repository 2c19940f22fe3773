"""Repeats the checks with the files that check the project as they were before the run.

A change that also edits its tests is proved only if the tests as they were pass as well. The repeat is one command in
the sandbox: `python` puts the files back in the throw-away copy of the root and then becomes the check. The user's tree
is never touched, so there is nothing to take back, also when the run is killed.

Not covered: checks by programs that `python` cannot find in its sandbox, such as a `cargo` or `go` in the home
directory; Python projects without an environment (others are given the machine's Python); templates that keep what a
command writes; sandboxes without such a copy. The report then says that nothing was repeated, and why.
"""

from __future__ import annotations

import inspect
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lg_orch.agent.checks import restore_program
from lg_orch.agent.checks.checking_files import asked_for, changed_files
from lg_orch.agent.checks.earlier_files import CannotPutBackError, steps_back
from lg_orch.agent.checks.planned_checks import CHECK_ID, changes
from lg_orch.agent.checks.report_options import shown_words
from lg_orch.agent.interfaces import ActingBackend
from lg_orch.agent.patches import change_of
from lg_orch.contracts.plans import PlannedCall
from lg_orch.contracts.text import code_span

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lg_orch.agent.checks.checking_files import ChangedFiles, CheckingFile
    from lg_orch.agent.services import Services
    from lg_orch.contracts.envelopes import ToolEnvelope
    from lg_orch.contracts.state import QueuedCall, RunState

AGAIN_ID = "again."
MAX_STDIN = 1_000_000
"""Characters that a command may be given as its input."""
_SANDBOX = "bubblewrap"
_PROGRAMS: Mapping[str, tuple[str, ...]] = {
    "pytest": ("pytest",), "python-pytest": ("@python", "-m", "pytest"), "python": ("@python",), "make": ("make",),
    "npm-test": ("npm", "test"), "npm-run": ("npm", "run"), "node-test": ("node", "--test"), "go": ("go",),
    "cargo": ("cargo", "--offline"),
}  # fmt: skip
"""The words with which `restore_program` starts a command of that name, as the shipped templates do."""


@dataclass(frozen=True, kw_only=True)
class Repeats:
    """The checks to repeat, with the calls that were first made for them, or why none can be repeated."""

    calls: tuple[PlannedCall, ...] = ()
    originals: tuple[ToolEnvelope, ...] = ()
    why_not: str = ""


def left_changed(state: RunState, services: Services) -> ChangedFiles:
    """Return the files that the run left changed, with those that check the project listed separately."""
    checks = state.verification.checks if state.verification is not None else ()
    words = [word for check in checks for word in check.name.split()]
    return changed_files(_changes(state, services), words)


def weakening(state: RunState, services: Services, files: ChangedFiles) -> list[CheckingFile]:
    """Return the changed files that check the project, may prove less than before, and were not asked for."""
    request = services.request(state)
    return [file for file in files.checking if file.weakens and not asked_for(request, file)]


def repeats(state: RunState, services: Services) -> Repeats:
    """Return what to repeat after the last check; nothing where no checking file was changed unasked."""
    if not isinstance(services.backend, ActingBackend) or not changes(state) or state.verification is None:
        return Repeats()
    files = left_changed(state, services)
    weak = weakening(state, services, files)
    if not weak or not (files.others or all(file.helps for file in weak)) or not state.verification.ok:
        return Repeats()
    originals = _passed(state, services)
    why = _why_not(state, services, originals)
    if why:
        return Repeats(why_not=why)
    try:
        # New tests may need a new module beside them, so they go with it.
        gone = [file for file in files.checking if file.added] if any(file.helps for file in weak) else []
        steps = steps_back(_changes(state, services), {file.path for file in (*weak, *gone)})
    except CannotPutBackError as error:
        return Repeats(why_not=str(error))
    calls = tuple(_call(steps, original, at) for at, original in enumerate(originals, start=1))
    if any(len(call.input["stdin"]) > MAX_STDIN for call in calls):
        return Repeats(why_not="the changes of these files are too long")
    return Repeats(calls=calls, originals=originals)


def repeated_all(state: RunState) -> bool:
    """Tell whether each check that passed was repeated."""
    passed = [check for check in state.verification.checks if check.ok] if state.verification is not None else []
    return state.repeated is not None and len(state.repeated.checks) == len(passed)


def original_of(state: RunState, services: Services, queued: QueuedCall) -> ToolEnvelope | None:
    """Return the result of the check that a call repeats."""
    number = queued.call.id.removeprefix(AGAIN_ID)
    originals = _passed(state, services)
    known = number.isdigit() and 1 <= int(number) <= len(originals)
    return originals[int(number) - 1] if known else None


def failed_to_repeat(result: ToolEnvelope) -> str:
    """Return why a repeat never came to the check itself; empty where it did."""
    if result.exit_code != restore_program.FAILED:
        return ""
    _, _, why = result.stderr.partition(restore_program.MARK)
    return why.partition("\n")[0] or "the program that puts the files back failed"


def _changes(state: RunState, services: Services) -> list[Mapping[str, Any]]:
    return [change for result in services.whole_results(state) if (change := change_of(services, result))]


def _passed(state: RunState, services: Services) -> tuple[ToolEnvelope, ...]:
    """The results of the checks that passed last, in order."""
    checks = state.verification.checks if state.verification is not None else ()
    ran = [result for result in services.whole_results(state) if result.artifacts.call_id.startswith(CHECK_ID)]
    ran = ran[len(ran) - len(checks) :]
    return tuple(result for check, result in zip(checks, ran, strict=False) if check.ok)


def _why_not(state: RunState, services: Services, originals: tuple[ToolEnvelope, ...]) -> str:
    sandbox = state.security.sandbox
    if sandbox is None or not sandbox.active or not sandbox.backend.startswith(_SANDBOX):
        return "the commands do not run in a sandbox that throws away what they write"
    python = next((command for command in services.context(state).commands if command.name == "python"), None)
    if python is None or python.reason:
        return f"`python` cannot be run here: {python.reason}" if python is not None else "there is no `python`"
    free = "-I" in python.args_allow and "-c=*..." in python.args_allow
    if python.root != "overlay" or python.approval or not free:
        return "the template `python` does not allow it (its `root`, `approval` or `args_allow`)"
    if not originals:
        return "none of them passed"
    other = [result for result in originals if result.artifacts.input.get("cmd") not in _PROGRAMS]
    names = ", ".join(code_span(" ".join(shown_words(result.artifacts.input))) for result in other)
    return f"{names} cannot be started by `python`" if names else ""


def _call(steps: list[dict[str, Any]], original: ToolEnvelope, number: int) -> PlannedCall:
    asked = original.artifacts.input
    argv = [*_PROGRAMS[str(asked["cmd"])], *(str(word) for word in asked.get("args") or ())]
    told = {"steps": steps, "argv": argv, "cwd": str(asked.get("cwd") or "")}
    arguments = {
        "cmd": "python", "args": ["-I", "-c", inspect.getsource(restore_program)],
        "stdin": json.dumps(told, ensure_ascii=False),
    }  # fmt: skip
    why = "check again, with the files that check as they were before"
    return PlannedCall(id=f"{AGAIN_ID}{number}", tool=original.tool, input=arguments, why=why)
