"""Which tests cover module Z? By names, imports and calls: coverage is measured by running, not by reading."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from lg_orch.analyst import calls
from lg_orch.analyst.case import NoChecks
from lg_orch.analyst.report.markdown import MarkdownReport, number
from lg_orch.analyst.report.safe_text import code
from lg_orch.analyst.sources import symbols
from lg_orch.analyst.sources.evidence import page_id
from lg_orch.analyst.sources.languages import CODE, extension, normal_extension
from lg_orch.analyst.sources.roles import is_test_file, role
from lg_orch.analyst.topics.depends import import_of
from lg_orch.analyst.topics.where import finish
from lg_orch.contracts.plans import PlanStep

if TYPE_CHECKING:
    from lg_orch.analyst.case import Case
    from lg_orch.analyst.sources.evidence import Hit
    from lg_orch.contracts.plans import PlannedCall
    from lg_orch.contracts.reports import Answer

_SHOWN = 40
_MODULES, _ASKED = 20, 2
"""Files that a subject may mean, and for how many of them the code server is asked."""
_TEST_GLOBS = (
    "test_*.py", "*_test.py", "conftest.py", "*.test.*", "*.spec.*", "*_test.go", "*Test.java", "*Tests.java",
    "*IT.java", "*Test.kt", "*Spec.scala", "**/tests/**", "**/test/**", "**/__tests__/**", "**/spec/**",
)  # fmt: skip


class TestsForTopic(NoChecks):
    """Test files named after it, test files that import it, test files that mention it."""

    __test__ = False  # not a test class, although pytest would think so by its name

    def steps(self, case: Case) -> list[PlanStep]:
        """List by name, search imports and mentions in test files, and tests inside the module's own file."""
        subject = case.ask.subject
        name = _stem(subject)
        globs = [
            f"test_{name}*",
            f"{name}_test.*",
            f"{name}.test.*",
            f"{name}.spec.*",
            f"{name}Test.*",
            f"{name}Tests.*",
        ]
        imports = calls.search(import_of(subject), globs=_TEST_GLOBS)
        word = calls.search(rf"\b{re.escape(name)}\b", globs=_TEST_GLOBS, output="counts")
        inline = calls.search(r"#\[cfg\(test\)\]", globs=[f"{name}.rs", f"{name}/mod.rs"], limit=20)
        steps = [
            PlanStep(id="named", description=f"List test files named after {name}", tools=(calls.listing(globs),)),
            PlanStep(id="import", description=f"Search test files for imports of {subject}", tools=(imports,)),
            PlanStep(id="mention", description=f"Count the word {name} in test files", tools=(word,)),
            PlanStep(id="inline", description="Look for tests in the module's own file", tools=(inline,)),
        ]
        if case.tools is not None and calls.TESTS_FOR in case.tools:
            use = calls.listing(_module_globs(subject), limit=_MODULES)
            steps.append(PlanStep(id="module", description=f"Find the file of {subject}", tools=(use,)))
        return steps

    def next_calls(self, case: Case) -> list[PlannedCall]:
        """Ask the code server about the file, or the name where no file is called so."""
        if not case.evidence.answered(page_id("module")):
            return []
        listed = [path for path, _ in case.evidence.listing("module").files if role(path) == "code"]
        paths = [path for path in listed if normal_extension(extension(path)) in CODE]
        uses = [calls.tests_for(path=path) for path in sorted(paths, key=len)[:_ASKED]]
        if not uses:
            uses = [calls.tests_for(symbol=case.ask.subject)]
        return [
            calls.planned(page_id("tests", place), use, f"List the tests of {case.ask.subject}")
            for place, use in enumerate(uses, 1)
        ]

    def answer(self, case: Case) -> Answer:
        """Return the three groups, the surest first; a file is named once."""
        subject = case.ask.subject
        name = _stem(subject)
        report = MarkdownReport(f"Tests of {code(subject)}")
        report.text(
            "By names, imports and calls; whether a line is really covered only a run under a coverage tool can tell."
        )
        listed = {path for path, _ in case.evidence.listing("named").files}
        named = sorted(path for path in listed if is_test_file(path) or role(path) == "tests")
        imported: dict[str, Hit] = {}
        for hit in case.evidence.search("import").hits:
            if role(hit.path) == "tests":
                imported.setdefault(hit.path, hit)
        inline = case.evidence.search("inline").hits
        for path in named[:_SHOWN]:
            report.say(f"named after it: {code(path)}", file=path, line=1)
        for hit in inline:
            report.say("tests inside the module's own file", file=hit.path, line=hit.line)
        for path, hit in sorted(imported.items())[:_SHOWN]:
            report.say(f"imports it: {code(hit.text)}", file=path, line=hit.line)
        if len(imported) > _SHOWN:
            report.lacks(f"{number(len(imported) - _SHOWN, 'further test file')} that import it, not shown")
        known = _told(case, report, {*named, *imported})
        counts = case.evidence.search("mention").counts
        others = [(path, count) for path, count in counts if role(path) == "tests" and path not in known]
        if others:
            ranked = sorted(others, key=lambda item: (-item[1], item[0]))
            shown = ", ".join(f"{code(path)} ({count:,})" for path, count in ranked[:10])
            report.say(
                f"Only mentions of the word {code(name)}, in {number(len(others), 'further test file')}: {shown}"
            )
        if not known and not inline:
            report.text("No test file is named after it or imports it.")
            report.lacks(f"tests that are named after {subject} or import it")
        return finish(report, case)


def _told(case: Case, report: MarkdownReport, known: set[str]) -> set[str]:
    """Report the tests that only the code server knows, with its reasons; return all that are known."""
    known = set(known)
    for place in range(1, _ASKED + 1):
        for test in case.evidence.structured(page_id("tests", place)).get("tests") or ():
            path = str(test.get("path", "")) if isinstance(test, dict) else ""
            if not path or path in known:
                continue
            known.add(path)
            reasons = "; ".join(str(reason) for reason in test.get("reasons") or ())
            functions = [str(function) for function in test.get("functions") or ()]
            count = f", {number(len(functions), 'test function')}: {', '.join(functions[:5])}" if functions else ""
            report.say(f"{reasons}: {code(path)}{count}", file=path, line=1)
    return known


def _module_globs(subject: str) -> list[str]:
    """Return the files that a subject may mean: a path, a dotted module, or a bare name."""
    name = re.sub(r"[^\w./@:-]", "", subject).replace("::", "/").replace("..", "").strip("/.")
    if re.search(r"\.[a-z]{1,4}$", name) and "/" in name:
        return [name]
    path = re.sub(r"\.(?:pyi?|[cm]?[jt]sx?|rs|go|java|kt|rb|c|cpp|h)$", "", name).replace(".", "/")
    return [f"{path}.*", f"{path}/__init__.py", f"{path}/mod.rs", f"{path}/index.*"] if path else ["/"]


def _stem(subject: str) -> str:
    """The module's own name: the last part of a path or dotted name, without an extension."""
    path = re.sub(r"\.(?:pyi?|[cm]?[jt]sx?|rs|go|java|kt|rb|c|cpp|h)$", "", subject)
    name = re.sub(r"[^\w-]", "", symbols.plain(path)[1])
    return name or "unnamed"
