"""`go.mod` and `go.work`."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from lg_orch.analyst.sources.evidence import split_lines
from lg_orch.analyst.sources.facts import Dependency, FoundValue, Manifest, TestCommand

if TYPE_CHECKING:
    from collections.abc import Iterator

_WORD = re.compile(r'"[^"]*"|[^\s()]+|[()]')


def read(file: str, text: str) -> Manifest:
    """Return the module path, Go version, requirements (direct ones apart from indirect ones)."""
    name = requires = None
    unread: list[FoundValue] = []
    dependencies: list[Dependency] = []
    for verb, words, comment, line in _directives(text):
        if verb == "module" and words:
            name = FoundValue(text=words[0], file=file, line=line)
        elif verb == "go" and words:
            requires = FoundValue(text=f"go {words[0]}", file=file, line=line)
        elif verb in ("require", "tool") and words:
            group = "indirect" if "indirect" in comment else ("runtime" if verb == "require" else "tool")
            version = words[1] if len(words) > 1 else ""
            dependencies.append(Dependency(name=words[0], range=version, group=group, file=file, line=line))
        elif verb in ("replace", "exclude") and words:
            said = "replaces" if verb == "replace" else "excludes"
            unread.append(FoundValue(text=f"{said} {' '.join(words)}", file=file, line=line))
    tests = (
        (TestCommand(command="go test ./...", why="Go's own test command", file=file, line=name.line),) if name else ()
    )
    return Manifest(
        file=file,
        ecosystem="Go",
        name=name,
        requires=requires,
        dependencies=tuple(dependencies),
        tests=tests,
        unread=tuple(unread),
        problems=() if name else (f"{file} names no module",),
    )


def read_work(file: str, text: str) -> Manifest:
    """Return the modules of a Go workspace."""
    members = tuple(
        FoundValue(text=words[0], file=file, line=line)
        for verb, words, _, line in _directives(text)
        if verb == "use" and words
    )
    return Manifest(file=file, ecosystem="Go", members=members)


def _directives(text: str) -> Iterator[tuple[str, list[str], str, int]]:
    """Verb, words, comment and line of each directive, blocks in parentheses spread out."""
    block = ""
    for number, raw in enumerate(split_lines(text), start=1):
        content, _, comment = raw.partition("//")
        words = [word.strip('"') for word in _WORD.findall(content)]
        if not words:
            continue
        if block:
            if words[0] == ")":
                block = ""
            else:
                yield block, words, comment, number
        elif words[-1] == "(":
            block = words[0]
        else:
            yield words[0], words[1:], comment, number
