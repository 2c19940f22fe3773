"""The macOS profile as text. It was never run on a Mac: this says what it is meant to say, not that it holds."""

from __future__ import annotations

import pytest

from lg_exec.sandbox.seatbelt import profile
from lg_policy.errors import SandboxUnavailable
from lg_policy.sandbox.hidden_paths import Masks

MASKS = Masks(hidden_files=(".env",), hidden_dirs=("keys",), protected=(".git",))


def made(root: str = "/Users/me/project", *, network: bool = False) -> list[str]:
    text = profile(root=root, readable=("/usr",), private="/private/tmp/x", masks=MASKS, network=network)
    return text.splitlines()


def test_everything_is_denied_first_and_what_is_hidden_is_denied_last() -> None:
    lines = made()
    assert lines[:2] == ["(version 1)", "(deny default)"]
    opened = lines.index('(allow file-read* (subpath "/Users/me/project"))')
    assert lines.index('(deny file-read* file-write* (literal "/Users/me/project/.env"))') > opened
    assert lines.index('(deny file-read* file-write* (subpath "/Users/me/project/keys"))') > opened


def test_only_the_private_directory_is_writable_and_there_is_no_network_unasked() -> None:
    writable = [line for line in made() if "file-write*" in line and line.startswith("(allow")]
    assert writable == ['(allow file-read* file-write* (subpath "/private/tmp/x"))']
    assert not [line for line in made() if "network" in line]
    assert "(allow network*)" in made(network=True)


def test_a_name_cannot_end_its_string() -> None:
    lines = made('/Users/me/a") (allow default) ("')
    assert '(allow file-read* (subpath "/Users/me/a\\") (allow default) (\\""))' in lines
    assert "(allow default)" not in lines
    with pytest.raises(SandboxUnavailable, match="control characters"):
        made("/Users/me/a\nb")
