"""Where is the thing that these words describe? As `where is the progress bar implemented?`"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from lg_orch.analyst import calls
from lg_orch.analyst.case import NoChecks
from lg_orch.analyst.report.markdown import MarkdownReport, number
from lg_orch.analyst.report.safe_text import code
from lg_orch.analyst.sources import symbols
from lg_orch.analyst.sources.evidence import page_id
from lg_orch.analyst.topics.where import finish, ranked
from lg_orch.contracts.plans import PlanStep

if TYPE_CHECKING:
    from typing import Any

    from lg_orch.analyst.case import Case
    from lg_orch.contracts.plans import PlannedCall, ToolUse
    from lg_orch.contracts.reports import Answer

_SHOWN = 8
_NAME = "NAME"
_FOUND, _SPELLED, _NAMED = page_id("found"), page_id("define"), page_id("named")


class DescribedTopic(NoChecks):
    """Asks the code server, which ranks definitions; without it, looks for a name made of the words."""

    def steps(self, case: Case) -> list[PlanStep]:
        """Search for the words, by the best server there is."""
        words = case.ask.subject
        if case.tools is not None and calls.SEARCH_CODE in case.tools:
            use = calls.search_code(words, limit=_SHOWN)
            return [PlanStep(id="found", description=f"Search the code for {words}", tools=(use,))]
        return [
            PlanStep(id="define", description=f"Search for names made of {words}", tools=(_spelled(words),)),
            PlanStep(id="named", description=f"List files named after {words}", tools=(_files(words),)),
        ]

    def next_calls(self, case: Case) -> list[PlannedCall]:
        """Return the plain searches when the code server could not answer."""
        asked = case.evidence.result(_FOUND)
        if asked is None or asked.ok:
            return []
        words = case.ask.subject
        return [
            calls.planned(_SPELLED, _spelled(words), f"Search for names made of {words}"),
            calls.planned(_NAMED, _files(words), f"List files named after {words}"),
        ]

    def answer(self, case: Case) -> Answer:
        """Return what fits best, best first, and how it was found."""
        words = case.ask.subject
        report = MarkdownReport(f"Where {code(words)} is")
        found = case.evidence.structured(_FOUND)
        results = [item for item in found.get("results") or () if isinstance(item, dict)]
        for result in results[:_SHOWN]:
            report.say(_result(result), file=str(result.get("path")), line=_line(result))
        hits = ranked(case.evidence.search("define").hits)
        for hit in hits[:_SHOWN]:
            report.say(f"{symbols.kind_of(hit.text, '(')}: {code(hit.text)}", file=hit.path, line=hit.line)
        if len(hits) > _SHOWN:
            report.lacks(f"{number(len(hits) - _SHOWN, 'further definition')} whose names have these words")
        files = [path for path, _ in case.evidence.listing("named").files]
        for path in files[:_SHOWN]:
            report.say(f"file {code(path)}", file=path, line=1)
        if results:
            report.text("Ranked by words, names and paths, the best first; nobody read the code to confirm it.")
        elif hits or files:
            report.text("Found by names made of these words.")
        else:
            report.text("Nothing has a name made of these words.")
            report.lacks(f"a place that fits {words!r}")
        for note in found.get("notes") or ():
            report.lacks(str(note))
        return finish(report, case)


def _result(result: dict[str, Any]) -> str:
    first = str(result.get("snippet") or "").partition("\n")[0].strip()
    what = " ".join(str(result[key]) for key in ("kind", "symbol") if result.get(key))
    return f"{what}: {code(first)}" if what else code(first)


def _line(result: dict[str, Any]) -> int:
    line = result.get("line")
    return line if isinstance(line, int) and line > 0 else 1


def _spelled(words: str) -> ToolUse:
    """Search for definitions of `progress_bar`, `ProgressBar`, `progressBar` and names that hold them."""
    name = r"\w*" + r"[_-]?".join(re.escape(word) for word in _parts(words)) + r"\w*"
    return calls.search(symbols.definition(_NAME).replace(_NAME, name), limit=200, ignore_case=True)


def _files(words: str) -> ToolUse:
    parts = _parts(words)
    globs = [f"*{glue.join(parts)}*" for glue in ("_", "-", "")] if parts else ["/"]
    return calls.listing([*globs, f"*{''.join(part.capitalize() for part in parts)}*"])


def _parts(words: str) -> list[str]:
    return [part.lower() for part in re.findall(r"\w+", words)][:6]
