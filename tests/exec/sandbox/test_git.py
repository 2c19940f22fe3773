"""git in the sandbox: linked worktrees, names, what of the history can be read."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest

from lg_exec.server.executor import Executor, Request
from lg_policy.config.exec_templates import DEFAULT_COMMANDS
from tests.exec.helpers import sandboxed, settings
from tests.support import require

pytestmark = pytest.mark.anyio

SECRET = "s3cr3t-token"
IDENTITY = ["-c", "user.name=x", "-c", "user.email=x@example.org"]


def git(place: Path, *args: str) -> None:
    require(shutil.which("git") is not None, "git")
    subprocess.run(["git", *IDENTITY, *args], cwd=place, check=True, capture_output=True, stdin=subprocess.DEVNULL)


@pytest.fixture
def main(tmp_path: Path) -> Path:
    path = tmp_path / "main"
    path.mkdir()
    git(path, "init", "-q")
    (path / "f\u00e4.txt").write_text("one\n")
    (path / ".env").write_text(f"KEY={SECRET}\n")
    git(path, "add", "-A")
    git(path, "commit", "-qm", "first subject")
    git(path, "config", "remote.origin.url", f"https://user:{SECRET}@example.org/x")
    return path


@contextmanager
def running(root: Path, tmp_path: Path, **policy: Any) -> Iterator[Executor]:
    python = {"from": "python", "args_allow": ["-c=*..."]}
    commands = {"git": {**DEFAULT_COMMANDS["git"], "enabled": True}, "py": python}
    with sandboxed(root, tmp_path / "s", settings(commands=commands, policy=policy or None)) as executor:
        yield executor


async def run(executor: Executor, cmd: str, *args: str) -> dict[str, Any]:
    with anyio.fail_after(60):
        return (await executor.execute(Request(cmd=cmd, args=args))).as_json()


async def test_git_works_in_a_linked_worktree_and_changes_nothing_there(main: Path, tmp_path: Path) -> None:
    git(main, "worktree", "add", "-q", str(tmp_path / "linked"), "-b", "side")
    (tmp_path / "linked" / "f\u00e4.txt").write_text("two\n")
    code = (
        f"import os\nfor name in ('HEAD', 'objects/x', 'hooks/post-checkout', 'config'):\n"
        f"    try: open({str(main)!r} + '/.git/' + name, 'w'); print('WROTE')\n"
        "    except OSError as error: print(error)\n"
        f"print(open({str(main)!r} + '/.git/config').read()); print(os.listdir({str(main)!r}))"
    )
    with running(tmp_path / "linked", tmp_path) as executor:
        log = await run(executor, "git", "log", "--oneline")
        diff = await run(executor, "git", "diff")
        shown = await run(executor, "py", "-c", code)
    assert "first subject" in log["stdout"], log
    assert "-one\n+two" in diff["stdout"]
    assert "WROTE" not in shown["stdout"]
    assert SECRET not in shown["stdout"]
    assert "['.git']" in shown["stdout"]


@pytest.mark.parametrize(
    "claim", ["nothing points back", "points back elsewhere", "a link", "the common directory lies elsewhere"]
)
async def test_a_directory_that_is_not_this_worktrees_own_is_not_shown(main: Path, tmp_path: Path, claim: str) -> None:
    git(main, "worktree", "add", "-q", str(tmp_path / "linked"), "-b", "side")
    own = main / ".git" / "worktrees" / "linked"
    root = tmp_path / "hostile"
    root.mkdir()
    (root / ".git").write_text(f"gitdir: {own}\n")
    if claim == "nothing points back":
        (own / "gitdir").unlink()
    elif claim == "a link":
        (own / "gitdir").write_text(f"{root}/.git\n")
        (tmp_path / "alias").symlink_to(main)
        (root / ".git").write_text(f"gitdir: {tmp_path}/alias/.git/worktrees/linked\n")
    elif claim == "the common directory lies elsewhere":
        (own / "gitdir").write_text(f"{root}/.git\n")
        (own / "commondir").write_text("../../..\n")
    with running(root, tmp_path) as executor:
        log = await run(executor, "git", "log")
        shown = await run(executor, "py", "-c", f"import os; print(os.path.exists({str(main)!r} + '/.git/HEAD'))")
    assert log["exit_code"] == 128
    assert "a repository that commands are not shown" in log["hint"]
    assert shown["stdout"] == "False\n"


async def test_names_in_diffs_are_not_quoted(main: Path, tmp_path: Path) -> None:
    (main / "f\u00e4.txt").write_text("two\n")
    with running(main, tmp_path) as executor:
        diff = await run(executor, "git", "diff", "--stat")
    assert "f\u00e4.txt" in diff["stdout"]


async def test_a_denied_file_that_was_committed_is_in_the_history_unless_git_is_denied(
    main: Path, tmp_path: Path
) -> None:
    """As the documentation says: the rules are about files, and the history is one file that holds many."""
    read_objects = (
        "import glob, zlib\n"
        "print([zlib.decompress(open(name, 'rb').read()) for name in glob.glob('.git/objects/??/*')])\n"
        "print(open('.env').read(), 'looked')"
    )
    with running(main, tmp_path) as executor:
        history = await run(executor, "git", "show", "HEAD:.env")
        tree = await run(executor, "py", "-c", "print(repr(open('.env').read()))")
    assert SECRET in history["stdout"]
    assert tree["stdout"] == "''\n"
    closed = (*settings().policy.read_deny, ".git/")
    with running(main, tmp_path, read_deny=closed) as executor:
        history = await run(executor, "git", "show", "HEAD:.env")
        objects = await run(executor, "py", "-c", read_objects)
    assert history["exit_code"] != 0
    assert SECRET not in history["stdout"] + history["stderr"] + objects["stdout"]
    assert "looked" in objects["stdout"]


@pytest.mark.parametrize("mode", ["overlay", "rw"])
async def test_a_directory_that_cannot_be_renamed_gets_a_hint_that_works(tmp_path: Path, mode: str) -> None:
    root = tmp_path / "root"
    (root / "data").mkdir(parents=True)
    (root / "data" / "x").write_text("x")
    commands = {"py": {"from": "python", "args_allow": ["-c=*..."], "root": mode}}
    with sandboxed(root, tmp_path / "s", settings(commands=commands)) as executor:
        failed = await run(executor, "py", "-c", "import os; os.rename('data', 'data2')")
        moved = await run(executor, "py", "-c", "import shutil; shutil.move('data', 'data2')")
    if failed["exit_code"]:  # where the kernel does not redirect directories
        assert "shutil.move" in failed["hint"]
    assert moved["exit_code"] == 0
    assert "hint" not in moved
    assert os.path.exists(root / "data2" / "x") == (mode == "rw")
    assert os.path.exists(root / "data") == (mode == "overlay")


async def test_git_says_what_to_do_where_its_repository_lies_outside_of_the_root(main: Path, tmp_path: Path) -> None:
    outer = tmp_path / "outer"
    git(tmp_path, "clone", "-q", "--shared", str(main), str(outer))
    git(outer, "-c", "protocol.file.allow=always", "submodule", "add", "-q", str(main), "sub")
    (main / "deep").mkdir()
    (main / "deep" / "x").write_text("x")
    roots = {
        outer: "run `git repack -a -d`",
        outer / "sub": "serve the repository that contains it",
        main / "deep": "serve its top directory",
    }
    for root, words in roots.items():
        with running(root, tmp_path) as executor:
            log = await run(executor, "git", "log", "--oneline")
        assert log["exit_code"] == 128
        assert words in log["hint"], root


def test_pytest_may_be_told_to_keep_no_cache() -> None:
    from lg_exec.templates.arguments import ArgumentRules
    from lg_policy.config.settings import Settings
    from lg_policy.errors import InvalidArguments, PolicyDenied

    rules = ArgumentRules("pytest", Settings().exec.commands["pytest"])
    for args in (["-p", "no:cacheprovider"], ["-pno:cacheprovider"], ["-q", "-p", "no:randomly"]):
        assert rules.check(args, str).args
    for args in (["-p", "evil"], ["-pevil"], ["-p", "no:cacheprovider,evil"], ["-p"]):
        with pytest.raises((PolicyDenied, InvalidArguments)):
            rules.check(args, str)
