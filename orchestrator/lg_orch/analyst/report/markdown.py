"""A Markdown report in which every statement carries its place; what was said is kept as data too."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lg_orch.analyst.report.safe_text import cell, code, prose
from lg_orch.contracts.reports import Answer, Statement

if TYPE_CHECKING:
    from collections.abc import Sequence

HONEST = (
    "Written by the built-in deterministic analyst: no language model was used. "
    "Each statement names the file and line it was read at; figures over many files come from the file server's counts."
)
_MAX_STATEMENT = 3_900  # the answer's own bound is 4,000


class MarkdownReport:
    """Collects sections, statements and what is missing, in the order they are said."""

    def __init__(self, title: str) -> None:
        self._lines = [f"# {title}", "", f"_{HONEST}_"]
        self._statements: list[Statement] = []
        self._missing: list[str] = []

    def lead(self, markdown: str) -> None:
        """Put the short answer before everything else; whatever comes from a file in it has been made safe already."""
        self._lines = [markdown, "", *self._lines]

    def section(self, title: str) -> None:
        """Begin a section; `title` is this program's own words."""
        self._end_section()
        self._lines += ["", f"## {title}", ""]

    def _end_section(self) -> None:
        if self._lines[-1] == "" and self._lines[-2].startswith("## "):
            self._lines.append("Nothing found.")

    def text(self, markdown: str) -> None:
        """Add a paragraph of this program's own words; whatever comes from a file in it has been made safe already."""
        if self._lines[-1]:
            self._lines.append("")
        self._lines += [markdown, ""]

    def say(self, markdown: str, *, file: str | None = None, line: int | None = None) -> None:
        """Add one statement as a list item, with its place when it has one."""
        if self._lines[-1] and not self._lines[-1].startswith("- "):
            self._lines.append("")
        self._lines.append(f"- {markdown}{f' ({place(file, line)})' if file else ''}")
        self._state(markdown, file, line)

    def table(self, headers: Sequence[str], rows: Sequence[tuple[Sequence[str], str | None, int | None]]) -> None:
        """Add statements as rows of a table: safe cells, then file and line, which become the last column."""
        if self._lines[-1]:
            self._lines.append("")
        placed = any(file for _, file, _ in rows)
        heads = [*headers, "where"] if placed else list(headers)
        self._lines.append(f"| {' | '.join(heads)} |")
        self._lines.append(f"|{'|'.join('---' for _ in heads)}|")
        for cells, file, line in rows:
            shown = [*cells, place(file, line) if file else ""] if placed else list(cells)
            self._lines.append(f"| {' | '.join(cell(item) for item in shown)} |")
            self._state(": ".join(part for part in (cells[0], ", ".join(filter(None, cells[1:]))) if part), file, line)
        self._lines.append("")

    def lacks(self, what: str) -> None:
        """Note something that was looked for and not found, or not looked at; safe whatever it contains."""
        said = prose(what.replace("`", "'"))  # prose shows a backtick with a backslash before it
        if said not in self._missing:
            self._missing.append(said)

    def answer(self) -> Answer:
        """Return the finished answer; what is missing ends it."""
        self._end_section()
        lines = list(self._lines)
        if self._missing:
            lines += ["", "## Not found", "", *(f"- {item}" for item in self._missing)]
        text = "\n".join(lines).strip() + "\n"
        while "\n\n\n" in text:
            text = text.replace("\n\n\n", "\n\n")
        return Answer(text_markdown=text, statements=tuple(self._statements), missing=tuple(self._missing))

    def _state(self, markdown: str, file: str | None, line: int | None) -> None:
        self._statements.append(Statement(text=markdown[:_MAX_STATEMENT], file=file, line=line if file else None))


def place(file: str | None, line: int | None) -> str:
    """Return `file:line` as a code span."""
    return code(f"{file}:{line}" if line else f"{file}", limit=400)


def number(value: int, one: str, many: str = "") -> str:
    """Return a count with its noun: `1 file`, `1,234 files`."""
    return f"{value:,} {one if value == 1 else many or one + 's'}"
