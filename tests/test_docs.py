"""The documentation says what the programs have: settings, environment variables, commands, options, files."""

from __future__ import annotations

import re
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

from lg_policy.config.loading import load_settings
from tests.documents import (
    PAGES,
    PROGRAMS,
    ROOT,
    anchors,
    blocks,
    commands,
    is_setting,
    links,
    name,
    setting_names,
    spans,
)

HISTORY = "CHANGELOG.md"
"""What it says was true of its time: names of files and options may be gone since."""
CURRENT = [page for page in PAGES if page.name != HISTORY]
FOLDERS = "policy|servers|gateway|orchestrator|tests|scripts|docs|schemas|bench|configs|eval|conformance"


@pytest.mark.parametrize("script", ["settings_reference.py", "attack_table.py"])
def test_generated_parts_are_what_their_source_says(script: str) -> None:
    argv = [sys.executable, str(ROOT / "scripts" / script), "--check"]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr


def test_every_environment_variable_that_the_programs_read_is_documented() -> None:
    used = set(re.findall(r"[\"'](LG_[A-Z_]+)[\"']", "".join(sources("*.py"))))
    documented = set(re.findall(r"LG_[A-Z_]+", (ROOT / "docs" / "configuration.md").read_text("utf-8")))
    assert used <= documented


def test_every_message_that_troubleshooting_explains_is_one_that_the_programs_print() -> None:
    page = (ROOT / "docs" / "troubleshooting.md").read_text("utf-8")
    told = re.findall(r"^(?:### |\| )`([^`]+)`(?: \|.*)?$", page, flags=re.MULTILINE)
    folders = ("policy", "servers", "gateway", "orchestrator", "scripts")
    files = [path for folder in folders for end in ("py", "sh") for path in (ROOT / folder).rglob(f"*.{end}")]
    source = "\n".join(path.read_text("utf-8") for path in files)
    assert len(told) > 20
    gone = [words for words in told if words not in source]
    assert not gone, "no program says this any more: give docs/troubleshooting.md the new words"


def test_the_glossary_stays_short() -> None:
    page = (ROOT / "docs" / "glossary.md").read_text("utf-8")
    assert len(re.findall(r"^\| \*\*", page, flags=re.MULTILINE)) <= 25


def test_the_index_of_the_documentation_leads_to_every_page() -> None:
    index = (ROOT / "docs" / "README.md").read_text("utf-8")
    pages = {path.name for path in (ROOT / "docs").glob("*.md")} - {"README.md"}
    assert [name for name in sorted(pages) if f"({name})" not in index] == []


@pytest.mark.parametrize("page", CURRENT, ids=name)
def test_every_variable_and_metadata_key_that_a_page_names_is_in_the_code(page: Path) -> None:
    code = "".join(sources("*.py", "*.sh", "*.ps1"))
    text = page.read_text("utf-8")
    named = {*re.findall(r"\bLG_[A-Z_]+\b", text), *re.findall(r"[\"`](lg/[a-z-]+)[\"`]", text)}
    assert not [word for word in named if not re.search(rf"[\"'{{$ ]{word}\b", code)]


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_every_link_inside_the_project_leads_to_a_file_and_a_heading(page: Path) -> None:
    broken = []
    for link in links(page.read_text("utf-8")):
        path, _, anchor = link.partition("#")
        target = page.parent / path if path else page
        if not target.exists() or (anchor and anchor not in anchors(target.read_text("utf-8"))):
            broken.append(link)
    assert not broken


@pytest.mark.parametrize("page", CURRENT, ids=name)
def test_every_command_and_option_that_a_page_names_exists(page: Path) -> None:
    wrong = []
    for mention in commands(page.read_text("utf-8")):
        known = subcommands(mention.program)
        chosen = mention.words[0] if mention.words and known else ""
        if chosen and not set(chosen.split("|")) <= known:
            wrong.append(f"{mention.program} {chosen}")
            continue
        for command in chosen.split("|"):
            known_actions = actions(mention.program, command)
            named = set("|".join(mention.words[1:2]).split("|")) - {""} if known_actions else set()
            if not named <= known_actions:
                wrong.append(f"{mention.program} {' '.join(mention.words)}")
                continue
            text = usage(mention.program, command, *sorted(named))
            wrong += [
                f"{mention.program} {command} {option}"
                for option in mention.options
                if not re.search(rf"(?<![\w-]){option}(?![\w-])", text)
            ]
    assert not wrong


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_every_setting_that_a_page_names_exists(page: Path) -> None:
    assert not [setting for setting in setting_names(page.read_text("utf-8")) if not is_setting(setting)]


@pytest.mark.parametrize("page", CURRENT, ids=name)
def test_every_settings_example_loads(page: Path, tmp_path: Path) -> None:
    for text in blocks(page.read_text("utf-8"), "toml"):
        # `[[case]]` is a table for `policy test`, `[mcp_servers.…]` one of Codex, which another test compares.
        if "[[case]]" not in text and not text.startswith("[mcp_servers."):
            path = tmp_path / "example.toml"
            path.write_text(text)
            assert load_settings(config=path, environ={}).files[-1] == path, text


@pytest.mark.parametrize("page", CURRENT, ids=name)
def test_every_file_of_the_project_that_a_page_names_exists(page: Path) -> None:
    named = spans(page.read_text("utf-8"))
    missing = [
        path for path in named if re.fullmatch(rf"({FOLDERS})/[\w./*-]+", path) and not any(ROOT.glob(path.rstrip("/")))
    ]
    modules = {path.name for path in (ROOT / "tests").rglob("test_*.py")}
    missing += [span for span in named if re.fullmatch(r"test_\w+\.py", span) and span not in modules]
    assert not missing


def test_what_reads_the_pages_finds_something_to_check() -> None:
    pages = {name(page): page.read_text("utf-8") for page in PAGES}
    assert {mention.program for text in pages.values() for mention in commands(text)} == set(PROGRAMS)
    assert any(mention.words == ("audit", "verify") for mention in commands(pages["docs/audit.md"]))
    assert "ledger.outcome_days" in list(setting_names(pages["docs/guarantees.md"]))
    assert "how-a-call-is-decided" in anchors(pages["docs/policy.md"])
    assert not is_setting("ledger.outcome_weeks")
    assert not is_setting("gateway.servers.NAME.programme")


@cache
def sources(*globs: str) -> list[str]:
    """The text of what is installed; with scripts and tests where more than modules are asked for."""
    folders = ("policy", "servers", "gateway", "orchestrator", *(["scripts", "tests"] if len(globs) > 1 else []))
    paths = (path for folder in folders for glob in globs for path in (ROOT / folder).rglob(glob))
    return [path.read_text("utf-8") for path in paths]


def subcommands(program: str) -> set[str]:
    """The commands of a program by its help; none where it has none."""
    return listed(helped(program))


@cache
def actions(program: str, command: str) -> set[str]:
    """The actions of a command by its help; none where it has none."""
    return listed(helped(program, command)) if command else set()


def listed(text: str) -> set[str]:
    headed = re.search(r"^(?:positional arguments|commands|actions):$(.*?)^options:$", text, re.MULTILINE | re.DOTALL)
    return set(re.findall(r"^ {2,4}([a-z][a-z-]*)", headed[1], flags=re.MULTILINE)) if headed else set()


@cache
def usage(program: str, command: str, *named: str) -> str:
    """The help of a program, of one command, or of some of its actions: of all if none is named.

    Without a command the gateway serves, so it takes those options too.
    """
    if program == "lg-gateway" and not command:
        return usage(program, "serve") + helped(program)
    chosen = named or sorted(actions(program, command))
    texts = [helped(program, command, action) for action in chosen]
    return "".join(texts) or (helped(program, command) if command else helped(program))


@cache
def helped(program: str, *command: str) -> str:
    argv = [sys.executable, "-m", program.replace("-", "_"), *command, "--help"]
    done = subprocess.run(argv, cwd=ROOT.parent, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout
