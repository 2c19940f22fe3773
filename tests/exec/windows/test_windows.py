"""What of the Windows side can be checked anywhere: layouts, choices, paths and environments as pure functions.

Nothing here starts a job object; that was tried by hand (see the decisions).
"""

from __future__ import annotations

import ctypes
import subprocess
import sys
from pathlib import Path

import pytest

from lg_exec.sandbox.interface import how_to_get_one
from lg_exec.server.setup import kinds
from lg_exec.windows import job_object
from lg_exec.windows.checked_root import CheckedRoot, anchored, relative_name, relative_to
from lg_exec.windows.job_backend import windows_environment
from lg_policy.errors import ConfigError, InvalidArguments, LgError, NotFound, PolicyDenied

# From the declarations in winnt.h and tlhelp32.h, laid out by the rules of the x64 ABI.
LAYOUTS = {
    job_object.BasicLimits: (64, (0, 8, 16, 24, 32, 40, 48, 56, 60)),
    job_object.ExtendedLimits: (144, (0, 64, 112, 120, 128, 136)),
    job_object.Accounting: (48, (0, 8, 16, 24, 32, 36, 40, 44)),
    job_object.CompletionPort: (16, (0, 8)),
    job_object.ThreadEntry: (28, (0, 4, 8, 12, 16, 20, 24)),
}
ROOT = r"C:\Users\me\Project"


@pytest.mark.parametrize("structure", LAYOUTS, ids=lambda each: each.__name__)
def test_structures_have_the_layout_that_64_bit_windows_documents(structure: type[ctypes.Structure]) -> None:
    size, offsets = LAYOUTS[structure]
    assert ctypes.sizeof(structure) == size
    assert tuple(getattr(structure, field[0]).offset for field in structure._fields_) == offsets


def test_a_jobs_limits_are_written_where_windows_reads_them() -> None:
    raw = bytes(job_object.limits_of(memory_bytes=200 << 20, processes=8, cpu_s=2.5))
    assert int.from_bytes(raw[8:16], "little") == 25_000_000  # 100 ns
    flags = int.from_bytes(raw[16:20], "little")
    assert flags == 0x2000 | 0x400 | 0x200 | 0x100 | 0x8 | 0x4
    assert not flags & (0x800 | 0x1000), "no process may break away from the job"
    assert int.from_bytes(raw[40:44], "little") == 8
    assert int.from_bytes(raw[112:120], "little") == int.from_bytes(raw[120:128], "little") == 200 << 20


def test_every_function_is_declared_before_it_is_called() -> None:
    source = Path(job_object.__file__).read_text(encoding="utf-8")
    called = {line.split("(")[0] for line in source.replace("self._api.", "api.").split("api.")[1:]}
    assert called == set(job_object._RETURNS)


def test_a_job_object_says_that_it_needs_windows() -> None:
    with pytest.raises(OSError, match="Windows only"):
        job_object.JobObject(job_object.limits_of(memory_bytes=1, processes=1, cpu_s=1))


@pytest.mark.parametrize("platform", ["linux", "darwin", "win32", "freebsd14"])
def test_commands_run_unconfined_only_where_the_sandbox_is_switched_off(platform: str) -> None:
    assert not {"job", "unconfined"} & set(kinds("required", platform))
    assert kinds("off", platform) == (("job",) if platform == "win32" else ("unconfined",))


def test_windows_has_no_sandbox_and_is_pointed_to_wsl() -> None:
    assert kinds("required", "win32") == ()
    assert "WSL" in how_to_get_one("win32")
    assert "bubblewrap" in how_to_get_one("linux")


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("", ""),
        (".", ""),
        ("src/a.py", "src/a.py"),
        (r"src\.\a.py", "src/a.py"),
        (r"c:\users\ME\project\src\A.py", "src/A.py"),
        ("C:/Users/me/Project/", ""),
        ("auxiliary/console.txt", "auxiliary/console.txt"),
    ],
)
def test_paths_are_read_as_windows_reads_them(given: str, expected: str) -> None:
    assert relative_name(given, ROOT) == expected


@pytest.mark.parametrize(
    ("given", "error"),
    [
        (r"..\other", PolicyDenied),
        ("src/../../other", PolicyDenied),
        (r"C:\Users\me\Project2\a", PolicyDenied),
        (r"C:\Users\me\Project\..\other", PolicyDenied),
        (r"D:\Users\me\Project\a", PolicyDenied),
        ("C:a.py", PolicyDenied),
        (r"\Windows", PolicyDenied),
        ("/Windows", PolicyDenied),
        (r"\\server\share\a", PolicyDenied),
        (r"\\?\C:\Windows", PolicyDenied),
        ("a.txt:stream", InvalidArguments),
        ("src/NUL", InvalidArguments),
        ("com1.txt", InvalidArguments),
        ("CON .x", InvalidArguments),
        ("secret.", InvalidArguments),
        ("secret /a", InvalidArguments),
        ("a*", InvalidArguments),
        ("a\x00b", InvalidArguments),
        ("a" * 5000, InvalidArguments),
    ],
)
def test_paths_that_lead_elsewhere_on_windows_are_refused(given: str, error: type[LgError]) -> None:
    with pytest.raises(error):
        relative_name(given, ROOT)


def test_only_what_is_below_the_root_is_relative_to_it() -> None:
    assert relative_to(r"C:\a", "C:\\") == "a"
    assert relative_to("C:\\", "C:\\") == ""
    assert relative_to(r"C:\ab", r"C:\a") is None
    assert anchored(r"\a") and anchored("C:a") and not anchored(r"a\b")


def test_a_checked_root_follows_links_and_refuses_those_that_leave(tmp_path: Path) -> None:
    root, outside = tmp_path / "root", tmp_path / "outside"
    (root / "sub").mkdir(parents=True)
    outside.mkdir()
    (root / "sub" / "a.txt").write_text("a")
    (root / "out").symlink_to(outside)
    (root / "in").symlink_to(root / "sub")
    checked = CheckedRoot(root)
    assert checked.open_file("in/a.txt").rel == "sub/a.txt"
    assert checked.open_dir("").rel == ""
    with pytest.raises(PolicyDenied, match="leads out of the root"):
        checked.open_dir("out")
    with pytest.raises(PolicyDenied, match="leads out of the root"):
        checked.open_file("out/missing")
    with pytest.raises(NotFound):
        checked.open_dir("missing")
    with pytest.raises(InvalidArguments):
        checked.open_dir("sub/a.txt")


def test_a_checked_root_must_exist_and_be_narrow(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="not a directory"):
        CheckedRoot(tmp_path / "missing")
    for broad in ("/", Path.home()):
        with pytest.raises(ConfigError, match="too broad"):
            CheckedRoot(broad)
    assert CheckedRoot("/", allow_broad=True).path == Path("/")


def test_a_command_gets_nothing_of_the_servers_environment_but_what_windows_needs() -> None:
    own = {"SYSTEMROOT": r"D:\Win", "PATH": r"C:\evil", "API_KEY": "x", "USERPROFILE": r"C:\Users\me", "COMSPEC": "c"}
    found = windows_environment(own, program=r"C:\tools\x.exe", private=r"C:\t\call", network=False)
    assert found["SYSTEMROOT"] == r"D:\Win" and found["COMSPEC"] == "c"
    assert found["PATH"] == r"C:\tools;D:\Win\System32;D:\Win"
    assert "API_KEY" not in found
    for place in ("HOME", "USERPROFILE", "TEMP", "TMP", "APPDATA", "LOCALAPPDATA"):
        assert found[place] == r"C:\t\call"


_IMPORTS = """
import sys, asyncio, subprocess, multiprocessing, jsonschema, mcp.server.stdio, mcp.types, pathspec, pydantic, uvicorn
for name in ("fcntl", "resource", "pwd", "grp", "termios"):
    sys.modules[name] = None  # importing it fails, as on Windows
sys.platform = "win32"
import lg_exec.cli, lg_exec.server.doctor
import lg_exec.server.server, lg_exec.server.setup, lg_exec.windows.job_backend, lg_exec.windows.checked_root
import lg_policy.wire.serving, lg_policy.wire.stdio
print(lg_exec.process.run.start.__module__)
"""


def test_what_the_server_imports_on_windows_needs_no_module_that_is_missing_there() -> None:
    done = subprocess.run([sys.executable, "-P", "-c", _IMPORTS], capture_output=True, text=True, timeout=60)
    assert done.stdout.strip() == "lg_exec.process.windows_child", done.stderr
