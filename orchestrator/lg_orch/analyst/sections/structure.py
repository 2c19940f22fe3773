"""Sections of the summary about the shape of the code: packages with sizes, the largest and most imported modules."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lg_orch.analyst.report.markdown import number
from lg_orch.analyst.report.safe_text import code, shorten
from lg_orch.analyst.sources import imports
from lg_orch.analyst.sources.import_resolution import Resolver
from lg_orch.analyst.sources.languages import CODE, extension, family_of, normal_extension
from lg_orch.analyst.sources.roles import directory_role, role
from lg_orch.analyst.sources.survey import heavy_directories

if TYPE_CHECKING:
    from lg_orch.analyst.report.markdown import MarkdownReport
    from lg_orch.analyst.sources.survey import Survey

_ROWS = 25
_TOP = 10


@dataclass(frozen=True, kw_only=True)
class CodePackage:
    """A package: its name, what makes it one, its directory and the file and line that say so."""

    name: str
    kind: str
    directory: str
    file: str
    line: int


def packages(survey: Survey, report: MarkdownReport) -> None:
    """Report the packages by size: those of manifests, importable Python packages, Go packages."""
    report.section("Packages")
    found = find_packages(survey)
    sized = [(package, *_size(survey, package.directory)) for package in found]
    sized.sort(key=lambda item: (-item[2], item[0].directory, item[0].name))
    rows = []
    for item, files, lines in sized[:_ROWS]:
        where = code(item.directory + "/") if item.directory else "the root"
        rows.append(((code(item.name), item.kind, where, f"{files:,}", f"{lines:,}"), item.file, item.line))
    if rows:
        report.table(("package", "kind", "directory", "source files", "lines"), rows)
        report.text("Sizes count source code below the directory, tests included.")
    else:
        report.text("None found.")
        report.lacks("packages")
    if len(sized) > _ROWS:
        names = ", ".join(code(item[0].name) for item in sized[_ROWS:][:40])
        report.say(f"{number(len(sized) - _ROWS, 'smaller package')} not shown: {names}")
    if survey.totals is not None and survey.totals.depth is not None:
        report.lacks(f"sizes of directories more than {survey.totals.depth} levels deep apart from those above them")
    _directories(survey, report)


def find_packages(survey: Survey) -> list[CodePackage]:
    """Return every package, product code only, each directory and kind once."""
    found: list[CodePackage] = []
    for manifest in survey.own_manifests:
        if manifest.name is not None:
            kind = f"{manifest.ecosystem} project"
            at = manifest.name
            found.append(CodePackage(name=at.text, kind=kind, directory=manifest.directory, file=at.file, line=at.line))
        elif manifest.ecosystem == "Java" and manifest.directory and "/build.gradle" in manifest.file:
            name = ":" + manifest.directory.replace("/", ":")
            directory = manifest.directory
            found.append(CodePackage(name=name, kind="Gradle project", directory=directory, file=manifest.file, line=1))
    found += _python_packages(survey)
    found += _go_packages(survey)
    return list({(item.kind, item.directory, item.name): item for item in found}.values())


def _python_packages(survey: Survey) -> list[CodePackage]:
    files = survey.known_code
    inits = {path.rpartition("/")[0]: path for path in files if path.endswith("/__init__.py")}
    tops = [
        directory
        for directory in inits
        if directory.rpartition("/")[0] not in inits and directory_role(directory) == "code"
    ]
    kind = "Python package"
    found = [
        CodePackage(name=item.rpartition("/")[2], kind=kind, directory=item, file=inits[item], line=1)
        for item in sorted(tops)
    ]
    for manifest in survey.own_manifests:  # namespace packages have no __init__.py; the manifest names them
        for package in manifest.packages:
            directory = f"{manifest.directory}/{package.text}".strip("/")
            if directory not in inits and any(path.startswith(f"{directory}/") for path in files):
                name = directory.rpartition("/")[2]
                found.append(
                    CodePackage(name=name, kind=kind, directory=directory, file=package.file, line=package.line)
                )
    return found


def _go_packages(survey: Survey) -> list[CodePackage]:
    first: dict[str, str] = {}
    modules = {item.directory for item in survey.own_manifests if item.ecosystem == "Go"}
    for path, _ in survey.code:
        if extension(path) == ".go" and role(path) == "code":
            first.setdefault(path.rpartition("/")[0], path)
    return [
        CodePackage(name=directory, kind="Go package", directory=directory, file=path, line=1)
        for directory, path in sorted(first.items())
        if directory not in modules  # a module's own directory is told as the module
    ]


def _size(survey: Survey, directory: str) -> tuple[int, int]:
    rows = survey.totals.rows if survey.totals else ()
    prefix = f"{directory}/" if directory else ""
    inside = [
        row
        for row in rows
        if normal_extension(row.extension) in CODE
        and ((row.directory or "") == directory or (row.directory or "").startswith(prefix))
    ]
    return sum(row.files for row in inside), sum(row.lines for row in inside)


def _directories(survey: Survey, report: MarkdownReport) -> None:
    """The directories that hold most source lines themselves, whatever makes them one."""
    lines: dict[str, int] = defaultdict(int)
    files: dict[str, int] = defaultdict(int)
    for row in survey.totals.rows if survey.totals else ():
        if normal_extension(row.extension) in CODE:
            lines[row.directory or ""] += row.lines
            files[row.directory or ""] += row.files
    ranked = sorted(lines, key=lambda item: (-lines[item], item))[:8]
    if ranked:
        shown = ", ".join(
            f"{code((item or '.') + '/')} {number(lines[item], 'line')} in {number(files[item], 'file')}"
            for item in ranked
        )
        report.say(f"Directories with most source lines: {shown}")


def modules(survey: Survey, report: MarkdownReport) -> None:
    """Report the largest source files and the modules most often imported."""
    report.section("Largest and most imported modules")
    _largest(survey, report)
    _most_imported(survey, report)


def _largest(survey: Survey, report: MarkdownReport) -> None:
    if survey.code_total and not survey.code_complete and survey.totals is not None:
        many = number(survey.code_total, "source file")
        where = len(heavy_directories(survey.totals))
        report.lacks(f"all {many} one by one: the largest are those of the {where} directories with most code")
    heads = survey.evidence.files(("sizes",))
    rows = []
    for path, size in survey.largest:
        total = heads[path].total_lines if path in heads else None
        rows.append((total or 0, path, size or 0))
    rows.sort(key=lambda item: (-item[0], -item[2], item[1]))
    if rows:
        report.table(
            ("largest source files", "lines", "bytes"),
            [
                ((code(path), f"{lines:,}" if lines else "not counted", f"{size:,}"), path, 1)
                for lines, path, size in rows
            ],
        )
    else:
        report.lacks("source files outside tests, examples and documentation")


def _most_imported(survey: Survey, report: MarkdownReport) -> None:
    search = survey.imports
    found = [
        item
        for value in search.values
        if (family := family_of(value.path)) and not imports.is_test_marker(value.value)
        for item in imports.parse(value, family)
    ]
    tally = Resolver(survey.known_code, survey.manifests, complete=survey.code_complete).tally(found)
    ranked = sorted(tally.uses.items(), key=lambda item: (-item[1].count, item[0]))[:_TOP]
    if ranked:
        rows = [((code(path), number(use.count, "import statement")), use.file, use.line) for path, use in ranked]
        report.table(("most imported", "imported by"), rows)
        report.text(
            "Beside each module stands one of its imports, the first by file name. Imports in test files count too."
        )
    else:
        report.lacks("import statements that name modules of this repository")
    if tally.unclear:
        many = number(tally.unclear, "import statement")
        example = shorten(tally.unclear_example, 80)
        report.lacks(f"the module that {many} mean: their words fit several files ({example})")
    if search.truncated:
        report.lacks("rarer import statements: only the most frequent ones were returned")
    if search.partial:
        report.lacks(f"imports in the whole repository ({search.partial})")
