"""Attempts to name something outside the root."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import anyio
import pytest

from tests.attacks.fs_fortress import TOKEN, Fortress
from tests.fs.helpers import write_tree

pytestmark = pytest.mark.anyio

CLIMBING = [
    "../outside/secret.txt",
    "src/../../outside/secret.txt",
    "src/../../root/src/../../outside/secret.txt",
    "./../outside/secret.txt",
    "..",
    "../root-sibling/secret.txt",
    "//../outside/secret.txt",
    "..//outside//secret.txt",
    "/etc/passwd",
    "//etc/passwd",
    "/proc/self/root/etc/passwd",
    "/proc/self/cwd",
    "/proc/self/environ",
    "/proc/self/fd/0",
    "/dev/stdin",
    "/dev/fd/0",
    "/dev/zero",
    "a\0b",
    "inside.txt\0",
    "line\nbreak",
    "bell\x07",
    "\x7f",
    "a" * 300,
    "x/" * 2_000 + "y",
    "a" * 100_000,
    "~/.ssh/id_rsa",
    "%2e%2e/outside/secret.txt",
    "..\\outside\\secret.txt",
    "\u2025/outside/secret.txt",
    "\uff0e\uff0e/outside/secret.txt",
]


@pytest.mark.attack(
    "Paths",
    "`..` in every place, absolute names, `/proc` and `/dev` names, NUL and control characters, over-long "
    "names, encoded and look-alike dots",
)
@pytest.mark.parametrize("path", CLIMBING, ids=lambda path: ascii(path)[:40])
async def test_no_spelling_of_a_path_leads_outside(tmp_path: Path, path: str) -> None:
    fortress = Fortress(tmp_path)
    with anyio.fail_after(60):
        async with fortress.attacked() as attacker:
            await attacker.refused("read_file", path=path)
            await attacker.refused("search_files", path=path, regex="TOKEN")
            await attacker.refused("list_files", path=path)
            await attacker.refused("apply_patch", changes=[{"op": "delete", "path": path}])
            await attacker.refused("apply_patch", changes=[{"op": "update", "path": path, "content": "x"}])


@pytest.mark.attack("Paths", "a sibling directory whose name begins with the root's, the root's parent")
async def test_absolute_paths_beside_the_root_are_outside_even_with_its_name_as_prefix(tmp_path: Path) -> None:
    fortress = Fortress(tmp_path)
    with anyio.fail_after(60):
        async with fortress.attacked() as attacker:
            for path in (
                f"{fortress.outside}/secret.txt",
                f"{fortress.root}-sibling/secret.txt",
                f"{fortress.root}/../outside/secret.txt",
                f"{fortress.base}",
            ):
                await attacker.refused_everywhere(path)


@pytest.mark.attack(
    "Links",
    "relative, absolute, chained and looping links to files and directories outside, `/proc/self/root`, `..` "
    "behind a link",
)
async def test_links_that_leave_the_root_are_refused_by_every_tool(tmp_path: Path) -> None:
    fortress = Fortress(tmp_path)
    root = fortress.root
    (root / "file").symlink_to("../outside/secret.txt")
    (root / "abs").symlink_to(fortress.outside / "secret.txt")
    (root / "dir").symlink_to("../outside")
    (root / "proc").symlink_to("/proc/self/root")
    (root / "chain1").symlink_to("chain2")
    (root / "chain2").symlink_to("chain3")
    (root / "chain3").symlink_to("../outside/secret.txt")
    (root / "up").symlink_to("src/../..")
    (root / "loop").symlink_to("loop")
    (root / "src" / "back").symlink_to("../../outside")
    paths = [
        "file",
        "abs",
        "dir",
        "dir/secret.txt",
        f"proc{fortress.outside}/secret.txt",
        "chain1",
        "up/outside/secret.txt",
        "loop",
        "loop/x",
        "src/back/secret.txt",
    ]
    with anyio.fail_after(60):
        async with fortress.attacked() as attacker:
            for path in paths:
                await attacker.refused_everywhere(path)
            found = await attacker.call("search_files", regex="TOKEN|inside", include_ignored=True)
            listed = await attacker.call("list_files", recursive=True, include_ignored=True)
            totals = await attacker.call("list_files", totals=True, include_ignored=True)
    assert [file["path"] for file in found["files"]] == ["inside.txt"]
    assert not [entry for entry in listed["entries"] if "secret" in entry["path"]]
    assert totals["totals"]["files"] == 2


@pytest.mark.attack("Links", "new files through dangling and directory links")
async def test_a_link_out_is_not_even_replaced_or_created_through(tmp_path: Path) -> None:
    fortress = Fortress(tmp_path)
    (fortress.root / "dangling").symlink_to("../outside/new.txt")
    (fortress.root / "dir").symlink_to("../outside")
    with anyio.fail_after(60):
        async with fortress.attacked() as attacker:
            for path in ("dangling", "dir/new.txt", "dir/deep/new.txt"):
                await attacker.refused("apply_patch", changes=[{"op": "add", "path": path, "content": "x"}])
    assert (fortress.root / "dangling").is_symlink()


@pytest.mark.attack("Denied names", "`.env` and keys as `./`, `.//`, in other case, behind links, moved to a free name")
@pytest.mark.parametrize(
    "path",
    [".env", "./.env", ".//.env", "src/.env", ".ENV", "link-to-env", "links/.env", "sub/key.PEM", ".ssh/id", "id_rsa"],
)
async def test_denied_files_are_closed_under_every_name(tmp_path: Path, path: str) -> None:
    fortress = Fortress(tmp_path)
    secrets = {".env": TOKEN, "src/.env": TOKEN, ".ENV": TOKEN, "sub/key.PEM": TOKEN, ".ssh/id": TOKEN, "id_rsa": TOKEN}
    write_tree(fortress.root, secrets)
    (fortress.root / "link-to-env").symlink_to(".env")
    (fortress.root / "links").symlink_to("src")
    with anyio.fail_after(60):
        async with fortress.attacked() as attacker:
            assert await attacker.refused("read_file", path=path) == "policy_denied"
            assert await attacker.refused("search_files", path=path, regex=".") == "policy_denied"
            for op in ("update", "delete"):
                change = {"op": op, "path": path} | ({"content": "x"} if op == "update" else {})
                assert "error" in await attacker.call("apply_patch", changes=[change])
            await attacker.call("search_files", regex="TOKEN", include_ignored=True)
            diff = await attacker.call(
                "apply_patch", changes=[{"op": "move", "path": path, "to": "visible.txt"}], dry_run=True
            )
            assert "error" in diff


@pytest.mark.attack("Denied names", "asking every tool for a hidden name that is there, and for one that is not")
@pytest.mark.parametrize(
    ("path", "planted"),
    [
        (".env", ".env"),
        (".env", ".env/x"),
        ("src/key.pem", "src/key.pem"),
        (".ssh/config", ".ssh/config"),
    ],
)
async def test_no_answer_tells_whether_a_denied_name_is_there(tmp_path: Path, path: str, planted: str) -> None:
    fortress = Fortress(tmp_path)
    write_tree(fortress.root, {"src/a.txt": "a"})
    requests: list[tuple[str, dict[str, Any]]] = [
        ("read_file", {"path": path}),
        ("search_files", {"path": path, "regex": "."}),
        ("list_files", {"path": path}),
        ("list_files", {"path": f"{path}/below"}),
        ("read_file", {"path": f"{path}/below"}),
        ("apply_patch", {"changes": [{"op": "add", "path": f"{path}/below", "content": "x"}]}),
        *(
            ("apply_patch", {"changes": [{"path": path} | change]})
            for change in (
                {"op": "add", "content": "x"},
                {"op": "update", "content": "x"},
                {"op": "delete"},
                {"op": "move", "to": "free.txt"},
            )
        ),
        ("apply_patch", {"changes": [{"op": "move", "path": "src/a.txt", "to": path}]}),
    ]
    with anyio.fail_after(60):
        async with fortress.attacked() as attacker:
            absent = [await attacker.call(tool, **arguments) for tool, arguments in requests]
            write_tree(fortress.root, {planted: TOKEN})
            present = [await attacker.call(tool, **arguments) for tool, arguments in requests]
    assert [answer["error"]["code"] for answer in absent] == ["policy_denied"] * len(requests)
    assert present == absent


@pytest.mark.attack("Denied names", "reading and writing the traces of runs")
async def test_the_systems_own_traces_are_closed(tmp_path: Path) -> None:
    fortress = Fortress(tmp_path)
    write_tree(fortress.root, {"artifacts/runs/run-1.json": TOKEN})
    with anyio.fail_after(60):
        async with fortress.attacked() as attacker:
            await attacker.refused("read_file", path="artifacts/runs/run-1.json")
            await attacker.call("search_files", regex="TOKEN", include_ignored=True)
            await attacker.refused(
                "apply_patch", changes=[{"op": "add", "path": "artifacts/runs/run-2.json", "content": "{}"}]
            )
