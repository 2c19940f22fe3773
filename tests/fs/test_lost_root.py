"""Roots that are replaced, removed or read-only, state that cannot be written, streams that are closed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import anyio
import pytest
from mcp import Client, StdioServerParameters, stdio_client

from lg_policy.sandbox.bubblewrap import binaries
from tests.fs.helpers import FsClient, fs_client, write_tree
from tests.fs.programs import PROGRAM, WAIT_S, called, stdio
from tests.support import require

pytestmark = pytest.mark.anyio


async def every_tool_refuses(fs: FsClient, words: str) -> None:
    for tool, arguments in (
        ("read_file", {"path": "a.txt"}),
        ("list_files", {}),
        ("list_files", {"totals": True}),
        ("search_files", {"regex": "."}),
        ("apply_patch", {"changes": [{"path": "new.txt", "op": "add", "content": "x"}]}),
        ("apply_patch", {"changes": [{"path": "a.txt", "op": "update", "content": "x"}], "dry_run": True}),
    ):
        error = await fs.fails(tool, **arguments)
        assert error["code"] == "conflict", tool
        assert words in error["message"], tool
        assert "restart the server" in error["hint"]


async def test_a_root_that_was_replaced_is_refused_by_every_tool(tmp_path: Path) -> None:
    root = tmp_path / "root"
    write_tree(root, {"a.txt": "old\n"})
    with anyio.fail_after(60):
        async with fs_client(root) as fs:
            done = await fs.ok("apply_patch", changes=[{"path": "b.txt", "op": "add", "content": "1\n"}])
            root.rename(tmp_path / "before")
            write_tree(root, {"a.txt": "new\n"})
            await every_tool_refuses(fs, "was replaced by another")
            assert (await fs.fails("revert_patch", change_id=done["change_id"]))["code"] == "conflict"
    assert (tmp_path / "before" / "a.txt").read_text() == "old\n"
    assert (tmp_path / "before" / "b.txt").exists()
    assert sorted(path.name for path in root.iterdir()) == ["a.txt"]


async def test_a_root_that_was_removed_is_refused_until_it_is_back(tmp_path: Path) -> None:
    root = tmp_path / "root"
    write_tree(root, {"a.txt": "1\n"})
    with anyio.fail_after(60):
        async with fs_client(root) as fs:
            root.rename(tmp_path / "away")
            await every_tool_refuses(fs, "is gone")
            (tmp_path / "away").rename(root)
            assert (await fs.ok("read_file", path="a.txt"))["files"][0]["text"] == "1\n"


async def test_one_of_two_roots_that_is_gone_costs_only_itself(tmp_path: Path) -> None:
    write_tree(tmp_path, {"one/a.txt": "1\n", "two/b.txt": "2\n"})
    with anyio.fail_after(60):
        async with fs_client(tmp_path / "one", tmp_path / "two") as fs:
            (tmp_path / "two").rename(tmp_path / "away")
            read = await fs.ok("read_file", paths=["one/a.txt", "two/b.txt"])
    first, second = read["files"]
    assert first["text"] == "1\n"
    assert second["error"]["code"] == "conflict"


async def test_a_state_directory_that_was_removed_is_made_again(tmp_path: Path, clean_environment: Path) -> None:
    write_tree(tmp_path / "root", {"a.txt": "1\n"})
    change = {"path": "a.txt", "op": "update", "content": "2\n"}
    with anyio.fail_after(60):
        async with fs_client(tmp_path / "root") as fs:
            await fs.ok("apply_patch", changes=[change])
            (clean_environment / "state").rename(clean_environment / "lost")
            await fs.ok("apply_patch", changes=[{**change, "content": "3\n"}])
            assert len((await fs.ok("list_changes"))["changes"]) == 1


async def test_without_a_state_directory_files_are_read_and_changes_say_why_not(tmp_path: Path) -> None:
    root = tmp_path / "root"
    write_tree(tmp_path, {"root/a.txt": "1\n", "file": ""})
    with anyio.fail_after(WAIT_S):
        parameters = stdio(root, "--state-dir", str(tmp_path / "file" / "state"))
        async with Client(stdio_client(parameters)) as client:
            assert (await called(client, "read_file", path="a.txt"))["files"][0]["text"] == "1\n"
            assert (await called(client, "list_changes"))["changes"] == []
            changes = [{"path": "a.txt", "op": "update", "content": "2\n"}]
            refused = await client.call_tool("apply_patch", {"changes": changes})
    assert refused.structured_content is not None
    assert refused.structured_content["error"]["code"] == "conflict"
    assert str(tmp_path / "file") in refused.structured_content["error"]["message"]
    assert (root / "a.txt").read_text() == "1\n"


@pytest.mark.parametrize(
    ("closed", "words"),
    [("<&-", "standard input is closed"), (">&-", "standard output is closed"), ("<&- >&-", "input and output are")],
)
def test_a_closed_stream_is_told_in_one_line(tmp_path: Path, closed: str, words: str) -> None:
    program = " ".join(f"'{part}'" for part in [*PROGRAM, "--root", str(tmp_path)])
    done = subprocess.run(["sh", "-c", f"{program} {closed}"], capture_output=True, text=True, timeout=WAIT_S)
    assert done.returncode == 2
    assert words in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_a_current_directory_that_is_gone_is_told_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "gone").mkdir()
    script = f"cd '{tmp_path}/gone' && rmdir '{tmp_path}/gone' && '{sys.executable}' -P -m lg_fs"
    done = subprocess.run(["sh", "-c", script], capture_output=True, text=True, timeout=WAIT_S, stdin=subprocess.PIPE)
    assert done.returncode == 2
    assert "the current directory is gone" in done.stderr
    assert len(done.stderr.splitlines()) == 1


def bubblewrap() -> str:
    found = next(binaries(), None)
    require(found is not None, "bubblewrap")
    return found.path if found is not None else ""


def confined(root: Path, *mounts: str) -> StdioServerParameters:
    """A server whose file systems are as the mounts say."""
    plain = stdio(root)
    args = ["--dev-bind", "/", "/", *mounts, "--", plain.command, *plain.args]
    return StdioServerParameters(command=bubblewrap(), args=args, env=plain.env, cwd=root.parent)


async def test_a_read_only_root_is_read_and_says_why_it_is_not_changed(tmp_path: Path) -> None:
    root = tmp_path / "root"
    write_tree(root, {"a.txt": "1\n", "d/b.txt": "2\n"})
    parameters = confined(root, "--ro-bind", str(root), str(root))
    changes: list[dict[str, str]] = [
        {"path": "a.txt", "op": "update", "content": "2\n"},
        {"path": "new/c.txt", "op": "add", "content": "3\n"},
        {"path": "d/b.txt", "op": "delete"},
        {"path": "a.txt", "op": "move", "to": "d/a.txt"},
    ]
    with anyio.fail_after(WAIT_S):
        for _ in range(2):  # the next start, too
            async with Client(stdio_client(parameters)) as client:
                for change in changes:
                    result = await client.call_tool("apply_patch", {"changes": [change]})
                    assert result.structured_content is not None
                    error = result.structured_content["error"]
                    assert error["code"] in ("policy_denied", "conflict"), error
                    assert "Read-only file system" in error["message"]
                    assert (change.get("to") or change["path"]).partition("/")[0] in error["message"]
                    assert ".tmp" not in error["message"]
                assert (await called(client, "read_file", path="a.txt"))["files"][0]["text"] == "1\n"
                assert (await called(client, "list_changes"))["changes"] == []
        async with Client(stdio_client(stdio(root))) as client:
            await called(client, "apply_patch", changes=[changes[0]])
    assert (root / "a.txt").read_text() == "2\n"


async def test_an_interrupted_change_below_a_read_only_root_waits_until_it_can_be_undone(
    tmp_path: Path, clean_environment: Path
) -> None:
    root = tmp_path / "root"
    write_tree(root, {"a.txt": "1\n"})
    change = {"path": "a.txt", "op": "update", "content": "2\n"}
    with anyio.fail_after(WAIT_S):
        async with Client(stdio_client(stdio(root))) as client:
            await called(client, "apply_patch", changes=[change])
        (done,) = clean_environment.glob("state/lg/*/fs/*/changes/*")
        done.rename(done.parent.parent / "pending" / done.name)  # as if it had died just before the end
        async with Client(stdio_client(confined(root, "--ro-bind", str(root), str(root)))) as client:
            assert (await called(client, "read_file", path="a.txt"))["files"][0]["text"] == "2\n"
            result = await client.call_tool("apply_patch", {"changes": [change]})
            assert result.structured_content is not None
            assert result.structured_content["error"]["code"] == "conflict"
            assert "cannot be undone yet" in result.structured_content["error"]["message"]
        async with Client(stdio_client(stdio(root))) as client:
            assert (await called(client, "read_file", path="a.txt"))["files"][0]["text"] == "1\n"


async def test_a_full_disk_changes_nothing_and_is_named(tmp_path: Path, clean_environment: Path) -> None:
    root = tmp_path / "root"
    root.mkdir()
    content = "x" * 300_000
    with anyio.fail_after(WAIT_S):
        tiny = ["--size", "200000", "--tmpfs"]
        async with Client(stdio_client(confined(root, *tiny, str(root)))) as client:
            result = await client.call_tool(
                "apply_patch", {"changes": [{"path": "a", "op": "add", "content": content}]}
            )
            assert result.structured_content is not None
            error = result.structured_content["error"]
            assert error["message"] == "'a' cannot be written: No space left on device"
            assert "make room" in error["hint"]
            await called(client, "apply_patch", changes=[{"path": "b", "op": "add", "content": "small\n"}])
            assert [e["path"] for e in (await called(client, "list_files"))["entries"]] == ["b"]
        state = clean_environment / "state"
        state.mkdir(exist_ok=True)
        async with Client(stdio_client(confined(root, *tiny, str(state)))) as client:
            result = await client.call_tool(
                "apply_patch", {"changes": [{"path": "c", "op": "add", "content": content}]}
            )
            assert result.structured_content is not None
            assert "nothing was changed, because the journal" in result.structured_content["error"]["message"]
            await called(client, "apply_patch", changes=[{"path": "d", "op": "add", "content": "small\n"}])
    assert [path.name for path in root.iterdir()] == ["d"]
