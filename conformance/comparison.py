"""Compares the suite's checks direct and through the gateway, and writes the table in `docs/`."""

from __future__ import annotations

import tempfile
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from conformance.programs import ROOT, behind_url, fixture_url, gateway, gateway_url
from conformance.suite import REVISIONS, Check, CheckId, Checks, Suite, count, lost

EXPECTED = Path(__file__).with_name("expected_failures.toml")
PAGE = ROOT / "docs" / "conformance.md"
BEGIN, END = "<!-- generated: begin -->", "<!-- generated: end -->"
TASKS_BEGIN, TASKS_END = "<!-- generated: begin tasks -->", "<!-- generated: end tasks -->"
ERAS = {"2025-11-25": "legacy", "2026-07-28": "auto"}
"""How the gateway speaks to the fixture in each run. The 2025 checks want questions that a server asks live."""


@dataclass(frozen=True)
class Comparison:
    """The checks of one revision, direct and through the gateway."""

    revision: str
    direct: Checks
    through: Checks

    def unexpected(self, expected: Mapping[str, str]) -> dict[CheckId, Check]:
        """Return the checks that are lost on the way and not expected to be."""
        return {name: check for name, check in lost(self.direct, self.through).items() if str(name) not in expected}

    def stale(self, expected: Mapping[str, str]) -> list[str]:
        """Return the expected failures that did not fail."""
        failed = {str(name) for name in lost(self.direct, self.through)}
        return [name for name in expected if name not in failed]


def expected_failures(path: Path = EXPECTED) -> dict[str, dict[str, str]]:
    """Return the reason of each expected failure, by revision and check."""
    found: dict[str, dict[str, str]] = tomllib.loads(path.read_text("utf-8"))
    return found


def without_stale(text: str, stale: Mapping[str, list[str]]) -> str:
    """Return the text of the file of expected failures without those that did not fail, by revision."""
    kept: list[str] = []
    revision = ""
    for line in text.splitlines():
        if line.startswith("["):
            revision = line.strip('[]"')
        if not any(line.startswith(f'"{check}"') for check in stale.get(revision, [])):
            kept.append(line)
    return "\n".join(kept) + "\n"


def compare(suite: Suite, folder: Path) -> list[Comparison]:
    """Run the suite against the fixture, direct and through the gateway, for each revision."""
    return [_compare(suite, folder / revision, revision) for revision in REVISIONS]


def _compare(suite: Suite, folder: Path, revision: str) -> Comparison:
    folder.mkdir(parents=True)
    with fixture_url(folder) as direct:
        alone = suite.run(direct, revision, folder / "direct")
    # A fixture of its own: what the first run left behind does not count.
    with fixture_url(folder) as behind:
        program = gateway(folder / "gateway", behind_url(behind, ERAS[revision]), plain=True, http=True)
        with gateway_url(program) as front:
            expected = [check.partition("/")[0] for check in expected_failures().get(revision, {})]
            return Comparison(revision, alone, suite.run(front, revision, folder / "through", expected))


def compare_tasks(suite: Suite, folder: Path) -> Comparison:
    """Run the scenarios of the tasks extension, direct and through the gateway. They take half a minute each."""
    revision = REVISIONS[-1]
    with fixture_url(folder) as direct:
        alone = suite.run_tasks(direct, folder / "direct")
    with fixture_url(folder) as behind:
        program = gateway(folder / "gateway", behind_url(behind, ERAS[revision]), plain=True, http=True)
        with gateway_url(program) as front:
            return Comparison(f"{revision} tasks", alone, suite.run_tasks(front, folder / "through"))


def compare_in_temporary_folder(suite: Suite) -> tuple[list[Comparison], Comparison]:
    """Like `compare` and `compare_tasks`, and leave nothing behind."""
    with tempfile.TemporaryDirectory(prefix="conformance-", ignore_cleanup_errors=True) as folder:
        tasks = Path(folder) / "tasks"
        tasks.mkdir()
        return compare(suite, Path(folder)), compare_tasks(suite, tasks)


def table(comparisons: list[Comparison], expected: Mapping[str, Mapping[str, str]]) -> str:
    """Return the table: for each scenario the passed checks, direct and through the gateway."""
    lines = _rows(comparisons)
    lines += ["", "Checks that pass direct and are expected to fail through the gateway:", ""]
    reasons = [
        f"- `{check}` ({revision}): {reason}" for revision, rows in expected.items() for check, reason in rows.items()
    ]
    return "\n".join([*lines, *(reasons or ["- none"])])


def tasks_table(found: Comparison) -> str:
    """Return the table of the tasks extension."""
    return "\n".join(_rows([found]))


def _rows(comparisons: list[Comparison]) -> list[str]:
    heads = [f"{side} {found.revision}" for found in comparisons for side in ("direct", "gateway")]
    lines = [f"| scenario | {' | '.join(heads)} |", "|---" * (len(heads) + 1) + "|"]
    totals = [_count(side) for found in comparisons for side in (found.direct, found.through)]
    lines.append(f"| **all: passed, failed** | {' | '.join(f'**{passed}, {failed}**' for passed, failed in totals)} |")
    scenarios = sorted({name.scenario for found in comparisons for name in found.direct})
    for scenario in scenarios:
        cells = [_cell(side, scenario) for found in comparisons for side in (found.direct, found.through)]
        lines.append(f"| `{scenario}` | {' | '.join(cells)} |")
    return lines


def _count(checks: Checks) -> tuple[int, int]:
    return count(checks.values())


def _cell(checks: Checks, scenario: str) -> str:
    own = [check for name, check in checks.items() if name.scenario == scenario]
    if not own:
        return "-"
    passed, failed = count(own)
    return f"{passed}" if not failed else f"{passed}, {failed} failed"


def with_table(page: str, made: str, begin: str = BEGIN, end: str = END) -> str:
    """Return a page with a table between its marks."""
    before, _, rest = page.partition(begin)
    _, _, after = rest.partition(end)
    return f"{before}{begin}\n{made}\n{end}{after}"
