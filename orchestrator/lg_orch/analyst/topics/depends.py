"""What depends on Y? Y is a module of this repository or a library from elsewhere."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from lg_orch.analyst import calls
from lg_orch.analyst.case import NoChecks
from lg_orch.analyst.report.markdown import MarkdownReport, number
from lg_orch.analyst.report.safe_text import code
from lg_orch.analyst.sources.evidence import page_id
from lg_orch.analyst.sources.languages import FAMILIES
from lg_orch.analyst.sources.manifests import readers
from lg_orch.analyst.sources.roles import role
from lg_orch.analyst.topics.where import finish, ranked
from lg_orch.contracts.plans import PlanStep

if TYPE_CHECKING:
    from lg_orch.analyst.case import Case
    from lg_orch.analyst.sources.evidence import Hit
    from lg_orch.contracts.plans import PlannedCall
    from lg_orch.contracts.reports import Answer

_SHOWN = 60
_NOTES = 5


class DependsTopic(NoChecks):
    """Import statements that name it and manifests that declare it."""

    def steps(self, case: Case) -> list[PlanStep]:
        """Search imports in code, and the name in manifests."""
        subject = case.ask.subject
        globs = [f"*{ending}" for endings in FAMILIES.values() for ending in endings]
        imports = calls.search(import_of(subject), globs=globs)
        word = rf"(?:^|[^\w.-]){_spellings(subject)}(?:[^\w.-]|$)"
        declared = calls.search(word, globs=(*readers.GLOBS, *readers.FOREIGN), ignore_case=True, limit=100)
        return [
            PlanStep(id="import", description=f"Search for imports of {subject}", tools=(imports,)),
            PlanStep(id="declare", description=f"Search manifests for {subject}", tools=(declared,)),
        ]

    def next_calls(self, case: Case) -> list[PlannedCall]:
        """Read the manifests that name it, so that a declaration is told from a mention."""
        hits = case.evidence.search("declare").hits
        paths = sorted({hit.path for hit in hits if role(hit.path) != "vendored" and readers.reader_of(hit.path)})[
            : calls.READ_FILES
        ]
        if not paths or case.evidence.answered(page_id("read")):
            return []
        return [calls.planned(page_id("read"), calls.read(paths), f"Read the manifests that name {case.ask.subject}")]

    def answer(self, case: Case) -> Answer:
        """Return the importing lines and declarations with their ranges."""
        subject = case.ask.subject
        report = MarkdownReport(f"What depends on {code(subject)}")
        found = case.evidence.search("import")
        hits = ranked(found.hits)
        self._declared(case, report)
        if hits:
            report.section("Imported by")
            files = {hit.path for hit in hits}
            more = "at least " if found.truncated else ""
            report.say(f"{more}{number(len(hits), 'import statement')} in {number(len(files), 'file')}")
        for hit in hits[:_SHOWN]:
            report.say(f"{code(hit.text)}{_remark(hit)}", file=hit.path, line=hit.line)
        if len(hits) > _SHOWN:
            report.lacks(f"{len(hits) - _SHOWN} further import statements, not shown")
        if not hits:
            report.lacks(f"an import statement that names {subject}")
        else:
            report.text("Found by name: a module of the same name elsewhere counts too.")
        return finish(report, case)

    def _declared(self, case: Case, report: MarkdownReport) -> None:
        wanted = _normal(case.ask.subject)
        read = [readers.read_manifest(text) for text in case.evidence.files(("read",)).values()]
        found = [
            item
            for manifest in read
            if manifest is not None
            for item in manifest.dependencies
            if wanted
            in (_normal(item.name.partition("[")[0]), _normal(item.name.rpartition(":")[2].rpartition("/")[2]))
        ]
        if found:
            report.section("Declared in")
        for item in found:
            ranged = f", range {code(item.range)}" if item.range else ", any version"
            report.say(f"{code(item.name)} as {code(item.group)}{ranged}", file=item.file, line=item.line)
        for manifest in read:
            for note in manifest.unread[:_NOTES] if manifest is not None else ():
                report.lacks(f"a part of {note.file}, line {note.line}: {note.text}")
        foreign = [hit for hit in case.evidence.search("declare").hits if readers.is_foreign(hit.path)]
        if foreign:
            report.section("Named in manifests of kinds that are not read here")
        for hit in foreign[:_SHOWN]:
            report.say(code(hit.text), file=hit.path, line=hit.line)
        if len(foreign) > _SHOWN:
            report.lacks(f"{len(foreign) - _SHOWN} further lines of manifests of kinds that are not read here")
        if not found:
            report.lacks(f"a manifest that declares {case.ask.subject} as a dependency")


def import_of(subject: str) -> str:
    """Return RE2 expression for import lines that name the subject: as a module, a part of one, or out of one.

    Of a path only the last names count (`pkg/mod.py` is `pkg.mod` wherever `pkg` stands), for a file's own name is all
    that a relative import says.
    """
    path = re.sub(r"\.(?:pyi?|[cm]?[jt]sx?|rs|go|java|kt)$", "", subject).removeprefix("./")
    named = [part for part in re.split(r"::|[./\\]", path) if part]
    if "/" in path and not path.startswith("@"):
        named = [part for part in named if part not in ("src", "lib", "__init__", "index", "mod")][-2:] or named[-1:]
    parts = [re.escape(part).replace(r"\-", "[-_]") for part in named] or ["^$"]
    name, last = r"(?:\.|::|/)".join(parts), parts[-1] if "/" in path and len(parts) > 1 else ""
    use = r"^[ \t]*(?:pub(?:\([^)\n]*\))?[ \t]+)?(?:use|mod|extern[ \t]+crate)[ \t]+(?:[\w:]+::)?(?:\{[^\n]*)?"
    file = last if last and not subject.startswith("@") else name
    patterns = [
        rf"^[ \t]*from[ \t]+(?:[\w.]*\.)?{name}(?:\.[\w.]+)?[ \t]+import\b",
        rf"^[ \t]*from[ \t]+[\w.]+[ \t]+import[ \t][^#\n]*(?:^|[^\w-]){name}(?:[^\w-]|$)",
        rf"^[ \t]*import[ \t]+(?:static[ \t]+)?(?:[\w., \t]*[., \t])?{name}(?:[., \t;\r]|$)",
        rf"\b(?:from|require[ \t]*\(|import[ \t]*\(?)[ \t]*[\"'](?:[^\"'\n]*/)?{file}(?:\.\w+|/[^\"'\n]*)?[\"']",
        rf"{use}\b{file}(?:::|[ \t]*[;,}}]|[ \t]+as\b)",
        rf"^[ \t]*(?:import[ \t]+)?(?:[\w.]+[ \t]+)?\"(?:[^\"\n]*/)?{name}(?:/[^\"\n]*)?\"[ \t]*\r?$",
    ]
    if len(parts) > 1:
        above = r"\.".join(parts[:-1])
        patterns.append(rf"^[ \t]*from[ \t]+(?:[\w.]*\.)?{above}[ \t]+import[ \t][^#\n]*\b{parts[-1]}\b")
    if last:
        patterns.append(rf"^[ \t]*from[ \t]+\.+(?:[\w.]*\.)?{last}[ \t]+import\b")
        patterns.append(rf"^[ \t]*from[ \t]+\.+[ \t]+import[ \t][^#\n]*\b{last}\b")
    return "|".join(patterns)


def _spellings(subject: str) -> str:
    """The name as an expression in which `-`, `_` and `.` are one, as package indexes see it."""
    return re.sub(r"(?:\\?[-_.])+", "[-_.]", re.escape(subject))


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _remark(hit: Hit) -> str:
    return "" if role(hit.path) == "code" else f" (in {role(hit.path)})"
