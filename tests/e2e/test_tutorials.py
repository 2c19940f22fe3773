"""The tutorials of docs/: every shell block is typed at a terminal, in the page's order, in an empty directory.

Commands of `console` blocks are typed too, without their prompt; what they show stands below them on the page.
"""

from __future__ import annotations

import os
import re
import select
import shutil
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from lg_orch.testing import ScriptedModel, calls, text
from tests.e2e.typed_shell import typed_shell
from tests.support import require

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from tests.fork_server import ForkServer

DOCS = Path(__file__).resolve().parents[2] / "docs"
PAGES = ("tutorial-agent.md", "tutorial-client.md", "tutorial-team.md")
TIMEOUT_S = 400
ANSWERS = {"(Enter denies)? ": "o\n", "[y/N] ": "y\n", "Press q to quit.": "q"}
"""What the pages tell the reader to type at each question."""
PATCH = "tidal.py\n<<<<<<< SEARCH\n    return chart - tide\n=======\n    return chart + tide\n>>>>>>> REPLACE\n"
FIX = (
    calls(("fs__read_file", {"path": "tidal.py"})),
    calls(("fs__apply_patch", {"patch": PATCH})),
    text("The tide is added to the chart."),
)
SERVE = re.compile(r"^(lg-gateway serve .*) --port 8765$", re.MULTILINE)
LISTENING = r'''\1 2>serve.log &
until grep -q "^listening on" serve.log; do sleep 0.1; done
URL="$(sed -n "s/^listening on //p" serve.log)"'''
"""The page has the server run in a second terminal; here it runs beside the rest, on a port that the system chooses."""
ADA = """
import anyio, httpx2, sys
from mcp import Client
from mcp.client.streamable_http import streamable_http_client


async def progress(*_):
    pass


async def main():
    headers = {"Authorization": f"Bearer {open('ada.token').read().strip()}"}
    async with httpx2.AsyncClient(headers=headers, timeout=120) as http:
        async with Client(streamable_http_client(sys.argv[1], http_client=http)) as client:
            change = {"path": "ADA.md", "op": "add", "content": "hers"}
            asked = client.call_tool("fs__apply_patch", {"changes": [change]}, progress_callback=progress)
            print((await asked).content[0].text)


anyio.run(main)
"""
"""Another client of the team: it cannot ask but shows progress, so its call waits for the maintainer."""
ASKED = """python3 ada.py "$URL" &
until lg-gateway approvals list --root tidal | grep -q ap-; do sleep 0.1; done
"""
SCRIPT = """\
trap 'echo "@failed $? $BASH_COMMAND"' ERR
trap 'trap - ERR; kill $(jobs -p) 2>/dev/null' EXIT
{blocks}
echo @finished
"""

pytestmark = [pytest.mark.timeout(TIMEOUT_S + 20), pytest.mark.usefixtures("a_shell")]


@pytest.fixture
def a_shell() -> None:
    require(shutil.which("bash") is not None and shutil.which("git") is not None, "bash and git")


@pytest.fixture
def typed(tmp_path: Path, fork_server: ForkServer | None) -> Callable[..., str]:
    return partial(type_page, tmp_path, fork_server)


def type_page(folder: Path, server: ForkServer | None, page: str, replaced: Mapping[str, str] | None = None) -> str:
    """Type the blocks of a page; return what the terminal showed, `@failed` after each command that failed."""
    blocks = re.findall(
        r"^```(sh|console)\n(.*?)^```$", (DOCS / page).read_text("utf-8"), flags=re.MULTILINE | re.DOTALL
    )
    joined = "".join(block if kind == "sh" else prompted(block) for kind, block in blocks)
    assert joined.startswith('export PATH="/path/to/lg-orchestration-platform/.venv/bin:$PATH"\n')
    joined = joined.partition("\n")[2]  # the shell here has them
    for words, others in (replaced or {}).items():
        joined = joined.replace(words, others)
    joined = SERVE.sub(LISTENING, joined).replace("http://127.0.0.1:8765/mcp", '"$URL"')
    script = folder / "typed.sh"
    script.write_text(SCRIPT.format(blocks=joined))
    work = folder / "work"
    work.mkdir()
    environ = {**os.environ, "HOME": str(folder), "TERM": "dumb", "GIT_PAGER": "cat", "PAGER": "cat"}
    with typed_shell(script, work, environ, server) as terminal:
        return answered(terminal)


def prompted(block: str) -> str:
    """Return what is typed in a `console` block: its lines behind a prompt."""
    return "".join(f"{line}\n" for line in re.findall(r"^\$ (.*)$", block, flags=re.MULTILINE))


def answered(terminal: int) -> str:
    """Read to the end of the page, answering each question once as the page says."""
    shown, seen, deadline = "", 0, time.monotonic() + TIMEOUT_S
    while "@finished" not in shown:
        assert select.select([terminal], [], [], max(0, deadline - time.monotonic()))[0], f"it hangs after:\n{shown}"
        shown += os.read(terminal, 65536).decode("utf-8", "replace")
        for question, answer in ANSWERS.items():
            place = shown.find(question, seen)
            if place >= 0:
                seen = place + len(question)
                os.write(terminal, answer.encode())
    return shown.replace("\r\n", "\n")


def summary_is_laid_out(shown: str) -> bool:
    return "Summary of tidal" in re.sub(r"\x1b\[[0-9;]*m", "", shown)


def failed(shown: str) -> list[str]:
    return re.findall(r"^@failed (.*)$", shown, flags=re.MULTILINE)


def test_the_tutorial_of_an_agent_fixes_undoes_waits_and_goes_on(typed: Callable[..., str], tmp_path: Path) -> None:
    settings = tmp_path / "scripted.toml"
    with ScriptedModel((*FIX, *FIX)) as model:
        settings.write_text(f'[models.default]\nprovider = "openai"\nmodel = "NAME"\nbase_url = "{model.base_url}"\n')
        shown = typed("tutorial-agent.md", {"LG_MODEL=openai:NAME": f"LG_CONFIG={settings}"})
        assert len(model.requests) == 6, shown
    assert failed(shown) == ['3 lg-orch run "fix the failing test" < /dev/null']
    assert summary_is_laid_out(shown)
    assert "+    return chart + tide" in shown
    assert "return chart + tide" in (tmp_path / "work" / "tidal" / "tidal.py").read_text()


def test_the_tutorial_of_a_client_reads_changes_explains_and_verifies(
    typed: Callable[..., str], tmp_path: Path
) -> None:
    shown = typed("tutorial-client.md")
    assert failed(shown) == [], shown
    assert re.search(r"^add NOTES\.md ", shown, flags=re.MULTILINE)
    assert not (tmp_path / "work" / "tidal" / "NOTES.md").exists(), "what was changed is taken back"
    assert "lg-gateway" in (tmp_path / ".claude.json").read_text(), "the client finds its entry"
    assert re.findall(r"^(allow|approve|deny): ", shown, flags=re.MULTILINE) == ["allow", "approve"]
    assert "\nintact: " in shown


def test_the_tutorial_of_a_team_serves_explains_and_revokes(typed: Callable[..., str], tmp_path: Path) -> None:
    (tmp_path / "ada.py").write_text(ADA)
    listed, question = "lg-gateway approvals list\n", "$(lg-gateway approvals list | cut -d' ' -f1)"
    shown = typed("tutorial-team.md", {
        listed: f"cp ../ada.py .\n{ASKED}{listed}", "approve ap-...": f'approve "{question}"\nwait %2'
    })  # fmt: skip
    assert failed(shown) == [], shown
    assert re.search(
        r"^ap-\w+  pending .*  ADA\.md  asked by token:ada .*  operator needed  ", shown, flags=re.MULTILINE
    )
    assert (tmp_path / "work" / "tidal" / "ADA.md").read_text() == "hers"
    assert re.findall(r"^(allow|approve|deny): ", shown, flags=re.MULTILINE) == ["deny", "approve"]
    assert summary_is_laid_out(shown)
    assert re.search(r"  fs__read_file +README\.md .* allowed +ok ", shown)
    assert "for token:ada revoked" in shown


def test_every_tutorial_is_tried_here() -> None:
    assert sorted(page.name for page in DOCS.glob("tutorial-*.md")) == sorted(PAGES)
