"""Who uses X?"""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING

from lg_orch.analyst import calls
from lg_orch.analyst.case import NoChecks
from lg_orch.analyst.report.markdown import MarkdownReport, number
from lg_orch.analyst.report.safe_text import code
from lg_orch.analyst.sources import symbols
from lg_orch.analyst.sources.languages import CODE
from lg_orch.analyst.sources.roles import role
from lg_orch.analyst.topics.where import finish, ranked
from lg_orch.contracts.plans import PlanStep

if TYPE_CHECKING:
    from lg_orch.analyst.case import Case
    from lg_orch.analyst.sources.evidence import Hit
    from lg_orch.contracts.plans import PlannedCall
    from lg_orch.contracts.reports import Answer

_SHOWN = 60
_COMMENT = re.compile(r"^\s*(?:#|//|/\*|\*|--|;)")
_IMPORT = re.compile(
    r"^\s*(?:import|from|use|pub use|using|require|include|#include|const .*require\(|export .* from)\b"
)


class UsesTopic(NoChecks):
    """Every line with the word in source code that does not define it."""

    def steps(self, case: Case) -> list[PlanStep]:
        """Quote the lines, and count them by file."""
        _, name = symbols.plain(case.ask.subject)
        globs = [f"*{ending}" for ending in CODE]
        word = rf"\b{re.escape(name)}\b"
        quote, count = calls.search(word, globs=globs), calls.search(word, globs=globs, output="counts")
        return [
            PlanStep(id="word", description=f"Search source code for the word {name}", tools=(quote,)),
            PlanStep(id="count", description=f"Count the word {name} by file", tools=(count,)),
        ]

    def next_calls(self, _case: Case) -> list[PlannedCall]:
        """Return nothing: the first calls tell all."""
        return []

    def answer(self, case: Case) -> Answer:
        """Return the lines that use it, grouped by what they do; where it is defined is said apart."""
        subject = case.ask.subject
        _, name = symbols.plain(subject)
        report = MarkdownReport(f"Who uses {code(subject)}")
        found = case.evidence.search("word")
        counted = case.evidence.search("count")
        hits = ranked(found.hits)
        definitions = [hit for hit in hits if symbols.is_definition(hit.text, name)]
        uses = [hit for hit in hits if hit not in definitions]
        if counted.total or hits:
            total = number(max(counted.total, len(hits)), "line")
            report.say(f"The word stands in {total} of {number(max(counted.files_matched, 1), 'source file')}")
        for hit in definitions[:10]:
            report.say(f"defined: {code(hit.text)}", file=hit.path, line=hit.line)
        for label in ("import", "call", "mention", "comment"):
            _group(report, label, [hit for hit in uses if _label(hit, name) == label])
        by_role = Counter(role(hit.path) for hit in uses)
        if by_role:
            report.text(
                "By kind of file: " + ", ".join(f"{kind} {count}" for kind, count in sorted(by_role.items())) + "."
            )
            report.text("Found as a word in the text: another thing of the same name counts too, and so do strings.")
        if not uses:
            report.text("No use found.")
            report.lacks(f"lines that use {subject}")
        if found.truncated:
            report.lacks(
                f"lines beyond the first {len(hits)}; the counts by file are complete"
                if counted.total
                else "more lines"
            )
        return finish(report, case)


def _group(report: MarkdownReport, label: str, hits: list[Hit]) -> None:
    if not hits:
        return
    report.section({"import": "Imported", "call": "Called", "mention": "Mentioned", "comment": "In comments"}[label])
    for hit in hits[:_SHOWN]:
        report.say(code(hit.text), file=hit.path, line=hit.line)
    if len(hits) > _SHOWN:
        files = len({hit.path for hit in hits})
        report.lacks(f"{len(hits) - _SHOWN} further lines ({label}) in {number(files, 'file')}, not shown")


def _label(hit: Hit, name: str) -> str:
    if _COMMENT.match(hit.text):
        return "comment"
    if _IMPORT.match(hit.text):
        return "import"
    return "call" if re.search(rf"\b{re.escape(name)}\s*(?:::<[^>]*>)?\(", hit.text) else "mention"
