"""Standard output as the protocol's wire: nothing but messages on it, whole even when the reader is slow."""

from __future__ import annotations

import subprocess
import sys

PROGRAM = """
import anyio, sys
from lg_policy.stdio import stdout_file

async def main():
    wire = stdout_file()
    print("a stray print", flush=True)
    for n in range(3):
        await wire.write(str(n) * 300_000 + "\\n")
        await wire.flush()

anyio.run(main)
"""


def test_messages_longer_than_a_pipe_arrive_whole_and_stray_prints_go_elsewhere() -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, timeout=60)

    assert done.stdout == "".join(str(n) * 300_000 + "\n" for n in range(3))
    assert done.stderr == "a stray print\n"


def test_a_reader_that_is_gone_is_an_error_and_not_a_wait() -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    process.stdout.close()
    _, stderr = process.communicate(timeout=60)

    assert process.returncode == 1
    assert "BrokenPipeError" in stderr
