"""What a command changed, taken back by the file server's `revert_patch`: everything, exactly, or not at all."""

from __future__ import annotations

import os
import stat
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import anyio
import pytest

from lg_exec.process.container import ChangeSet
from lg_exec.process.worker_thread import Work
from lg_exec.server.executor import Executor, Outcome
from lg_exec.write_back.snapshot import Snapshot
from lg_exec.write_back.transaction import Ground, Transaction
from lg_fs.changes.service import RevertRequest
from lg_policy.changes.interrupted import Step
from lg_policy.changes.journal import Journal
from lg_policy.config.settings import FsSettings
from lg_policy.jobs import Job
from lg_policy.paths.root import Root
from lg_policy.state import open_state
from tests.exec.helpers import py, sandboxed, settings
from tests.fs.changes.crasher import Bomb, changes
from tests.fs.helpers import FsClient, fs_client

pytestmark = pytest.mark.anyio

RW = {"from": "python", "args_allow": ["-c=*..."], "root": "rw"}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    path = tmp_path / "root"
    (path / "dir" / "deep").mkdir(parents=True)
    (path / "empty").mkdir()
    for name in ("kept", "edited", "removed", "dir/a", "dir/deep/b", "file"):
        (path / name).write_text(f"{name}\n")
    (path / "tool").write_text("#!/bin/sh\n")
    (path / "link").symlink_to("kept")
    (path / "other").symlink_to("dir/a")
    return path


@pytest.fixture
def executor(root: Path, tmp_path: Path) -> Iterator[Executor]:
    with sandboxed(root, tmp_path / "s", settings(commands={"py": RW})) as ready:
        yield ready


@pytest.fixture
async def fs(root: Path) -> AsyncIterator[FsClient]:
    async with fs_client(root) as client:
        yield client


def tree(root: Path) -> dict[str, object]:
    """Names below a root, with the content and mode of files, the target of links, and directories."""
    found: dict[str, object] = {}
    for path in sorted(root.rglob("*")):
        name = str(path.relative_to(root))
        if path.is_symlink():
            found[name] = f"-> {path.readlink()}"
        elif path.is_dir():
            found[name] = "/"
        else:
            found[name] = (path.read_bytes(), stat.S_IMODE(path.stat().st_mode))
    return found


async def ran(executor: Executor, code: str) -> Outcome:
    with anyio.fail_after(60):
        outcome = await py(executor, f"import os, shutil\n{code}")
    assert outcome.ok, outcome.as_json()
    return outcome


WORKS = {
    "edits": "open('edited', 'a').write('more'); os.remove('removed'); open('new', 'w').write('x')",
    "new directories": "os.makedirs('n/m'); open('n/m/f', 'w').write('x'); os.mkdir('n/e'); open('n/g', 'w')",
    "a removed directory": "shutil.rmtree('dir')",
    "an empty directory": "os.rmdir('empty'); open('new', 'w').write('x')",
    "modes": "os.chmod('tool', 0o755); os.chmod('kept', 0o600)",
    "binary": "open('edited', 'wb').write(bytes(range(256))); open('new', 'wb').write(b'\\0' * 5000)",
    "links": "os.remove('link'); os.symlink('dir', 'link'); os.symlink('/etc/passwd', 'out'); os.remove('other')",
    "a link becomes a file": "os.remove('link'); open('link', 'w').write('now a file')",
    "a file becomes a link": "os.remove('kept'); os.symlink('edited', 'kept')",
    "a file becomes a directory": "os.remove('file'); os.makedirs('file/in'); open('file/in/x', 'w').write('x')",
    "a directory becomes a file": "shutil.rmtree('dir'); open('dir', 'w').write('now a file')",
    "a directory becomes a link": "shutil.rmtree('dir'); os.symlink('empty', 'dir')",
    "a directory is moved": "shutil.copytree('dir', 'moved'); shutil.rmtree('dir')",
    "a directory is emptied and filled": "shutil.rmtree('dir'); os.makedirs('dir/deep'); open('dir/c', 'w').write('c')",
    "odd names": "open('a b', 'w').write('x'); open('ä\\u202e', 'w').write('y'); open('n' * 255, 'w').write('z')",
    "many files": "for n in range(400): open(f'f{n}', 'w').write(str(n))",
}


@pytest.mark.parametrize("code", WORKS.values(), ids=WORKS.keys())
async def test_whatever_a_command_did_is_taken_back_and_done_again(
    root: Path, executor: Executor, fs: FsClient, code: str
) -> None:
    before = tree(root)
    outcome = await ran(executor, code)
    after = tree(root)
    assert after != before
    change_id = outcome.as_json()["change_id"]
    assert outcome.hint == ""
    assert (await fs.ok("list_changes"))["changes"][0]["change_id"] == change_id
    shown = await fs.ok("revert_patch", change_id=change_id, dry_run=True)
    assert shown["diff"]
    assert tree(root) == after
    reverted = await fs.ok("revert_patch", change_id=change_id)
    assert tree(root) == before
    await fs.ok("revert_patch", change_id=reverted["change_id"])
    assert tree(root) == after


EVERYTHING = (
    "os.remove('link'); open('link', 'w').write('now a file'); os.remove('kept'); os.symlink('edited', 'kept')\n"
    "os.remove('file'); os.makedirs('file/in'); open('file/in/x', 'w').write('x'); os.chmod('tool', 0o755)\n"
    "shutil.rmtree('dir'); open('dir', 'w').write('now a file'); os.rmdir('empty'); os.makedirs('n/m/o')\n"
    "open('n/m/f', 'w').write('x'); open('edited', 'a').write('more')"
)


async def test_a_file_server_killed_while_it_takes_back_leaves_all_or_nothing(
    root: Path, executor: Executor, caplog: pytest.LogCaptureFixture
) -> None:
    before = tree(root)
    change_id = (await ran(executor, EVERYTHING)).as_json()["change_id"]
    after = tree(root)
    state = open_state(root=root).path
    undone = 0
    for fuse in range(100):
        pid = os.fork()
        if pid == 0:
            try:
                with Root(root) as opened:
                    changes(opened, state, Bomb(fuse)).revert(RevertRequest(change_id=change_id), Job(60))
            finally:
                os._exit(0)
        died = os.waitpid(pid, 0)[1] != 0
        with Root(root) as opened:
            changes(opened, state).recover()
        if tree(root) == before:
            break
        assert died
        undone += 1
        assert tree(root) == after, fuse
    assert tree(root) == before
    assert undone > 15
    assert not [record for record in caplog.records if "left alone: [" in record.getMessage()]


async def test_an_edit_made_since_then_is_a_conflict_and_nothing_is_taken_back(
    root: Path, executor: Executor, fs: FsClient
) -> None:
    outcome = await ran(executor, "open('new', 'w').write('x'); open('edited', 'w').write('y')")
    (root / "edited").write_text("by a human")
    changed = tree(root)
    result = await fs.call("revert_patch", change_id=outcome.as_json()["change_id"])
    assert result.is_error
    assert result.structured_content is not None
    assert result.structured_content["error"]["code"] == "conflict"
    assert tree(root) == changed


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("open(b'\\xff', 'w'); open('edited', 'w')", "a name that no tool can be told"),
        ("open('a\\nb', 'w')", "a name that no tool can be told"),
        ("open('new', 'wb').truncate(20_000_000)", "fs.patch_max_file_bytes"),
        ("for n in range(5): open(f'f{n}', 'wb').write(bytes(8_000_000))", "fs.journal_max_bytes"),
        ("os.mkdir('only')", "only directories"),
    ],
)
async def test_what_cannot_be_taken_back_is_kept_all_the_same_and_says_why(
    root: Path, executor: Executor, fs: FsClient, code: str, reason: str
) -> None:
    before = tree(root)
    outcome = await ran(executor, code)
    assert tree(root) != before
    assert reason in outcome.hint
    assert "change_id" not in outcome.as_json()
    assert (await fs.ok("list_changes"))["changes"] == []


async def test_a_journal_that_cannot_be_written_keeps_nothing_and_says_so(
    root: Path, executor: Executor, clean_environment: Path
) -> None:
    (root / ".git").mkdir()
    await ran(executor, "open('first', 'w').write('x')")
    pending = next(clean_environment.glob("state/lg/*/fs/*/pending"))
    code = (
        "import os, time\nopen('second', 'w').close(); print('said')\n"
        "while not os.path.exists('.git/go'): time.sleep(0.02)"
    )
    outcomes: list[Outcome] = []

    async def run() -> None:
        outcomes.append(await py(executor, code))

    with anyio.fail_after(60):
        async with anyio.create_task_group() as group:
            group.start_soon(run)
            while not list(root.parent.glob("s/upper-*/new/second")):
                await anyio.sleep(0.02)
            pending.rmdir()
            pending.write_text("in the way")
            (root / ".git" / "go").touch()
    assert outcomes[0].as_json()["stdout"] == "said\n"
    assert outcomes[0].finished.not_kept is not None
    assert not (root / "second").exists()
    assert list(root.glob(".lg-*")) == []


async def test_a_server_killed_before_it_told_the_journal_is_undone_by_the_file_server(
    root: Path, executor: Executor
) -> None:
    """The record of what was begun is found by whichever server starts first."""
    await ran(executor, "open('edited', 'a').write('more')")
    before = tree(root)
    state = open_state(root=root).path
    with Root(root) as opened:
        place = Ground(
            root_fd=opened.fd,
            root=str(opened.path),
            state=state / "exec" / opened.id,
            journal=Journal(state / "fs" / opened.id, FsSettings()),
        )
        upper = root.parent / "upper"
        upper.mkdir()
        (upper / "edited").write_text("half done")
        (upper / "new").write_text("half done")
        steps = [Step(kind="put", rel="edited"), Step(kind="put", rel="new")]
        snapshot = Snapshot(opened.fd, (), Work())
        pid = os.fork()
        if pid == 0:
            try:
                dying = Dying(place)
                dying.stage(steps, str(upper), Work())
                dying.commit(steps, snapshot, Work())
            finally:
                os._exit(1)
        os.waitpid(pid, 0)
    assert (root / "new").exists()
    (root / "new").write_text("by a human")  # since the crash
    async with fs_client(root) as fs:
        await fs.ok("apply_patch", changes=[{"op": "add", "path": "patched", "content": "x"}])
    (root / "patched").unlink()
    assert tree(root) == {**before, "new": (b"by a human", 0o644)}


class Dying(Transaction):
    """Is killed when everything is in place, and the journal not told yet."""

    def _finish(self, changes: ChangeSet) -> None:
        os._exit(9)
