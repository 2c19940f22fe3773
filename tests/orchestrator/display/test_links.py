"""Places in a report are links of the terminal, and a link goes where its text says and nowhere else."""

from __future__ import annotations

import io
from pathlib import Path
from urllib.parse import unquote

import pytest
from rich.console import Console

from lg_orch.display.links import link_to, supports_links
from lg_orch.display.report_view import laid_out

ROOT = Path("/srv/my repo")


def test_a_place_is_a_link_to_its_line_below_the_root() -> None:
    found = link_to("src/a b.py:12", ROOT) or link_to("src/a.py:12", ROOT)
    assert found is not None
    assert found.startswith("file://")
    assert unquote(found).endswith("/srv/my repo/src/a.py#12")


@pytest.mark.parametrize(
    "text",
    ["a.py", "a.py:0", "../x:1", "a/../../x:1", "/etc/passwd:1", "https://evil.example:1", "a b:1", r"a\u{1b}:1", ":1"],
)
def test_what_is_no_place_below_the_root_gets_no_link(text: str) -> None:
    found = link_to(text, ROOT)
    assert found is None or (found.startswith("file://") and "/srv/my%20repo/" in found and ".." not in found)


def test_without_a_root_there_are_no_links() -> None:
    assert link_to("a.py:1", None) is None


def test_the_text_of_a_report_is_the_same_with_links_and_without() -> None:
    text = "See `src/calc.py:3` and `pytest`.\n\n| where |\n|---|\n| `a.py:1` |\n\n> `evil.py:1` says a model"
    plain = [row.plain for row in laid_out(text, 80)]
    assert [row.plain for row in laid_out(text, 80, ROOT)] == plain
    out = io.StringIO()
    console = Console(file=out, force_terminal=True, color_system="standard", highlight=False, markup=False)
    for row in laid_out(text, 80, ROOT):
        console.print(row, soft_wrap=True)
    assert out.getvalue().count("\x1b]8;id=") == 3
    assert "pytest#" not in out.getvalue()


@pytest.mark.parametrize(
    ("environ", "wanted"),
    [
        ({"TERM": "xterm-256color"}, True),
        ({"TERM": "linux"}, False),
        ({"TERM": "dumb"}, False),
        ({}, False),
        ({"TERM": "xterm", "FORCE_HYPERLINK": "0"}, False),
        ({"TERM": "dumb", "FORCE_HYPERLINK": "1"}, True),
    ],
)
def test_links_are_sent_only_to_terminals_that_take_them(environ: dict[str, str], wanted: bool) -> None:
    assert supports_links(environ) is wanted
