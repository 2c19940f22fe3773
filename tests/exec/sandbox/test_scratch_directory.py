"""A scratch directory that is cleaned away, or cannot be used, while the server lives."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import anyio
import pytest

from lg_exec.sandbox import scratch_directory
from lg_policy.errors import SandboxUnavailable
from tests.exec.helpers import py, sandboxed, settings, unconfined
from tests.support import require

pytestmark = pytest.mark.anyio

RW = {"from": "python", "args_allow": ["-c=*..."], "root": "rw"}


@pytest.mark.parametrize("what", ["", "accounts", "accounts/passwd", "accounts/nothing"])
@pytest.mark.parametrize("contained", [True, False])
async def test_what_a_clean_up_removed_is_made_anew(tmp_path: Path, what: str, contained: bool) -> None:
    root, scratch = tmp_path / "root", tmp_path / "s"
    root.mkdir()
    (root / ".env").write_text("hidden")
    chosen = settings(commands={"py": RW})
    with (sandboxed if contained else unconfined)(root, scratch, chosen) as executor, anyio.fail_after(60):
        assert (await py(executor, "print(1)")).ok
        gone = scratch / what
        if gone.is_dir():
            shutil.rmtree(gone)
        else:
            gone.unlink(missing_ok=True)
        outcome = await py(executor, "open('new', 'w').write('x'); print(2)")
    assert outcome.as_json()["stdout"] == "2\n"
    assert (root / "new").read_text() == "x"


async def test_a_scratch_directory_that_somebody_else_made_is_not_used(tmp_path: Path) -> None:
    require(os.name == "posix", "owners and modes")
    root, scratch = tmp_path / "root", tmp_path / "s"
    root.mkdir()
    with sandboxed(root, scratch, settings()) as executor, anyio.fail_after(60):
        shutil.rmtree(scratch)
        scratch.mkdir()
        scratch.chmod(0o777)
        with pytest.raises(SandboxUnavailable, match="no longer this server's own"):
            await py(executor, "print(1)")
        scratch.rmdir()
        scratch.symlink_to(root)
        with pytest.raises(SandboxUnavailable, match="no longer this server's own"):
            await py(executor, "print(1)")
    assert list(root.iterdir()) == []


async def test_a_place_where_nothing_can_be_made_is_the_cause_in_one_line(tmp_path: Path) -> None:
    root, scratch = tmp_path / "root", tmp_path / "above" / "s"
    root.mkdir()
    scratch.parent.mkdir()
    with sandboxed(root, scratch, settings(commands={"py": RW})) as executor, anyio.fail_after(60):
        shutil.rmtree(scratch.parent)
        with pytest.raises(SandboxUnavailable, match="is gone and cannot be made anew") as refused:
            await py(executor, "print(1)")
    assert refused.value.hint == "restart lg-exec"


def test_a_directory_that_is_there_is_left_as_it_is(tmp_path: Path) -> None:
    assert scratch_directory.ensure(str(tmp_path / "new"))
    assert not scratch_directory.ensure(str(tmp_path / "new"))
