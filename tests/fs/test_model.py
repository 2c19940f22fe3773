"""Any sequence of patches and reverts does to a tree what it does to a plain model of one."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lg_fs.changes.service import Changes, PatchRequest, RevertRequest
from lg_fs.patch.diff import file_diff
from lg_fs.patch.document import load
from lg_fs.patch.match import apply_hunks
from lg_fs.patch.model import ADD, DROP, KEEP, FileChange, Hunk, Line
from lg_fs.patch.parse import parse_patch
from lg_policy.config.settings import FsSettings, PolicySettings
from lg_policy.errors import LgError
from lg_policy.jobs import Job
from lg_policy.paths.file_rules import FileRules
from lg_policy.paths.root import Root
from lg_policy.tree.workspace import Workspace
from tests.fs.helpers import read_tree

NAMES = ["a", "b", "d/a", "d/e/b", "f"]
CONTENTS = ["", "x\n", "x\ny\n", "no newline", "win\r\nlines\r\n", "ä\n"]
_name, _content = st.sampled_from(NAMES), st.sampled_from(CONTENTS)
_change = st.one_of(
    st.builds(lambda p, c: {"op": "add", "path": p, "content": c}, _name, _content),
    st.builds(lambda p, c: {"op": "update", "path": p, "content": c}, _name, _content),
    st.builds(lambda p: {"op": "delete", "path": p}, _name),
    st.builds(lambda p, t: {"op": "move", "path": p, "to": t}, _name, _name),
    st.builds(lambda p, t, c: {"op": "move", "path": p, "to": t, "content": c}, _name, _name, _content),
)
_step = st.one_of(st.lists(_change, min_size=1, max_size=3), st.integers(min_value=0, max_value=5))

Tree = dict[str, bytes]


def model(tree: Tree, changes: list[dict[str, Any]]) -> Tree | None:
    """What the patch should do; `None` if it must be refused."""
    new, touched = dict(tree), set[str]()
    for change in changes:
        names = [change["path"], *([change["to"]] if "to" in change else [])]
        if touched.intersection(names) or len(set(names)) < len(names):
            return None
        touched.update(names)
        path, target = names[0], names[-1]
        if (change["op"] == "add") is (path in tree):
            return None
        if change["op"] == "move" and target in tree:
            return None
        before = new.pop(path, None)
        if change["op"] != "delete":
            content = change.get("content")
            assert content is not None or before is not None
            new[target] = (before or b"") if content is None else with_breaks(before, content)
    return new


def with_breaks(before: bytes | None, content: str) -> bytes:
    """New text takes over the line breaks of the old one unless it has its own CRLF."""
    if before and b"\r\n" in before and "\r\n" not in content:
        content = content.replace("\n", "\r\n")
    return content.encode()


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=st.lists(_step, max_size=10))
def test_patches_and_reverts_do_what_the_model_says(tmp_path_factory: pytest.TempPathFactory, steps: list[Any]) -> None:
    root, state = tmp_path_factory.mktemp("root"), tmp_path_factory.mktemp("state")
    history: list[tuple[str, Tree, Tree]] = []
    reverted: set[str] = set()
    tree: Tree = {}
    with Root(root) as opened:
        workspace = Workspace([opened], FileRules.from_settings(PolicySettings()), FsSettings(durable=False))
        changes = Changes(workspace, state)
        for step in steps:
            if isinstance(step, int):
                tree = undo(changes, history, reverted, step, tree)
            else:
                tree = do(changes, history, step, tree)
            assert read_tree(root) == tree
            assert not list(state.glob("fs/*/pending/*"))


def do(changes: Changes, history: list[tuple[str, Tree, Tree]], step: list[dict[str, Any]], tree: Tree) -> Tree:
    parsed = [FileChange(op=c["op"], path=c["path"], to=c.get("to"), content=c.get("content")) for c in step]
    request = PatchRequest(changes=parsed, dry_run=False, key=None, arguments={})
    expected = model(tree, step)
    try:
        change_id = changes.apply(request, Job())["change_id"]
    except LgError:
        assert expected is None, f"{step} was refused on {tree}"
        return tree
    assert expected is not None, f"{step} was accepted on {tree}"
    history.append((change_id, tree, expected))
    return expected


def undo(changes: Changes, history: list[tuple[str, Tree, Tree]], reverted: set[str], back: int, tree: Tree) -> Tree:
    if back >= len(history):
        return tree
    change_id, before, after = history[-1 - back]
    touched = {name for name in {*before, *after} if before.get(name) != after.get(name)}
    untouched = all(tree.get(name) == after.get(name) for name in touched)
    try:
        revert_id = changes.revert(RevertRequest(change_id=change_id), Job())["change_id"]
    except LgError:
        # Files that the change rewrote with equal content count as touched too: they are not in the model's difference.
        assert change_id in reverted or not untouched or before_equals_after(before, after, tree)
        return tree
    assert change_id not in reverted
    assert untouched
    reverted.add(change_id)
    now = {**tree, **{name: before[name] for name in touched if name in before}}
    now = {name: data for name, data in now.items() if name not in touched or name in before}
    history.append((revert_id, tree, now))
    return now


def before_equals_after(before: Tree, after: Tree, tree: Tree) -> bool:
    same = {name for name in before if before[name] == after.get(name)}
    return any(tree.get(name) != after[name] for name in same)


_text = st.text(alphabet="ab \t-+@*\\", max_size=5)
_hunk = st.lists(st.builds(Line, st.sampled_from([KEEP, DROP, ADD]), _text), min_size=1, max_size=6).map(
    lambda lines: Hunk(lines=(*lines, Line(ADD, "end")))
)
_update = st.builds(
    lambda name, hunks: FileChange(op="update", path=name, hunks=tuple(hunks)),
    st.sampled_from(["a", "b/c d", "ä.py"]),
    st.lists(_hunk, min_size=1, max_size=3),
)
_any = st.one_of(
    _update,
    st.builds(lambda c, to: FileChange(op="move", path=c.path, to=to, hunks=c.hunks), _update, st.just("new/name")),
    st.builds(
        lambda lines: FileChange(op="add", path="n", content="".join(f"{line}\n" for line in lines)),
        st.lists(_text, max_size=4),
    ),
    st.just(FileChange(op="delete", path="gone")),
)


def rendered(changes: list[FileChange]) -> str:
    """A patch in the envelope format."""
    out = ["*** Begin Patch"]
    for change in changes:
        word = {"add": "Add", "delete": "Delete"}.get(change.op, "Update")
        out.append(f"*** {word} File: {change.path}")
        if change.to is not None:
            out.append(f"*** Move to: {change.to}")
        if change.content is not None:
            out += [f"+{line}" for line in change.content.split("\n")[:-1]]
        for hunk in change.hunks:
            out.append("@@")
            out += [line.mark + line.text for line in hunk.lines]
    return "\n".join([*out, "*** End Patch"]) + "\n"


@settings(max_examples=200, deadline=None)
@given(changes=st.lists(_any, min_size=1, max_size=4, unique_by=lambda change: change.path))
def test_parsing_a_rendered_patch_gives_it_back(changes: list[FileChange]) -> None:
    assert parse_patch(rendered(changes)) == changes


_file = st.lists(st.sampled_from(["a", "b", "c", "", " a", "--- a", "+++ b", "@@ -1 +1 @@"]), max_size=12).flatmap(
    lambda lines: st.sampled_from(["\n", "\r\n", "\r"]).flatmap(
        lambda eol: st.sampled_from([eol, ""]).map(lambda last: (eol.join(lines) + last).encode() if lines else b"")
    )
)


@settings(max_examples=300, deadline=None)
@given(before=_file, after=_file)
def test_the_diff_of_two_files_turns_one_into_the_other(before: bytes, after: bytes) -> None:
    diff = file_diff("f", "f", before, after)
    if not diff.added and not diff.removed:
        assert before == after
        return
    if b"\r" in before + after:
        return  # a mark for CRLF within a diff would change what its lines are: see the byte-exact tests of matching
    (change,) = parse_patch(diff.text)
    applied = apply_hunks(load(before), change)
    assert applied.document.encode() == after
