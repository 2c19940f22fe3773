"""Draw docs/terminal.svg: what a terminal shows while `lg-orch run` mends a failing test.

The run is real: the installed program, its gateway and servers, pytest in the sandbox, a question that is answered at
the terminal. Only the model is scripted, so the picture needs no key and no network. A whole run is too high for a
picture: rows in the middle are left out, and a row says how many.

    .venv/bin/python scripts/terminal_picture.py [--out FILE]
"""

from __future__ import annotations

import argparse
import html
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from rich.cells import cell_len
from rich.console import Console
from rich.segment import Segment
from rich.style import Style
from rich.terminal_theme import MONOKAI
from rich.text import Text
from typed_terminal import typed

from lg_orch.testing import ScriptedModel, calls, text

ROOT = Path(__file__).resolve().parent.parent
COLUMNS, FIRST_ROWS, LAST_ROWS = 112, 2, 48
REQUEST = "fix the failing test"
TYPED = (("(Enter denies)? ", "o\n"),)
"""What is waited for, and what is typed then."""
FILES = {
    "README.md": "# Tidal\n\nTides for small harbours.\n",
    "pyproject.toml": '[project]\nname = "tidal"\nversion = "0.3.1"\n[tool.pytest.ini_options]\npythonpath = ["src"]\n',
    "src/tidal/__init__.py": "",
    "src/tidal/model.py": (
        'def depth(chart: float, tide: float) -> float:\n    """Water above the sill, in metres."""\n'
        "    return chart - tide\n"
    ),
    "tests/test_model.py": (
        "from tidal.model import depth\n\n\ndef test_the_tide_adds_to_the_chart() -> None:\n"
        "    assert depth(2.0, 1.5) == 3.5\n"
    ),
}
PATCH = """\
src/tidal/model.py
<<<<<<< SEARCH
    return chart - tide
=======
    return chart + tide
>>>>>>> REPLACE
"""
SCRIPT = (
    calls(("fs__read_file", {"path": "src/tidal/model.py"})),
    calls(("fs__apply_patch", {"patch": PATCH})),
    text("The water's depth is the chart's depth plus the tide; `depth` subtracted the tide."),
)
LETTER_WIDTH, LETTER_HEIGHT, LINE_HEIGHT, MARGIN, TITLE_HEIGHT = 8.4, 14, 19, 18, 38
FONTS = "ui-monospace, SFMono-Regular, Menlo, Consolas, 'DejaVu Sans Mono', monospace"


def main(arguments: list[str] | None = None) -> None:
    """Make the demo repository, run, draw."""
    parser = argparse.ArgumentParser(description="Draw docs/terminal.svg from a real run.")
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "terminal.svg", metavar="FILE")
    checks = "the environment that pytest runs in (default: that of this interpreter)"
    parser.add_argument("--environment", default=sys.prefix, metavar="DIR", help=checks)
    given = parser.parse_args(arguments)
    out: Path = given.out
    with tempfile.TemporaryDirectory() as scratch, ScriptedModel(SCRIPT) as model:
        argv, root, environ = prepared(Path(scratch), model.base_url, "run", REQUEST, environment=given.environment)
        prompt = f'lg-orch run "{REQUEST}"'
        lines = typed(argv, TYPED, cwd=root, environ=environ, columns=COLUMNS, prompt=prompt)
    if any(scratch in line or str(ROOT) in line for line in lines):
        sys.exit("terminal_picture.py: the run printed a path of this machine; the picture was not written")
    out.write_text(svg([row for line in lines for row in wrapped(line)]), "utf-8")


def prepared(
    scratch: Path, model_url: str, *command: str, environment: str = sys.prefix
) -> tuple[list[str], Path, dict[str, str]]:
    """Make the demo repository. Returns what to start in it, where it is, and the environment for that."""
    root, home, config = scratch / "tidal", scratch / "home", scratch / "settings.toml"
    home.mkdir()
    for name, content in FILES.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(content, "utf-8")
    author = {"GIT_AUTHOR_NAME": "Ada", "GIT_AUTHOR_EMAIL": "ada@example.com"}
    author |= {name.replace("AUTHOR", "COMMITTER"): value for name, value in author.items()}
    kept = {"PATH": os.environ["PATH"], "HOME": str(home), "TERM": "xterm-256color", "LANG": "C.UTF-8"}
    for argv in (["init", "-q", "-b", "main"], ["add", "."], ["commit", "-q", "-m", "Tides"]):
        subprocess.run(["git", *argv], cwd=root, env=kept | author, check=True)  # noqa: S607 -- the tester's own git
    config.write_text(
        f'[models.default]\nprovider = "openai"\nmodel = "scripted"\nbase_url = "{model_url}"\n'
        '[models.prices."openai:scripted"]\ninput = 1\noutput = 4\n'
        f'[exec]\nenvironment = "{environment}"\n',
        "utf-8",
    )
    return [str(Path(sys.executable).with_name("lg-orch")), *command], root, kept | {"LG_CONFIG": str(config)}


def wrapped(line: str) -> list[list[Segment]]:
    """A line as the rows that a terminal of our width makes of it."""
    console = Console(width=COLUMNS, color_system="truecolor", force_terminal=True, legacy_windows=False)
    segments = console.render(Text.from_ansi(line, no_wrap=True, overflow="ignore", end=""), console.options)
    rows: list[list[Segment]] = [[]]
    room = COLUMNS
    for segment in segments:
        rest = segment
        while rest.cell_length > room:
            head, rest = rest.split_cells(room)
            rows[-1].append(head)
            rows.append([])
            room = COLUMNS
        rows[-1].append(rest)
        room -= rest.cell_length
    return rows


def svg(rows: list[list[Segment]], title: str = f"lg-orch run: {REQUEST}", *, last: int = LAST_ROWS) -> str:
    """The rows as a picture that loads nothing: the reader's own monospaced font, each piece at its column."""
    while rows and not any(segment.text.strip() for segment in rows[-1]):
        rows.pop()
    left_out = len(rows) - FIRST_ROWS - last
    cut = [Segment(f"  ⋮ {left_out} rows left out", Style(dim=True))]
    shown = [*rows[:FIRST_ROWS], cut, *rows[-last:]] if left_out > 0 else rows
    width = round(COLUMNS * LETTER_WIDTH + 2 * MARGIN)
    height = TITLE_HEIGHT + len(shown) * LINE_HEIGHT + MARGIN
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}"',
        'role="img" xml:space="preserve">',
        f"<title>{html.escape(title)}</title>",
        f"<style>text {{ font: {LETTER_HEIGHT}px {FONTS}; white-space: pre }}</style>",
        f'<rect x="1" y="1" width="{width - 2}" height="{height - 2}" rx="9" fill="#1b1d23" stroke="#6b7280"/>',
        *(
            f'<circle cx="{22 + 20 * place}" cy="20" r="6" fill="{colour}"/>'
            for place, colour in enumerate(("#ff5f57", "#febc2e", "#28c840"))
        ),
    ]
    for number, row in enumerate(shown):
        column, base = 0, TITLE_HEIGHT + number * LINE_HEIGHT + LETTER_HEIGHT
        for segment in row:
            lines += piece(segment, MARGIN + column * LETTER_WIDTH, base)
            column += cell_len(segment.text)
    return "\n".join([*lines, "</svg>", ""])


def piece(segment: Segment, left: float, base: int) -> list[str]:
    """One run of text in one style."""
    stripped = segment.text.strip()
    if not stripped:
        return []
    left += cell_len(segment.text[: len(segment.text) - len(segment.text.lstrip())]) * LETTER_WIDTH
    colour, weight = "#e5e7eb", ""
    if segment.style is not None:
        if segment.style.color is not None and not segment.style.color.is_default:
            colour = segment.style.color.get_truecolor(MONOKAI).hex
        elif segment.style.dim:
            colour = "#9ca3af"
        weight = ' font-weight="bold"' if segment.style.bold else ""
    length = cell_len(stripped) * LETTER_WIDTH
    place = f'x="{left:.1f}" y="{base}" textLength="{length:.1f}" lengthAdjust="spacingAndGlyphs"'
    return [f'<text {place} fill="{colour}"{weight}>{html.escape(stripped, quote=False)}</text>']


if __name__ == "__main__":
    main()
