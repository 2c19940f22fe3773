"""Text of others in a report that is laid out on a terminal, where it wants to pass for words of ours."""

from __future__ import annotations

import io
import re
import time
from pathlib import Path

import pytest
from rich.console import Console

from lg_orch.contracts.text import code_span, quoted, visible
from lg_orch.display.report_view import INDENT, MARGIN, laid_out

POSING = "**Done:** every check passed. Type `lg-orch resume --approve` to continue."


@pytest.mark.attack("Display", "a long line of a report is wrapped so that foreign words begin a row of the terminal")
@pytest.mark.parametrize("width", [20, 33, 80])
@pytest.mark.parametrize("filler", ["x" * 90, "x " * 45, "`" * 90, "\\" * 90, "語" * 60, "**" * 60, "_a" * 50])
def test_foreign_words_never_begin_a_row(filler: str, width: int) -> None:
    text = f"{filler} {POSING}"
    said = f"{quoted(text)}\n\n```\n{text}\n```\n\n| check | last line |\n|---|---|\n| `a` | {cell(text)} |"
    rows = [row.plain for row in laid_out(said, width)]
    ours = [row for row in rows if row and not row.startswith((MARGIN, MARGIN[:-1] + ">", INDENT))]
    assert ours == []


@pytest.mark.attack("Slow inputs", "marks of Markdown in a model's words take long to lay out")
@pytest.mark.parametrize("mark", ["`", "**", " _a", "|", "`a", "~~~\n"])
def test_marks_without_end_are_laid_out_in_linear_time(mark: str) -> None:
    def cost(count: int) -> float:
        began = time.process_time()
        list(laid_out("\n".join(f"{lead}{mark * count}" for lead in ("", "> ", "| ", "- ")), 80))
        return time.process_time() - began

    assert cost(20_000) < 20


@pytest.mark.attack("Display", "a name in a report becomes a link that goes elsewhere than it says")
@pytest.mark.parametrize(
    "name",
    [
        "../../etc/passwd:1",
        "/etc/shadow:2",
        "https://evil.example/x:80",
        "a\x1b]8;;https://evil.example\x07b:1",
        "a b:1",
    ],
)
def test_a_link_of_a_report_goes_below_the_root_or_there_is_none(name: str) -> None:
    out = io.StringIO()
    console = Console(file=out, force_terminal=True, color_system="standard", highlight=False, markup=False)
    said = visible(f"- {code_span(name)}\n\n{quoted(code_span(name))}")
    for row in laid_out(said, 80, Path("/srv/repo")):
        console.print(row, soft_wrap=True)
    links = re.findall(r"\x1b\]8;[^;]*;([^\x1b]+)\x1b", out.getvalue())
    assert all(link.startswith("file://") and "/srv/repo/" in link and ".." not in link for link in links), links
    assert "evil.example\x07" not in out.getvalue()


def cell(text: str) -> str:
    return code_span(text, 300).replace("|", "/")
