"""Draw docs/conversation.svg: what a terminal shows in a conversation, from a request to the change and its undo.

The conversation is real: the installed program, its gateway and servers, a question that is answered at the keyboard.
Only the model is scripted, so the picture needs no key and no network.

    .venv/bin/python scripts/conversation_picture.py [--out FILE]
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from terminal_picture import COLUMNS, REQUEST, ROOT, SCRIPT, prepared, svg, wrapped
from typed_terminal import typed

from lg_orch.testing import ScriptedModel, calls, text

ROWS = 80
FOLLOW_UP = "which other code uses depth?"
ANSWERED = "Nothing else calls `depth`; only `tests/test_model.py` imports it."
TYPED = (
    ("\x1b[?2004h", f"{REQUEST}\r"),
    ("(Enter denies)? ", "o\n"),
    ("Revert with", ""),
    ("\x1b[?2004h", f"{FOLLOW_UP}\r"),
    ("only ", ""),
    ("\x1b[?2004h", "/undo\r"),
    ("[y/N]", "y\n"),
    ("reverted 1 change set", ""),
    ("\x1b[?2004h", "\x04"),
)
"""What is waited for, and what is typed then. The first stands for an input that takes text."""


def main() -> None:
    """Make the demo repository, talk, draw."""
    parser = argparse.ArgumentParser(description="Draw docs/conversation.svg from a real conversation.")
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "conversation.svg", metavar="FILE")
    out: Path = parser.parse_args().out
    script = (*SCRIPT, calls(("fs__search_files", {"regex": r"\bdepth\b"})), text(ANSWERED))
    with tempfile.TemporaryDirectory() as scratch, ScriptedModel(script) as model:
        argv, root, environ = prepared(Path(scratch), model.base_url, "chat")
        shown = typed(argv, TYPED, cwd=root, environ=environ, columns=COLUMNS, prompt="lg-orch")
        lines = [line.replace(str(root), "~/tidal") for line in shown]
    if any(scratch in line or str(ROOT) in line for line in lines):
        sys.exit("conversation_picture.py: a path of this machine was printed; the picture was not written")
    picture = svg([row for line in lines for row in wrapped(line)], "lg-orch: a conversation", last=ROWS)
    out.write_text(picture, "utf-8")


if __name__ == "__main__":
    main()
