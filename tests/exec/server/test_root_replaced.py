"""A root that is replaced, removed or cannot be used: the cause is one line, and nothing happens elsewhere."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import anyio
import pytest

from lg_exec.server.executor import Executor, Request
from lg_policy.errors import Conflict
from tests.exec.helpers import py, sandboxed, settings, unconfined
from tests.support import require

RW = {"from": "python", "args_allow": ["-c=*..."], "root": "rw"}


def replace(root: Path) -> None:
    root.rename(root.with_name("moved"))
    root.mkdir()
    (root / "other").write_text("other")


def remove(root: Path) -> None:
    (root / "file").unlink()
    root.rmdir()


def link_elsewhere(root: Path) -> None:
    root.rename(root.with_name("moved"))
    root.symlink_to(root.with_name("moved"))


@pytest.fixture
def root(tmp_path: Path) -> Path:
    path = tmp_path / "root"
    path.mkdir()
    (path / "file").write_text("file")
    return path


@pytest.mark.anyio
@pytest.mark.parametrize("change", [replace, remove])
@pytest.mark.parametrize("contained", [True, False])
async def test_a_call_on_a_root_that_was_replaced_is_refused(
    root: Path, tmp_path: Path, change: object, contained: bool
) -> None:
    chosen = settings(commands={"py": RW})
    with (sandboxed if contained else unconfined)(root, tmp_path / "s", chosen) as executor, anyio.fail_after(60):
        assert (await py(executor, "print(open('file').read())")).as_json()["stdout"] == "file\n"
        assert callable(change)
        change(root)
        with pytest.raises(Conflict, match="root"):
            await py(executor, "print(open('other').read()); open('new', 'w')")
    assert not (root / "new").exists()
    assert not (tmp_path / "moved" / "new").exists()


@pytest.mark.anyio
async def test_a_root_reached_by_another_name_stays_the_same_root(root: Path, tmp_path: Path) -> None:
    with sandboxed(root, tmp_path / "s", settings(commands={"py": RW})) as executor, anyio.fail_after(60):
        link_elsewhere(root)
        outcome = await py(executor, "open('new', 'w')")
    assert outcome.changed_paths == ("new",) or outcome.finished.exit_code != 0
    assert (tmp_path / "moved" / "new").exists() == (outcome.finished.exit_code == 0)


@pytest.mark.anyio
async def test_changes_of_a_command_whose_root_was_replaced_meanwhile_are_not_kept(root: Path, tmp_path: Path) -> None:
    (root / ".git").mkdir()
    code = "import os, time\nopen('new', 'w')\nwhile not os.path.exists('.git/go'): time.sleep(0.02)\nprint('done')"
    outcomes = []
    with sandboxed(root, tmp_path / "s", settings(commands={"py": RW})) as executor, anyio.fail_after(60):

        async def run(running: Executor) -> None:
            outcomes.append(await running.execute(Request(cmd="py", args=("-c", code))))

        async with anyio.create_task_group() as group:
            group.start_soon(run, executor)
            while not list((tmp_path / "s").glob("upper-*/new/new")):
                await anyio.sleep(0.02)
            replace(root)
            (tmp_path / "moved" / ".git" / "go").touch()
    assert outcomes[0].as_json()["stdout"] == "done\n"
    assert outcomes[0].finished.not_kept is not None
    assert not (root / "new").exists()
    assert not (tmp_path / "moved" / "new").exists()


def started(*arguments: str, **more: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-P", "-m", "lg_exec", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, **more)  # type: ignore[call-overload,no-any-return]  # the options differ


def one_line(text: str) -> bool:
    return text.startswith("lg-exec: ") and text.count("\n") == 1 and "Traceback" not in text


def test_a_closed_standard_input_or_output_is_the_cause_in_one_line(tmp_path: Path) -> None:
    require(os.name == "posix", "a shell")
    for closed, named in (("<&-", "standard input"), (">&-", "standard output"), ("<&- >&-", "input and output")):
        script = f'exec "$0" -P -m lg_exec --root "$1" {closed}'
        done = subprocess.run(
            ["/bin/sh", "-c", script, sys.executable, str(tmp_path)],
            stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
        assert done.returncode == 2
        assert named in done.stderr
        assert one_line(done.stderr), done.stderr


def test_a_current_directory_that_was_removed_is_the_cause_in_one_line(tmp_path: Path) -> None:
    require(os.name == "posix", "a shell")
    (tmp_path / "gone").mkdir()
    done = subprocess.run(
        ["/bin/sh", "-c", 'rmdir "$PWD"; exec "$0" -P -m lg_exec', sys.executable],
        cwd=tmp_path / "gone", capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 2
    assert "current directory is gone" in done.stderr
    assert one_line(done.stderr), done.stderr


def test_a_temporary_directory_that_takes_nothing_is_the_cause_in_one_line(tmp_path: Path) -> None:
    done = started("--root", str(tmp_path), "doctor", env={**os.environ, "TMPDIR": str(tmp_path / "none")}, cwd="/")
    assert "Traceback" not in done.stderr
