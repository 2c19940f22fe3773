"""Inputs made to cost as much as they can: calls are answered, others are served meanwhile, locks come free."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import pytest

from tests.attacks.fs_fortress import CODES, Fortress
from tests.fs.helpers import write_tree
from tests.heartbeat import Heartbeat

pytestmark = pytest.mark.anyio

MEGABYTE = 1_000_000
MAX_TURN_S = 0.5  # of processor time; the longest turn takes 0.01


@dataclass(frozen=True, kw_only=True)
class Worst:
    """One worst input: what stands in the root, and the call."""

    name: str
    tool: str
    arguments: Callable[[], dict[str, Any]]
    tree: Callable[[], dict[str, str | bytes]] = dict
    seconds: float = 60
    """The server's own time limit; small where the engine's way is slow and the deadline must end it."""


def block(old: str, new: str) -> str:
    return f"f\n<<<<<<< SEARCH\n{old}=======\n{new}>>>>>>> REPLACE\n"


def envelope(body: str) -> str:
    return f"*** Begin Patch\n*** Update File: f\n{body}*** End Patch\n"


def many_names() -> dict[str, str | bytes]:
    return {f"{'ab' * 100}{n:05d}{'ba' * 20}": "" for n in range(3_000)}


def alternating(count: int = 20_000) -> str:
    return "".join(f"*a{n}*b\n!*a{n}*c\n" for n in range(count // 2))


PATCHES = [
    Worst(
        name="search-replace-of-equal-lines",
        tool="apply_patch",
        arguments=lambda: {"patch": block("x\n" * 20_000, "x\n" * 19_999 + "y\n")},
        tree=lambda: {"f": "x\n" * 20_000},
    ),
    Worst(
        name="search-replace-of-shuffled-lines",
        tool="apply_patch",
        arguments=lambda: {
            "patch": block(
                "".join(f"{n * 7 % 97}\n" for n in range(25_000)), "".join(f"{n * 11 % 89}\n" for n in range(25_000))
            )
        },
        tree=lambda: {"f": "".join(f"{n * 7 % 97}\n" for n in range(25_000))},
    ),
    Worst(
        name="hunk-of-equal-lines",
        tool="apply_patch",
        arguments=lambda: {"patch": envelope("@@\n" + " x\n" * 150_000 + "-y\n+z\n")},
        tree=lambda: {"f": "x\n" * 300_000},
    ),
    Worst(
        name="hunk-that-fits-everywhere",
        tool="apply_patch",
        arguments=lambda: {"patch": envelope("@@\n" + " x\n" * 75_000 + "-x\n+z\n")},
        tree=lambda: {"f": "x\n" * 150_000},
    ),
    Worst(
        name="anchors-that-are-everywhere",
        tool="apply_patch",
        arguments=lambda: {"patch": envelope("@@ x\n" * 20 + " x\n-x\n+z\n")},
        tree=lambda: {"f": "x\n" * 100_000},
    ),
    Worst(
        name="hunks-that-all-miss-but-the-last",
        tool="apply_patch",
        arguments=lambda: {
            "patch": envelope("".join(f"@@\n x{n}\n-y\n+z{n}\n" for n in range(5_000)) + "@@\n-no\n+yes\n")
        },
        tree=lambda: {"f": "".join(f"x{n}\ny\n" for n in range(5_000))},
    ),
    Worst(
        name="sections-without-number-for-one-file",
        tool="apply_patch",
        arguments=lambda: {
            "patch": "*** Begin Patch\n" + "*** Update File: f\n@@\n-a\n+a b\n" * 40_000 + "*** End Patch\n"
        },
        tree=lambda: {"f": "a\n" * 50_000},
    ),
    Worst(
        name="dots-between-lines-that-are-everywhere",
        tool="apply_patch",
        arguments=lambda: {"patch": envelope("@@\n" + " ...\n x\n" * 9 + "-no\n+yes\n")},
        tree=lambda: {"f": "x\n" * 400_000},
    ),
    Worst(
        name="dots-without-number",
        tool="apply_patch",
        arguments=lambda: {"patch": envelope("@@\n" + " ...\n x\n" * 100_000 + "-no\n+yes\n")},
        tree=lambda: {"f": "x\n" * 400_000},
    ),
    Worst(
        name="line-numbers-and-escapes-without-number",
        tool="apply_patch",
        arguments=lambda: {
            "patch": envelope(
                "@@\n" + "".join(f" {n:6}\t{'&lt;' * 3}\n" for n in range(1, 80_000)) + "-1\tno\n+1\tyes\n"
            )
        },
        tree=lambda: {"f": "<<<\n" * 400_000},
    ),
    Worst(
        name="nothing-but-zero-width-characters",
        tool="apply_patch",
        arguments=lambda: {"patch": "\u200b" * 600_000},
    ),
    Worst(
        name="lines-that-end-with-carriage-returns",
        tool="apply_patch",
        arguments=lambda: {"changes": [{"path": "f", "op": "update", "content": "x"}]},
        tree=lambda: {"f": "\r" * 15_000_000},
    ),
    Worst(
        name="blank-lines-around-a-patch",
        tool="apply_patch",
        arguments=lambda: {"patch": "\n" * 1_900_000 + envelope("@@\n-a\n+b\n")},
        tree=lambda: {"f": "a\n"},
    ),
    Worst(
        name="blank-lines-at-the-end-of-a-diff",
        tool="apply_patch",
        arguments=lambda: {"patch": "--- a/f\n+++ b/f\n@@ -1 +1 @@\n-a\n+b\n" + "\n" * 300_000},
        tree=lambda: {"f": "a\n"},
    ),
    Worst(
        name="a-header-of-blanks",
        tool="apply_patch",
        arguments=lambda: {"patch": "*** Begin Patch\n*** Add File: " + " " * 1_900_000 + "x\n*** End Patch\n"},
    ),
    Worst(
        name="blocks-for-very-many-files",
        tool="apply_patch",
        arguments=lambda: {"patch": "".join(block("a\n", "b\n").replace("f\n", f"{n}\n", 1) for n in range(30_000))},
    ),
    Worst(
        name="two-versions-with-nothing-in-common",
        tool="apply_patch",
        arguments=lambda: {
            "changes": [{"path": "f", "op": "update", "content": "".join(f"{n * 13 % 31}\n" for n in range(60_000))}],
            "dry_run": True,
        },
        tree=lambda: {"f": "".join(f"{n * 17 % 29}\n" for n in range(60_000))},
    ),
    Worst(
        name="files-in-very-deep-directories",
        tool="apply_patch",
        arguments=lambda: {
            "changes": [{"path": f"{n}/" + "a/" * 1_900 + "f", "op": "add", "content": ""} for n in range(100)]
        },
    ),
    Worst(
        name="more-lines-than-fit-into-memory",
        tool="apply_patch",
        arguments=lambda: {"changes": [{"path": "f", "op": "delete"}]},
        tree=lambda: {"f": "\n" * 15_000_000},
    ),
    Worst(
        name="expectations-without-number",
        tool="apply_patch",
        arguments=lambda: {
            "patch": envelope("@@\n-a\n+b\n"),
            "expected_sha256": {f"n{n}": None for n in range(50_000)},
        },
        tree=lambda: {"f": "a\n"},
    ),
]

LOOKS = [
    Worst(
        name="an-absent-name-among-long-ones",
        tool="read_file",
        arguments=lambda: {"path": "ba" * 110},
        tree=many_names,
    ),
    Worst(
        name="a-hunk-nearly-like-many-lines",
        tool="apply_patch",
        arguments=lambda: {"patch": envelope("@@\n-" + "ab" * 100 + "\n+z\n")},
        tree=lambda: {"f": "".join(f"{'ba' * 90}{n}\n" for n in range(50_000))},
    ),
    Worst(
        name="very-many-matches-in-one-line",
        tool="search_files",
        arguments=lambda: {"regex": "a"},
        tree=lambda: {"f": "ab" * MEGABYTE},
    ),
    Worst(
        name="matches-that-each-look-to-the-end",
        tool="search_files",
        arguments=lambda: {"regex": "a.*c|a", "output": "counts"},
        tree=lambda: {"f": "ab" * 4 * MEGABYTE},
        seconds=3,
    ),
    Worst(
        name="an-expression-with-very-many-states",
        tool="search_files",
        arguments=lambda: {"regex": "a.{900}b|a.{901}d|a.{903}e"},
        tree=lambda: {f"f{n}": "aab" * 100_000 for n in range(5)},
    ),
    Worst(
        name="values-in-one-line",
        tool="search_files",
        arguments=lambda: {"regex": "(?s).", "output": "values", "multiline": True},
        tree=lambda: {"f": "ab" * (MEGABYTE // 8)},
    ),
    Worst(
        name="ignore-patterns-of-alternating-sign",
        tool="list_files",
        arguments=lambda: {"recursive": True},
        tree=lambda: {".gitignore": alternating(), **{f"d{n}/xa{n}yb": "" for n in range(100)}},
    ),
    Worst(
        name="ignore-patterns-that-all-match",
        tool="list_files",
        arguments=lambda: {"recursive": True},
        tree=lambda: {".gitignore": "*\n!*\n" * 10_000, **{f"d{n}/f": "" for n in range(100)}},
    ),
    Worst(
        name="ignore-patterns-of-stars",
        tool="list_files",
        arguments=lambda: {"recursive": True},
        tree=lambda: {".gitignore": ("*a" * 200 + "b\n") * 2_000, **{f"{'a' * 200}{n}": "" for n in range(200)}},
    ),
    Worst(
        name="globs-of-stars",
        tool="list_files",
        arguments=lambda: {"glob": ["*a" * 40 + "b"] * 100, "recursive": True},
        tree=lambda: {f"{'a' * 200}{n}": "" for n in range(2_000)},
    ),
    Worst(
        name="a-nested-cursor",
        tool="list_files",
        arguments=lambda: {"cursor": "W1tb" * 2_000},
        tree=lambda: {"f": "a\n"},
    ),
    Worst(
        name="a-line-number-of-four-thousand-digits",
        tool="read_file",
        arguments=lambda: {"path": "f", "start_line": 10**4_000},
        tree=lambda: {"f": "a\n"},
    ),
    Worst(
        name="a-deep-path-below-ignore-files",
        tool="list_files",
        arguments=lambda: {"path": "d/" * 100},
        tree=lambda: {"d/" * n + ".gitignore": alternating(2_000) for n in range(101)},
    ),
]


@pytest.mark.attack(
    "Exhaustion",
    "for each tool, texts, names, trees and patterns made for the slowest way, with other calls beside them",
)
@pytest.mark.parametrize("worst", [*PATCHES, *LOOKS], ids=lambda worst: worst.name)
async def test_the_worst_input_of_a_tool_is_answered_while_others_are_served(tmp_path: Path, worst: Worst) -> None:
    fortress = Fortress(tmp_path)
    write_tree(fortress.root, worst.tree())
    arguments = worst.arguments()
    with anyio.fail_after(150):
        async with (
            fortress.attacked({"fs": {"call_timeout_s": worst.seconds, "durable": False}}) as attacker,
            Heartbeat() as beat,
        ):
            answer = await attacker.call(worst.tool, **arguments)
    if "error" in answer:
        assert answer["error"]["code"] in CODES - {"timeout"}, answer["error"]
    assert beat.longest_s < MAX_TURN_S


@pytest.mark.attack("Exhaustion", "a client that leaves in the middle of a large patch")
async def test_a_cancelled_patch_stops_and_frees_the_root(tmp_path: Path) -> None:
    fortress = Fortress(tmp_path)
    write_tree(fortress.root, {"f": "x\n" * 600_000, "g": "1\n"})
    heavy = envelope("".join(f"@@\n x\n-y{n}\n+z\n" for n in range(20_000)))
    blocks = "".join(block(f"x\ny{n}\n", "z\n") for n in range(20_000))
    with anyio.fail_after(60):
        async with fortress.attacked() as attacker:
            for patch in (heavy, blocks):
                async with anyio.create_task_group() as group:
                    group.start_soon(partial(attacker.call, "apply_patch", patch=patch))
                    await attacker.call("list_files")
                    group.cancel_scope.cancel()
                done = await attacker.call("apply_patch", changes=[{"path": "g", "op": "update", "content": "2\n"}])
                assert done["change_id"]
