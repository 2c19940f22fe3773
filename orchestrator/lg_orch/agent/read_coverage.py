"""Tracks which file contents a run has seen, and whether a change removes lines it has not seen.

The judgement is about a dry run: the file server's word on which files a patch means, whatever its format and however
it spells their names, what they hold now, and which lines go. Pure.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lg_orch.tools.effects import PATCHING
from lg_orch.tools.result_text import MAX_RESULT_CHARS, middle_out, whole_text

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from lg_orch.contracts.envelopes import ToolEnvelope

READING = "read_file"


class ReadCoverage:
    """The files that a run read or wrote, with their digests, and every text that it was shown."""

    def __init__(self) -> None:
        self._digests: dict[str, str] = {}
        self._texts: list[tuple[frozenset[str], str]] = []

    @classmethod
    def of(cls, results: Iterable[tuple[str, ToolEnvelope]]) -> ReadCoverage:
        """Build it from the whole results so far, in order, each with its tool's own name.

        The name is "" for tools of other servers.
        """
        seen = cls()
        for original, result in results:
            seen._add(original, result)
        return seen

    def _add(self, original: str, result: ToolEnvelope) -> None:
        files = [file for file in _files(result) if not file.get("error")]
        names: list[str] = []
        if original == READING:
            names = [str(file.get("path")) for file in files]
            self._digests.update((str(file.get("path")), str(file.get("sha256"))) for file in files)
        elif original in PATCHING and not (result.artifacts.structured or {}).get("dry_run"):
            for file in files:
                self._digests.pop(str(file.get("path")), None)
                if file.get("after_sha256"):
                    self._digests[str(file.get("to") or file.get("path"))] = str(file["after_sha256"])
        self._texts.append((frozenset(names), middle_out(whole_text(result), MAX_RESULT_CHARS)))

    def blind(self, look: ToolEnvelope) -> list[str]:
        """Return the files of a dry run that would be changed blindly, each with the reason; empty when none would.

        A file that was read, or written by the run, and is still as it was then may be changed. Of any other every
        line that goes, and one beside each place where lines come in, must have been shown: in a search, in what a
        check printed, in the file as it was before. So what somebody else wrote meanwhile is never lost unseen.
        """
        told = look.artifacts.structured or {}
        sections = dict(_sections(str(told.get("diff", ""))))
        found = []
        for file in _files(look):
            path, now = str(file.get("path")), file.get("before_sha256")
            if now is None or self._digests.get(path) == now:
                continue
            places = _places(sections.get(f"a/{path} b/{file.get('to') or path}", ()))
            texts = [text for names, text in self._texts if path in names or path in text]
            if all(any(line in text for line in lines for text in texts) for lines in places):
                continue
            changed = path in self._digests
            found.append(f"{path} {'was changed since it was read' if changed else 'was not read'} in this run")
        return found


def _files(result: ToolEnvelope) -> list[dict[str, Any]]:
    files = (result.artifacts.structured or {}).get("files")
    return [file for file in files if isinstance(file, dict)] if result.ok and isinstance(files, list) else []


def _sections(diff: str) -> Iterator[tuple[str, list[str]]]:
    """The lines of each file's part; no line of a file's text begins as a header does, each has its mark before it."""
    for section in ("\n" + diff).split("\ndiff --git ")[1:]:
        names, *lines = section.split("\n")
        begin = next((number for number, line in enumerate(lines) if line.startswith("@@")), len(lines))
        yield names, lines[begin:]


def _places(lines: Sequence[str]) -> Iterator[tuple[str, ...]]:
    """For each place that a diff changes, lines of which one must have been seen: each that goes, or the neighbours."""
    before, gone, changing = "", list[str](), False
    for line in (*lines, "@@"):
        mark, text = line[:1], line[1:].strip()
        if mark in ("-", "+"):
            changing = True
            gone += [text] if mark == "-" and text else []
        elif mark in (" ", "@"):
            near = text if mark == " " else ""
            if changing and (near or mark == "@"):
                yield from ((line,) for line in gone)
                beside = tuple(neighbour for neighbour in (before, near) if neighbour)
                if beside and not gone:
                    yield beside
                gone, changing = [], False
            before = "" if mark == "@" else near or before
