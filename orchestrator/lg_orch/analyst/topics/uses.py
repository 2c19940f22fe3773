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
from lg_orch.analyst.sources.evidence import page_id
from lg_orch.analyst.sources.languages import CODE, extension, normal_extension
from lg_orch.analyst.sources.roles import role
from lg_orch.analyst.topics.where import finish, ranked
from lg_orch.contracts.plans import PlanStep

if TYPE_CHECKING:
    from typing import Any

    from lg_orch.analyst.case import Case
    from lg_orch.analyst.sources.evidence import Hit, Search
    from lg_orch.contracts.plans import PlannedCall, ToolUse
    from lg_orch.contracts.reports import Answer

_SHOWN = 60
_REFERENCES = page_id("references")
_TITLES = {"definition": "Defined", "import": "Imported", "call": "Called", "mention": "Mentioned"}
_COMMENT = re.compile(r"^\s*(?:#|//|/\*|\*|--|;)")
_IMPORT = re.compile(
    r"^\s*(?:import|from|use|pub use|using|require|include|#include|const .*require\(|export .* from)\b"
)


class UsesTopic(NoChecks):
    """Every line with the word that does not define it: by the grammar where the code server is, else by spelling."""

    def steps(self, case: Case) -> list[PlanStep]:
        """Ask the code server; without it quote the lines, and count them by file."""
        _, name = symbols.plain(case.ask.subject)
        if case.tools is not None and calls.REFERENCES in case.tools:
            use = calls.references(name, limit=_SHOWN)
            return [PlanStep(id="references", description=f"List the uses of {name}", tools=(use,))]
        return [PlanStep(id=call, description=why, tools=(use,)) for call, use, why in _by_spelling(name)]

    def next_calls(self, case: Case) -> list[PlannedCall]:
        """Return the plain searches when the code server could not answer."""
        asked = case.evidence.result(_REFERENCES)
        if asked is None or asked.ok:
            return []
        _, name = symbols.plain(case.ask.subject)
        return [calls.planned(page_id(call), use, why) for call, use, why in _by_spelling(name)]

    def answer(self, case: Case) -> Answer:
        """Return the lines that use it, grouped by what they do; where it is defined is said apart."""
        subject = case.ask.subject
        _, name = symbols.plain(subject)
        report = MarkdownReport(f"Who uses {code(subject)}")
        told = case.evidence.structured(_REFERENCES)
        if told:
            return _from_references(report, case, told)
        found = case.evidence.search("word")
        counted = case.evidence.search("count")
        hits = ranked(found.hits)
        definitions = [hit for hit in hits if symbols.is_definition(hit.text, name)]
        uses = [hit for hit in hits if hit not in definitions]
        if found.total or hits:
            total = number(max(found.total, len(hits)), "line")
            report.say(f"The word stands in {total} of {number(max(found.files_matched, 1), 'source file')}")
        for hit in definitions[:10]:
            report.say(f"defined: {code(hit.text)}", file=hit.path, line=hit.line)
        for label in ("import", "call", "mention", "comment"):
            _group(report, label, [hit for hit in uses if _label(hit, name) == label])
        _elsewhere(report, counted)
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


def _by_spelling(name: str) -> list[tuple[str, ToolUse, str]]:
    """Return the searches: the lines of source code, and a count over all files, templates and pages too."""
    word = rf"\b{re.escape(name)}\b"
    quote = calls.search(word, globs=[f"*{ending}" for ending in CODE])
    return [
        ("word", quote, f"Search source code for the word {name}"),
        ("count", calls.search(word, output="counts"), f"Count the word {name} by file"),
    ]


def _elsewhere(report: MarkdownReport, counted: Search) -> None:
    """Say which files beyond source code have the word: templates, pages, configuration."""
    others = [(path, count) for path, count in counted.counts if normal_extension(extension(path)) not in CODE]
    if not others:
        return
    report.section("In templates and other files")
    for path, count in sorted(others, key=lambda item: (-item[1], item[0]))[:_SHOWN]:
        report.say(f"{code(path)}: {number(count, 'line')}", file=path, line=1)
    if len(others) > _SHOWN:
        report.lacks(f"{number(len(others) - _SHOWN, 'further file')} beyond source code, not shown")


def _from_references(report: MarkdownReport, case: Case, told: dict[str, Any]) -> Answer:
    """Report what the code server says: every use with its line and the definition that it stands in."""
    uses = [use for use in told.get("references") or () if isinstance(use, dict)]
    files = told.get("total_files")
    if isinstance(files, int) and files:
        report.say(f"{number(files, 'file')} use the name")
    for label, title in _TITLES.items():
        group = [use for use in uses if str(use.get("kind", "")).partition(" ")[0] == label]
        if group:
            report.section(title)
        for use in group:
            path, line = str(use.get("path", "")), use.get("line")
            scope = f" in {code(str(use['scope']))}" if use.get("scope") else ""
            where = "" if role(path) == "code" else f" ({role(path)})"
            report.say(
                f"{code(str(use.get('text', '')))}{scope}{where}", file=path, line=line if isinstance(line, int) else 1
            )
    if not any(str(use.get("kind", "")) != "definition" for use in uses):
        report.text("No use found.")
        report.lacks(f"uses of {case.ask.subject}")
    for note in told.get("notes") or ():
        report.lacks(str(note))
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
