"""The installed program: command line, stdio, HTTP, both protocol eras, stopping."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest
from mcp import Client, stdio_client

from lg_policy.jobs import Job, StoppedError, Workers
from tests.fs.helpers import write_tree
from tests.fs.programs import PROGRAM, WAIT_S, called, stdio

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("programs_by_fork")]

TOOLS = ["apply_patch", "list_changes", "list_files", "read_file", "revert_patch", "search_files"]


def run(*arguments: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*PROGRAM, *arguments], capture_output=True, text=True, timeout=WAIT_S, cwd=cwd, stdin=subprocess.DEVNULL
    )


async def use(client: Client) -> None:
    tools = (await client.list_tools()).tools
    assert [tool.name for tool in tools] == TOOLS
    for tool in tools:
        assert tool.annotations is not None
        assert tool.annotations.read_only_hint is (tool.name not in ("apply_patch", "revert_patch"))
        assert tool.output_schema is not None
        assert tool.meta is not None
        assert re.fullmatch("[0-9a-f]{16}", tool.meta["lg/root"]["id"])
    patch = "*** Begin Patch\n*** Add File: new.txt\n+hello\n*** End Patch"
    change = await called(client, "apply_patch", patch=patch)
    assert (await called(client, "read_file", path="new.txt"))["files"][0]["text"] == "hello\n"
    assert (await called(client, "search_files", regex="hell"))["total_matches"] == 1
    assert (await called(client, "list_files", totals=True))["totals"]["lines"] == 1
    await called(client, "revert_patch", change_id=change["change_id"])
    error = await client.call_tool("read_file", {"path": "../x"})
    assert error.is_error


@pytest.mark.parametrize("mode", ["auto", "legacy"])
async def test_it_serves_over_stdio_in_both_protocol_eras(tmp_path: Path, mode: Any) -> None:
    root = tmp_path / "a root"
    root.mkdir()
    with anyio.fail_after(WAIT_S):
        async with Client(stdio_client(stdio(root)), mode=mode) as client:
            await use(client)


@asynccontextmanager
async def http_server(root: Path) -> AsyncIterator[tuple[str, asyncio.subprocess.Process]]:
    process = await asyncio.create_subprocess_exec(
        *PROGRAM, "--root", str(root), "--transport", "http", stdin=subprocess.DEVNULL, stderr=subprocess.PIPE
    )
    assert process.stderr is not None
    try:
        line = (await process.stderr.readline()).decode()
        found = re.search(r"http://\S+", line)
        assert found, line
        yield found[0], process
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


@pytest.mark.parametrize("mode", ["auto", "legacy"])
async def test_it_serves_over_http_in_both_protocol_eras_and_ends_on_sigterm(tmp_path: Path, mode: Any) -> None:
    with anyio.fail_after(WAIT_S):
        async with http_server(tmp_path) as (url, process):
            async with Client(url, mode=mode) as client:
                await use(client)
            process.send_signal(signal.SIGTERM)
            await process.wait()
    assert process.returncode in (0, -signal.SIGTERM)


async def test_paths_of_several_roots_begin_with_their_names(tmp_path: Path) -> None:
    write_tree(tmp_path, {"one/a": "1\n", "two/b": "2\n"})
    parameters = stdio(tmp_path / "one", "--root", str(tmp_path / "two"))
    with anyio.fail_after(WAIT_S):
        async with Client(stdio_client(parameters)) as client:
            files = (await called(client, "read_file", paths=["one/a", "two/b"]))["files"]
            instructions = client.instructions
    assert [file["text"] for file in files] == ["1\n", "2\n"]
    assert instructions is not None
    assert "Paths begin with the name of one: one, two, and use" in instructions


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--root", "/"], "too broad"),
        (["--root", "missing"], "No such file"),
        (["--root", "file"], "Not a directory"),
        (["--root", ".", "--config", "missing.toml"], "does not exist"),
        (["--root", ".", "--state-dir", "./state"], "lies inside"),
        (["--root", ".", "--transport", "http", "--host", "0.0.0.0"], "reachable from other machines"),
        (["--root", "x/same", "--root", "y/same"], "two roots are called 'same'"),
    ],
)
def test_a_wrong_start_is_explained_with_status_2(tmp_path: Path, arguments: list[str], words: str) -> None:
    write_tree(tmp_path, {"file": "x", "x/same/a": "", "y/same/a": ""})
    result = run(*arguments, cwd=tmp_path)
    assert result.returncode == 2
    assert words in result.stderr
    assert result.stdout == ""


def test_help_and_version_import_nothing_heavy() -> None:
    code = (
        "import sys; from lg_fs.cli import main\n"
        "try: main(['--help'])\n"
        "except SystemExit: pass\n"
        "print(sorted({'mcp', 'mcp_types', 'pydantic', 're2', 'jsonschema', 'anyio', 'pathspec'} & set(sys.modules)))"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=WAIT_S)
    assert result.stdout.splitlines()[-1] == "[]"
    assert run("--version").stdout.startswith("lg-fs ")


async def test_the_next_start_undoes_what_a_killed_server_left(tmp_path: Path, clean_environment: Path) -> None:
    root = tmp_path / "root"
    write_tree(root, {"a": "1\n"})
    with anyio.fail_after(WAIT_S):
        async with Client(stdio_client(stdio(root))) as client:
            await called(client, "apply_patch", changes=[{"op": "update", "path": "a", "content": "2\n"}])
        (done,) = clean_environment.glob("state/lg/*/fs/*/changes/*")
        done.rename(done.parent.parent / "pending" / done.name)  # as if it had died just before the end
        async with Client(stdio_client(stdio(root))) as client:
            assert (await called(client, "read_file", path="a"))["files"][0]["text"] == "1\n"
            assert (await called(client, "list_changes"))["changes"] == []


async def test_a_cancelled_call_stops_its_work() -> None:
    workers = Workers(1, 60)
    begun = anyio.Event()
    ended: list[str] = []

    def work(job: Job) -> None:
        loop.call_soon_threadsafe(begun.set)
        try:
            while True:
                job.wait(0.005)
        except StoppedError:
            ended.append("stopped")
            raise

    loop = asyncio.get_running_loop()
    with anyio.fail_after(WAIT_S):
        async with anyio.create_task_group() as group:
            group.start_soon(workers.run, work)
            await begun.wait()
            group.cancel_scope.cancel()
        # The call is over only when its thread let go; the only thread is free again.
        assert ended == ["stopped"]
        assert await workers.run(lambda _job: "next") == "next"
    workers.close()


async def test_a_cancelled_search_over_stdio_leaves_the_server_usable(tmp_path: Path) -> None:
    write_tree(tmp_path, {f"big{n}.txt": "word word word\n" * 400_000 for n in range(6)})
    with anyio.fail_after(WAIT_S):
        async with Client(stdio_client(stdio(tmp_path))) as client:
            with anyio.move_on_after(0.05):
                await client.call_tool("search_files", {"regex": r"(\w+\s){3}!", "output": "counts"})
            assert (await called(client, "list_files"))["entries"]


async def test_long_work_reports_progress(tmp_path: Path) -> None:
    write_tree(tmp_path, {f"d{n}/big.txt": "word word word\n" * 50_000 for n in range(3)})
    seen: list[float] = []

    async def progress(progress: float, total: float | None, message: str | None) -> None:
        assert total is None
        assert message
        seen.append(progress)

    with anyio.fail_after(WAIT_S):
        async with Client(stdio_client(stdio(tmp_path))) as client:
            result = await client.call_tool(
                "search_files",
                {"regex": r"(\w+\s+)*!", "output": "counts"},
                progress_callback=progress,
            )
    assert not result.is_error
    assert seen == sorted(seen)
    assert seen


def test_the_tool_list_stays_small(tmp_path: Path) -> None:
    from lg_fs.server.server import tools
    from lg_fs.server.startup import make_service
    from lg_policy.config.settings import Settings
    from lg_policy.paths.root import Root

    (tmp_path / "root").mkdir()
    with Root(tmp_path / "root") as root:
        service = make_service([root], Settings(), tmp_path / "state")
        definitions = [
            tool.definition().model_dump(mode="json", by_alias=True, exclude_none=True) for tool in tools(service)
        ]
        service.workers.close()
    for definition in definitions:
        definition.pop("outputSchema")  # for programs; models are shown the rest
    assert len(json.dumps(definitions)) < 9_000


@pytest.mark.parametrize("unbuffered", ["", "1"])
@pytest.mark.parametrize("argument", ["--help", "--version"])
def test_a_reader_that_leaves_early_gets_no_traceback(tmp_path: Path, argument: str, unbuffered: str) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "wb") as output:
        done = subprocess.run(
            [sys.executable, "-P", "-m", "lg_fs", "--root", str(tmp_path), argument],
            stdout=output, stderr=subprocess.PIPE, text=True, timeout=120, check=False,
            env=os.environ | {"PYTHONUNBUFFERED": unbuffered},
        )  # fmt: skip
    assert done.stderr == ""
