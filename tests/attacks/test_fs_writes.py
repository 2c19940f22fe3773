"""Patches made to write where they must not, or to hide what they do."""

from __future__ import annotations

import os
from pathlib import Path

import anyio
import pytest

from tests.attacks.fs_fortress import Fortress
from tests.fs.helpers import read_tree, write_tree

pytestmark = pytest.mark.anyio

PROTECTED = [
    ".git/hooks/post-commit",
    ".git/config",
    ".GIT/hooks/x",
    "vendor/lib/.git/hooks/x",
    ".git",
    ".gitattributes",
    ".gitmodules",
    ".github/workflows/ci.yml",
    ".vscode/tasks.json",
    ".mcp.json",
    ".MCP.json",
    ".envrc",
    ".husky/pre-commit",
    ".env",
    ".claude/settings.json",
    "poetry.lock",
]


@pytest.mark.attack(
    "Protected names",
    "`.git/hooks`, `.git/config`, nested and upper-case `.git`, CI, editor and agent settings, lock files; "
    "added, moved to, by diff",
)
@pytest.mark.parametrize("path", PROTECTED)
async def test_names_that_make_programs_run_are_never_written(tmp_path: Path, path: str) -> None:
    fortress = Fortress(tmp_path)
    with anyio.fail_after(60):
        async with fortress.attacked() as attacker:
            assert (
                await attacker.refused("apply_patch", changes=[{"op": "add", "path": path, "content": "x"}])
                == "policy_denied"
            )
            assert (
                await attacker.refused("apply_patch", changes=[{"op": "move", "path": "src/a.py", "to": path}])
                == "policy_denied"
            )
            await attacker.refused("apply_patch", patch=f"--- /dev/null\n+++ b/{path}\n@@ -0,0 +1 @@\n+x\n")
    assert sorted(read_tree(fortress.root)) == ["inside.txt", "src/a.py"]


@pytest.mark.attack("Protected names", "the same through links to them, deleted, moved away")
async def test_protected_names_are_protected_behind_a_link_too(tmp_path: Path) -> None:
    fortress = Fortress(tmp_path)
    write_tree(fortress.root, {".git/hooks/sample": "x", ".vscode/tasks.json": "{}"})
    (fortress.root / "harmless").symlink_to(".git/hooks")
    (fortress.root / "tasks").symlink_to(".vscode/tasks.json")
    before = read_tree(fortress.root)
    with anyio.fail_after(60):
        async with fortress.attacked() as attacker:
            for change in (
                {"op": "add", "path": "harmless/post-commit", "content": "x"},
                {"op": "update", "path": "harmless/sample", "content": "y"},
                {"op": "update", "path": "tasks", "content": "y"},
                {"op": "delete", "path": ".vscode/tasks.json"},
                {"op": "move", "path": ".git/hooks/sample", "to": "free"},
            ):
                assert await attacker.refused("apply_patch", changes=[change]) == "policy_denied"
    assert read_tree(fortress.root) == before


@pytest.mark.attack(
    "Patches",
    "`..`, absolute and quoted octal names, mode 120000, names that differ, CR and NUL in headers, in all formats",
)
@pytest.mark.parametrize(
    "patch",
    [
        "--- /dev/null\n+++ b/../outside/new\n@@ -0,0 +1 @@\n+x\n",
        "--- a/inside.txt\n+++ b/../outside/secret.txt\n@@ -1 +1 @@\n-inside\n+x\n",
        "diff --git a/l b/l\nnew file mode 120000\n--- /dev/null\n+++ b/l\n@@ -0,0 +1 @@\n+../outside\n",
        "diff --git a/inside.txt b/x\nrename from inside.txt\nrename to ../outside/x\n",
        '--- "a/\\056\\056/outside/secret.txt"\n+++ "b/\\056\\056/outside/secret.txt"\n@@ -1 +1 @@\n-a\n+b\n',
        "--- inside.txt\r\n+++ ../outside/x\n@@ -1 +1 @@\n-inside\n+x\n",
        "*** Begin Patch\n*** Add File: ../outside/x\n+x\n*** End Patch\n",
        "*** Begin Patch\n*** Add File: a\0b\n+x\n*** End Patch\n",
        "*** Begin Patch\n*** Update File: inside.txt\n*** Move to: ../outside/x\n*** End Patch\n",
        "../outside/secret.txt\n<<<<<<< SEARCH\n=======\nx\n>>>>>>> REPLACE\n",
    ],
    ids=range(10),
)
async def test_no_patch_format_reaches_outside(tmp_path: Path, patch: str) -> None:
    fortress = Fortress(tmp_path)
    with anyio.fail_after(60):
        async with fortress.attacked() as attacker:
            await attacker.refused("apply_patch", patch=patch)
            await attacker.refused("apply_patch", patch=patch, dry_run=True)
    assert sorted(read_tree(fortress.root)) == ["inside.txt", "src/a.py"]


@pytest.mark.attack("Links", "a hard link to a file outside, also with the setting that allows writing it")
async def test_a_hard_link_to_the_outside_is_not_written_through(tmp_path: Path) -> None:
    fortress = Fortress(tmp_path)
    shared = tmp_path / "root-sibling" / "shared.txt"
    os.link(shared, fortress.root / "hard")
    with anyio.fail_after(60):
        async with fortress.attacked() as attacker:
            assert (
                await attacker.refused("apply_patch", changes=[{"op": "update", "path": "hard", "content": "x"}])
                == "policy_denied"
            )
        async with fortress.attacked({"fs": {"write_hard_links": True}}) as attacker:
            for change in (
                {"op": "update", "path": "hard", "content": "mine"},
                {"op": "move", "path": "hard", "to": "moved", "content": "mine too"},
            ):
                assert "error" not in await attacker.call("apply_patch", changes=[change])
            assert (fortress.root / "moved").read_text() == "mine too"
    assert shared.read_text() == "shared\n"


@pytest.mark.attack("Patches", "links planted under names like those of temporary files")
async def test_the_staging_name_cannot_be_prepared_as_a_trap(tmp_path: Path) -> None:
    fortress = Fortress(tmp_path)
    for number in range(50):
        (fortress.root / f".lg-{number:016x}-0.tmp").symlink_to("../outside/secret.txt")
    with anyio.fail_after(60):
        async with fortress.attacked() as attacker:
            answer = await attacker.call("apply_patch", changes=[{"op": "add", "path": "new", "content": "mine"}])
    assert "error" not in answer
    assert (fortress.root / "new").read_text() == "mine"


@pytest.mark.attack("Patches", "the journal's files by absolute name and through a link")
async def test_the_journal_cannot_be_reached_through_the_tools(tmp_path: Path, clean_environment: Path) -> None:
    fortress = Fortress(tmp_path)
    with anyio.fail_after(60):
        async with fortress.attacked() as attacker:
            await attacker.call("apply_patch", changes=[{"op": "add", "path": "new", "content": "mine"}])
            (record,) = clean_environment.glob("state/lg/*/fs/*/changes/*/record.json")
            await attacker.refused_everywhere(str(record))
            (fortress.root / "journal").symlink_to(record.parent)
            await attacker.refused_everywhere("journal/record.json")
    assert record.stat().st_mode & 0o077 == 0


@pytest.mark.attack(
    "Names", "new names that look like others (Cyrillic, ligatures, other case) or hide and reorder characters"
)
async def test_no_file_is_made_that_a_reader_takes_for_another(tmp_path: Path) -> None:
    fortress = Fortress(tmp_path)
    before = read_tree(fortress.root)
    names = [
        "Inside.txt",
        "insi\u0501e.txt",
        "SRC/b.py",
        "s\u0433c\u200b/b.py",
        "src/\uff41.py",
        "txt.\u202egpj",
        "\ufefftop",
    ]
    with anyio.fail_after(60):
        async with fortress.attacked() as attacker:
            for name in names:
                await attacker.refused("apply_patch", changes=[{"op": "add", "path": name, "content": "x"}])
                await attacker.refused("apply_patch", changes=[{"op": "move", "path": "src/a.py", "to": name}])
    assert read_tree(fortress.root) == before


@pytest.mark.attack(
    "Patches", "a good operation beside one that is refused, fails late, or names the same file by another spelling"
)
async def test_a_patch_with_one_bad_operation_changes_nothing_and_leaves_nothing_behind(tmp_path: Path) -> None:
    fortress = Fortress(tmp_path)
    (fortress.root / "link").symlink_to("src/a.py")
    (fortress.root / "out").symlink_to("../outside")
    before = sorted(path.name for path in fortress.root.rglob("*"))
    good = {"op": "update", "path": "src/a.py", "content": "y = 2\n"}
    new = {"op": "add", "path": "deep/new/file", "content": "x"}
    with anyio.fail_after(60):
        async with fortress.attacked() as attacker:
            for bad in (
                {"op": "update", "path": "./src//a.py", "content": "z"},
                {"op": "update", "path": "link", "content": "z"},
                {"op": "delete", "path": f"{fortress.root}/src/a.py"},
                {"op": "add", "path": "src/a.py/below", "content": "z"},
                {"op": "add", "path": "out/new", "content": "z"},
                {"op": "add", "path": "../outside/new", "content": "z"},
                {"op": "move", "path": "inside.txt", "to": "deep/new/file"},
                {"op": "move", "path": "inside.txt", "to": ".git/config"},
            ):
                await attacker.refused("apply_patch", changes=[good, new, bad])
    assert sorted(path.name for path in fortress.root.rglob("*")) == before
    assert (fortress.root / "src" / "a.py").read_text() == "x = 1\n"
