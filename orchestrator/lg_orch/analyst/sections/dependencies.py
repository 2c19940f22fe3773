"""Section of the summary about declared dependencies with their ranges."""

from __future__ import annotations

import re
from itertools import groupby
from typing import TYPE_CHECKING

from lg_orch.analyst.report.markdown import number
from lg_orch.analyst.report.safe_text import code, prose

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lg_orch.analyst.report.markdown import MarkdownReport
    from lg_orch.analyst.sources.facts import Dependency, Manifest
    from lg_orch.analyst.sources.survey import Survey

_FULL_MANIFESTS = 8
_FULL_ROWS = 60
_GROUP_NAMES = 25
_LOCK = 20
_UNREAD = 12
_VARIABLE = re.compile(r"\$\{?[A-Za-z_]|%\([A-Za-z_]")
_TABLED = ("runtime", "requirements", "peer", "optional", "catalog")


def dependencies(survey: Survey, report: MarkdownReport) -> None:
    """Report the runtime dependencies line by line.

    Other groups get one line each; further manifests are counted.
    """
    report.section("Dependencies")
    with_some = [item for item in survey.own_manifests if item.dependencies or item.unread or _main(item)]
    for manifest in with_some[:_FULL_MANIFESTS]:
        _manifest(manifest, report)
        _not_read(manifest, report)
    rest = with_some[_FULL_MANIFESTS:]
    for manifest in rest[:40]:
        report.say(
            f"{code(manifest.file)} declares {number(len(manifest.dependencies), 'dependency', 'dependencies')}",
            file=manifest.file,
            line=manifest.dependencies[0].line if manifest.dependencies else 1,
        )
    if len(rest) > 40:
        report.lacks(f"details of {len(rest) - 40} further manifests with dependencies (only the first 48 are shown)")
    for manifest in survey.own_manifests:
        _not_included(manifest, survey, report)
    for path in survey.foreign[:_UNREAD]:
        report.say(f"Not read: {code(path)} is a manifest of a kind that is not read here", file=path, line=1)
    if len(survey.foreign) > _UNREAD:
        report.lacks(f"{len(survey.foreign) - _UNREAD} further manifests of kinds that are not read here")
    if not with_some:
        report.text("None declared in the manifests that were read.")
        report.lacks("declared dependencies")
    if survey.unread:
        report.lacks(f"{survey.unread} further manifests and CI files were not read, to stay within the call budget")


def _not_read(manifest: Manifest, report: MarkdownReport) -> None:
    """Report what the manifest says and could not be read: nobody should take the rest for all."""
    for found in manifest.unread[:_UNREAD]:
        report.say(f"Not read in {code(manifest.file)}: {prose(found.text, 200)}", file=found.file, line=found.line)
    if len(manifest.unread) > _UNREAD:
        report.lacks(f"{len(manifest.unread) - _UNREAD} further parts of {manifest.file} that could not be read")
    variables = [item for item in manifest.dependencies if _VARIABLE.search(f"{item.name} {item.range}")]
    if variables:
        names = ", ".join(code(f"{item.name} {item.range}".strip()) for item in variables[:_UNREAD])
        more = f" and {len(variables) - _UNREAD} more" if len(variables) > _UNREAD else ""
        first = variables[0]
        report.say(f"Variables that were not resolved: {names}{more}", file=first.file, line=first.line)


def _not_included(manifest: Manifest, survey: Survey, report: MarkdownReport) -> None:
    """Report the files of dependencies that it names and that could not be read."""
    for found in manifest.includes:
        if found.text not in survey.texts and found.text not in survey.included:
            why = "lies outside of the root" if found.text.startswith("..") else "is not there, or was not read"
            report.say(f"{code(manifest.file)} names {code(found.text)}, which {why}", file=found.file, line=found.line)


def _main(manifest: Manifest) -> bool:
    """Whether it is a manifest of the root that names a project: then it is told when it declares nothing."""
    return manifest.name is not None and not manifest.directory and not manifest.members


def _is_lock(manifest: Manifest) -> bool:
    """Whether a requirements file is a list of exact versions: made by a tool, and too long to be read."""
    found = manifest.dependencies
    return len(found) >= _LOCK and all(item.group.startswith("requirements") and "==" in item.range for item in found)


def _manifest(manifest: Manifest, report: MarkdownReport) -> None:
    if _is_lock(manifest):
        first = manifest.dependencies[0]
        many = number(len(manifest.dependencies), "package")
        report.say(f"{code(manifest.file)} pins {many} to exact versions", file=first.file, line=first.line)
        return
    tabled = [item for item in manifest.dependencies if item.group in _TABLED]
    if tabled:
        rows = [
            ((code(item.name), code(item.range) if item.range else "any", item.group), item.file, item.line)
            for item in tabled[:_FULL_ROWS]
        ]
        report.table(("dependency", "range", "group"), rows)
        if len(tabled) > _FULL_ROWS:
            report.lacks(f"{len(tabled) - _FULL_ROWS} further runtime dependencies of {manifest.file} are not shown")
    elif manifest.name is not None and not manifest.unread and not manifest.includes:
        report.say(
            f"{code(manifest.name.text)} declares no runtime dependencies", file=manifest.file, line=manifest.name.line
        )
    others = [item for item in manifest.dependencies if item.group not in _TABLED]
    for group, items in groupby(others, key=lambda item: item.group):
        _group(group, list(items), report)


def _group(group: str, items: Sequence[Dependency], report: MarkdownReport) -> None:
    names = ", ".join(code(f"{item.name} {item.range}".strip()) for item in items[:_GROUP_NAMES])
    more = f" and {len(items) - _GROUP_NAMES} more" if len(items) > _GROUP_NAMES else ""
    report.say(f"{code(group)}: {names}{more}", file=items[0].file, line=items[0].line)
