"""Questions that the code server answers better, and the same questions where it is missing or fails."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from lg_orch.contracts.envelopes import Artifacts, Problem, ToolEnvelope
from tests.fs.helpers import write_tree
from tests.orchestrator.analyst.driver import CODE_TOOLS, FS_TOOLS, ask

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.anyio

SITE = {
    "src/site/progress.py": (
        '"""A bar that shows how far a download is."""\n\n\nclass ProgressBar:\n    def advance(self, count):\n'
        "        self.done = count\n\n    def render_progress(self):\n        return '#' * self.done\n"
    ),
    "src/site/bar.py": "def bar(x):\n    return x\n\n\nbar_of = bar\n",
    "src/site/helpers.py": "def url_for(endpoint, **values):\n    return '/' + endpoint\n",
    "src/site/sessions.py": (
        "class SessionInterface:\n    def open_session(self, app, request):\n        return {}\n\n\n"
        "class SecureCookieSession(dict):\n    modified = False\n"
    ),
    "src/site/views.py": (
        "from .helpers import url_for\n\n\ndef index():\n    # url_for builds links\n    return url_for('index')\n"
    ),
    "src/site/templates/base.html": (
        "<a href=\"{{ url_for('index') }}\">home</a>\n<a href=\"{{ url_for('about') }}\">about</a>\n"
    ),
    "src/site/templates/mail.txt": "Visit {{ url_for('index') }}\n",
    "tests/test_sessions.py": (
        "from site.sessions import SessionInterface\n\n\ndef test_open():\n    SessionInterface()\n"
    ),
    "tests/test_basic.py": "import site\n\n\ndef test_cookie():\n    site.SecureCookieSession()\n",
    "tests/test_signals.py": "import site\n\n\ndef test_unrelated():\n    assert site\n",
}
CRATE = {
    "Cargo.toml": '[package]\nname = "pot"\nversion = "0.1.0"\n',
    "src/lib.rs": "pub mod kettle;\npub mod lid;\n",
    "src/kettle.rs": (
        "pub fn boil(litres: u32) -> u32 {\n    litres * 4\n}\n\n#[cfg(test)]\nmod tests {\n    use super::*;\n\n"
        "    #[test]\n    fn boils_little() {\n        assert_eq!(boil(1), 4);\n    }\n\n"
        "    #[test]\n    fn boils_much() {\n        assert_eq!(boil(9), 36);\n    }\n}\n"
    ),
    "src/lid.rs": (
        "pub fn close() {}\n\n#[cfg(test)]\nmod tests {\n"
        "    #[test]\n    fn closes() {\n        super::close();\n    }\n}\n"
    ),
    "tests/brewing.rs": "use pot::kettle::boil;\n\n#[test]\nfn brews() {\n    assert_eq!(boil(2), 8);\n}\n",
    "tests/whole.rs": "#[test]\nfn whole() {\n    let made = pot::kettle::boil(3);\n    assert_eq!(made, 12);\n}\n",
}


@pytest.mark.parametrize("tools", [CODE_TOOLS, FS_TOOLS], ids=["with the code server", "without it"])
async def test_what_is_described_in_words_is_not_taken_for_a_name(tmp_path: Path, tools: tuple[str, ...]) -> None:
    write_tree(tmp_path / "tree", SITE)
    outcome = await ask(tmp_path / "tree", "where is the progress bar implemented?", tools=tools)
    assert outcome.answer.statements[0].file == "src/site/progress.py"
    assert outcome.says("class", "ProgressBar")
    assert not outcome.says("bar", at="src/site/bar.py:1")


async def test_a_definition_by_name_is_looked_up_without_an_index(tmp_path: Path) -> None:
    write_tree(tmp_path / "tree", SITE)
    outcome = await ask(tmp_path / "tree", "where is url_for defined?", tools=CODE_TOOLS)
    assert outcome.says("url_for", at="src/site/helpers.py:1")
    assert {result.tool.partition("__")[0] for result in outcome.results} == {"fs"}
    assert not (tmp_path / "code-state").exists()


@pytest.mark.parametrize("tools", [CODE_TOOLS, FS_TOOLS], ids=["with the code server", "without it"])
async def test_uses_in_templates_are_told(tmp_path: Path, tools: tuple[str, ...]) -> None:
    write_tree(tmp_path / "tree", SITE)
    outcome = await ask(tmp_path / "tree", "who uses url_for?", tools=tools)
    files = {statement.file for statement in outcome.answer.statements}
    assert {"src/site/templates/base.html", "src/site/templates/mail.txt", "src/site/views.py"} <= files
    assert outcome.says("url_for", at="src/site/views.py:6")


async def test_tests_that_only_use_what_a_module_defines_are_told(tmp_path: Path) -> None:
    write_tree(tmp_path / "tree", SITE)
    outcome = await ask(tmp_path / "tree", "which tests cover site.sessions?", tools=CODE_TOOLS)
    told = {statement.file for statement in outcome.answer.statements}
    assert {"tests/test_sessions.py", "tests/test_basic.py"} <= told
    assert "tests/test_signals.py" not in told


async def test_tests_inside_a_rust_module_and_beside_it_are_told(tmp_path: Path) -> None:
    write_tree(tmp_path / "tree", CRATE)
    outcome = await ask(tmp_path / "tree", "which tests cover src/kettle.rs?", tools=CODE_TOOLS)
    told = {statement.file for statement in outcome.answer.statements}
    assert {"src/kettle.rs", "tests/brewing.rs", "tests/whole.rs"} <= told
    assert "src/lid.rs" not in told
    assert outcome.says("boils_little", "boils_much")


@pytest.mark.parametrize(
    ("request_", "call", "file"),
    [
        ("where is the progress bar implemented?", "found.1", "src/site/progress.py"),
        ("who uses url_for?", "references.1", "src/site/templates/base.html"),
        ("which tests cover site.sessions?", "tests.1", "tests/test_sessions.py"),
    ],
)
async def test_a_code_server_that_fails_is_replaced_by_plain_searches(
    tmp_path: Path, request_: str, call: str, file: str
) -> None:
    write_tree(tmp_path / "tree", SITE)
    failed = ToolEnvelope(
        tool="code__any",
        ok=False,
        exit_code=None,
        stdout="",
        stderr="",
        timing_ms=1,
        artifacts=Artifacts(call_id=call, error=Problem(code="upstream_unavailable", message="gone", hint="")),
    )
    outcome = await ask(tmp_path / "tree", request_, tools=CODE_TOOLS, canned={call: failed})
    assert file in {statement.file for statement in outcome.answer.statements}
    assert any("upstream_unavailable" in item for item in outcome.answer.missing)
