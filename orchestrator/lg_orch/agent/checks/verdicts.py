"""Decides how a run ended. Success is proved by a check that ran, never by what a model says."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from lg_orch.agent.checks.check_commands import missing_checks
from lg_orch.agent.checks.checking_files import about_tests
from lg_orch.agent.checks.planned_checks import changes
from lg_orch.agent.checks.repeated_checks import left_changed, repeated_all, repeats, weakening
from lg_orch.agent.interfaces import ActingBackend
from lg_orch.agent.patches import has_effect
from lg_orch.contracts.text import code_span

if TYPE_CHECKING:
    from lg_orch.agent.checks.checking_files import CheckingFile
    from lg_orch.agent.services import Services
    from lg_orch.contracts.reports import Check
    from lg_orch.contracts.state import RunState, Status

MAX_NAMED = 10
"""Files of one kind, or failing tests, that a sentence names."""
MAX_FEWER = 400
"""Characters about tests that no longer ran."""


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """The status of a run and, unless it is done, why."""

    status: Status
    reason: str = ""


DONE = Verdict(status="done")


def verdict(state: RunState, services: Services) -> Verdict:
    """Return how the run ended: the first finding that says more than "done"."""
    found = _without_work(state)
    if found is None and isinstance(services.backend, ActingBackend):
        found = _unchanged(state, services)
    if found is None:
        found = _by_checks(state, services)
    if found is None and changes(state) and isinstance(services.backend, ActingBackend):
        found = _by_checking_files(state, services)
    return found or DONE


def named(files: list[CheckingFile] | tuple[CheckingFile, ...]) -> str:
    """Return the files with what they are: `tests/test_a.py` (tests)."""
    told = [f"{code_span(file.path)} ({'new ' if file.added else ''}{file.kind})" for file in files[:MAX_NAMED]]
    more = [f"{len(files) - MAX_NAMED} more"] if len(files) > MAX_NAMED else []
    return ", ".join([*told, *more])


def _without_work(state: RunState) -> Verdict | None:
    """A run that was stopped, or that brought no result at all."""
    if state.guards.stopped is not None:
        dropped = f"; {state.guards.dropped} decided calls were not made" if state.guards.dropped else ""
        return Verdict(status="failed", reason=f"{state.guards.stopped.rstrip('.')}{dropped}")
    made = [result for result in state.tool_results if result.artifacts.error is None]
    if not made and state.repo_context is not None and state.repo_context.files is None:
        return Verdict(status="failed", reason="no tool call brought a result")
    if not made and state.tool_results and not _wants_check(state):
        return Verdict(status="failed", reason="every planned tool call failed")
    return None


def _unchanged(state: RunState, services: Services) -> Verdict | None:
    """A request for a change is not done while no file was changed, and a question not without an answer."""
    if not changes(state):
        answered = state.words or _wants_check(state)
        return None if answered else Verdict(status="failed", reason="the model gave no answer")
    if any(has_effect(services, result) for result in services.whole_results(state)):
        return None
    failing = _failing(state)
    if failing:
        return None
    return Verdict(status="failed", reason="a change was asked for and no file was changed")


def _by_checks(state: RunState, services: Services) -> Verdict | None:
    """What the checks say: one failed, none could be run, or one passed."""
    failing = _failing(state)
    told = ", ".join(f"{code_span(check.name)} {check.outcome}" for check in failing)
    unable = all(check.verdict == "could_not_run" and not check.lost_tests for check in failing)
    if failing and not (unable and _wants_check(state)):
        return Verdict(status="failed", reason=f"checks did not pass: {told}")
    checks = state.verification.checks if state.verification is not None else ()
    if _wants_check(state) and not any(check.ok for check in checks):
        told = told or "; ".join(f"{code_span(check.name)}: {check.outcome}" for check in checks)
        return Verdict(status="unchecked", reason=told or f"no check could be run: {_why_no_check(state, services)}")
    return None


def _by_checking_files(state: RunState, services: Services) -> Verdict | None:
    """What the change proves: nothing if only checks were changed, little if some were, or if no check ran."""
    files = left_changed(state, services)
    weak = weakening(state, services, files)
    if weak and not files.others and not all(file.helps for file in weak):
        what = "only files that check the code were changed, and the request does not ask for that"
        return Verdict(status="failed", reason=f"{what}: {named(weak)}")
    unproved = _not_proved_by_earlier_files(state, services, weak) if weak else _fewer_tests(state, services)
    if unproved:
        return Verdict(status="unchecked", reason=unproved)
    checks = state.verification.checks if state.verification is not None else ()
    if not checks:
        return Verdict(status="unchecked", reason=f"no check was run on the change: {_why_no_check(state, services)}")
    if any(check.ok or (check.failed_before and check.tests_passed) for check in checks):
        return None
    told = "; ".join(f"{code_span(check.name)}: {check.outcome}" for check in checks)
    return Verdict(status="unchecked", reason=f"no check proves the change: {told}")


def _not_proved_by_earlier_files(state: RunState, services: Services, weak: list[CheckingFile]) -> str:
    """Why a change that also edits what checks it is not proved; empty where the files as they were pass too."""
    what = f"the change also edits files that check it, which the request does not ask for: {named(weak)}"
    if state.repeated is None or not repeated_all(state):
        why = repeats(state, services).why_not
        return f"{what}. The checks were not repeated with these files as they were" + (f": {why}" if why else "")
    bad = [check for check in state.repeated.checks if not check.ok]
    if not bad:
        return _fewer_tests(state, services)
    told = "; ".join(f"{code_span(check.name)} {check.outcome}{_because(check)}" for check in bad)
    return f"{what}. With these files as they were before: {told}"


def _because(check: Check) -> str:
    if check.failures:
        return f" ({', '.join(code_span(name) for name in check.failures[:MAX_NAMED])})"
    return f" ({code_span(check.reason)})" if check.reason else ""


def _fewer_tests(state: RunState, services: Services) -> str:
    """Which checks ran fewer tests than before the change, unless the request is about tests; empty where none did."""
    if about_tests(services.request(state)):
        return ""
    told = fewer_tests_in(state)
    return f"fewer tests ran than before the change, which the request does not ask for: {told}" if told else ""


def fewer_tests_in(state: RunState) -> str:
    """Return which checks ran fewer tests than before the change, and how many; empty where none did."""
    checks = state.verification.checks if state.verification is not None else ()
    return "; ".join(
        f"{code_span(check.name)}: {code_span(check.fewer_tests, MAX_FEWER)}" for check in checks if check.fewer_tests
    )


def _why_no_check(state: RunState, services: Services) -> str:
    missing = missing_checks(services.context(state))
    told = "; ".join(f"{code_span(name)} cannot be run here: {why}" for name, why in missing.items())
    return told or "none was planned, and none was found that can be run here"


def _failing(state: RunState) -> list[Check]:
    """The checks that speak against the run; none where the verifier let all of them count as passed."""
    if state.verification is None or state.verification.ok:
        return []
    return [check for check in state.verification.checks if not check.ok and not check.harmless]


def _wants_check(state: RunState) -> bool:
    return state.intent is not None and state.intent.wants_check
