"""Where is X defined?"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from lg_orch.analyst import calls
from lg_orch.analyst.case import NoChecks
from lg_orch.analyst.report.markdown import MarkdownReport, number
from lg_orch.analyst.report.safe_text import code
from lg_orch.analyst.sources import symbols
from lg_orch.analyst.sources.roles import role
from lg_orch.contracts.plans import PlanStep

if TYPE_CHECKING:
    from lg_orch.analyst.case import Case
    from lg_orch.analyst.sources.evidence import Hit
    from lg_orch.contracts.plans import PlannedCall
    from lg_orch.contracts.reports import Answer

_SHOWN = 30
_ORDER = {"code": 0, "tests": 1, "examples": 2, "docs": 3, "vendored": 4}


class WhereTopic(NoChecks):
    """Definitions by the spelling of the line, product code first; a file of that name is found too."""

    def steps(self, case: Case) -> list[PlanStep]:
        """Search for definitions, and for files whose name it is."""
        owner, name = symbols.plain(case.ask.subject)
        steps = [
            PlanStep(
                id="define",
                description=f"Search for definitions of {name}",
                tools=(calls.search(symbols.definition(name), limit=200),),
            ),
            PlanStep(
                id="named", description=f"List files named {name}", tools=(calls.listing(_globs(case.ask.subject)),)
            ),
        ]
        if owner:
            use = calls.search(symbols.definition(owner), limit=50)
            steps.append(PlanStep(id="owner", description=f"Search for definitions of {owner}", tools=(use,)))
        return steps

    def next_calls(self, _case: Case) -> list[PlannedCall]:
        """Return nothing: the first calls tell all."""
        return []

    def answer(self, case: Case) -> Answer:
        """Return every definition found, with its line."""
        subject = case.ask.subject
        owner, name = symbols.plain(subject)
        report = MarkdownReport(f"Where {code(subject)} is defined")
        found = case.evidence.search("define")
        hits = ranked(found.hits)
        owners = case.evidence.search("owner").hits if owner else ()
        inside = [hit for hit in hits if _within(hit, owners)]
        if inside:
            hits = inside
        for hit in hits[:_SHOWN]:
            kind = symbols.kind_of(hit.text, name)
            report.say(f"{kind}: {code(hit.text)}{_remark(hit)}", file=hit.path, line=hit.line)
        if len(hits) > _SHOWN or found.truncated:
            report.lacks(f"further definitions of {name}: {number(max(found.total, len(hits)) - _SHOWN, 'more hit')}")
        files = [path for path, _ in case.evidence.listing("named").files]
        for path in files[:_SHOWN]:
            report.say(f"file {code(path)}{' (' + role(path) + ')' if role(path) != 'code' else ''}", file=path, line=1)
        if owner and hits and not inside:
            report.lacks(f"a definition of {name} in a file that defines {owner}; the places above are other ones")
        if not hits and not files:
            report.text("No line that looks like a definition, and no file of that name.")
            report.lacks(f"a definition of {subject}")
        if hits:
            report.text("Found by how definitions are spelled; definitions made at run time are not seen.")
        return finish(report, case)


def ranked(hits: tuple[Hit, ...]) -> list[Hit]:
    """Return the hits, product code first, tests and copies last; by place otherwise."""
    return sorted(hits, key=lambda hit: (_ORDER[role(hit.path)], hit.path, hit.line))


def finish(report: MarkdownReport, case: Case) -> Answer:
    """Return the answer with what went wrong added."""
    for prefix in ("define", "owner", "word", "import", "declare", "mention"):
        partial = case.evidence.search(prefix).partial
        if partial:
            report.lacks(f"the whole repository in the search {prefix!r} ({partial})")
    for problem in (*case.context.problems, *case.evidence.failures()):
        report.lacks(problem)
    return report.answer()


def _within(hit: Hit, owners: tuple[Hit, ...]) -> bool:
    """After a definition of the owner in the same file, and further in; Rust's `impl` and Go's receivers name it."""
    return any(
        owner.path == hit.path and owner.line <= hit.line and _indent(owner.text) <= _indent(hit.text)
        for owner in owners
    )


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip())


def _remark(hit: Hit) -> str:
    return "" if role(hit.path) == "code" else f" (in {role(hit.path)})"


def _globs(subject: str) -> list[str]:
    """Files that the subject may name: as a path when it has a slash or an extension, else with any extension."""
    name = re.sub(r"[^\w./@-]", "", subject).strip("/").replace("..", "")
    if "/" in name or re.search(r"\.[a-z]{1,4}$", name):
        return [name]
    return list(dict.fromkeys((f"{name}.*", f"{name.replace('.', '/')}.*"))) if name else ["/"]
