"""Every argument that names a file is judged, and no answer names, hashes or shows a file that may not be read."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import Any

import anyio
import pytest

from tests.attacks.fs_fortress import TOKEN, Fortress
from tests.fs.helpers import fs_client, read_tree, write_tree

pytestmark = pytest.mark.anyio

SHA256 = hashlib.sha256(TOKEN.encode()).hexdigest()


@pytest.mark.attack("Denied names", "the hash of a denied file, by expecting another one in patches and reverts")
@pytest.mark.parametrize("path", [".env", "./.env", "link-to-env", "sub/key.pem", "links/key.pem", "ENV/../.env"])
async def test_an_expected_hash_tells_nothing_about_a_denied_file(tmp_path: Path, path: str) -> None:
    fortress = Fortress(tmp_path)
    write_tree(fortress.root, {".env": TOKEN, "sub/key.pem": TOKEN})
    (fortress.root / "link-to-env").symlink_to(".env")
    (fortress.root / "links").symlink_to("sub")
    change = {"path": "inside.txt", "op": "update", "content": "inside\n"}
    with anyio.fail_after(60):
        async with fortress.attacked() as attacker:
            done = await attacker.call("apply_patch", changes=[{**change, "content": "x\n"}])
            answers = [
                await attacker.call("apply_patch", changes=[change], dry_run=dry_run, expected_sha256={path: wanted})
                for dry_run in (True, False)
                for wanted in ("0" * 64, SHA256, None)
            ] + [
                await attacker.call(
                    "revert_patch", change_id=done["change_id"], dry_run=True, expected_sha256={path: wanted}
                )
                for wanted in ("0" * 64, SHA256, None)
            ]
            await attacker.call("revert_patch", change_id=done["change_id"])
    assert [answer["error"]["code"] for answer in answers] == ["policy_denied"] * len(answers)
    assert SHA256 not in json.dumps(answers)
    assert len({answer["error"]["message"] for answer in answers}) == 1


@pytest.mark.attack("Denied names", "hints and refusals for names that are like hidden ones, files and directories")
@pytest.mark.parametrize(
    ("path", "hidden"),
    [
        (".enw", ".env"),
        ("hidden/x", "hiddem"),
        ("src/key.pm", "key.pem"),
        (".shh/config", ".ssh"),
        ("deep/.env.local", ".env"),
        ("hidde", "hiddem"),
    ],
)
async def test_no_hint_names_a_hidden_file_or_directory(tmp_path: Path, path: str, hidden: str) -> None:
    fortress = Fortress(tmp_path)
    write_tree(
        fortress.root,
        {".env": TOKEN, "hiddem/x": TOKEN, "src/key.pem": TOKEN, ".ssh/config": TOKEN, ".env.local": TOKEN},
    )
    settings = {"policy": {"read_deny": [".env", ".env.*", "*.pem", ".ssh/", "hiddem/"]}}
    requests: list[tuple[str, dict[str, Any]]] = [
        ("read_file", {"path": path}),
        ("list_files", {"path": path}),
        ("search_files", {"path": path, "regex": "."}),
        ("apply_patch", {"changes": [{"path": path, "op": "update", "content": "x"}]}),
        ("apply_patch", {"changes": [{"path": path, "op": "move", "to": "free"}]}),
    ]
    with anyio.fail_after(60):
        async with fortress.attacked(settings) as attacker:
            for tool, arguments in requests:
                answer = await attacker.call(tool, **arguments)
                assert f"'{hidden}" not in answer["error"]["hint"], tool


@pytest.mark.attack("Denied names", "new names that look like hidden ones")
@pytest.mark.parametrize("path", ["\uff0eenv", "sub/\u0455ecret.pem", "\u0456d_rsa"])
async def test_a_new_name_that_looks_like_a_hidden_one_tells_nothing(tmp_path: Path, path: str) -> None:
    fortress = Fortress(tmp_path)
    change = {"path": path, "op": "add", "content": "x"}
    with anyio.fail_after(60):
        async with fortress.attacked() as attacker:
            absent = await attacker.call("apply_patch", changes=[change], dry_run=True)
            write_tree(fortress.root, {".env": TOKEN, "sub/secret.pem": TOKEN, "id_rsa": TOKEN})
            present = await attacker.call("apply_patch", changes=[change], dry_run=True)
    assert absent == present
    assert "'.env'" not in json.dumps(present)


@pytest.mark.attack("Denied names", "a link with a denied name to a file with a free one, and below a denied directory")
async def test_the_name_that_was_given_is_judged_as_well_as_the_one_it_leads_to(tmp_path: Path) -> None:
    fortress = Fortress(tmp_path)
    write_tree(fortress.root, {"settings.dat": TOKEN, "free/a.txt": TOKEN})
    (fortress.root / "prod.pem").symlink_to("settings.dat")
    (fortress.root / ".ssh").symlink_to("free")
    with anyio.fail_after(60):
        async with fortress.attacked() as attacker:
            for path in ("prod.pem", ".ssh/a.txt"):
                await attacker.refused_everywhere(path)
                assert await attacker.refused("read_file", path=path) == "policy_denied"
            assert await attacker.refused("list_files", path=".ssh") == "policy_denied"
            assert await attacker.refused("search_files", path=".ssh", regex=".") == "policy_denied"


@pytest.mark.attack("Denied names", "what an earlier change did to a file that is denied now")
async def test_changes_of_files_that_are_denied_by_now_are_not_listed(tmp_path: Path) -> None:
    fortress = Fortress(tmp_path)
    with anyio.fail_after(60):
        async with fortress.attacked() as attacker:
            changes = [
                {"path": "hush.txt", "op": "add", "content": "x"},
                {"path": "b.txt", "op": "add", "content": "y"},
            ]
            done = await attacker.call("apply_patch", changes=changes)
        async with fortress.attacked({"policy": {"read_deny": ["hush.txt"]}}) as attacker:
            (change_set,) = (await attacker.call("list_changes"))["changes"]
            assert [file["path"] for file in change_set["files"]] == ["b.txt"]
            assert await attacker.refused("revert_patch", change_id=done["change_id"]) == "policy_denied"


@pytest.mark.attack("Denied names", "git's objects, in which a denied file that was committed can be found")
async def test_git_objects_are_closed(tmp_path: Path) -> None:
    fortress = Fortress(tmp_path)
    objects = [".git/objects/ab/cdef", "sub/.git/objects/pack/p.pack", ".git/modules/lib/objects/ab/cd"]
    write_tree(fortress.root, {**dict.fromkeys(objects, TOKEN), ".git/HEAD": "ref: refs/heads/main\n"})
    with anyio.fail_after(60):
        async with fortress.attacked() as attacker:
            for path in objects:
                assert await attacker.refused("read_file", path=path) == "policy_denied"
            found = await attacker.call("search_files", regex="TOKEN|refs", include_ignored=True)
            assert [file["path"] for file in found["files"]] == [".git/HEAD"]


@pytest.mark.attack("Links", "hard links to files outside, where the settings refuse to read such")
async def test_hard_links_are_read_or_refused_as_the_settings_say(tmp_path: Path) -> None:
    fortress = Fortress(tmp_path)
    os.link(fortress.outside / "secret.txt", fortress.root / "hard.txt")
    with anyio.fail_after(60):
        async with fortress.attacked({"fs": {"hard_links": "refuse"}}) as attacker:
            assert await attacker.refused("read_file", path="hard.txt") == "policy_denied"
            assert await attacker.refused("search_files", path="hard.txt", regex=".") == "policy_denied"
            found = await attacker.call("search_files", regex="TOKEN|inside")
            assert [file["path"] for file in found["files"]] == ["inside.txt"]
            assert found["skipped"]["unreadable"] == 1
            assert (await attacker.call("list_files", totals=True))["totals"]["skipped"] == 1
            for change in ({"op": "delete"}, {"op": "move", "to": "free.txt"}, {"op": "update", "content": "x"}):
                code = await attacker.refused("apply_patch", changes=[{"path": "hard.txt", **change}], dry_run=True)
                assert code == "policy_denied"
            code = await attacker.refused(
                "apply_patch",
                changes=[{"path": "new.txt", "op": "add", "content": "x"}],
                expected_sha256={"hard.txt": "0" * 64},
            )
            assert code == "policy_denied"
    async with fortress.attacked() as attacker:
        (fortress.root / "other.txt").hardlink_to(fortress.root / "inside.txt")
        assert (await attacker.call("read_file", path="other.txt"))["files"][0]["text"] == "inside\n"


@pytest.mark.attack("Denied names", "links to denied names, to learn from the answer which of them exist")
@pytest.mark.parametrize("absolute", [False, True])
async def test_a_link_to_a_denied_name_tells_nothing_about_it(tmp_path: Path, absolute: bool) -> None:
    base = tmp_path / "root"
    write_tree(base, {".env": "SECRET\n", "sub/x": "x\n", ".ssh/key": "SECRET\n"})
    start = f"{base}/" if absolute else ""
    links = {"yes": ".env", "no": ".env.gone", "chain": "no", "dir": ".ssh", "nodir": "sub/.ssh", "plain": "nothing"}
    for name, target in links.items():
        (base / name).symlink_to(start + target)
    with anyio.fail_after(60):
        async with fs_client(base) as fs:
            for path in ("yes", "no", "chain", "yes/x", "no/x", "dir/key", "dir/gone", "nodir/key", "nodir"):
                update = [{"op": "update", "path": path, "content": "x"}]
                for tool, arguments in (
                    ("read_file", {"path": path}),
                    ("list_files", {"path": path}),
                    ("search_files", {"regex": "x", "path": path}),
                    ("apply_patch", {"changes": update}),
                    ("apply_patch", {"changes": update, "dry_run": True}),
                ):
                    error = await fs.fails(tool, **arguments)
                    assert error["code"] == "policy_denied", (tool, path, error)
            told = await fs.fails("read_file", path="plain")
            patched = await fs.fails("apply_patch", changes=[{"op": "update", "path": "plain", "content": "x"}])
    for error in (told, patched):
        assert error["code"] == "not_found"
        assert "is a link, and what it points to does not exist" in error["message"]


@pytest.mark.attack("Denied names", "new names that other systems take for protected ones, or that end in blanks")
@pytest.mark.parametrize(
    ("path", "code"),
    [
        (".git./hooks/x", "policy_denied"),
        (".GIT /hooks/x", "policy_denied"),
        (".git::$INDEX_ALLOCATION/hooks/x", "policy_denied"),
        (".vscode. ./tasks.json", "policy_denied"),
        ("x.pem.", "policy_denied"),
        ("poetry.lock.", "policy_denied"),
        ("GIT~1/hooks/x", "policy_denied"),
        (".g\u200cit/hooks/x", "policy_denied"),
        (".git\u200d/config", "policy_denied"),
        ("a.txt ", "invalid_arguments"),
        (" a.txt", "invalid_arguments"),
        ("new\u00a0/b", "invalid_arguments"),
    ],
)
async def test_a_new_name_that_is_another_one_elsewhere_is_refused(tmp_path: Path, path: str, code: str) -> None:
    write_tree(tmp_path, {"a.txt": "x\n", " lead/a": "x\n"})
    with anyio.fail_after(60):
        async with fs_client(tmp_path) as fs:
            error = await fs.fails("apply_patch", changes=[{"op": "add", "path": path, "content": "x"}])
            await fs.ok("apply_patch", changes=[{"op": "add", "path": " lead/etc.", "content": "x"}])
    assert error["code"] == code
    assert set(read_tree(tmp_path)) == {"a.txt", " lead/a", " lead/etc."}
