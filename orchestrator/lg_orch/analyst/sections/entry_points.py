"""Section of the summary about the ways into the program."""

from __future__ import annotations

import posixpath
from collections import Counter
from typing import TYPE_CHECKING

from lg_orch.analyst.report.safe_text import code
from lg_orch.analyst.sources.facts import EntryPoint
from lg_orch.analyst.sources.languages import extension, family_of
from lg_orch.analyst.sources.roles import role

if TYPE_CHECKING:
    from lg_orch.analyst.report.markdown import MarkdownReport
    from lg_orch.analyst.sources.evidence import Hit
    from lg_orch.analyst.sources.facts import Manifest
    from lg_orch.analyst.sources.survey import Survey

_SHOWN = 40


def entry_points(survey: Survey, report: MarkdownReport) -> None:
    """Report scripts of manifests, `__main__.py` and main functions in product code; others are counted."""
    report.section("Entry points")
    found = find_entries(survey)
    for entry in found[:_SHOWN]:
        target = f" → {code(entry.target)}" if entry.target and entry.target != entry.name else ""
        report.say(f"{entry.kind} {code(entry.name)}{target}", file=entry.file, line=entry.line)
    if len(found) > _SHOWN:
        report.lacks(f"{len(found) - _SHOWN} further entry points are not shown")
    elsewhere = Counter(role(hit.path) for hit in survey.evidence.search("mains").hits)
    others = [f"{count} in {kind}" for kind, count in sorted(elsewhere.items()) if kind != "code"]
    if others:
        report.say(f"Further main functions outside product code: {', '.join(others)}")
    if not found:
        report.text("None found: no script in a manifest, no `__main__.py`, no main function.")
        report.lacks("entry points of the project itself")
    if survey.evidence.search("mains").truncated:
        report.lacks("main functions beyond the first 200")


def find_entries(survey: Survey) -> list[EntryPoint]:
    """Return every entry point of product code, manifests first."""
    found = [_resolved(entry, survey) for item in survey.own_manifests for entry in item.entries]
    modules = [path for path in sorted(survey.looked) if path.endswith("__main__.py") and role(path) == "code"]
    for path in modules:
        name = f"python -m {_module(path, survey.known_code)}"
        found.append(EntryPoint(kind="module", name=name, target="", file=path, line=1))
    targets = {target for entry in found if (target := _beside(entry))}
    found += [_default_index(item) for item in survey.own_manifests if _lacks_entry(item, survey)]
    found += [
        _main(hit)
        for hit in survey.evidence.search("mains").hits
        if role(hit.path) == "code" and hit.path not in modules and _is_program(hit.path, targets)
    ]
    return found


def _beside(entry: EntryPoint) -> str:
    """The entry's target as a path from the root, when it is a path beside its manifest."""
    return posixpath.normpath(posixpath.join(posixpath.dirname(entry.file), entry.target)) if entry.target else ""


def _is_program(path: str, targets: set[str]) -> bool:
    """Cargo runs `main` only where it looks for programs; elsewhere the words stand in a string or a test."""
    name = posixpath.basename(path)
    return extension(path) != ".rs" or name in ("main.rs", "build.rs") or "/bin/" in path or path in targets


def _lacks_entry(manifest: Manifest, survey: Survey) -> bool:
    if manifest.ecosystem != "Node.js" or any(entry.kind.startswith("package entry") for entry in manifest.entries):
        return False
    return manifest.name is not None and _index(manifest) in dict(survey.code)


def _default_index(manifest: Manifest) -> EntryPoint:
    path = _index(manifest)
    return EntryPoint(kind="package entry (Node's default)", name="index.js", target="", file=path, line=1)


def _index(manifest: Manifest) -> str:
    return posixpath.join(manifest.directory, "index.js")


def _module(path: str, known: set[str]) -> str:
    """The dotted name: as many directories as are packages, at least the last one."""
    directory = posixpath.dirname(path)
    names = [posixpath.basename(directory) or "."]
    while f"{posixpath.dirname(directory)}/__init__.py" in known:
        directory = posixpath.dirname(directory)
        names.insert(0, posixpath.basename(directory))
    return ".".join(names)


def _main(hit: Hit) -> EntryPoint:
    family = family_of(hit.path)
    name = posixpath.basename(hit.path)
    if hit.text.startswith("#!"):
        kind = "executable script"
    elif family == "python":
        kind = "script (`__main__` check)"
    elif name == "build.rs":
        kind = "build script"
    elif extension(hit.path) == ".go":
        kind, name = "command (func main)", posixpath.basename(posixpath.dirname(hit.path)) or name
    else:
        kind = "main function in"
    return EntryPoint(kind=kind, name=name, target="", file=hit.path, line=hit.line)


def _resolved(entry: EntryPoint, survey: Survey) -> EntryPoint:
    """A console script's target with the file it stands for, when that file was listed."""
    if "script" not in entry.kind and not entry.kind.startswith("plug-in"):
        return entry
    module = entry.target.partition(":")[0].split("[")[0].strip().replace(".", "/")
    if not module:
        return entry
    endings = (f"{module}.py", f"{module}/__init__.py")
    hits = [path for path, _ in survey.code if path.endswith(endings) and _starts_clean(path, module)]
    target = f"{entry.target} in {hits[0]}" if len(hits) == 1 else entry.target
    return EntryPoint(kind=entry.kind, name=entry.name, target=target, file=entry.file, line=entry.line)


def _starts_clean(path: str, module: str) -> bool:
    start = path.rfind(module)
    return (start == 0 or path[start - 1] == "/") and role(path) != "vendored"
