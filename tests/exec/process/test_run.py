"""Running a command: pipes drained, limits kept, nothing left behind. Here without a sandbox."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import anyio
import pytest

from lg_exec.process.orphans import Orphans
from lg_exec.sandbox.unconfined import UnconfinedBackend
from lg_exec.server.executor import Executor, Request
from lg_policy.errors import LimitExceeded
from tests.exec.helpers import alive, py, settings, unconfined
from tests.support import descriptors, growing, require

pytestmark = pytest.mark.anyio


@pytest.fixture
def root(tmp_path: Path) -> Path:
    path = tmp_path / "a root"
    path.mkdir()
    return path


@pytest.fixture
def executor(root: Path, tmp_path: Path) -> Iterator[Executor]:
    with unconfined(root, tmp_path / "scratch") as made:
        yield made


async def wait_for_file(path: Path) -> str:
    with anyio.fail_after(60):
        while not (path.exists() and path.read_text().strip()):
            await anyio.sleep(0.01)
    return path.read_text()


async def test_the_exit_code_decides_ok_not_the_output(executor: Executor) -> None:
    good = await py(executor, "print('FAILED')")
    bad = await py(executor, "print('ok'); raise SystemExit(3)")
    assert good.ok
    assert good.finished.exit_code == 0
    assert not bad.ok
    assert bad.finished.exit_code == 3
    assert bad.finished.signal is None


async def test_death_by_a_signal_is_named(executor: Executor) -> None:
    done = (await py(executor, "import os; os.kill(os.getpid(), 11)")).finished
    assert (done.exit_code, done.signal) == (None, "SIGSEGV")


async def test_stdin_reaches_the_command_and_is_otherwise_empty(executor: Executor) -> None:
    echo = "import sys; print(sys.stdin.read().upper())"
    assert (await py(executor, echo, stdin="hällo")).as_json()["stdout"] == "HÄLLO\n"
    assert (await py(executor, echo)).as_json()["stdout"] == "\n"


async def test_more_stdin_than_a_pipe_holds_to_a_command_that_reads_none(executor: Executor) -> None:
    assert (await py(executor, "pass", stdin="x" * 900_000)).ok


async def test_head_and_tail_of_a_flood_are_kept_and_the_middle_counted(executor: Executor) -> None:
    outcome = await py(executor, "import sys\nfor i in range(30): sys.stdout.write(f'{i}' + 'x' * 1_000_000)")
    shown = outcome.as_json()
    assert outcome.ok
    assert shown["truncated"]
    assert shown["stdout"].startswith("0xxx")
    assert "bytes dropped" in shown["stdout"]
    assert len(shown["stdout"]) < 530_000


async def test_both_streams_are_drained_at_once(executor: Executor) -> None:
    code = "import sys\nfor _ in range(200):\n sys.stdout.write('o' * 10_000); sys.stderr.write('e' * 10_000)"
    with anyio.fail_after(60):
        assert (await py(executor, code)).ok


async def test_bytes_that_are_no_text_become_text(executor: Executor) -> None:
    shown = (await py(executor, "import sys; sys.stdout.buffer.write(b'a\\xff\\x1b[31mb\\r\\n')")).as_json()
    assert shown["stdout"] == "a�b\n"


async def test_output_streams_as_progress_while_the_command_runs(root: Path, tmp_path: Path) -> None:
    seen: list[str] = []
    go = root / "go"

    async def on_output(text: str) -> None:
        seen.append(text)
        go.touch()

    code = (
        "import os, time\nprint('first', flush=True)\nwhile not os.path.exists('go'): time.sleep(0.01)\nprint('last')"
    )
    with unconfined(root, tmp_path / "s", settings(progress_interval_s=0.05)) as executor, anyio.fail_after(60):
        outcome = await executor.execute(Request(cmd="py", args=("-c", code)), on_output)
    assert "".join(seen).startswith("first")  # an unbuffered `print` writes the end of the line apart
    assert outcome.as_json()["stdout"] == "first\nlast\n"


async def test_a_silent_command_gives_a_sign_of_life(root: Path, tmp_path: Path) -> None:
    seen: list[str] = []

    async def on_output(text: str) -> None:
        seen.append(text)
        (root / "go").touch()

    code = "import os, time\nwhile not os.path.exists('go'): time.sleep(0.01)"
    with unconfined(root, tmp_path / "s", settings(heartbeat_s=0.05)) as executor, anyio.fail_after(60):
        await executor.execute(Request(cmd="py", args=("-c", code)), on_output)
    assert seen[0].startswith("still running after")


async def test_time_is_up_even_for_a_command_that_ignores_sigterm(executor: Executor) -> None:
    code = (
        "import signal, time\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\nprint('on', flush=True)\ntime.sleep(600)"
    )
    for timeout_s in growing(1):
        outcome = await py(executor, code, timeout_s=timeout_s)
        if outcome.as_json()["stdout"]:
            break
    assert outcome.finished.limit_hit == "time"
    assert outcome.finished.signal == "SIGKILL"
    assert outcome.as_json()["stdout"] == "on\n"


async def test_a_command_told_to_stop_may_clean_up(executor: Executor, root: Path) -> None:
    code = (
        "import signal, sys, time\n"
        "def stop(*_): open('clean', 'w').write('yes'); sys.exit(0)\n"
        "signal.signal(signal.SIGTERM, stop)\nprint('on', flush=True)\ntime.sleep(600)"
    )
    for timeout_s in growing(1):
        outcome = await py(executor, code, timeout_s=timeout_s)
        if outcome.as_json()["stdout"]:
            break
    assert outcome.finished.limit_hit == "time"
    assert not outcome.ok
    assert (root / "clean").read_text() == "yes"


async def test_a_caller_can_only_shorten_the_time(root: Path, tmp_path: Path) -> None:
    with unconfined(root, tmp_path / "s", settings(limits={"timeout_s": 5})) as executor:
        assert executor.prepare(Request(cmd="py", timeout_s=9999)).limits.timeout_s == 5
        assert executor.prepare(Request(cmd="py", timeout_s=2)).limits.timeout_s == 2


async def test_background_children_die_with_the_command(executor: Executor, root: Path) -> None:
    code = (
        "import subprocess, sys\n"
        "p = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'])\n"
        "open('pid', 'w').write(str(p.pid))"
    )
    with anyio.fail_after(60):
        outcome = await py(executor, code)
    assert outcome.ok
    assert not alive(int((root / "pid").read_text()))


async def test_cancelling_the_call_ends_the_tree(executor: Executor, root: Path) -> None:
    code = "import os, time\nopen('pid', 'w').write(str(os.getpid()))\ntime.sleep(600)"
    with anyio.fail_after(60):
        async with anyio.create_task_group() as group:
            group.start_soon(py, executor, code)
            pid = int(await wait_for_file(root / "pid"))
            group.cancel_scope.cancel()
    assert not alive(pid)


async def test_memory_of_the_whole_tree_is_limited(root: Path, tmp_path: Path) -> None:
    require(sys.platform == "linux", "/proc")
    code = (
        "import subprocess, sys, time\n"
        "hog = 'x = bytearray(60_000_000); import time; time.sleep(600)'\n"
        "for _ in range(4): subprocess.Popen([sys.executable, '-c', hog])\ntime.sleep(600)"
    )
    with unconfined(root, tmp_path / "s", settings(limits={"memory_mb": 150})) as executor, anyio.fail_after(60):
        outcome = await py(executor, code)
    assert outcome.finished.limit_hit == "memory"
    assert not outcome.ok


async def test_a_fork_bomb_is_ended(root: Path, tmp_path: Path) -> None:
    require(sys.platform == "linux", "/proc")
    code = "import os, time\nfor _ in range(60):\n if os.fork() == 0: time.sleep(600); os._exit(0)\ntime.sleep(600)"
    with unconfined(root, tmp_path / "s", settings(limits={"processes": 30})) as executor, anyio.fail_after(60):
        outcome = await py(executor, code)
    assert outcome.finished.limit_hit == "processes"


async def test_a_large_file_is_stopped_by_its_limit(root: Path, tmp_path: Path) -> None:
    code = "import signal\nsignal.signal(signal.SIGXFSZ, signal.SIG_DFL)\nopen('big', 'wb').write(b'x' * 5_000_000)"
    with unconfined(root, tmp_path / "s", settings(limits={"file_mb": 1})) as executor:
        outcome = await py(executor, code)
    assert outcome.finished.signal == "SIGXFSZ"
    assert outcome.finished.limit_hit == "file_size"
    assert (root / "big").stat().st_size <= 1 << 20


async def test_cpu_time_and_memory_are_reported(executor: Executor) -> None:
    outcome = await py(executor, "import time\nx = bytearray(80_000_000)\nwhile time.process_time() < 0.3: pass")
    assert outcome.finished.cpu_ms >= 250
    assert outcome.finished.peak_memory_mb >= 70


async def test_calls_wait_for_their_turn_and_a_long_queue_is_refused(root: Path, tmp_path: Path) -> None:
    chosen = settings(max_concurrent=1, max_waiting=1)
    results: list[str] = []

    async def call(executor: Executor, n: int) -> None:
        results.append((await py(executor, f"print({n})")).as_json()["stdout"].strip())

    code = "import os, time\nopen('on', 'w').write('1')\nwhile not os.path.exists('go'): time.sleep(0.01)"
    with unconfined(root, tmp_path / "s", chosen) as executor, anyio.fail_after(60):
        async with anyio.create_task_group() as group:
            group.start_soon(py, executor, code)
            await wait_for_file(root / "on")
            group.start_soon(call, executor, 1)
            while not executor.waiting:
                await anyio.sleep(0.01)
            with pytest.raises(LimitExceeded, match="the queue is full"):
                await py(executor, "print(2)")
            (root / "go").touch()
    assert results == ["1"]


async def test_waiting_calls_are_served_in_the_order_they_came(root: Path, tmp_path: Path) -> None:
    served: list[int] = []

    async def call(executor: Executor, n: int) -> None:
        await executor.execute(Request(cmd="sh", args=("-c", "true")))
        served.append(n)

    code = "import os, time\nopen('on', 'w').write('1')\nwhile not os.path.exists('go'): time.sleep(0.01)"
    with unconfined(root, tmp_path / "s", settings(max_concurrent=1)) as executor, anyio.fail_after(60):
        async with anyio.create_task_group() as group:
            group.start_soon(py, executor, code)
            await wait_for_file(root / "on")
            for n in range(5):
                group.start_soon(call, executor, n)
                while executor.waiting <= n:
                    await anyio.sleep(0.01)
            (root / "go").touch()
    assert served == [0, 1, 2, 3, 4]


async def test_a_daemon_that_left_the_group_is_found_and_ended(root: Path, tmp_path: Path) -> None:
    require(sys.platform == "linux", "PR_SET_CHILD_SUBREAPER")
    code = (
        "import os, time\n"
        "if os.fork() == 0:\n"
        "    os.setsid()\n"
        "    if os.fork(): os._exit(0)\n"
        "    open('pid', 'w').write(str(os.getpid()))\n"
        "    time.sleep(600)\n"
        "while not os.path.exists('pid') or not open('pid').read(): time.sleep(0.01)"
    )
    with unconfined(root, tmp_path / "s") as executor, anyio.fail_after(60):
        executor.backend = UnconfinedBackend(str(root), str(tmp_path / "s"), Orphans())
        outcome = await py(executor, code)
    assert outcome.ok
    assert not alive(int((root / "pid").read_text()))


async def test_a_stray_without_environment_does_not_hold_a_call_up(root: Path, tmp_path: Path) -> None:
    require(sys.platform == "linux", "PR_SET_CHILD_SUBREAPER")
    code = (
        "import os, time\nif os.fork() == 0:\n    os.setsid()\n    if os.fork(): os._exit(0)\n"
        "    open('pid.new', 'w').write(str(os.getpid())); os.rename('pid.new', 'pid')\n"
        "    os.execve('/bin/sleep', ['sleep', '600'], {})\n"
        "while not os.path.exists('pid'): time.sleep(0.01)\n"
        "while not open(f'/proc/{open(\"pid\").read()}/cmdline').read().startswith('sleep'): time.sleep(0.01)"
    )
    with unconfined(root, tmp_path / "s") as executor, anyio.fail_after(60):
        executor.backend = UnconfinedBackend(str(root), str(tmp_path / "s"), Orphans())
        outcome = await py(executor, code)
    assert outcome.ok
    stray = int(await wait_for_file(root / "pid"))
    os.kill(stray, signal.SIGKILL)  # what `sandbox = "off"` does not promise to end


async def test_a_hundred_calls_leave_no_descriptor_and_no_directory_behind(root: Path, tmp_path: Path) -> None:
    scratch = tmp_path / "s"
    with unconfined(root, scratch, settings(max_concurrent=8, max_waiting=100)) as executor:
        await executor.execute(Request(cmd="sh", args=("-c", "true")))
        before = descriptors() if sys.platform == "linux" else set()
        with anyio.fail_after(120):
            async with anyio.create_task_group() as group:
                for _ in range(100):
                    group.start_soon(executor.execute, Request(cmd="sh", args=("-c", "true")))
        after = descriptors() if sys.platform == "linux" else set()
    assert not after - before
    assert list(scratch.iterdir()) == []


async def test_wall_time_is_measured(executor: Executor) -> None:
    begun = time.monotonic()
    outcome = await py(executor, "pass")
    assert 0 < outcome.finished.wall_ms <= (time.monotonic() - begun) * 1000 + 1


def test_limits_of_a_template_win_over_the_defaults() -> None:
    from lg_exec.server.executor import effective_limits

    chosen = settings(commands={"x": {"executable": "/bin/true", "limits": {"timeout_s": 7}}})
    limits = effective_limits(chosen.exec.limits, chosen.exec.commands["x"].limits)
    assert limits.timeout_s == 7
    assert limits == replace(limits, memory_mb=chosen.exec.limits.memory_mb)
