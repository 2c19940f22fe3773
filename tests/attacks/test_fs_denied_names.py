"""Names that are no text: a file is closed by its bytes."""

from __future__ import annotations

import os

import pytest

from lg_policy.config.settings import PolicySettings
from lg_policy.paths.file_rules import FileRules


@pytest.mark.attack("Denied names", "a closed file below a directory whose name holds a line end or is not UTF-8")
@pytest.mark.parametrize(
    "directory", [b"a\nb", b"\n", b"caf\xe9", b"\xff\xfe", b"\xed\xa0\x80", b" ", b"\x01"], ids=repr
)
def test_a_rule_reaches_below_a_directory_of_any_name(directory: bytes) -> None:
    rules = FileRules.from_settings(PolicySettings())
    for name in (b"/.env", b"/x/.ssh/key", b"/server.pem", b"/.git/config"):
        path = os.fsdecode(directory + name)
        assert not rules.may_read(path)
        assert not rules.may_write(path)
        assert rules.unreadable(["open.txt", path]) == {1}
