"""Sections of the summary that say what the project is: itself, its languages, its licence, CI and documentation."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from lg_orch.analyst.report.markdown import number
from lg_orch.analyst.report.safe_text import code, prose
from lg_orch.analyst.sources import ci
from lg_orch.analyst.sources.facts import FoundValue
from lg_orch.analyst.sources.languages import CODE, OTHER, normal_extension
from lg_orch.analyst.sources.licence import recognise
from lg_orch.analyst.sources.readme import read_readme
from lg_orch.analyst.sources.roles import directory_role
from lg_orch.analyst.sources.survey import main_manifests

if TYPE_CHECKING:
    from lg_orch.analyst.report.markdown import MarkdownReport
    from lg_orch.analyst.sources.facts import Manifest
    from lg_orch.analyst.sources.survey import Survey

_DOC_TOOLS = {
    "mkdocs.yml": "MkDocs", "conf.py": "Sphinx", "docusaurus.config": "Docusaurus", "book.toml": "mdBook",
    ".readthedocs": "Read the Docs",
}  # fmt: skip
_VERSION = re.compile(r"""^\s*(?:__version__|version|VERSION)\b[^=]*=\s*["']([^"']+)["']|^\s*(\d+\.\d[\w.+-]*)\s*$""")
_NOTES = {
    "changelog": "Changelog", "changes": "Changelog", "history": "Changelog", "news": "Changelog",
    "contributing": "Notes for contributors", "security": "Security policy",
}  # fmt: skip


def identity(survey: Survey, report: MarkdownReport) -> None:
    """Report the README title and first paragraph, then name, version, description of the manifests."""
    report.section("What it is")
    text = survey.texts.get(survey.readme) if survey.readme else None
    if text is not None:
        readme = read_readme(text)
        if readme.title:
            report.say(f"README title: **{prose(readme.title.text)}**", file=readme.title.file, line=readme.title.line)
        else:
            report.lacks(f"a title in {text.path}")
        if readme.paragraph:
            said = readme.paragraph
            report.say(f"The README says: {prose(said.text, 700)}", file=said.file, line=said.line)
        else:
            report.lacks(f"an introduction in {text.path}")
    else:
        report.lacks("a README at the root")
    main = main_manifests(survey)
    for manifest in main:
        _manifest(manifest, report)
        if manifest.version_files:
            _version_elsewhere(manifest, survey, report)
    if not main:
        report.lacks("a manifest that names the project (pyproject.toml, package.json, Cargo.toml, go.mod, pom.xml, …)")
    for manifest in survey.own_manifests:
        for problem in manifest.problems:
            report.lacks(problem)


def _manifest(manifest: Manifest, report: MarkdownReport) -> None:
    parts = (
        ("name", manifest.name),
        ("version", manifest.version),
        ("asks for", manifest.requires),
        ("licence", manifest.licence),
    )
    for label, found in parts:
        if found is not None:
            report.say(f"{manifest.ecosystem} {label}: {code(found.text)}", file=found.file, line=found.line)
    if manifest.description is not None:
        said = manifest.description
        report.say(f"{manifest.ecosystem} description: {prose(said.text, 400)}", file=said.file, line=said.line)
    if manifest.members:
        names = ", ".join(code(item.text) for item in manifest.members[:20])
        more = f" and {len(manifest.members) - 20} more" if len(manifest.members) > 20 else ""
        first = manifest.members[0]
        report.say(f"{manifest.ecosystem} workspace members: {names}{more}", file=first.file, line=first.line)


def _version_elsewhere(manifest: Manifest, survey: Survey, report: MarkdownReport) -> None:
    heads = survey.evidence.files(("version",))
    for path in manifest.version_files:
        for row, line in enumerate(heads[path].lines() if path in heads else (), start=1):
            found = _VERSION.match(line)
            if found:
                report.say(f"{manifest.ecosystem} version: {code(found[1] or found[2])}", file=path, line=row)
                return
    report.lacks(
        f"the version: {manifest.file} says that it stands in {manifest.version_files[0]}, where none was read"
    )


def languages(survey: Survey, report: MarkdownReport) -> None:
    """Report the files and lines by language; text formats in a second line."""
    report.section("Languages")
    totals = survey.totals
    if totals is None:
        report.text("Not counted.")
        report.lacks("counts of files and lines: the file server gave none")
        return
    summed: dict[str, list[int]] = {}
    texts: dict[str, list[int]] = {}
    for row in totals.extensions:
        ending = normal_extension(row.extension)
        target, name = (summed, CODE[ending]) if ending in CODE else (texts, OTHER.get(ending, ""))
        if name:
            entry = target.setdefault(name, [0, 0])
            entry[0] += row.files
            entry[1] += row.lines
    ranked = sorted(summed.items(), key=lambda item: (-item[1][1], item[0]))
    if ranked:
        rows = [((prose(name), f"{files:,}", f"{lines:,}"), None, None) for name, (files, lines) in ranked]
        report.table(("language", "files", "lines"), rows)
    else:
        report.lacks("source code in a language this analyst knows")
    others = sorted(texts.items(), key=lambda item: (-item[1][1], item[0]))[:8]
    if others:
        report.say(
            "Other text: " + ", ".join(f"{name} {files:,} ({number(lines, 'line')})" for name, (files, lines) in others)
        )
    directories = number(totals.directories, "directory", "directories")
    whole = f"{number(totals.files, 'file')}, {totals.lines:,} lines, {directories}"
    binary = f", {number(totals.binary_files, 'binary file')}" if totals.binary_files else ""
    skipped = f", {totals.skipped:,} skipped (links, devices, unreadable)" if totals.skipped else ""
    report.say(f"In all: {whole}{binary}{skipped}; ignored files are not counted")
    if totals.partial:
        report.lacks(f"complete counts ({totals.partial})")


def continuous_integration(survey: Survey, report: MarkdownReport) -> None:
    """Report the services, workflows and jobs."""
    report.section("Continuous integration")
    flows = [flow for path in sorted(survey.texts) if (flow := ci.read_workflow(survey.texts[path])) is not None]
    for flow in flows:
        jobs = ", ".join(code(job.text) for job in flow.jobs[:12])
        name = f": {prose(flow.name.text)}" if flow.name else ""
        line = flow.name.line if flow.name else 1
        report.say(f"{flow.service}{name}{f', jobs {jobs}' if jobs else ''}", file=flow.file, line=line)
    others = [path for path in survey.looked if ci.service_of(path) and path not in survey.texts]
    if others:
        report.lacks(f"the content of {number(len(others), 'further CI file')}, among them {min(others)}")
    if not flows and not others:
        report.text("None found.")
        report.lacks("a CI configuration (GitHub Actions, GitLab, CircleCI, Azure, Jenkins, Travis and others)")


def documentation(survey: Survey, report: MarkdownReport) -> None:
    """Report the documentation directories with counts, the tool that builds them, changelog and contributor notes."""
    report.section("Documentation")
    said = False
    rows = survey.totals.rows if survey.totals else ()
    tops = sorted({(row.directory or "").partition("/")[0] for row in rows})
    for top in tops:
        inside = [row for row in rows if (row.directory or "").split("/")[0] == top]
        files, lines = sum(row.files for row in inside), sum(row.lines for row in inside)
        if directory_role(top) == "docs":
            report.say(f"Directory {code(top + '/')}: {number(files, 'file')}, {lines:,} lines")
            said = True
    for path in sorted(survey.looked):
        name = path.rpartition("/")[2].lower()
        tool = next((tool for start, tool in _DOC_TOOLS.items() if name.startswith(start)), None)
        note = next((what for start, what in _NOTES.items() if "/" not in path and name.startswith(start)), None)
        if tool or note:
            report.say(f"{tool} configuration" if tool else note or "", file=path, line=1)
            said = True
    if not said:
        report.text("None found besides the README." if survey.readme else "None found.")
        report.lacks("a documentation directory, changelog or contributor notes")


def licence(survey: Survey, report: MarkdownReport) -> None:
    """Report what the licence files are, and what the manifests say."""
    report.section("Licence")
    said = False
    for path in survey.licences:
        text = survey.texts.get(path)
        found = recognise(text) if text is not None else None
        if found is not None:
            report.say(f"{code(path)} is {found.text}", file=found.file, line=found.line)
            said = True
        elif text is not None:
            report.say(f"{code(path)} is there; its wording is none that this analyst knows", file=path, line=1)
            said = True
    for manifest in main_manifests(survey):
        if isinstance(manifest.licence, FoundValue):
            declared = manifest.licence
            report.say(f"The manifest declares {code(declared.text)}", file=declared.file, line=declared.line)
            said = True
    if not said:
        report.text("None found.")
        report.lacks("a licence file or a licence in a manifest")
