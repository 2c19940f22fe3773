"""Change records as they are stored: those of earlier versions open, and patches are stored as before."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from lg_policy.changes.records import ChangeRecord, FileRecord

STORED = {
    "version": 1,
    "change_id": "c1",
    "time": "2026-01-01T00:00:00.000+00:00",
    "kind": "patch",
    "reverts": None,
    "key": None,
    "arguments_digest": "d",
    "prefix": "",
    "files": [
        {
            "op": "update",
            "path": "a",
            "to": None,
            "before_sha256": "b",
            "after_sha256": "c",
            "mode": 420,
            "added": 1,
            "removed": 2,
            "match": None,
        }
    ],
    "made_dirs": ["x", "x/y"],
    "diff": "",
    "members": [],
    "order": [],
}
"""What a version wrote that knew neither links nor removed directories."""


def test_a_record_of_an_earlier_version_opens_and_is_written_as_it_was() -> None:
    record = ChangeRecord.from_dict(STORED)
    assert record.files[0].state_after == "c"
    assert record.removed_dirs == ()
    assert json.loads(json.dumps(record.as_dict())) == STORED


def test_what_a_command_did_is_read_as_it_was_written() -> None:
    file = FileRecord(
        op="update",
        path="a",
        to=None,
        before_sha256="b",
        after_sha256="b",
        mode=0o644,
        added=0,
        removed=0,
        match=None,
        mode_after=0,
        link_before=True,
    )
    record = replace(ChangeRecord.from_dict(STORED), kind="command", files=(file,), removed_dirs=("d/e", "d"))
    assert ChangeRecord.from_dict(json.loads(json.dumps(record.as_dict()))) == record
    assert file.state_before != file.state_after, "a link and a file of the same content are not the same"


@pytest.mark.parametrize("damaged", [None, [], {}, {**STORED, "version": 2}, {**STORED, "files": [{}]}])
def test_a_damaged_record_is_refused(damaged: object) -> None:
    with pytest.raises(ValueError, match="record"):
        ChangeRecord.from_dict(damaged)
