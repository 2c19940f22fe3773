"""Escapes tried for real, from code that runs inside the sandbox as a test suite would."""

from __future__ import annotations

import os
import socket
import stat
from pathlib import Path

import anyio
import pytest

from lg_exec.server.executor import Executor, Request
from tests.attacks.conftest import SECRET, output
from tests.exec.helpers import processes_with, py, sandboxed, settings

pytestmark = pytest.mark.anyio

READS = {
    "absolute": "open('{secret}').read()",
    "dot dot": "open('../secret').read()",
    "link made inside": "(__import__('os').symlink('{secret}', 'l'), open('l').read())[1]",
    "link found": "open('planted').read()",
    "directory link found": "open('planted_dir/secret').read()",
    "parent listing": "[name for name in __import__('os').listdir('..') if name != 'root'][0]",
    "home": "__import__('os').listdir('/root') + __import__('os').listdir('/home')",
    "shadow": "open('/etc/shadow').read()",
    "host passwd": "[line for line in open('/etc/passwd') if '/bin/bash' in line][0]",
    "machine id": "open('/etc/machine-id').read()",
    "proc root": "open('/proc/1/root{secret}').read()",
    "proc cwd": "open('/proc/1/cwd/../secret').read()",
    "parent process": "open(f'/proc/{{__import__(\"os\").getppid()}}/root{secret}').read()",
    "oldroot": "__import__('os').listdir('/oldroot')",
    "sys": "__import__('os').listdir('/sys')",
    "dev disk": "open('/dev/sda').read(1) or open('/dev/vda').read(1)",
    "dev mem": "open('/dev/mem', 'rb').read(1)",
    "kcore": "open('/proc/kcore', 'rb').read(1) or open('/nonexistent')",
    "kernel command line": "open('/proc/cmdline').read() or open('/nonexistent')",
    "run": "__import__('os').listdir('/run')[0]",
    "var": "__import__('os').listdir('/var/log')",
}


@pytest.mark.attack(
    "Files",
    "absolute names, `..`, links made and found, /proc/N/root, homes, shadow, devices, kernel memory, /run, /var",
)
@pytest.mark.parametrize("name", READS)
async def test_nothing_outside_can_be_read(executor: Executor, root: Path, tmp_path: Path, name: str) -> None:
    (root / "planted").symlink_to(tmp_path / "secret")
    (root / "planted_dir").symlink_to(tmp_path)
    expression = READS[name].format(secret=tmp_path / "secret")
    shown = await output(executor, f"print('GOT', {expression})")
    assert "GOT" not in shown, shown
    assert SECRET not in shown


@pytest.mark.attack("Secrets", "own environment, and those of every visible process")
async def test_secrets_of_the_launcher_are_in_no_environment(
    executor: Executor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    code = (
        "import os\n"
        "for pid in filter(str.isdigit, os.listdir('/proc')):\n"
        "    for name in ('environ', 'cmdline'):\n"
        "        try: print(pid, open(f'/proc/{pid}/{name}', 'rb').read())\n"
        "        except OSError as error: print(error)\n"
        "print(dict(os.environ))"
    )
    shown = await output(executor, code)
    assert SECRET not in shown
    assert "AWS_" not in shown


@pytest.mark.attack("Secrets", "denied names below the root")
async def test_names_that_may_not_be_read_are_empty_inside_and_at_any_depth(executor: Executor, root: Path) -> None:
    (root / "a" / "b").mkdir(parents=True)
    (root / ".git").mkdir()
    (root / "a" / ".ssh").mkdir()
    for name in (".env", "a/b/.ENV", "a/b/key.pem", "a/.ssh/id_ed25519", ".git/config", "a/.env.local"):
        (root / name).write_text(SECRET)
    code = (
        "import os\n"
        "for place, dirs, names in os.walk('.'):\n"
        "    for name in names: print(place, name, repr(open(os.path.join(place, name)).read()))"
    )
    shown = await output(executor, code)
    assert SECRET not in shown
    assert "key.pem ''" in shown
    assert "id_ed25519" not in shown


@pytest.mark.attack("Files", "writing, deleting, renaming and changing permissions below the root in both modes")
@pytest.mark.parametrize("mode", ["overlay", "ro"])
async def test_nothing_below_the_root_is_changed(root: Path, tmp_path: Path, mode: str) -> None:
    (root / "kept.txt").write_text("kept")
    (root / "sub").mkdir()
    template = {"from": "python", "args_allow": ["-c=*..."], "root": mode}
    code = (
        "import os, shutil\n"
        "for action in (lambda: open('new', 'w').write('x'), lambda: open('kept.txt', 'a').write('x'),\n"
        "               lambda: os.remove('kept.txt'), lambda: os.rename('sub', 'other'),\n"
        "               lambda: os.chmod('.', 0o777), lambda: os.utime('.', (1, 1))):\n"
        "    try: action(); print('did')\n"
        "    except OSError as error: print(error)"
    )
    before = root.stat().st_mode, root.stat().st_mtime
    with sandboxed(root, tmp_path / "s", settings(commands={"py": template})) as executor:
        shown = await output(executor, code)
    assert ("did" in shown) == (mode == "overlay")
    assert sorted(path.name for path in root.iterdir()) == ["kept.txt", "sub"]
    assert (root / "kept.txt").read_text() == "kept"
    assert (root.stat().st_mode, root.stat().st_mtime) == before


@pytest.mark.attack("Files", "nothing: tools must find their caches writable where the root is read-only")
async def test_a_read_only_root_has_private_caches(root: Path, tmp_path: Path) -> None:
    template = {"from": "python", "args_allow": ["-c=*..."], "root": "ro"}
    code = (
        "import os\nfor name in 'RUFF_CACHE_DIR MYPY_CACHE_DIR CARGO_TARGET_DIR PYTHONPYCACHEPREFIX HOME'.split():\n"
        "    os.makedirs(os.environ[name], exist_ok=True)\n    open(os.environ[name] + '/x', 'w').write('x')\n"
        "print('cached')\nopen('y', 'w')"
    )
    with sandboxed(root, tmp_path / "s", settings(commands={"py": template})) as executor:
        shown = await output(executor, code)
    assert shown.startswith("cached")
    assert "Read-only file system" in shown
    assert list(root.iterdir()) == []


@pytest.mark.attack("Files", "writing beside the root, to /usr, /etc, /, /dev and kernel settings")
@pytest.mark.parametrize(
    "target", ["{outside}/new", "/usr/new", "/etc/new", "/new", "/dev/new", "/proc/sys/kernel/core_pattern"]
)
async def test_nothing_outside_can_be_written(executor: Executor, tmp_path: Path, target: str) -> None:
    path = target.format(outside=tmp_path)
    shown = await output(executor, f"open({path!r}, 'w').write('x'); print('WROTE')")
    # The root lies below /tmp here, and a directory above it may be part of the private, throw-away /tmp inside.
    assert "WROTE" not in shown or path.startswith("/tmp/")
    assert not (tmp_path / "new").exists()


@pytest.mark.attack("Files", "opening everything below /proc/sys and the like for writing")
async def test_no_kernel_setting_can_be_written_even_by_a_real_root(executor: Executor) -> None:
    code = (
        "import os\n"
        "for place, _, names in os.walk('/proc'):\n"
        "    if place[6:7].isdigit() or 'self' in place: continue\n"
        "    for name in names:\n"
        "        path = os.path.join(place, name)\n"
        "        try: os.close(os.open(path, os.O_WRONLY)); print('WRITABLE', path)\n"
        "        except OSError: pass"
    )
    assert "WRITABLE" not in await output(executor, code)


@pytest.mark.attack("Protected names", "moving `.git` away and making another, writing missing protected names")
async def test_protected_names_stay_in_place_when_their_parent_is_moved(root: Path, tmp_path: Path) -> None:
    (root / ".git" / "hooks").mkdir(parents=True)
    (root / "sub" / ".vscode").mkdir(parents=True)
    template = {"from": "python", "args_allow": ["-c=*..."], "root": "rw"}
    code = (
        "import os\n"
        "def attempt(action):\n"
        "    try: action()\n"
        "    except OSError as error: print(error)\n"
        "attempt(lambda: open('.git/hooks/post-checkout', 'w').write('evil'))\n"
        "attempt(lambda: os.rename('.git', 'g2'))\n"
        "attempt(lambda: os.rename('sub', 'sub2'))\n"
        "attempt(lambda: os.makedirs('sub/.vscode', exist_ok=True))\n"
        "attempt(lambda: open('sub/.vscode/tasks.json', 'w').write('evil'))\n"
        "attempt(lambda: open('.mcp.json', 'w').write('evil'))\n"
        "attempt(lambda: open('.env', 'w').write('evil'))\n"
        "attempt(lambda: os.makedirs('deep/.github/workflows'))\n"
        "attempt(lambda: open('deep/.github/workflows/ci.yml', 'w').write('evil'))\n"
        "attempt(lambda: os.symlink('/etc/passwd', 'link'))\n"
        "attempt(lambda: open('good.txt', 'w').write('good'))"
    )
    with sandboxed(root, tmp_path / "s", settings(commands={"py": template})) as executor:
        with anyio.fail_after(60):
            outcome = await py(executor, code)
    written = [path for path in root.rglob("*") if path.is_file() and "evil" in path.read_text()]
    assert written == []
    assert (root / ".git" / "hooks").is_dir()
    assert not (root / ".mcp.json").exists()
    assert (root / "good.txt").read_text() == "good"
    assert outcome.changed_paths is not None
    assert "good.txt" in outcome.changed_paths
    assert any(".mcp.json (not kept" in path for path in outcome.changed_paths)
    assert list((tmp_path / "s").glob("upper-*")) == []


@pytest.mark.attack("Files", "a command with a writable root stopped half-way")
async def test_a_command_with_a_writable_root_that_is_stopped_changes_nothing(root: Path, tmp_path: Path) -> None:
    (root / "a.txt").write_text("a")
    template = {"from": "python", "args_allow": ["-c=*..."], "root": "rw"}
    code = "import os, time\nopen('a.txt', 'w').write('b'); open('new', 'w').write('x'); time.sleep(600)"
    with sandboxed(root, tmp_path / "s", settings(commands={"py": template})) as executor, anyio.fail_after(60):
        outcome = await py(executor, code, timeout_s=1)
    assert outcome.finished.limit_hit == "time"
    assert (root / "a.txt").read_text() == "a"
    assert not (root / "new").exists()


@pytest.mark.attack("Files", 'nothing: what `root = "rw"` is for must go on working')
async def test_a_writable_root_takes_edits_removals_and_new_directories(root: Path, tmp_path: Path) -> None:
    (root / "old").mkdir()
    (root / "old" / "x").write_text("x")
    (root / "edit").write_text("1")
    (root / "run.sh").write_text("#!/bin/sh\n")
    (root / "run.sh").chmod(0o755)
    template = {"from": "python", "args_allow": ["-c=*..."], "root": "rw"}
    code = (
        "import os, shutil\nshutil.rmtree('old'); open('edit', 'a').write('2'); open('run.sh', 'a').write('true')\n"
        "os.makedirs('n/e/w'); open('n/e/w/f', 'w').write('f'); os.symlink('edit', 'n/link')"
    )
    with sandboxed(root, tmp_path / "s", settings(commands={"py": template})) as executor, anyio.fail_after(60):
        outcome = await py(executor, code)
    assert outcome.changed_paths == ("edit", "n/e/w/f", "n/link", "old", "run.sh")
    assert not (root / "old").exists()
    assert (root / "edit").read_text() == "12"
    assert (root / "n" / "e" / "w" / "f").read_text() == "f"
    assert os.readlink(root / "n" / "link") == "edit"
    assert stat.S_IMODE((root / "run.sh").stat().st_mode) == 0o755


@pytest.mark.attack("Planted programs", "writing into and renaming the project's virtual environment")
async def test_the_projects_own_environment_is_read_only(root: Path, tmp_path: Path) -> None:
    (root / ".venv" / "bin").mkdir(parents=True)
    (root / ".venv" / "pyvenv.cfg").write_text("home = /usr/bin\n")
    (root / ".venv" / "bin" / "tool").write_text("x")
    template = {"from": "python", "args_allow": ["-c=*..."], "root": "rw"}
    code = "import os\nos.rename('.venv/bin/tool', '.venv/bin/t2')"
    with sandboxed(root, tmp_path / "s", settings(commands={"py": template})) as executor:
        shown = await output(executor, code)
        moved = await output(executor, "import os; os.rename('.venv', 'v2')")
    assert "Read-only" in shown
    assert "busy" in moved
    assert (root / ".venv" / "bin" / "tool").exists()


@pytest.mark.attack("Planted programs", "executables of the names of templates in the root")
async def test_planted_executables_are_not_what_runs(root: Path, tmp_path: Path) -> None:
    for name in ("sh", "make", "bin/sh", ".venv/bin/sh"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text("#!/bin/sh\necho PLANTED\n")
        (root / name).chmod(0o755)
    (root / "Makefile").write_text("all:\n\t@echo made\n")
    chosen = settings(commands={"sh": {"args_allow": ["-c=*..."]}, "made": {"executable": "make", "args_allow": []}})
    with sandboxed(root, tmp_path / "s", chosen) as executor, anyio.fail_after(60):
        outcome = await executor.execute(Request(cmd="sh", args=("-c", "echo real")))
    assert outcome.as_json()["stdout"] == "real\n"


@pytest.mark.attack("Planted programs", "a virtual environment that is a link to a private directory")
async def test_an_environment_link_that_leads_out_of_the_root_is_not_followed(root: Path, tmp_path: Path) -> None:
    (tmp_path / "private" / "bin").mkdir(parents=True)
    (tmp_path / "private" / "pyvenv.cfg").write_text("")
    (tmp_path / "private" / "secret").write_text(SECRET)
    (root / ".venv").symlink_to(tmp_path / "private")
    with sandboxed(root, tmp_path / "s") as executor:
        shown = await output(executor, f"print(open('{tmp_path}/private/secret').read())")
    assert SECRET not in shown


@pytest.mark.attack("Planted programs", "a virtual environment whose settings name the home as its base")
async def test_a_crafted_environment_uncovers_no_home(root: Path, tmp_path: Path) -> None:
    home = tmp_path / "s"
    (home / "bin").mkdir(parents=True)
    (home / "bin" / "python").write_text("#!/bin/sh\n")
    (home / "secret").write_text(SECRET)
    (root / ".venv" / "bin").mkdir(parents=True)
    (root / ".venv" / "pyvenv.cfg").write_text(f"home = {home}/bin\n")
    (root / ".venv" / "bin" / "python").symlink_to(home / "bin" / "python")
    (root / ".venv" / "bin" / "evil").write_text("#!/bin/sh\nwhile read l; do echo $l; done < $1\n")
    (root / ".venv" / "bin" / "evil").chmod(0o755)
    chosen = settings(commands={"evil": {"from": "project", "args_allow": ["text:*"]}})
    with sandboxed(root, home, chosen) as executor, anyio.fail_after(60):
        outcome = await executor.execute(Request(cmd="evil", args=(str(home / "secret"),)))
    assert SECRET not in outcome.as_json()["stdout"]


@pytest.mark.attack(
    "Planted programs", "a virtual environment whose interpreter is reached through a link to `/`, or through /proc"
)
@pytest.mark.parametrize("way", ["{alias}/bin/python3", "/proc/self/root/usr/bin/python3", "/proc/1/root/bin/python3"])
async def test_an_environment_shows_nothing_through_another_name_of_it(root: Path, tmp_path: Path, way: str) -> None:
    alias = tmp_path / "alias"  # as `dosdevices/z:` in many homes
    alias.symlink_to("/")
    (root / ".venv" / "bin").mkdir(parents=True)
    (root / ".venv" / "pyvenv.cfg").write_text("home = /usr/bin\n")
    (root / ".venv" / "bin" / "python").symlink_to(way.format(alias=alias))
    code = f"import glob; print([open(name).read() for name in glob.glob('{alias}{tmp_path}/secret')], 'looked')"
    with sandboxed(root, tmp_path / "s") as executor:
        shown = await output(executor, code)
        assert [place.prefixes for place in executor._programs.projects()] == [()]
    assert "looked" in shown
    assert SECRET not in shown


@pytest.mark.attack(
    "Network", "sockets and pipes of programs outside, below the root, where it is bound and not copied"
)
@pytest.mark.parametrize(("mode", "place"), [("ro", "s"), ("ro", "a/b/s"), ("overlay", ".git/s"), ("rw", ".vscode/s")])
async def test_programs_outside_are_not_reached_through_the_root(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mode: str, place: str
) -> None:
    (root / place).parent.mkdir(parents=True, exist_ok=True)
    monkeypatch.chdir(root)  # the name of a socket may not be long
    os.mkfifo(f"{place}.pipe")
    template = {"from": "python", "args_allow": ["-c=*..."], "root": mode}
    code = (
        "import os, socket\n"
        "def tried(action):\n"
        "    try: action(); print('REACHED')\n"
        "    except OSError as error: print(type(error).__name__)\n"
        f"tried(lambda: socket.socket(socket.AF_UNIX).connect({place!r}))\n"
        f"tried(lambda: os.write(os.open({place + '.pipe'!r}, os.O_WRONLY | os.O_NONBLOCK), b'x'))"
    )
    with socket.socket(socket.AF_UNIX) as listener, open(os.open(f"{place}.pipe", os.O_RDONLY | os.O_NONBLOCK)):
        listener.bind(place)
        listener.listen(1)
        with sandboxed(root, tmp_path / "s", settings(commands={"py": template})) as executor:
            shown = await output(executor, code)
    assert "REACHED" not in shown
    assert len(shown.split()) == 2, shown


@pytest.mark.attack("Processes", "daemons in own sessions that ignore signals")
async def test_daemons_end_with_the_command(executor: Executor, tmp_path: Path) -> None:
    mark = f"lg-daemon-{os.getpid()}-{os.urandom(4).hex()}"
    code = (
        "import os, signal, sys, time\n"
        "for n in (signal.SIGTERM, signal.SIGHUP): signal.signal(n, signal.SIG_IGN)\n"
        "if os.fork() == 0:\n"
        "    os.setsid()\n"
        "    if os.fork() == 0:\n"
        f"        os.execv(sys.executable, [sys.executable, '-c', 'import time; time.sleep(600)', '{mark}'])\n"
        "    os._exit(0)\n"
        "print('main done')"
    )
    with anyio.fail_after(60):
        outcome = await py(executor, code)
    assert outcome.ok
    assert not processes_with(mark)


@pytest.mark.attack("Processes", "a cancelled call with children")
async def test_cancelling_ends_everything(executor: Executor, root: Path) -> None:
    mark = f"lg-cancel-{os.urandom(4).hex()}"
    code = (
        "import os, signal, sys, time\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "if os.fork(): time.sleep(600)\n"
        f"os.execv(sys.executable, [sys.executable, '-c', 'import time; time.sleep(600)', '{mark}'])"
    )
    with anyio.fail_after(60):
        async with anyio.create_task_group() as group:
            group.start_soon(py, executor, code)
            while not processes_with(mark):
                await anyio.sleep(0.02)
            group.cancel_scope.cancel()
    assert not processes_with(mark)


@pytest.mark.attack("Files", "a link out as working directory")
async def test_the_hostile_repository_cannot_move_the_root_with_a_link_as_cwd(executor: Executor, root: Path) -> None:
    (root / "way").symlink_to("/")
    with pytest.raises(Exception, match="leads out"):
        await py(executor, "pass", cwd="way")
