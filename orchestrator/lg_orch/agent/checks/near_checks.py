"""Chooses the tests that are run first after a change: those that failed, and those of the files that were changed.

Only where a whole check takes long, and only with pytest, which takes files of tests as arguments. If one of them
fails, who made the change learns it at once and the whole check is not run. If they pass, they prove nothing: the whole
check follows, and alone counts.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from lg_orch.agent.checks.planned_checks import BASELINE_ID, CHECK_ID, changes
from lg_orch.agent.checks.runner_reports import names_of_failures, report_text, runner_of
from lg_orch.agent.finished_calls import finish
from lg_orch.agent.interfaces import ActingBackend
from lg_orch.agent.patches import changed_paths
from lg_orch.contracts.plans import PlannedCall
from lg_orch.tools.junit import REPORT_OPTIONS

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from lg_orch.agent.services import Services
    from lg_orch.contracts.envelopes import ToolEnvelope
    from lg_orch.contracts.state import QueuedCall, RunState

NEAR_ID = "near."
MAX_FILES = 8
"""Files of tests that are run first; more are near to nothing."""
MAX_LOOKS = 5
"""Changed files whose tests are asked for."""
_TEST_FILE = re.compile(r"(?:[\w.-]+/)*[\w-][\w.-]*\.py")
_TEST_NAME = re.compile(r"test_[^/]*\.py|[^/]*_test\.py")


async def near_check(state: RunState, services: Services) -> QueuedCall | None:
    """Return the call that runs the nearest tests before the next check, once a loop."""
    known = f"{NEAR_ID}{state.budgets.loop}."
    asked = any(result.artifacts.call_id.startswith(known) for result in state.tool_results)
    if asked or not _worth_it(state, services):
        return None
    whole = state.checks[0]
    before = _earlier(state, services, whole)
    if before is None or before.timing_ms < services.budgets.limits.near_tests_above_s * 1000:
        return None
    changed = list(dict.fromkeys(
        path for result in services.whole_results(state) for path in changed_paths(services, result)
    ))  # fmt: skip
    files = [*_failed(before), *(path for path in changed if _TEST_NAME.fullmatch(path.rpartition("/")[2]))]
    files += await _tests_of(services, [path for path in changed if path not in files])
    chosen = _below(whole, dict.fromkeys(files))[:MAX_FILES]
    if not chosen:
        return None
    arguments = whole.call.input | {"args": _with_files(whole.call.input.get("args") or [], chosen)}
    why = "run the tests nearest to the change first"
    return services.mint(PlannedCall(id=f"{known}1", tool=whole.call.tool, input=arguments, why=why))


def _worth_it(state: RunState, services: Services) -> bool:
    """Whether the next check is one of the project's own, by pytest, and there is a loop left to repair the change."""
    if not state.checks or state.verification is not None or not changes(state) or state.plan is None:
        return False
    last = services.budgets.loop_stop(state.budgets) is not None or state.budgets.room == 0
    if last or not isinstance(services.backend, ActingBackend):
        return False
    call = state.checks[0].call
    args = call.input.get("args") or []
    plain = isinstance(args, list) and set(args) <= {"-q", *REPORT_OPTIONS}
    return call.id.startswith(CHECK_ID) and plain and runner_of(call.input) == "pytest"


def _earlier(state: RunState, services: Services, whole: QueuedCall) -> ToolEnvelope | None:
    """The newest result of the same check."""
    for result in reversed(state.tool_results):
        if result.artifacts.call_id.startswith((CHECK_ID, BASELINE_ID)) and result.artifacts.error is None:
            found = services.results.whole(result)
            if found.artifacts.input == whole.call.input:
                return found
    return None


def _failed(result: ToolEnvelope) -> list[str]:
    names = (name.partition("::")[0] for name in names_of_failures(report_text(result)))
    return list(dict.fromkeys(names))


async def _tests_of(services: Services, changed: Sequence[str]) -> list[str]:
    """The files of tests that belong to changed files, as the code server knows them."""
    knows = services.tools.find("tests_for")
    if knows is None:
        return []
    found: list[str] = []
    for number, path in enumerate(changed[:MAX_LOOKS], start=1):
        why = "find the tests of a changed file"
        call = PlannedCall(id=f"context.near{number}", tool=knows.name, input={"path": path, "limit": 4}, why=why)
        limit = services.budgets.call_timeout(services.wall_s())
        answer = await services.tools.call(services.mint(call), step="verifier", timeout_s=limit, may_ask=False)
        finish(services, answer)
        told = (answer.artifacts.structured or {}).get("tests") if answer.ok else None
        found += [str(test["path"]) for test in told or () if isinstance(test, dict) and test.get("path")]
    return found


def _below(whole: QueuedCall, files: Iterable[str]) -> list[str]:
    """Those that are files of tests below the check's directory, as it names them.

    Their names come from the repository's output: what is no plain path is left out.
    """
    cwd = str(whole.call.input.get("cwd") or "").strip("/")
    prefix = f"{cwd}/" if cwd else ""
    own = (path.removeprefix(prefix) for path in files if path.startswith(prefix) or "/" not in path)
    return [path for path in dict.fromkeys(own) if _TEST_FILE.fullmatch(path) and ".." not in path.split("/")]


def _with_files(args: Sequence[str], files: Sequence[str]) -> list[str]:
    at = next((number for number, word in enumerate(args) if word in REPORT_OPTIONS), len(args))
    return [*args[:at], *files, *args[at:]]
