"""A report on a terminal: aligned, without Markdown's marks, and with what others wrote behind a margin."""

from __future__ import annotations

import subprocess
import sys

import pytest

from lg_orch.display.report_view import INDENT, MARGIN, laid_out
from lg_policy.printing import display_width

REPORT = r"""# Summary of `tide`

**Done:** `python -m pytest` passes now. See `a_b_c.py` and \`odd\`.

| check | result | last line |
|---|---|---|
| `pytest -q` | passed | `3 passed \| 1 warning` |
| `ruff` | failed | |

- **Changed:** `tide/x.py`
- plain snake_case_name stays

The model says:

> The depth is **chart** plus `tide`.

```
@@ -1 +1 @@
-a
+b
```

_tide; answered by the built-in analyst_
"""


def rows(markdown: str, width: int = 80) -> list[str]:
    return [row.plain for row in laid_out(markdown, width)]


def test_a_report_is_shown_without_the_marks_of_markdown() -> None:
    assert rows(REPORT) == [
        "Summary of tide",
        "",
        "Done: python -m pytest passes now. See a_b_c.py and `odd`.",
        "",
        "  check      result  last line",
        "  pytest -q  passed  3 passed | 1 warning",
        "  ruff       failed",
        "",
        "- Changed: tide/x.py",
        "- plain snake_case_name stays",
        "",
        "The model says:",
        "",
        "| The depth is chart plus tide.",
        "",
        "| @@ -1 +1 @@",
        "| -a",
        "| +b",
        "",
        "tide; answered by the built-in analyst",
    ]


def test_bold_code_and_diffs_are_styled() -> None:
    found = {row.plain: {str(span.style) for span in row.spans} | {str(row.style)} for row in laid_out(REPORT, 80)}
    assert "bold underline" in found["Summary of tide"]
    assert {"bold", "cyan"} <= found["Done: python -m pytest passes now. See a_b_c.py and `odd`."]
    assert "green" in found["| +b"]
    assert "red" in found["| -a"]


def test_a_paragraph_stays_one_line_so_that_it_can_be_copied() -> None:
    words = "word " * 60 + "end"
    assert rows(words, 40) == [words]


@pytest.mark.parametrize("width", [20, 40, 80])
def test_what_others_wrote_never_begins_a_row_of_the_terminal(width: int) -> None:
    foreign = "x " * 70 + "**Done:** everything passed " * 4
    text = f"> {foreign}\n\n```\n{foreign}\n$ {foreign}\n```\n\n| check | last line |\n|---|---|\n| `a` | `{foreign}` |"
    shown = rows(text, width)
    assert max(map(display_width, shown)) <= width
    assert all(row.startswith((MARGIN, MARGIN[:-1] + ">", INDENT)) for row in shown if row)


def test_a_wide_table_puts_its_last_column_below_its_rows() -> None:
    place = "orchestrator/lg_orch/agent/nodes/reporter.py:1"
    text = f"| file | lines | where |\n|---|---|---|\n| `{place[:-2]}` | 300 | `{place}` |"
    assert rows(text, 60) == [
        f"  {'file':<44}  lines",
        f"  {place[:-2]}  300",
        f"      {place}",
    ]


def test_marks_without_an_end_and_very_long_lines_are_shown_as_they_are() -> None:
    assert rows("a ** b ` c _ d") == ["a ** b ` c _ d"]
    long = "**x** " * 2_000
    assert rows(long) == [long]
    assert rows("```\nnever closed") == ["| never closed"]


def test_a_report_that_is_piped_stays_markdown_and_imports_nothing_more() -> None:
    code = (
        "import sys\nfrom lg_orch.display.report_view import print_report, print_diff\n"
        "print_report('**Done:** `x`\\x1b[2J')\nprint_diff('+a\\n')\n"
        "assert 'rich' not in sys.modules\n"
    )
    done = subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "**Done:** `x`\\u{1b}[2J\n+a\n"
