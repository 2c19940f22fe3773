"""What a program holds of files that it has deleted is counted, however it holds them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from lg_gateway.confinement.watching import deleted_files
from tests.gateway.confinement.boxes import confinement

HOLDS = {
    "open": "held = make()",
    "without a name from the start": "held = make(os.open(home, os.O_TMPFILE | os.O_RDWR))",
    "open in a thread with descriptors of its own": """
def work():
    ctypes.CDLL(None).unshare(0x400)
    held = make()
    made.set()
    time.sleep(3600)
made = threading.Event()
threading.Thread(target=work, daemon=True).start()
made.wait()""",
    "mapped and closed": """
held = make()
memory = mmap.mmap(held, SIZE)
os.close(held)""",
    "behind a path that is too long to be read": """
here = os.open(home, os.O_RDONLY)
for _ in range(30):
    os.mkdir("d" * 200, dir_fd=here)
    here = os.open("d" * 200, os.O_RDONLY, dir_fd=here)
os.fchdir(here)
held = make(os.open("file", os.O_CREAT | os.O_RDWR), unlink="file")""",
}
PROGRAM = """
import ctypes, mmap, os, sys, threading, time
home, SIZE = sys.argv[1], 3 << 20
def make(descriptor=-1, unlink=""):
    if descriptor < 0:
        descriptor, unlink = os.open(f"{home}/file", os.O_CREAT | os.O_RDWR), f"{home}/file"
    os.write(descriptor, os.urandom(SIZE))
    os.fsync(descriptor)
    if unlink:
        os.unlink(unlink)
    return descriptor
open(f"{home}/named", "wb").write(b"x" * SIZE)
beside = os.open(f"{home}/../beside", os.O_CREAT | os.O_RDWR)
os.write(beside, b"x" * SIZE)
os.unlink(f"{home}/../beside")
"""


@pytest.mark.parametrize("kind", HOLDS)
def test_a_deleted_file_counts_once_and_nothing_else_does(tmp_path: Path, kind: str) -> None:
    home = tmp_path / "home"
    home.mkdir()
    box = confinement(tmp_path, home=str(home), private_home=str(home))
    code = f"{PROGRAM}{HOLDS[kind]}\nprint('made', flush=True)\ntime.sleep(3600)"
    with subprocess.Popen([sys.executable, "-c", code, str(home)], stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None and process.stdout.readline() == "made\n"
            assert deleted_files.deleted_size(box, [process.pid]) >> 20 == 3
            shown = confinement(tmp_path, home=str(home), private_home=str(home), write=(str(home),))
            if "path" not in kind:
                assert deleted_files.deleted_size(shown, [process.pid]) == 0, "it is in a directory that was named"
        finally:
            process.kill()
