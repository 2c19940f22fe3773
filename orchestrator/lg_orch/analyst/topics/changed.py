"""What changed last? Answered by `git log`, and only if the command server offers git."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from lg_orch.analyst import calls
from lg_orch.analyst.case import NoChecks
from lg_orch.analyst.report.markdown import MarkdownReport
from lg_orch.analyst.report.safe_text import code, prose
from lg_orch.analyst.sources.evidence import page_id
from lg_orch.contracts.plans import PlanStep, ToolUse

if TYPE_CHECKING:
    from lg_orch.analyst.case import Case
    from lg_orch.contracts.plans import PlannedCall
    from lg_orch.contracts.reports import Answer

_LOG = ("log", "--max-count=10", "--date=short", "--format=%h%x09%ad%x09%an%x09%s", "--name-status", "--no-color")
_COMMIT = re.compile(r"^([0-9a-f]{4,40})\t(\d{4}-\d{2}-\d{2})\t([^\t]*)\t(.*)$")
_HOW = "allow it with [exec.commands.git] enabled = true"
_FILES = 8


class ChangedTopic(NoChecks):
    """The last ten commits."""

    def steps(self, case: Case) -> list[PlanStep]:
        """Ask which commands there are; git is off unless somebody allowed it."""
        if case.tools is not None and calls.COMMANDS not in case.tools:
            return []
        use = ToolUse(tool=calls.COMMANDS)
        return [PlanStep(id="commands", description="Ask which commands may run", tools=(use,))]

    def next_calls(self, case: Case) -> list[PlannedCall]:
        """Return the log, when git is among them."""
        if not _git_offered(case) or case.evidence.answered(page_id("log")):
            return []
        use = ToolUse(tool=calls.EXEC, input={"cmd": "git", "args": list(_LOG)})
        return [calls.planned(page_id("log"), use, "Read the last ten commits")]

    def answer(self, case: Case) -> Answer:
        """Return the commits with their files, or why they cannot be told."""
        report = MarkdownReport("What changed last")
        log = case.evidence.result(page_id("log"))
        if case.context.revision:
            report.say(f"Commit checked out: {code(case.context.revision)}")
        if log is None:
            report.text("Not known: history is told by git only, and git is not among the commands that may run.")
            report.lacks(f"the last changes: git may not run here ({_HOW})")
        elif log.exit_code != 0:
            report.text("git could not tell.")
            status = f"exit status {log.exit_code}" if log.exit_code is not None else "it did not run to its end"
            report.lacks(f"the last changes: git log, {status}: {log.stderr.strip()[:300]}")
        else:
            self._commits(log.stdout, report)
        for problem in (*case.context.problems, *case.evidence.failures()):
            report.lacks(problem)
        return report.answer()

    def _commits(self, text: str, report: MarkdownReport) -> None:
        commits: list[tuple[tuple[str, ...], list[str]]] = []
        for line in text.splitlines():
            found = _COMMIT.match(line)
            if found:
                commits.append((found.groups(), []))
            elif line.strip() and commits:
                commits[-1][1].append(line.replace("\t", " "))
        for (commit, day, author, subject), files in commits:
            more = f" and {len(files) - _FILES} more" if len(files) > _FILES else ""
            changed = ", ".join(code(item) for item in files[:_FILES]) + more
            report.say(
                f"{code(commit)} {day}, {prose(author, 80)}: {prose(subject, 200)}{': ' + changed if files else ''}"
            )
        if not commits:
            report.text("git names no commits.")
            report.lacks("commits")
        elif len(commits) == 10:
            report.lacks("commits before the last ten")


def _git_offered(case: Case) -> bool:
    commands = case.evidence.structured(page_id("commands")).get("commands")
    return any(
        isinstance(item, dict) and item.get("name") == "git" and item.get("available") is True
        for item in (commands if isinstance(commands, list) else ())
    )
