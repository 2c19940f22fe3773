"""The survey of a repository: a handful of calls that summaries and most questions are answered from.

`look` lists the files that describe a project, `files` lists code, `imports` and `mains` search it; what they name is
then read (`read`), and the largest files are asked for their number of lines (`sizes`).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from lg_orch.analyst import calls
from lg_orch.analyst.sources import ci, imports
from lg_orch.analyst.sources.evidence import page_id
from lg_orch.analyst.sources.languages import CODE, FAMILIES, normal_extension
from lg_orch.analyst.sources.manifests import readers
from lg_orch.analyst.sources.roles import directory_role, role
from lg_orch.contracts.plans import PlanStep

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from lg_orch.analyst.sources.evidence import Evidence, FileText, Search
    from lg_orch.analyst.sources.facts import Manifest
    from lg_orch.contracts.plans import PlannedCall, ToolUse
    from lg_orch.contracts.repository import RepoContext, RepoTotals

PARTS = frozenset({"look", "files", "imports", "mains", "sizes"})
"""Everything a survey can do."""

_MAX_FILE_PAGES = 3
_MAX_READS = 2
_LARGEST = 10
_MAX_INCLUDES = 20
_HEAVY = 60
_LOOK = (
    *readers.GLOBS, *(f"/{glob}" for glob in readers.FOREIGN), *ci.GLOBS,
    "/README*", "/LICEN[SC]E*", "/COPYING*", "/UNLICENSE*", "/CHANGELOG*", "/CHANGES*",
    "/HISTORY*", "/NEWS*", "/CONTRIBUTING*", "/SECURITY*", "mkdocs.yml", "docs/conf.py", "doc/conf.py",
    "docs/source/conf.py", "docusaurus.config.*", "book.toml", "/.readthedocs.y*ml", "__main__.py", "src/main.rs",
    "src/bin/*.rs", "/gradlew", "/mvnw", "/*/__init__.py", "/src/*/__init__.py", "/*/src/*/__init__.py",
    "/*/*/__init__.py", "/*/*/*/__init__.py",
)  # fmt: skip
_MAINS = (
    r"""^if[ \t]+__name__[ \t]*==[ \t]*["']__main__["']""",
    r"^func[ \t]+main\(\)",
    r"^(?:pub[ \t]+)?(?:async[ \t]+)?fn[ \t]+main\(\)",
    r"^[ \t]*public[ \t]+static[ \t]+(?:final[ \t]+)?void[ \t]+main[ \t]*\(",
    r"^(?:suspend[ \t]+)?fun[ \t]+main[ \t]*\(",
    r"^(?:int|void)[ \t]+main[ \t]*\(",
    r"^[ \t]*(?:(?:public|private)[ \t]+)?static[ \t]+(?:async[ \t]+)?(?:void|int|Task)(?:<int>)?[ \t]+Main[ \t]*\(",
    r"^#![^\n]*\bnode\b",
)


def families(context: RepoContext) -> tuple[str, ...]:
    """Return the language families that are present; all of them when nothing was counted."""
    if context.totals is None:
        return tuple(FAMILIES)
    present = {normal_extension(row.extension) for row in context.totals.extensions}
    return tuple(family for family, endings in FAMILIES.items() if present & set(endings))


def first_steps(context: RepoContext, parts: Iterable[str] = PARTS) -> list[PlanStep]:
    """Return the steps of a plan; their calls are `look.1`, `files.1`, `imports.1`, `mains.1`."""
    wanted = set(parts)
    present = families(context)
    steps = []
    if context.totals is None:
        steps.append(_step("totals", "Count files and lines by directory and extension", calls.totals()))
    if "look" in wanted:
        steps.append(_step("look", "List manifests, README, licence, CI and documentation files", calls.listing(_LOOK)))
    if "files" in wanted and _code_globs(context):
        steps.append(_step("files", "List the source files", calls.listing(_code_globs(context))))
    globs = [f"*{ending}" for family in present for ending in FAMILIES[family]]
    if "imports" in wanted and present:
        use = calls.search(imports.expression(present), globs=globs, output="values")
        steps.append(_step("imports", "Count import statements and test functions", use))
    if "mains" in wanted and _present_globs(context):
        use = calls.search("|".join(_MAINS), globs=_present_globs(context), limit=200)
        steps.append(_step("mains", "Find main functions", use))
    return steps


def _step(name: str, description: str, use: ToolUse) -> PlanStep:
    return PlanStep(id=name, description=description, tools=(use,))


def _present_globs(context: RepoContext) -> list[str]:
    """Globs for the code that is there; for every known language when nothing was counted."""
    if context.totals is None:
        return [f"*{ending}" for ending in CODE]
    present = {normal_extension(row.extension) for row in context.totals.extensions}
    return [f"*{ending}" for ending in CODE if ending in present]


def _code_globs(context: RepoContext) -> list[str]:
    """Globs for the listing of source files: all that are there, or where most of a big repository's code is."""
    if context.totals is not None and is_big(context):
        return _heavy_globs(context.totals)
    return _present_globs(context)


def is_big(context: RepoContext) -> bool:
    """Tell whether there are more source files than a run can list within its calls."""
    if context.totals is None:
        return False
    code = sum(row.files for row in context.totals.extensions if normal_extension(row.extension) in CODE)
    return code > _MAX_FILE_PAGES * calls.PAGE


def heavy_directories(totals: RepoTotals) -> list[tuple[str, str]]:
    """Return the directory and extension of the product code that weighs most, as many as one listing may name."""
    rows = [
        row
        for row in totals.rows
        if normal_extension(row.extension) in CODE
        and directory_role(row.directory or "") == "code"
        and not set(row.directory or "") & set("[]{}*?!\\")
    ]
    rows.sort(key=lambda row: (-row.bytes, row.directory or "", row.extension))
    return [(row.directory or "", normal_extension(row.extension)) for row in rows[:_HEAVY]]


def _heavy_globs(totals: RepoTotals) -> list[str]:
    globs = []
    for directory, ending in heavy_directories(totals):
        # At the depth to which the counts were rolled up, a row stands for everything below.
        rolled = totals.depth is not None and directory.count("/") + 1 >= totals.depth
        globs.append(f"/{directory}/{'**/' if rolled else ''}*{ending}".replace("//", "/"))
    return globs


def more_calls(survey: Survey, parts: Iterable[str] = PARTS) -> list[PlannedCall]:
    """Return what follows from the results so far: further pages, the files to read, the largest files."""
    wanted = set(parts)
    found: list[PlannedCall] = []
    if "look" in wanted and survey.evidence.answered(page_id("look")):
        found += _reads(survey)
    if "files" in wanted and survey.evidence.answered(page_id("files")):
        found += _files(survey, sizes="sizes" in wanted)
    return [call for call in found if not survey.evidence.answered(call.id)]


def _reads(survey: Survey) -> Iterator[PlannedCall]:
    for index, group in enumerate(calls.batches(survey.to_read)[:_MAX_READS], start=1):
        yield calls.planned(page_id("read", index), calls.read(group), "Read manifests, README, licence and CI files")
    if survey.evidence.answered(page_id("read")) and survey.to_include:
        use = calls.read(survey.to_include, line_count=2_000)
        yield calls.planned(page_id("include"), use, "Read the files of dependencies that manifests name")
    places = [path for item in main_manifests(survey) for path in item.version_files]
    inside = [path for path in places if not path.startswith("..")]
    if inside:
        yield calls.planned(
            page_id("version"), calls.read(inside[:20], line_count=400), "Read where the version stands"
        )


def _files(survey: Survey, *, sizes: bool) -> Iterator[PlannedCall]:
    cursor = survey.evidence.listing("files").next_cursor
    page = survey.file_pages + 1
    big = is_big(survey.evidence.context)
    if cursor and page <= _MAX_FILE_PAGES and not big:
        use = calls.listing(_code_globs(survey.evidence.context), cursor=cursor)
        yield calls.planned(page_id("files", page), use, "List more source files")
        return
    wanted = imports.candidates(survey.imports.values) if big and sizes else []
    if wanted:
        yield calls.planned(page_id("resolve"), calls.listing(wanted), "Find the modules that are imported most")
    if sizes and survey.largest:
        use = calls.read([path for path, _ in survey.largest], line_count=1)
        yield calls.planned(page_id("sizes"), use, "Ask the largest source files for their number of lines")


@dataclass(frozen=True, kw_only=True)
class Survey:
    """A repository as the calls of a survey show it."""

    evidence: Evidence

    @cached_property
    def totals(self) -> RepoTotals | None:
        """The counts, or None when the server gave none."""
        return self.evidence.totals()

    @cached_property
    def looked(self) -> dict[str, int | None]:
        """Paths and sizes of the describing files."""
        return dict(self.evidence.listing("look").files)

    @cached_property
    def code(self) -> tuple[tuple[str, int | None], ...]:
        """Path and size of the source files that were listed."""
        return self.evidence.listing("files").files

    @property
    def file_pages(self) -> int:
        """Pages of the source file listing so far."""
        count = 0
        while self.evidence.answered(page_id("files", count + 1)):
            count += 1
        return count

    @cached_property
    def code_total(self) -> int:
        """Number of source files by the counts; of those listed when there are no counts."""
        if self.totals is None:
            return len(self.code)
        return sum(row.files for row in self.totals.extensions if normal_extension(row.extension) in CODE)

    @property
    def code_complete(self) -> bool:
        """Whether every source file was listed."""
        whole = self.evidence.listing("files").next_cursor is None
        return self.evidence.answered(page_id("files")) and whole and not is_big(self.evidence.context)

    @cached_property
    def known_code(self) -> set[str]:
        """Paths of source files from every listing."""
        return {path for path, _ in (*self.code, *self.evidence.listing("resolve").files)} | set(self.looked)

    @cached_property
    def largest(self) -> tuple[tuple[str, int | None], ...]:
        """The largest of the listed source files that are the project's own product code."""
        own = [(path, size) for path, size in self.code if role(path) == "code" and size]
        return tuple(sorted(own, key=lambda item: (-(item[1] or 0), item[0]))[:_LARGEST])

    @cached_property
    def texts(self) -> dict[str, FileText]:
        """What was read."""
        return self.evidence.files(("read",))

    @cached_property
    def manifests(self) -> tuple[Manifest, ...]:
        """What the manifests say, those nearest to the root first."""
        more = {path: text for path, text in self.included.items() if path not in self.texts}
        found = [readers.read_manifest(self.texts[path]) for path in sorted(self.texts, key=_nearness)]
        found += [readers.read_manifest(more[path], included=True) for path in sorted(more, key=_nearness)]
        return tuple(item for item in found if item is not None)

    @cached_property
    def included(self) -> dict[str, FileText]:
        """Files of dependencies that a manifest names and that have no manifest's name."""
        return self.evidence.files(("include",))

    @property
    def to_include(self) -> list[str]:
        """Those that are to be read: named by the project's own manifests, and inside of the root."""
        named = dict.fromkeys(found.text for item in self.own_manifests for found in item.includes)
        return [path for path in named if path not in self.texts and not path.startswith("..")][:_MAX_INCLUDES]

    @property
    def own_manifests(self) -> tuple[Manifest, ...]:
        """Manifests of the project itself: not those of tests, examples and copied-in code."""
        return tuple(item for item in self.manifests if role(item.file) in ("code", "docs"))

    @cached_property
    def imports(self) -> Search:
        """The distinct import statements and test functions."""
        return self.evidence.search("imports")

    @cached_property
    def readme(self) -> str | None:
        """Path of the README."""
        names = [path for path in self.looked if "/" not in path and path.lower().startswith("readme")]
        order = {".md": 0, ".rst": 1, ".markdown": 2, ".txt": 3, "": 4}
        known = [(order[ending], path) for path in names if (ending := path.lower()[6:]) in order]
        return min(known)[1] if known else (min(names) if names else None)

    @cached_property
    def licences(self) -> list[str]:
        """Paths of licence files."""
        starts = ("license", "licence", "copying", "unlicense")
        return sorted(path for path in self.looked if "/" not in path and path.lower().startswith(starts))

    @cached_property
    def to_read(self) -> list[tuple[str, int | None]]:
        """What to read, the most telling first."""
        first = [path for path in (self.readme, *self.licences[:4]) if path]
        found = [path for path in self.looked if readers.reader_of(path) and role(path) != "vendored"]
        found += [path for path in self.looked if ci.service_of(path)][:12]
        rest = sorted(set(found) - set(first), key=_nearness)
        return [(path, self.looked[path]) for path in (*first, *rest)]

    @property
    def foreign(self) -> list[str]:
        """Manifests of the project itself that no reader knows."""
        return sorted(
            (path for path in self.looked if readers.is_foreign(path) and role(path) == "code"), key=_nearness
        )

    @property
    def unread(self) -> int:
        """Describing files that did not fit into the reading calls."""
        return sum(len(group) for group in calls.batches(self.to_read)[_MAX_READS:])


def main_manifests(survey: Survey) -> list[Manifest]:
    """Return the manifests nearest to the root that name a project: those at the root, else of the highest level."""
    named = [item for item in survey.own_manifests if item.name is not None or item.members]
    level = min((item.file.count("/") for item in named), default=0)
    return [item for item in named if item.file.count("/") == level][:6]


def _nearness(path: str) -> tuple[int, int, str]:
    """Product before tests and examples, near the root before deep, then by name."""
    return (0 if role(path) == "code" else 1, path.count("/"), path)
