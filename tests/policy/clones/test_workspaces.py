"""Clones for runs: what may be cloned, what a hostile repository or tree can do, and the branch that comes of it."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from lg_policy.clones.git_program import Git, GitEnded, GitFailed
from lg_policy.clones.workspaces import Workspaces
from lg_policy.config.clone_address import allowed_prefix, clone_address
from lg_policy.config.service import ServiceSettings
from lg_policy.errors import InvalidArguments, LimitExceeded

RUN = "20260131T093000-1a2b3c"
WHO = ["-c", "user.name=ann", "-c", "user.email=ann@example.com"]
SETTINGS = ServiceSettings(commit_author="Bot <bot@example.com>")
ODD = (
    "http://git.example.com/x", "git://git.example.com/x", "ext::sh -c true", "git@example.com:x.git", "x.git", "",
    "https://ann:secret@git.example.com/x", "https://ann@git.example.com/x", "ssh://ann:secret@git.example.com/x",
    "ssh://-oProxyCommand=x/x", "ssh://-l@git.example.com/x", "https://git.example.com/team/../other",
    "https://git.example.com/team/%2e%2e/other", "https://git.example.com/team/a%2fb", "https://git.example.com/a%0ab",
    "https://git.example.com/a b", "https://git.example.com//team/x", "https://git.example.com/x?y=1",
    "https://git.example.com/x#y", "https://git.example.com:99999/x", "https://git..example.com/x",
    "https://git.example.com\\@evil.example/x", "https://git.example.com@evil.example/x", "file://host/srv/git/x",
    "https://g\u0131t.example.com/x", "https://git.example.com/" + "x" * 2_000, "https://git.example.com/%zz",
)  # fmt: skip


@pytest.fixture
def git(tmp_path: Path) -> Git:
    return Git(environ={"PATH": os.environ["PATH"], "TMPDIR": str(tmp_path)})


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A repository with one commit."""
    made = tmp_path / "srv" / "api.git"
    made.mkdir(parents=True)
    (made / "log.txt").write_text("begin\nend\n")
    (made / ".gitignore").write_text("*.pyc\n")
    commands(made, "init", "-q", "-b", "trunk")
    commit(made)
    return made


def commands(at: Path, *words: str) -> str:
    return subprocess.run(["git", *WHO, *words], cwd=at, check=True, capture_output=True, text=True).stdout


def commit(at: Path) -> None:
    commands(at, "add", "-A")
    commands(at, "commit", "-q", "-m", "one")


def cloned(git: Git, tmp_path: Path, source: Path, run_id: str = RUN) -> tuple[Workspaces, Path]:
    workspaces = Workspaces(tmp_path / "workspaces")
    return workspaces, workspaces.clone(git, SETTINGS, clone_address(f"file://{source}"), run_id, 1, None)


def test_an_address_that_git_could_read_otherwise_is_refused() -> None:
    for text in ODD:
        with pytest.raises(ValueError, match=r"must|%|begins"):
            clone_address(text)


def test_a_prefix_allows_what_is_below_it_and_nothing_beside_it(tmp_path: Path) -> None:
    team = clone_address("https://git.example.com/team")
    assert team.allows(clone_address("https://GIT.example.com:443/team/api.git"))
    for other in ("team2/api", "Team/api", "other/team/api"):
        assert not team.allows(clone_address(f"https://git.example.com/{other}"))
    assert not team.allows(clone_address("https://git.example.com:8443/team/api"))
    assert not team.allows(clone_address("ssh://git.example.com/team/api"))
    assert not clone_address("ssh://git@h/team").allows(clone_address("ssh://root@h/team/api"))
    (tmp_path / "git").mkdir()
    (tmp_path / "git" / "out").symlink_to("/etc")
    assert not clone_address(f"file://{tmp_path}/git").allows(clone_address(f"file://{tmp_path}/git/out/x"))
    for wide in ("file:///", "https://", "/srv/git", "https://git.example.com/*?"):
        with pytest.raises(ValueError, match=wide[:5]):
            allowed_prefix(wide)


def test_what_a_run_changed_becomes_a_commit_a_patch_and_a_bundle(git: Git, tmp_path: Path, source: Path) -> None:
    workspaces, root = cloned(git, tmp_path, source)
    assert (root.name, workspaces.is_clone(str(root)), workspaces.is_clone(str(root / "x"))) == ("api", True, False)
    assert workspaces.branch(git, SETTINGS, str(root), RUN, 1, "nothing yet") is None
    (root / "log.txt").write_text("begin\nmiddle\nend\n")
    (root / "new file \n.txt").write_text("new\n")
    (root / "junk.pyc").write_text("ignored\n")
    made = workspaces.branch(git, SETTINGS, str(root), RUN, 1, "add a line\n\x1b[31m" + "x" * 200)
    assert made is not None
    (tmp_path / "run.bundle").write_bytes(made.bundle or b"")
    commands(source, "fetch", "-q", str(tmp_path / "run.bundle"), f"{made.name}:{made.name}")
    shown = commands(source, "show", "--stat", "--format=%an <%ae>|%s|%P", made.name)
    author, subject, parent = shown.splitlines()[0].split("|")
    assert (author, made.name, parent) == ("Bot <bot@example.com>", f"lg/{RUN}", made.base)
    assert subject.startswith("add a line")
    assert (subject.isprintable(), len(subject) <= 72) == (True, True)
    assert "junk" not in shown
    (tmp_path / "run.patch").write_bytes(made.patch or b"")
    commands(source, "apply", str(tmp_path / "run.patch"))
    assert (source / "log.txt").read_text() == "begin\nmiddle\nend\n"
    assert cloned(git, tmp_path, source)[1] == root, "a clone that is there is not made again"


def test_no_program_that_a_work_tree_names_is_run_for_the_branch(git: Git, tmp_path: Path, source: Path) -> None:
    workspaces, root = cloned(git, tmp_path, source)
    seen, program = tmp_path / "seen", tmp_path / "program"
    program.write_text(f"#!/bin/sh\necho $0 >> {seen}\ncat\n")
    program.chmod(0o755)
    names = ("core.fsmonitor", "core.pager", "filter.x.clean", "filter.x.process", "diff.external", "gpg.program",
             "core.sshCommand", "core.editor", "diff.x.textconv", "diff.x.command")  # fmt: skip
    nested = root / "nested"
    nested.mkdir()
    commands(nested, "init", "-q")
    (nested / "a").write_text("a\n")
    commit(nested)
    (root / "submodule").mkdir()
    for at in (root, nested):
        for name in names:
            commands(at, "config", name, str(program))
        hooks = at / ".git" / "hooks"
        hooks.mkdir(exist_ok=True)
        for hook in ("pre-commit", "post-commit", "reference-transaction", "post-index-change", "post-checkout"):
            shutil.copy(program, hooks / hook)
    seen.unlink(missing_ok=True)
    (root / ".gitattributes").write_text("* filter=x diff=x\n")
    (root / "log.txt").write_text("changed\n")
    (nested / "a").write_text("b\n")
    (root / "link").symlink_to("/etc/passwd")
    os.mkfifo(root / "pipe")
    made = workspaces.branch(git, SETTINGS, str(root), RUN, 1, "change")
    assert made is not None
    assert not seen.exists(), seen.read_text()
    assert b"root:" not in (made.patch or b""), "a link is kept as a link"


def test_no_program_that_a_repository_names_is_run_by_a_clone(git: Git, tmp_path: Path, source: Path) -> None:
    seen = tmp_path / "seen"
    (source / ".gitattributes").write_text("* filter=x\n")
    (source / ".gitmodules").write_text(f'[submodule "a"]\n\tpath = a\n\turl = ext::sh -c touch% {seen}\n')
    (source / ".lfsconfig").write_text(f"[lfs]\n\turl = ext::sh -c touch {seen}\n")
    commit(source)
    home = tmp_path / "home"
    home.mkdir()
    (home / ".gitconfig").write_text(f'[filter "x"]\n\tsmudge = touch {seen}; cat\n[core]\n\thooksPath = {home}\n')
    (home / "post-checkout").write_text(f"#!/bin/sh\ntouch {seen}\n")
    (home / "post-checkout").chmod(0o755)
    mine = Git(environ={**git.environ, "HOME": str(home), "GIT_CONFIG_COUNT": "1", "GIT_TEMPLATE_DIR": str(home)})
    root = cloned(mine, tmp_path, source)[1]
    assert (root / "log.txt").is_file()
    assert not seen.exists()


def test_a_clone_ends_at_its_limits_and_leaves_nothing(git: Git, tmp_path: Path, source: Path) -> None:
    (source / "big").write_bytes(os.urandom(3_000_000))
    commit(source)
    address = clone_address(f"file://{source}")
    workspaces = Workspaces(tmp_path / "workspaces")
    with pytest.raises(LimitExceeded, match="1 MB"):
        workspaces.clone(git, ServiceSettings(clone_max_mb=1), address, RUN, 1, None)
    with pytest.raises(LimitExceeded, match="longer than"):
        workspaces.clone(git, ServiceSettings(clone_timeout_s=0.000_001), address, RUN, 2, None)
    with pytest.raises(GitEnded):
        workspaces.clone(Git(environ=git.environ, stopped=lambda: True), SETTINGS, address, RUN, 3, None)
    with pytest.raises(GitFailed, match="nosuch"):
        workspaces.clone(git, SETTINGS, address, RUN, 4, "nosuch")
    empty = tmp_path / "empty.git"
    empty.mkdir()
    commands(empty, "init", "-q", "--bare")
    with pytest.raises(InvalidArguments, match="no commit"):
        workspaces.clone(git, SETTINGS, clone_address(f"file://{empty}"), RUN, 5, None)
    assert not list((tmp_path / "workspaces").glob("*/runs/*"))


def test_an_author_has_one_line_and_one_address() -> None:
    for text in ("", "a", "a <b> <c>", "a\nb <c@d>", "<c@d>", "a <c d>", " a <b@c>"):
        with pytest.raises(ValueError, match="must read"):
            ServiceSettings(commit_author=text)
