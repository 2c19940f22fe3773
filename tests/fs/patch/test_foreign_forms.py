"""Patches as many models and editors write them, through the tool: the file gets what was meant, or words say why not.

Each table is one test, with one server for all of its rows.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import anyio
import pytest

from tests.fs.helpers import FsClient, fs_client, read_tree, write_tree

pytestmark = pytest.mark.anyio

TEXT = "one\ntwo\nthree\nfour\nfive\nsix\n"
CODE = "import os\n\n\ndef f(a):\n    if a:\n        return 1\n    return 2\n"
CHANGED = TEXT.replace("two", "2")
BLOCK = "<<<<<<< SEARCH\ntwo\n=======\n2\n>>>>>>> REPLACE\n"
HUNK = "@@ -1,3 +1,3 @@\n one\n-two\n+2\n three\n"
NAMES = "--- a/src/a.py\n+++ b/src/a.py\n"
FIRST, FILE, LAST = "*** Begin Patch\n", "*** Update File: src/a.py\n", "*** End Patch\n"
LINES = "@@\n one\n-two\n+2\n"


@pytest.fixture
async def fs(tmp_path: Path) -> AsyncIterator[FsClient]:
    (tmp_path / "root").mkdir()
    with anyio.fail_after(120):
        async with fs_client(tmp_path / "root", settings={"fs": {"durable": False}}) as client:
            yield client


async def outcome(fs: FsClient, root: Path, patch: str | list[Any], files: Mapping[str, str | bytes]) -> Any:
    """Return the files after a patch, or the words of its refusal."""
    for path in sorted(root.rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()
    write_tree(root, files)
    arguments = {"changes": patch} if isinstance(patch, list) else {"patch": patch.replace("ROOT", str(root))}
    result = await fs.call("apply_patch", **arguments)
    if not result.is_error:
        return read_tree(root)
    assert read_tree(root) == {name: text.encode() if isinstance(text, str) else text for name, text in files.items()}
    assert isinstance(result.structured_content, dict)
    error = result.structured_content["error"]
    return f"{error['message']}\n{error.get('hint', '')}"


async def wrong(fs: FsClient, root: Path, rows: Mapping[str, str]) -> dict[str, Any]:
    """Return the rows whose patch does not put `2` in place of `two` in `src/a.py`."""
    found = {kind: await outcome(fs, root, patch, {"src/a.py": TEXT}) for kind, patch in rows.items()}
    return {kind: after for kind, after in found.items() if after != {"src/a.py": CHANGED.encode()}}


ABOVE = [
    "a/src/a.py", "b/src/a.py", "./src/a.py", "src\\a.py", ".\\src\\a.py", "path: src/a.py", "FILE_PATH: src/a.py",
    'file_path = "src/a.py"', "# filepath: src/a.py", "// filepath: src/a.py", "**File:** `src/a.py`",
    "**Path**: src/a.py", "**File: `src/a.py`**", '"src/a.py"', "'src/a.py'", "[src/a.py]", "<src/a.py>",
    "[src/a.py](src/a.py)", "[the file](src/a.py)", "src/a.py:2", "src/a.py (python)", "In file src/a.py:",
    "Edit src/a.py:", "In `src/a.py`:", "Here is the change to `src/a.py`:\n", "*** Update File: src/a.py",
    "*** src/a.py ***", "=== src/a.py ===", "--- src/a.py", "--- a/src/a.py\n+++ b/src/a.py", "@@ src/a.py @@",
    "<path>src/a.py</path>", "<file_path>src/a.py</file_path>\n<diff>", "\u200bsrc/a.py", "src/a.py\u00a0",
    "ROOT/src/a.py", "file://ROOT/src/a.py", "\U0001f4c4 src/a.py",
    "Modify: src/a.py", "src/a.py\r",
    "Edit `src\\\\a.py`:", "src\\\\a.py",
    "src/a.py\nReplace two by 2:", "src/a.py\n\nThe number was wrong.\n", "```python {src/a.py}",
]  # fmt: skip


async def test_the_name_of_the_file_is_read_out_of_the_line_above_a_block(fs: FsClient, tmp_path: Path) -> None:
    rows = {line: f"{line}\n{BLOCK}" for line in ABOVE}
    assert await wrong(fs, tmp_path / "root", rows) == {}


MARKS = {
    "six signs": ("<<<<<< SEARCH", "======", ">>>>>> REPLACE"),
    "three signs": ("<<< SEARCH", "===", ">>> REPLACE"),
    "ten signs": ("<<<<<<<<<< SEARCH", "==========", ">>>>>>>>>> REPLACE"),
    "signs of several lengths": ("<<<<<<< SEARCH", "=====", ">>>>>>>> REPLACE"),
    "no blank": ("<<<<<<<SEARCH", "=======", ">>>>>>>REPLACE"),
    "two blanks": ("<<<<<<<  SEARCH", "=======", ">>>>>>>  REPLACE"),
    "small letters": ("<<<<<<< search", "=======", ">>>>>>> replace"),
    "blanks at the ends": ("<<<<<<< SEARCH  ", "=======  ", ">>>>>>> REPLACE  "),
    "signs on both sides": ("<<<<<<< SEARCH <<<<<<<", "=======", ">>>>>>> REPLACE >>>>>>>"),
    "no word at the end": ("<<<<<<< SEARCH", "=======", ">>>>>>>"),
    "a word at the divider": ("<<<<<<< SEARCH", "======= REPLACE", ">>>>>>> END"),
    "the first word again": ("<<<<<<< SEARCH", "=======", ">>>>>>> SEARCH"),
    "the name at the end": ("<<<<<<< SEARCH", "=======", ">>>>>>> REPLACE src/a.py"),
    "the first line twice": ("<<<<<<< SEARCH\n<<<<<<< SEARCH", "=======", ">>>>>>> REPLACE"),
    "the last line twice": ("<<<<<<< SEARCH", "=======", ">>>>>>> REPLACE\n>>>>>>> REPLACE"),
    "find": ("<<<<<<< FIND", "=======", ">>>>>>> REPLACE"),
    "before and after": ("<<<<<<< BEFORE", "=======", ">>>>>>> AFTER"),
    "start and end": ("<<<<<<< SEARCH START", "=======", ">>>>>>> REPLACE END"),
    "replacement": ("<<<<<<< SEARCH", "=======", ">>>>>>> REPLACEMENT"),
    "the name in brackets": ("<<<<<<< SEARCH (src/a.py)", "=======", ">>>>>>> REPLACE"),
    "Windows line breaks here and there": ("<<<<<<< SEARCH\r", "=======\r", ">>>>>>> REPLACE\r"),
}


async def test_the_marks_of_a_block_may_be_of_other_lengths_and_words(fs: FsClient, tmp_path: Path) -> None:
    rows = {kind: f"src/a.py\n{a}\ntwo\n{b}\n2\n{c}\n" for kind, (a, b, c) in MARKS.items()}
    assert await wrong(fs, tmp_path / "root", rows) == {}


VERBS = ("Edit:", "Update:", "File:", "Update File", "Patch File:")
SPELLED = ("a/src/a.py", "src\\a.py", "**src/a.py**", "[x](src/a.py)")
COMMAND = FIRST + FILE + LINES + LAST
ENVELOPES = {
    "without its first line": FILE + LINES + LAST,
    "two stars": "** Begin Patch\n** Update File: src/a.py\n" + LINES + "** End Patch\n",
    "four stars": "**** Begin Patch\n**** Update File: src/a.py\n" + LINES + "**** End Patch\n",
    "no stars": "Begin Patch\nUpdate File: src/a.py\n" + LINES + "End Patch\n",
    "headings": "### Begin Patch\n### Update File: src/a.py\n" + LINES + "### End Patch\n",
    "stars escaped for Markdown": (
        "\\*\\*\\* Begin Patch\n\\*\\*\\* Update File: src/a.py\n" + LINES + "\\*\\*\\* End Patch"
    ),
    **{verb: f"{FIRST}*** {verb} src/a.py\n{LINES}{LAST}" for verb in VERBS},
    **{name: f"{FIRST}*** Update File: {name}\n{LINES}{LAST}" for name in SPELLED},
    "the header of a diff too": FIRST + FILE + NAMES + HUNK + LAST,
    "a diff in it": FIRST + NAMES + HUNK + LAST,
    "a diff of git in it": FIRST + "diff --git a/src/a.py b/src/a.py\nindex 1..2\n" + NAMES + HUNK + LAST,
    "a block in it": FIRST + FILE + BLOCK + LAST,
    "a fence in it": FIRST + "```\n" + FILE + LINES + "```\n" + LAST,
    "a fence below the name": FIRST + FILE + "```python\n" + LINES + "```\n" + LAST,
    "a command of a shell as JSON": json.dumps(["bash", "-lc", f"apply_patch <<'EOF'\n{COMMAND}EOF"]),
    "behind echo": "echo '" + FIRST + FILE + LINES + LAST + "' | apply_patch\n",
    "behind a label": "input: " + FIRST + FILE + LINES + LAST,
    "in CDATA on the same line": "<![CDATA[" + FIRST + FILE + LINES + "*** End Patch]]>",
    "the last line twice": FIRST + FILE + LINES + LAST + LAST,
    "a quotation mark at the end": FIRST + FILE + LINES + '*** End Patch"\n',
    "a token of a model at the end": FIRST + FILE + LINES + LAST + "<|im_end|>\n",
}  # fmt: skip


async def test_an_envelope_may_have_other_stars_verbs_and_wrappings(fs: FsClient, tmp_path: Path) -> None:
    assert await wrong(fs, tmp_path / "root", ENVELOPES) == {}


DIFFS = {
    "labels": "--- src/a.py (old)\n+++ src/a.py (new)\n" + HUNK,
    "prefix and absolute path": "--- aROOT/src/a.py\n+++ bROOT/src/a.py\n" + HUNK,
    "two slashes": "--- a//src/a.py\n+++ b//src/a.py\n" + HUNK,
    "Windows separators": "--- src\\a.py\n+++ src\\a.py\n" + HUNK,
    "no blank": "---a/src/a.py\n+++b/src/a.py\n" + HUNK,
    "the name above the hunk": "src/a.py\n" + HUNK,
    "a label above the hunk": "File: src/a.py\n\n" + HUNK,
    "the name above the fence": "**src/a.py**\n```diff\n" + HUNK + "```\nIt is done.\n",
    "colours below the header": NAMES + "@@ -1,3 +1,3 @@\n one\n\x1b[31m-two\x1b[m\n\x1b[32m+2\x1b[m\n three\n",
    "an object with the path": (
        '{"path":"src/a.py","patch":"--- a/src/a.py\\n+++ b/src/a.py\\n@@ -1 +1 @@\\n-two\\n+2\\n"}'
    ),
    "no numbers": NAMES + "@@ ... @@\n one\n-two\n+2\n three\n",
}


async def test_a_diff_may_lack_parts_of_its_header(fs: FsClient, tmp_path: Path) -> None:
    assert await wrong(fs, tmp_path / "root", DIFFS) == {}


def in_file(old: str, new: str) -> str:
    return f"{FIRST}{FILE}@@\n-{old}\n+{new}\n{LAST}"


CONFLICT = "<<<<<<< HEAD\na\n=======\nb\n>>>>>>> topic\n"
OTHER: dict[str, tuple[str, dict[str, str | bytes], dict[str, str]]] = {
    "two fences": (
        f"First:\n```diff\n{NAMES}{HUNK}```\nThen:\n```diff\n--- a/b\n+++ b/b\n@@ -1 +1 @@\n-x\n+y\n```\n",
        {"src/a.py": TEXT, "b": "x\n"}, {"src/a.py": CHANGED, "b": "y\n"},
    ),
    "a second block below a sentence": (
        f"src/a.py\n{BLOCK}\nThe same for the last line.\n" + BLOCK.replace("two", "six").replace("2", "6"),
        {"src/a.py": TEXT}, {"src/a.py": CHANGED.replace("six", "6")},
    ),
    "the conflict of a merge is resolved by a block": (
        f"f\n<<<<<<< SEARCH\n{CONFLICT}=======\nab\n>>>>>>> REPLACE\n", {"f": f"x\n{CONFLICT}"}, {"f": "x\nab\n"},
    ),
    "octal names without quotes": (
        f"--- a/gr\\303\\274n\n+++ b/gr\\303\\274n\n{HUNK}", {"gr\u00fcn": TEXT}, {"gr\u00fcn": CHANGED},
    ),
    "a new file with an empty line": (f"{FIRST}*** Add File: n\n+a\n\n+b\n\n{LAST}", {}, {"n": "a\n\nb\n"}),
    "a new file with a hunk": (f"{FIRST}*** Add File: n\n@@ -0,0 +1 @@\n+a\n{LAST}", {}, {"n": "a\n"}),
    "a new file with a header": (
        f"{FIRST}*** Add File: n\n--- /dev/null\n+++ b/n\n@@ -0,0 +1 @@\n+a\n*** End of File\n{LAST}", {}, {"n": "a\n"},
    ),
    "a new file of Windows": ("--- NUL\n+++ b/n\n@@ -0,0 +1 @@\n+a\n", {}, {"n": "a\n"}),
    "a new file from dev/null": ("--- a/dev/null\n+++ b/n\n@@ -0,0 +1 @@\n+a\n", {}, {"n": "a\n"}),
    "a new file named in a sentence": (
        "Create the file `n.txt`:\n<<<<<<< SEARCH\n=======\na\n>>>>>>> REPLACE\n", {}, {"n.txt": "a\n"},
    ),
    "empty lines around the lines of a block": (
        "src/a.py\n<<<<<<< SEARCH\n\ntwo\n\n=======\n\n2\n\n>>>>>>> REPLACE\n",
        {"src/a.py": TEXT}, {"src/a.py": CHANGED},
    ),
    "quotes escaped as in JSON": (
        in_file('print(\\"a\\\\n\\")', 'print(\\"b\\")'), {"src/a.py": 'print("a\\n")\n'}, {"src/a.py": 'print("b")\n'},
    ),
    "single quotes escaped": (in_file("f(\\'a\\')", "f(\\'b\\')"), {"src/a.py": "f('a')\n"}, {"src/a.py": "f('b')\n"}),
    "letters escaped as in JSON": (
        in_file("gr\\u00fcn \\ud83d\\ude00", "gr\\u00fcner"), {"src/a.py": "gr\u00fcn \U0001f600\n"},
        {"src/a.py": "gr\u00fcner\n"},
    ),
    "underscores escaped for Markdown": (in_file("a\\_b", "a\\_c"), {"src/a.py": "a_b\n"}, {"src/a.py": "a_c\n"}),
    "decomposed letters": (
        in_file("gru\u0308n", "gru\u0308ner"),
        {"src/a.py": "gr\u00fcn\n"}, {"src/a.py": "gr\u00fcner\n"},
    ),
    "composed letters": (
        in_file("gr\u00fcn", "gr\u00fcner"),
        {"src/a.py": "gru\u0308n\n"}, {"src/a.py": "gru\u0308ner\n"},
    ),
}  # fmt: skip


async def test_other_habits_with_one_meaning_are_taken(fs: FsClient, tmp_path: Path) -> None:
    found = {kind: await outcome(fs, tmp_path / "root", patch, files) for kind, (patch, files, _) in OTHER.items()}
    wanted = {kind: {name: text.encode() for name, text in after.items()} for kind, (_, _, after) in OTHER.items()}
    assert found == wanted


def whole(content: str) -> list[dict[str, str]]:
    return [{"op": "update", "path": "src/a.py", "content": content}]


REFUSED: dict[str, tuple[str | list[Any], dict[str, str | bytes], str]] = {
    "two files may be meant": (
        f"Edit a.py as b.py:\n{BLOCK}", {"a.py": TEXT, "b.py": TEXT}, "may mean 'a.py' or 'b.py'",
    ),
    "the prefix is a directory": (
        f"a/f.py\n{BLOCK}", {"a/g.py": TEXT, "f.py": TEXT}, "'a/f.py' does not exist",
    ),
    "a file is deleted by a name with a prefix": (
        f"{FIRST}*** Delete File: a/f.py\n{LAST}", {"f.py": TEXT}, "there is 'f.py'",
    ),
    "nothing but the sentence is there": (
        "Let us change it:\n" + BLOCK, {"f.py": TEXT}, "'Let us change it' does not exist",
    ),
    "a block that ends nowhere": ("f\n<<<<<<< SEARCH\ntwo\n=======\n2\n", {"f": TEXT}, "it has no '>>>>>>> REPLACE'"),
    "three signs in a block with seven": (
        "f\n<<<<<<< SEARCH\ntwo\n=======\n>>> NEW\n", {"f": TEXT}, "it has no '>>>>>>> REPLACE'",
    ),
    "the verb to move": (f"{FIRST}*** Move File: a -> b\n{LAST}", {"a": TEXT}, "'*** Move to: NEW' below it"),
    "a remark without dots in place of lines": (
        "f\n<<<<<<< SEARCH\none\ntwo\nthree\n=======\n1\n// rest of the code unchanged\n>>>>>>> REPLACE\n",
        {"f": TEXT}, "'// rest of the code unchanged' in place of the lines",
    ),
    "a comment in place of lines": (
        "f\n<<<<<<< SEARCH\none\ntwo\nthree\n=======\n1\n<!-- existing code -->\n>>>>>>> REPLACE\n",
        {"f": TEXT}, "in place of the lines",
    ),
    "the whole text below an update": (
        f"{FIRST}{FILE}+one\n+2\n+three\n{LAST}", {"src/a.py": TEXT}, "adds the text of the file once more",
    ),
    "dots in a whole text": (whole("one\n# ... existing code ...\n"), {"src/a.py": TEXT}, "write all lines"),
    "a remark in a whole text": (whole("1\n// rest of the file unchanged\n"), {"src/a.py": TEXT}, "write all lines"),
    "line numbers in a whole text": (
        whole("     1\tone\n     2\t2\n     3\tthree\n"), {"src/a.py": TEXT}, "leave them out",
    ),
    "a fence around a whole text": (whole("```python\none\n2\n```\n"), {"src/a.py": TEXT}, "is in a Markdown fence"),
    "line breaks written out": (whole("one\\n2\\nthree\\n"), {"src/a.py": TEXT}, "send real line breaks"),
    "an envelope as the text": (whole(FIRST + FILE + LINES + LAST), {"src/a.py": TEXT}, "send it as `patch`"),
    "a diff as the text": (whole(NAMES + HUNK), {"src/a.py": TEXT}, "send it as `patch`"),
    "HTML in a whole text": (whole("if a &lt; b:\n    pass\n"), {"src/a.py": "if a < b:\n    x\n"}, "escapes such as"),
}  # fmt: skip


async def test_what_is_not_certain_is_refused_with_the_correction(fs: FsClient, tmp_path: Path) -> None:
    found = {
        kind: words if isinstance(words := await outcome(fs, tmp_path / "root", patch, files), str) else repr(words)
        for kind, (patch, files, _) in REFUSED.items()
    }
    assert {kind: words for kind, words in found.items() if REFUSED[kind][2] not in words} == {}


ALLOWED: dict[str, tuple[list[dict[str, str]], dict[str, str | bytes]]] = {
    "a table whose first column counts": (whole("1\ta\n2\tb\n3\tc\n"), {"src/a.py": "1\tx\n2\ty\n"}),
    "a remark that the file has": (
        whole("# rest of the code unchanged\n"),
        {"src/a.py": "# rest of the code unchanged\nx\n"},
    ),
    "a remark in a text that is no shorter": (whole("# existing code\na\nb\n"), {"src/a.py": "x\n"}),
    "a page of HTML": (whole("<p>a &lt; b</p>\n"), {"src/a.py": "<p>a</p>\n"}),
    "a fence in Markdown": ([{"op": "update", "path": "n.md", "content": "```\nx\n\n```\n"}], {"n.md": "x\n"}),
    "a patch as a file of patches": (
        [{"op": "update", "path": "n.patch", "content": NAMES + HUNK}],
        {"n.patch": "x\n"},
    ),
}  # fmt: skip


async def test_a_link_is_not_deleted_by_another_spelling_of_its_name(fs: FsClient, tmp_path: Path) -> None:
    root = tmp_path / "root"
    write_tree(root, {"sub/real": TEXT})
    (root / "sub" / "link").symlink_to("real")
    error = await fs.fails("apply_patch", patch=f"{FIRST}*** Delete File: sub\\link\n{LAST}")
    assert "is a symbolic link" in error["message"]
    await fs.ok("apply_patch", patch=f"{FIRST}*** Delete File: sub\\real\n{LAST}")
    assert read_tree(root) == {}


async def test_a_file_that_may_not_be_written_is_not_reached_by_a_word_of_a_sentence(
    fs: FsClient, tmp_path: Path
) -> None:
    for name in (".git/hooks/x.py", ".env"):
        before = {name: TEXT}
        words = await outcome(fs, tmp_path / "root", f"Edit {name} now:\n{BLOCK}", before)
        assert isinstance(words, str)
        assert "one" not in words


async def test_a_whole_text_that_only_looks_odd_is_written(fs: FsClient, tmp_path: Path) -> None:
    for kind, (changes, files) in ALLOWED.items():
        after = {changes[0]["path"]: changes[0]["content"].encode()}
        assert await outcome(fs, tmp_path / "root", changes, files) == after, kind
