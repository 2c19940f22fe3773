"""Patches that are nearly right: taken where their meaning is certain, else refused with the correction."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Callable

import pytest

from lg_fs.patch.document import load
from lg_fs.patch.match import apply_hunks
from lg_fs.patch.model import FileChange
from lg_fs.patch.parse import parse_patch
from lg_policy.errors import Conflict, InvalidArguments

ENVELOPE = """\
*** Begin Patch
*** Update File: src/a.py
@@ def f():
 one

-two
+2
*** Add File: new.txt
+hello
*** Delete File: old.txt
*** End Patch
"""
UNIFIED = "--- a/src/a.py\n+++ b/src/a.py\n@@ -1,2 +1,2 @@\n one\n-two\n+2\n"
BLOCKS = "src/a.py\n<<<<<<< SEARCH\none\ntwo\n=======\none\n2\n>>>>>>> REPLACE\n"

WRAPPED: dict[str, Callable[[str], str]] = {
    "indented by four": lambda patch: textwrap.indent(patch, "    ", lambda line: bool(line.strip())),
    "indented, blank lines too": lambda patch: textwrap.indent(patch, "    ", lambda line: True),
    "indented by a tab": lambda patch: textwrap.indent(patch, "\t"),
    "quoted as mail": lambda patch: textwrap.indent(patch, "> ", lambda line: True),
    "here-document": lambda patch: f"apply_patch <<'EOF'\n{patch}EOF\n",
    "here-document without quotes": lambda patch: f"apply_patch <<PATCH\n{patch}PATCH",
    "here-document behind a prompt": lambda patch: f'$ apply_patch <<"EOF"\n{patch}EOF\n',
    "here-document for git": lambda patch: f"git apply --index <<'EOF'\n{patch}EOF\n",
    "here-document through cat": lambda patch: f"cat <<'EOF' | git apply\n{patch}EOF\n",
    "here-document in a shell": lambda patch: f"bash -lc \"apply_patch <<'EOF'\n{patch}EOF\"\n",
    "call with quotes": lambda patch: f'apply_patch "\n{patch}"',
    "fence": lambda patch: f"```diff\n{patch}```\n",
    "fence of tildes": lambda patch: f"~~~\n{patch}~~~",
    "fence around a here-document": lambda patch: f"```bash\napply_patch <<'EOF'\n{patch}EOF\n```\n",
    "indented fence": lambda patch: textwrap.indent(f"```\n{patch}```\n", "  "),
    "tags": lambda patch: f"<patch>\n{patch}</patch>\n",
    "CDATA section": lambda patch: f"<![CDATA[\n{patch}]]>",
    "list of one": lambda patch: json.dumps([patch]),
    "colours of a terminal": lambda patch: f"\x1b[1m{patch.replace(chr(10), chr(27) + '[m' + chr(10))}",
    "byte order mark": lambda patch: "\ufeff" + patch,
    "Windows line breaks": lambda patch: patch.replace("\n", "\r\n"),
    "Windows line breaks but the last": lambda patch: patch.replace("\n", "\r\n").removesuffix("\r\n"),
    "old Mac line breaks": lambda patch: patch.replace("\n", "\r"),
    "blank lines around": lambda patch: f"\n\n  \n{patch}\n\n",
    "JSON text": json.dumps,
    "JSON object": lambda patch: json.dumps({"patch": patch}),
    "JSON command": lambda patch: json.dumps(["apply_patch", patch]),
    "JSON twice": lambda patch: json.dumps(json.dumps(patch)),
    "line breaks written out": lambda patch: json.dumps(patch)[1:-1],
}
NOT_FOR_BLOCKS = {"quoted as mail"}


@pytest.mark.parametrize("patch", [ENVELOPE, UNIFIED, BLOCKS], ids=["envelope", "unified", "blocks"])
@pytest.mark.parametrize("habit", WRAPPED)
def test_what_stands_around_a_patch_does_not_matter(habit: str, patch: str) -> None:
    wrapped = WRAPPED[habit](patch)
    assert wrapped != patch
    assert parse_patch(wrapped) == parse_patch(patch)


@pytest.mark.parametrize(
    "wrapped",
    [
        f"Here is the patch:\n\n{ENVELOPE}",
        f"I will change two files.\n```\n{ENVELOPE}```\nThat is all.\n",
        f"Sure!\n```diff\n{ENVELOPE}\n```",
    ],
)
def test_sentences_around_a_patch_do_not_matter(wrapped: str) -> None:
    assert parse_patch(wrapped) == parse_patch(ENVELOPE)


@pytest.mark.parametrize(
    ("right", "nearly"),
    [
        ("*** Begin Patch", "***Begin Patch"),
        ("*** Begin Patch", "*** begin patch ***"),
        ("*** End Patch", "*** END PATCH"),
        ("*** Update File: src/a.py", "*** Update File:src/a.py"),
        ("*** Update File: src/a.py", "*** Modify file: src/a.py"),
        ("*** Update File: src/a.py", "*** Update File: `src/a.py`"),
        ("*** Update File: src/a.py", '*** Update File: "src/a.py" ***'),
        ("*** Add File: new.txt", "*** Create File: new.txt"),
        ("*** Delete File: old.txt", "*** Remove File: old.txt"),
    ],
)
def test_lines_of_the_envelope_may_be_nearly_right(right: str, nearly: str) -> None:
    assert right in ENVELOPE
    assert parse_patch(ENVELOPE.replace(right, nearly)) == parse_patch(ENVELOPE)


def test_a_moved_file_may_be_renamed() -> None:
    patch = "*** Begin Patch\n*** Update File: a\n*** Rename to: b\n*** End Patch\n"
    assert parse_patch(patch) == [FileChange(op="move", path="a", to="b")]


def test_line_numbers_of_a_unified_diff_in_an_envelope_choose_the_place() -> None:
    patch = "*** Begin Patch\n*** Update File: f\n@@ -3,1 +3,1 @@ def g():\n-x\n+z\n*** End Patch\n"
    (change,) = parse_patch(patch)
    assert apply_hunks(load(b"x\ny\nx\n"), change).document.encode() == b"x\ny\nz\n"


@pytest.mark.parametrize(
    "header",
    ["`src/a.py`", "**src/a.py**", "### src/a.py", "File: src/a.py", "src/a.py:", "**`src/a.py`**", "# File: src/a.py"],
)
def test_the_name_above_a_block_may_be_dressed_up(header: str) -> None:
    assert parse_patch(BLOCKS.replace("src/a.py", header)) == parse_patch(BLOCKS)


def test_a_heading_that_looks_like_a_divider_is_told_from_it() -> None:
    patch = "f\n<<<<<<< SEARCH\nTitle\n=====\n=======\nName\n>>>>>>> REPLACE\n"
    (change,) = parse_patch(patch)
    assert change.hunks[0].old == ("Title", "=====")


def test_names_that_git_quotes_are_read() -> None:
    name = '"b/caf\\303\\251 \\"x\\".txt"'
    old = name.replace("b/", "a/", 1)
    diff = f"diff --git {old} {name}\n--- {old}\n+++ {name}\n@@ -1 +1 @@\n-a\n+b\n"
    (change,) = parse_patch(diff)
    assert change.path == 'caf\u00e9 "x".txt'


@pytest.mark.parametrize(
    ("patch", "words"),
    [
        ("@@ -1 +1 @@\n-a\n+b\n", "The hunk names no file"),
        ("*** Update File: a\n@@\n-a\n+b\n", "Put a line '*** Begin Patch' above it"),
        ("*** a/f\n--- b/f\n***************\n", "make a unified diff"),
        ("*** Begin Patch\n*** Add File: a\nx\n*** End Patch", "put '+' before each line"),
    ],
)
def test_where_the_meaning_is_not_certain_the_correction_is_named(patch: str, words: str) -> None:
    with pytest.raises(InvalidArguments) as caught:
        parse_patch(patch)
    assert words in caught.value.hint


def changed(before: bytes, hunks: str) -> tuple[bytes, str]:
    (change,) = parse_patch(f"*** Begin Patch\n*** Update File: f\n{hunks}*** End Patch\n")
    applied = apply_hunks(load(before), change)
    return applied.document.encode(), applied.match


@pytest.mark.parametrize(
    ("before", "hunks", "after"),
    [
        ("a\u00a0=\u00a01\nb\n", "@@\n a = 1\n-b\n+c\n", "a\u00a0=\u00a01\nc\n"),
        ("say \u201chello\u201d\nb\n", '@@\n say "hello"\n-b\n+c\n', "say \u201chello\u201d\nc\n"),
        ("Bu\u0308cher\nb\n", "@@\n B\u00fccher\n-b\n+c\n", "Bu\u0308cher\nc\n"),
        ("x \u2014 y\nb\n", "@@\n x - y\n-b\n+c\n", "x \u2014 y\nc\n"),
        ("plain 'q'\nb\n", "@@\n plain \u2018q\u2019\n-b\n+c\n", "plain 'q'\nc\n"),
    ],
)
def test_typographic_forms_are_ignored_last_and_the_files_own_are_kept(before: str, hunks: str, after: str) -> None:
    assert changed(before.encode(), hunks) == (after.encode(), "unicode_form")


def test_carriage_returns_of_the_patch_alone_do_not_get_into_the_file() -> None:
    patch = "*** Begin Patch\n*** Update File: f\n@@\n a\r\n-b\r\n+c\r\n*** End Patch\n"
    (change,) = parse_patch(patch)
    assert apply_hunks(load(b"a\nb\n"), change).document.encode() == b"a\nc\n"


def refused(before: str, hunks: str) -> Conflict:
    with pytest.raises(Conflict) as caught:
        changed(before.encode(), hunks)
    return caught.value


def test_the_first_line_that_differs_is_named_in_both_versions_with_its_number() -> None:
    before = "".join(f"v{n} = {n}\n" for n in range(60))
    hunk = "@@\n" + "".join(f" v{n} = {n}\n" for n in range(20)) + " v20 = 21\n-v21 = 21\n+v21 = 99\n"
    hint = refused(before, hunk).hint
    assert "the first line that differs is line 21" in hint
    assert "hunk: 'v20 = 21'\nfile: 'v20 = 20'" in hint
    assert "\n18: v17 = 17" in hint
    assert "\n24: v23 = 23" in hint
    assert "v10" not in hint


@pytest.mark.parametrize(
    ("before", "hunk", "words"),
    [
        ("a1\nb1\nc1\nd1\n", "@@\n a1\n b1\n-d1\n+x\n", "leaves out line 3 of the file: 'c1'"),
        ("a1\nb1\nd1\n", "@@\n a1\n b1\n c1\n-d1\n+x\n", "the hunk has 'c1' before line 3"),
        ("a1\nb1\n", "@@\n a1\n b1\n-c1\n+x\n", "the file ends before 'c1'"),
        ("a1\n\u0430b\nc1\n", "@@\n a1\n ab\n-c1\n+x\n", "file: '\\u0430b'"),
        ("a1\nb1\n", "@@\n    3\ta1\n-    4\tb1\n+x\n", "leave the numbers out"),
    ],
)
def test_how_a_hunk_differs_is_said(before: str, hunk: str, words: str) -> None:
    assert words in refused(before, hunk).hint


def test_a_patch_that_was_applied_is_told_so_with_the_place() -> None:
    hunk = "@@\n a = 1\n-b = 2\n+b = 3\n"
    after = changed(b"x\na = 1\nb = 2\n", hunk)[0].decode()
    error = refused(after, hunk)
    assert "already applied: the new lines are in the file, at line 2" in error.message
    assert error.hint == "nothing is left to do for this file"


def test_a_patch_of_which_a_part_was_applied_names_what_is_left() -> None:
    first, second = "@@\n a = 1\n-b = 2\n+b = 3\n", "@@\n-c = 1\n+c = 2\n"
    error = refused("a = 1\nb = 3\nc = 1\n", first + second)
    assert "hunk 1 for 'f' is already applied" in error.message
    assert "not applied yet: hunk 2" in error.hint
    error = refused("a = 1\nb = 2\nc = 2\n", first + second)
    assert "hunk 2 for 'f' is already applied" in error.message
    assert "not applied yet: hunk 1" in error.hint


@pytest.mark.parametrize("new", ["}", "", "    ", "{"])
def test_new_lines_that_could_stand_anywhere_prove_nothing(new: str) -> None:
    error = refused("a {\n}\n\n{\n    \n", f"@@\n-gone()\n+{new}\n")
    assert "already applied" not in error.message


HUNK = "@@ -1,2 +1,2 @@\n one\n-two\n+2\n"


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("i/f", "w/f"), ("c/f", "w/f"), ("b/f", "a/f"), ("f.orig", "f"), ("a/f", "f"), ("f", "b/f"), ("old/f", "new/f"),
        ("`f`", "`f`"), ("a\\f", "b\\f"), ("f (revision 1)", "f (working copy)"),
        ("f 2024-01-01 10:00:00.000000000 +0100", "f 2024-01-01 10:00:01.000000000 +0100"),
    ],
)  # fmt: skip
def test_what_stands_around_the_names_of_a_diff_does_not_matter(old: str, new: str) -> None:
    (change,) = parse_patch(f"--- {old}\n+++ {new}\n{HUNK}")
    assert change.path == "f"


@pytest.mark.parametrize("name", ["my file.py", "x b/y.txt", "a b/a b"])
def test_a_name_with_blanks_is_not_cut_in_the_line_of_git(name: str) -> None:
    (change,) = parse_patch(f"diff --git a/{name} b/{name}\n--- a/{name}\n+++ b/{name}\n{HUNK}")
    assert change.path == name
    for prefixes in (("a/", "b/"), ("", "")):
        line = f"diff --git {prefixes[0]}{name} {prefixes[1]}{name}\nnew file mode 100644\nindex 0000000..e69de29\n"
        (empty,) = parse_patch(line)
        assert (empty.op, empty.path) == ("add", name)


MAIL = (
    "From 0123456789012345678901234567890123456789 Mon Sep 17 00:00:00 2001\nFrom: A <a@example.org>\n"
    "Subject: [PATCH] two\n\n---\n src/a.py | 2 +-\n 1 file changed\n\n"
    f"diff --git a/src/a.py b/src/a.py\nindex 1..2 100644\n{UNIFIED}-- \n2.43.0\n\n"
)


@pytest.mark.parametrize(
    "wrapped",
    [
        MAIL,
        MAIL[MAIL.index("diff --git") :],
        f"commit 0123\nAuthor: A <a@example.org>\n\n    two\n\n{UNIFIED}",
        f"Here is the patch:\n\n{UNIFIED}",
        f"{UNIFIED}\nIt changes one line.\n",
    ],
)
def test_the_text_of_a_mail_or_a_commit_around_a_diff_does_not_matter(wrapped: str) -> None:
    assert parse_patch(wrapped) == parse_patch(UNIFIED)


def test_a_mailbox_of_several_patches_is_one_patch() -> None:
    changes = parse_patch(MAIL + MAIL.replace("src/a.py", "src/b.py"))
    assert [change.path for change in changes] == ["src/a.py", "src/b.py"]


def test_a_hunk_that_is_not_complete_does_not_end_with_a_sentence() -> None:
    (change,) = parse_patch("--- a/f\n+++ b/f\n@@ -1,4 +1,4 @@\n one\n-two\n+2\n\nthree\n")
    with pytest.raises(InvalidArguments, match="'three' is no line of a hunk"):
        apply_hunks(load(b"one\ntwo\n\nfour\n"), change)


def test_a_combined_diff_is_refused_and_not_read_as_an_ordinary_one() -> None:
    patch = "diff --cc f\n--- a/f\n+++ b/f\n@@@ -1,2 -1,2 +1,3 @@@\n  one\n++new\n  two\n"
    with pytest.raises(InvalidArguments, match="combined diffs"):
        parse_patch(patch)


def test_several_envelopes_are_one_patch_and_sentences_behind_them_are_not_read() -> None:
    other = "*** Begin Patch\n*** Delete File: b\n*** End Patch\n"
    assert parse_patch(f"{ENVELOPE}\n{other}\nThat is all.\nEOF\n") == [*parse_patch(ENVELOPE), *parse_patch(other)]


@pytest.mark.parametrize(
    "blocks",
    [
        "src/a.py\n<<<<<<< SEARCH\n:start_line:1\n-------\none\ntwo\n=======\none\n2\n>>>>>>> REPLACE\n",
        "src/a.py\n------- SEARCH\none\ntwo\n=======\none\n2\n+++++++ REPLACE\n",
        "<<<<<<< SEARCH src/a.py\none\ntwo\n=======\none\n2\n>>>>>>> REPLACE\n",
        "src/a.py\n<<<<<<< SEARCH>\none\ntwo\n=======\none\n2\n>>>>>>> REPLACE>\n",
        "src/a.py\n  <<<<<<< SEARCH\n  one\n  two\n  =======\n  one\n  2\n  >>>>>>> REPLACE\n",
    ],
)
def test_blocks_in_the_dialects_of_other_editors_are_read(blocks: str) -> None:
    assert parse_patch(blocks) == parse_patch(BLOCKS)
