"""Section of the summary about declared dependencies with their ranges."""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING

from lg_orch.analyst.report.markdown import number
from lg_orch.analyst.report.safe_text import code

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lg_orch.analyst.report.markdown import MarkdownReport
    from lg_orch.analyst.sources.facts import Dependency, Manifest
    from lg_orch.analyst.sources.survey import Survey

_FULL_MANIFESTS = 8
_FULL_ROWS = 60
_GROUP_NAMES = 25
_LOCK = 20
_TABLED = ("runtime", "requirements", "peer", "optional", "catalog")


def dependencies(survey: Survey, report: MarkdownReport) -> None:
    """Report the runtime dependencies line by line.

    Other groups get one line each; further manifests are counted.
    """
    report.section("Dependencies")
    with_some = [item for item in survey.own_manifests if item.dependencies or _main(item)]
    for manifest in with_some[:_FULL_MANIFESTS]:
        _manifest(manifest, report)
    rest = with_some[_FULL_MANIFESTS:]
    for manifest in rest[:40]:
        report.say(
            f"{code(manifest.file)} declares {number(len(manifest.dependencies), 'dependency', 'dependencies')}",
            file=manifest.file,
            line=manifest.dependencies[0].line if manifest.dependencies else 1,
        )
    if len(rest) > 40:
        report.lacks(f"details of {len(rest) - 40} further manifests with dependencies (only the first 48 are shown)")
    if not with_some:
        report.text("None declared in the manifests that were read.")
        report.lacks("declared dependencies")
    if survey.unread:
        report.lacks(f"{survey.unread} further manifests and CI files were not read, to stay within the call budget")


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
    elif manifest.name is not None:
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
