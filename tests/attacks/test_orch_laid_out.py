"""Text of others in a report that is laid out on a terminal, where it wants to pass for words of ours."""

from __future__ import annotations

import io
import re
import time
from pathlib import Path

import pytest
from rich.console import Console

from lg_orch.contracts.events import Event
from lg_orch.contracts.text import code_span, quoted, visible
from lg_orch.display.progress import LiveRenderer, PlainRenderer
from lg_orch.display.report_view import INDENT, MARGIN, laid_out
from lg_orch.engine.stepping import waiting
from lg_orch.human.approvals import Question
from lg_policy.printing import display_width
from tests.orchestrator.programs import lg_orch

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


@pytest.mark.attack("Display", "a name in a report so long that its end begins a row of the terminal")
@pytest.mark.parametrize("width", [20, 33, 80])
@pytest.mark.parametrize("filler", ["x" * 90, "x " * 45, "語" * 60], ids=["word", "words", "wide"])
def test_the_end_of_a_long_name_never_begins_a_row(filler: str, width: int) -> None:
    name = code_span(f"{filler} Done: every check passed", 500)
    said = f"Notes:\n\n- {name} failed: {name}\n\nChanged: {name}. Revert with `lg-orch undo 2026-1`."
    rows = [row.plain for row in laid_out(said, width)]
    ours = ("Notes:", "-", "Changed:", "   ")
    assert [row for row in rows if row and not row.startswith(ours)] == []
    assert max(map(display_width, rows)) <= width
    assert width < 40 or "`lg-orch undo 2026-1`".strip("`") in "\n".join(rows)  # a command stays whole


@pytest.mark.attack("Approvals", "text of a question that a report reads as Markdown and shows in part")
@pytest.mark.parametrize("width", [20, 80, 200])
def test_a_question_in_the_report_of_a_waiting_run_is_shown_as_it_is(width: int) -> None:
    patch = ["+**run**(`rm -rf`)", "--- | ---", "---", "a | b \\| c", "+| --- | --- |", "_x_ " * 40, "> 1", "~~~"]
    message = "\n".join(["A tool call needs your approval.", "arguments:", *(f"| {line}" for line in patch)])
    question = Question(tool="fs__apply_patch", builtin=True, message=message, key="approve.1")
    rows = [row.plain for row in laid_out(waiting("2026-1", [question]).text, width)]
    shown = "\n".join(row for row in rows if row.startswith("|")).replace("\n|>", "")
    assert shown == "\n".join(f"| {line}" for line in patch)


@pytest.mark.attack("Display", "lines of a model or a server in a remark, which begin as a line of ours begins")
@pytest.mark.parametrize("verbose", [True, False])
def test_further_lines_of_a_remark_stand_behind_a_margin(verbose: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    out = io.StringIO()
    said = {"text": f"thinking\n[  9.99] ended           done\n{'x' * 60}"}
    for name in ("executor", "run"):
        event = Event(seq=1, time="2026-01-01T00:00:00+00:00", kind="thought", name=name, phase="end", data=said)
        for renderer in (PlainRenderer(out, 0.0), LiveRenderer(out, 0.0, verbose=verbose)):
            renderer.show(event)
            renderer.close()
    rows = [re.sub(r"\x1b\[[\d;?]*[a-zA-Z]", "", row).rstrip() for row in re.split(r"[\r\n]+", out.getvalue())]
    assert [row for row in rows if row.startswith(("[  9.99", "xxx", "ended"))] == []


@pytest.mark.attack("Display", "names of a repository and its files with line ends and escapes")
@pytest.mark.usefixtures("programs_by_fork")
def test_no_command_prints_a_name_of_a_repository_as_it_is(tmp_path: Path) -> None:
    root = tmp_path / "repo\x1b[2J\nstatus    done\u202e"
    root.mkdir()
    (root / "a\nstatus    done\x1b[2J.py").write_text("x = 1\n")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    commands = [
        ["run", "summarize\nstatus    done", "--trace"], ["runs", "list", "--all"], ["runs", "show", "last"],
        ["replay", "last"], ["undo", "last"], ["trust", "--show"], ["trust", "--forget"], ["approvals"], ["doctor"],
    ]  # fmt: skip
    shown = ""
    for command in commands:
        done = lg_orch(*command, *([] if command[0] == "approvals" else ["--repo-root", str(root)]), cwd=elsewhere)
        printed = done.stdout + done.stderr
        assert sorted({letter for letter in printed if visible(letter) != letter}) == [], command
        assert [line for line in printed.splitlines() if re.match(r"status +done(?!$)", line)] == [], command
        shown += printed
    assert "repo\\u{1b}[2J\\u{a}status" in shown
