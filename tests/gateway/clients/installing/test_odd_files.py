"""Odd files of clients through `import`, `install`, `--move`, `--remove`: an answer in words, and every byte back."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from lg_gateway.cli import main
from tests.gateway.clients.installing.odd_files import ODD, PLACES

STEPS = (
    ("install",),
    ("install",),
    ("install", "--remove"),
    ("install", "--move", "--yes"),
    ("install", "--remove"),
)


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in list(os.environ):
        if name.startswith(("XDG_", "LG_")):
            monkeypatch.delenv(name)
    root = tmp_path / "home" / "project"
    root.mkdir(parents=True)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("PYTHON_KEYRING_BACKEND", "keyring.backends.null.Keyring")
    monkeypatch.chdir(root)
    return root


def said(words: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> tuple[int, str]:
    status = main(words)
    shown = capsys.readouterr()
    if status == 2:
        assert len(shown.err.splitlines()) == 1, "one line says what is wrong"
        for machine in ("NoneType", "\\u{a}", "codec", "sys.set_int", "recursion", "twice (at line"):
            assert machine not in shown.err
    return status, shown.out + shown.err


@pytest.mark.parametrize(("name", "client", "content"), ODD, ids=[name for name, *_ in ODD])
def test_an_odd_file_is_read_or_refused_in_words_and_comes_back_byte_for_byte(
    root: Path, name: str, client: str, content: bytes, capsys: pytest.CaptureFixture[str]
) -> None:
    file = root.parent / PLACES[client]
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(content)
    status, text = said(("import", str(file), "--dry-run", "--root", str(root)), capsys)
    assert status in (0, 1, 2), text
    assert file.read_bytes() == content
    written = []
    for command, *options in STEPS:
        said((command, client, "--root", str(root), *options), capsys)
        written.append(file.read_bytes())
    assert written[0] == written[1], "installing again changes nothing"
    assert written[2] == content
    assert written[4] == content


def test_an_entry_of_a_list_that_is_no_server_costs_that_entry(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = root.parent / PLACES["continue"]
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(
        "mcpServers:\n- name: a\n  command: a-mcp\n- uses: org/block\n- name: b\n- name: b\n  command: c\n- x\n"
    )
    status, text = said(("import", str(file), "--dry-run", "--root", str(root)), capsys)
    assert status == 0
    assert "+ a " in text
    left_out = [line.split()[1] for line in text.splitlines() if line.startswith("  - ")]
    assert [name.strip('"') for name in left_out] == ["org/block", "b", "entry"]


def test_a_linked_file_stays_a_link_and_a_read_only_one_keeps_its_mode(root: Path) -> None:
    file, real = root.parent / PLACES["cursor"], root.parent / "dotfiles" / "mcp.json"
    for path in (file, real):
        path.parent.mkdir(parents=True)
    content = b'{"mcpServers": {"a": {"command": "a-mcp"}}}'
    real.write_bytes(content)
    real.chmod(0o444)
    file.symlink_to(real)
    assert main(("install", "cursor", "--root", str(root), "--move", "--yes")) == 0
    assert file.is_symlink()
    assert real.read_bytes() != content
    assert real.stat().st_mode & 0o777 == 0o444
    assert main(("install", "cursor", "--root", str(root), "--remove")) == 0
    assert file.is_symlink()
    assert real.read_bytes() == content
