"""Prints reports and diffs: laid out and coloured on a terminal, as they are anywhere else.

Our reports use a part of Markdown: headings, tables, lists, quotations, code blocks, bold, italics and code spans.
Paragraphs are printed as whole lines, so that copying gives them back. What others wrote stands behind a margin in
every row: a quotation or a block of code is wrapped here and not by the terminal. So is a line in which a name or a
message would pass the edge of the terminal: it goes on in indented rows.
"""

from __future__ import annotations

import re
import sys
from typing import TYPE_CHECKING

from lg_orch.contracts.text import visible
from lg_orch.display.links import link_to, supports_links
from lg_policy.printing import TAB, display_width, divided, wrap_foreign
from lg_policy.terminal_rows import relaid

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from rich.console import Console
    from rich.text import Text

CODE = "cyan"
"""How code spans are shown."""
MARGIN = "| "
INDENT = "  "
MIN_CELL = 8
"""Columns that a cell of a table keeps, however narrow the terminal is."""
TABLE = "|---"
"""How the second row of a table of ours begins. A row of a question never does: a blank, `>` or `!` follows its bar."""
STYLED_CHARACTERS = 4_000
"""A longer line is printed as it is."""
_INLINE = re.compile(
    r"\\(?P<escaped>[\\`*_\[\]<>~#&!$|])"
    r"|(?P<fence>`+)(?P<code>(?:(?!(?P=fence)).)+?)(?P=fence)(?!`)"
    r"|\*\*(?P<bold>[^*]+)\*\*"
    r"|(?<![\w\\])_(?P<italic>[^_`]+(?:_[^_`]+)*)_(?!\w)"
)
_HEADING = re.compile(r"(#{1,6}) +(.*)")
_ITEM = re.compile(r"( *(?:[-*]|\d+\.) )(.*)")
_FENCE = re.compile(r" *(`{3,}|~{3,})")
_CELL_END = re.compile(r"(?<!\\)\|")


def print_report(markdown: str, root: Path | None = None) -> None:
    """Print a report to standard output; on a terminal, places in files below `root` are links."""
    if not sys.stdout.isatty():
        print(visible(markdown), flush=True)
        return
    console = _console()
    linked = root if root is not None and supports_links() else None
    for row in laid_out(visible(markdown), console.width, linked):
        console.print(row, soft_wrap=True)


def print_diff(text: str) -> None:
    """Print a diff, or what stands around one, to standard output: coloured on a terminal, nothing else changed."""
    if not sys.stdout.isatty():
        print(visible(text), end="", flush=True)
        return
    from rich.text import Text

    console = _console()
    for line in visible(text).splitlines():
        console.print(Text(line, style=_diff_style(line)), soft_wrap=True)


def _console() -> Console:
    from rich.console import Console

    return Console(file=sys.stdout, highlight=False, markup=False, emoji=False)


def laid_out(markdown: str, width: int, root: Path | None = None) -> Iterator[Text]:
    """Return the rows of a report for a terminal that is so wide; places in files below `root` become links."""
    for row in _rows(markdown, width):
        if root is not None:
            _link(row, root)
        yield row


def _link(row: Text, root: Path) -> None:
    """Make links of the code spans that name a place."""
    for span in list(row.spans):
        address = link_to(row.plain[span.start : span.end], root) if span.style == CODE else None
        if address is not None:
            row.stylize(f"link {address}", span.start, span.end)


def _rows(markdown: str, width: int) -> Iterator[Text]:
    from rich.text import Text

    lines = markdown.rstrip("\n").split("\n")
    at = 0
    while at < len(lines):
        line = lines[at]
        fence = _FENCE.match(line)
        if fence:
            end = next((n for n in range(at + 1, len(lines)) if lines[n].strip() == fence[1]), len(lines))
            yield from _code_block(lines[at + 1 : end], width)
            at = end + 1
        elif _is_row(line):
            end = next((n for n in range(at, len(lines)) if not _is_row(lines[n])), len(lines))
            if lines[at + 1 : at + 2] and lines[at + 1].startswith(TABLE):
                yield from _table([_cells(row) for row in lines[at:end]], width)
            else:  # of a question, which is shown as it is
                yield from map(_text, relaid("\n".join(lines[at:end]), width).split("\n"))
            at = end
        elif line.startswith(">"):
            yield from _quotation(line[1:].removeprefix(" "), width)
            at += 1
        else:
            yield from _hanging(_line(line) if len(line) <= STYLED_CHARACTERS else Text(line), width)
            at += 1


def _hanging(line: Text, width: int) -> Iterator[Text]:
    """Return a line as rows if a name or message in it, which others wrote, would pass the edge of the terminal.

    None of its words begins a row then. Short code spans, such as a command of ours, stay whole.
    """
    names = [span for span in line.spans if span.style == CODE]
    if not names or display_width(line.plain[: max(span.end for span in names)]) <= width:
        yield line
        return
    line.expand_tabs(len(TAB))
    plain = line.plain
    for span in line.spans:
        if span.style == CODE and display_width(code := plain[span.start : span.end]) <= width // 2:
            plain = f"{plain[: span.start]}{code.replace(' ', '_')}{plain[span.end :]}"
    for before, begin, end in divided(plain, width):
        yield _text(before) + line[begin:end]


def _line(line: str) -> Text:
    from rich.text import Text

    heading = _HEADING.fullmatch(line)
    if heading:
        return _inline(heading[2], "bold underline" if len(heading[1]) == 1 else "bold")
    item = _ITEM.fullmatch(line)
    if item:
        return Text(item[1]) + _inline(item[2])
    return _inline(line)


def _inline(text: str, style: str = "") -> Text:
    """Return a text with its bold, italic and code spans as styles, and without the marks."""
    from rich.text import Text

    shown = Text(style=style)
    at = 0
    for found in _INLINE.finditer(text):
        shown.append(text[at : found.start()])
        at = found.end()
        if found["escaped"]:
            shown.append(found["escaped"])
        elif found["code"] is not None:
            shown.append(_unpadded(found["code"]), style=CODE)
        elif found["bold"]:
            shown.append_text(_inline(found["bold"], "bold"))
        else:
            shown.append_text(_inline(found["italic"], "italic"))
    shown.append(text[at:])
    return shown


def _unpadded(code: str) -> str:
    padded = code.startswith(" ") and code.endswith(" ") and code.strip()
    return code[1:-1] if padded else code


def _quotation(line: str, width: int) -> Iterator[Text]:
    """Return what others wrote, behind a margin in every row."""
    from rich.text import Text

    shown = _inline(line.replace("\t", TAB)) if len(line) <= STYLED_CHARACTERS else Text(line)
    if display_width(shown.plain) + len(MARGIN) <= width and "\t" not in shown.plain:
        yield Text.assemble((MARGIN, "dim"), shown)
    else:
        yield from (Text(row) for row in wrap_foreign(shown.plain, width=width, margin=MARGIN))


def _code_block(lines: list[str], width: int) -> Iterator[Text]:
    from rich.text import Text

    is_diff = any(line.startswith("@@ ") for line in lines)
    for line in lines:
        style = _diff_style(line) if is_diff else ""
        for row in wrap_foreign(line, width=width, margin=MARGIN):
            yield Text.assemble((row[: len(MARGIN)], "dim"), (row[len(MARGIN) :], style))


def _diff_style(line: str) -> str:
    if line.startswith(("+++", "---", "diff ", "index ", "# ")):
        return "bold"
    return {"+": "green", "-": "red", "@": "cyan"}.get(line[:1], "")


def _is_row(line: str) -> bool:
    return line.startswith("|") and len(line) <= STYLED_CHARACTERS


def _cells(row: str) -> list[Text]:
    inner = row.strip().removeprefix("|")
    inner = inner[:-1] if inner.endswith("|") and not inner.endswith("\\|") else inner
    return [_inline(cell.strip().replace("\\|", "|")) for cell in _CELL_END.split(inner)]


def _table(rows: list[list[Text]], width: int) -> Iterator[Text]:
    """Return a table with aligned columns. In one that is too wide the last cell stands below its row."""
    rows = [row for row in rows if not all(set(cell.plain) <= set(":- ") and cell.plain for cell in row)]
    below: list[Text | None] = [None] * len(rows)
    count = len(rows[0]) if rows else 0
    if count > 1 and sum(_widths(rows)) > _room(rows, width):
        below = [row.pop() if len(row) == count else None for row in rows]
        below[0] = None  # without a column it needs no head
    widths, room = _widths(rows), _room(rows, width)
    while sum(widths) > room and max(widths) > MIN_CELL:
        widest = widths.index(max(widths))
        widths[widest] = max(MIN_CELL, widths[widest] - (sum(widths) - room))
    for number, (row, last) in enumerate(zip(rows, below, strict=True)):
        parts = [_wrapped(cell, columns) for cell, columns in zip(row, widths, strict=False)]
        for level in range(max(map(len, parts), default=0)):
            yield _row([part[level] if level < len(part) else None for part in parts], widths, head=number == 0)
        if last is not None and last.plain:
            yield from (_text(INDENT * 3) + part for part in _wrapped(last, max(width - 3 * len(INDENT), MIN_CELL)))


def _widths(rows: list[list[Text]]) -> list[int]:
    count = max(map(len, rows), default=0)
    return [max((display_width(row[n].plain) for row in rows if n < len(row)), default=0) for n in range(count)]


def _room(rows: list[list[Text]], width: int) -> int:
    """Columns that the cells of a row have together."""
    return width - len(INDENT) - 2 * (max(map(len, rows), default=1) - 1)


def _text(plain: str) -> Text:
    from rich.text import Text

    return Text(plain)


def _row(cells: list[Text | None], widths: list[int], *, head: bool) -> Text:
    from rich.text import Text

    shown = Text(INDENT)
    for number, (cell, width) in enumerate(zip(cells, widths, strict=False)):
        text = cell if cell is not None else Text("")
        if head:
            text.stylize("bold")
        shown.append_text(text)
        if number < len(cells) - 1:
            shown.append(" " * (width - display_width(text.plain) + 2))
    shown.rstrip()
    return shown


def _wrapped(cell: Text, width: int) -> list[Text]:
    """Return a cell in parts that are at most so wide, divided between words where that is possible."""
    from rich.console import Console

    if display_width(cell.plain) <= width:
        return [cell]
    return list(cell.wrap(Console(width=width), width))
