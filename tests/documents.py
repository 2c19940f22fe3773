"""The Markdown pages of the project, and what of them can be compared with the programs: links, commands, settings."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

from pydantic import BaseModel

from lg_policy.config.settings import Settings

ROOT = Path(__file__).resolve().parent.parent
FOLDERS = ("docs", "servers", "bench", "eval")
PAGES = sorted([*ROOT.glob("*.md"), *(page for folder in FOLDERS for page in (ROOT / folder).rglob("*.md"))])
PROGRAMS = ("lg-fs", "lg-exec", "lg-code", "lg-gateway", "lg-orch")
_FENCE = re.compile(r"^ *```(\w*)\n(.*?)^ *```$", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"(?<!!)\[(?:[^\[\]]|\[[^\]]*\])*\]\((?!https?:|mailto:)([^)\s]+)\)")
_SPAN = re.compile(r"`((?:[^`\n]|\n(?!\s*\n))+)`")
_HEADING = re.compile(r"^#{1,6} +(.+?)\s*$", re.MULTILINE)
_CALL = re.compile(rf"(?:^|[A-Z_]+=\S+ |-- |\bruns? |\buvx .* )(?:\S*/)?({'|'.join(PROGRAMS)})(?=\s|$)")
_STOPS = {"|", ">", "<", "&&", "||", "&", ";", "2>"}


@dataclass(frozen=True, kw_only=True)
class Mention:
    """A command as a page writes it: the program, its subcommands as far as they are words, and its options."""

    program: str
    words: tuple[str, ...]
    options: tuple[str, ...]


def name(page: Path) -> str:
    """Return a page's path from the root, as a test's id."""
    return page.relative_to(ROOT).as_posix()


def blocks(text: str, *languages: str) -> list[str]:
    """Return the fenced blocks of these languages."""
    return [block for language, block in _FENCE.findall(text) if language in languages]


def prose(text: str) -> str:
    """Return a page without its fenced blocks."""
    return _FENCE.sub("", text)


def spans(text: str) -> list[str]:
    """Return what stands between backticks outside of fenced blocks, on one line where the page breaks it."""
    return [" ".join(span.split()) for span in _SPAN.findall(prose(text))]


def links(text: str) -> list[str]:
    """Return the targets of links that stay inside the project."""
    return _LINK.findall(_SPAN.sub("", prose(text)))


def anchors(text: str) -> set[str]:
    """Return the anchors that headings get: lower case, no punctuation, hyphens for blanks, numbers for repetitions."""
    found: set[str] = set()
    for heading in _HEADING.findall(prose(text)):
        plain = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).lower()
        slug = re.sub(r"[^\w\- ]", "", plain).replace(" ", "-")
        number, anchor = 0, slug
        while anchor in found:
            number += 1
            anchor = f"{slug}-{number}"
        found.add(anchor)
    return found


def commands(text: str) -> Iterator[Mention]:
    """Yield each command line of our programs: in shell blocks, indented blocks and between backticks."""
    lines = [line for block in blocks(text, "sh") for line in block.replace("\\\n", " ").splitlines()]
    indented = [line.strip() for line in prose(text).splitlines() if line.startswith("    ")]
    for line in [*lines, *indented, *spans(text)]:
        for found in _CALL.finditer(line):
            yield _mention(found[1], line[found.end() :])


def _mention(program: str, rest: str) -> Mention:
    words = _split(rest)
    own = words[: next((at for at, word in enumerate(words) if word in _STOPS or word.startswith("#")), len(words))]
    plain: list[str] = []
    for word in own[:2]:
        if not re.fullmatch(r"[a-z][a-z-]*(\|[a-z][a-z-]*)*", word):
            break
        plain.append(word)
    options = tuple(option for word in own for option in re.findall(r"(?<!\S)\[?(--[a-z][a-z-]*)", word))
    return Mention(program=program, words=tuple(plain), options=options)


def _split(text: str) -> list[str]:
    try:
        return shlex.split(text)
    except ValueError:
        return text.split()


def setting_names(text: str) -> Iterator[str]:
    """Yield what reads as a settings key or table: `[gateway.servers.NAME]`, `[exec] sandbox = "off"`, `fs.max_x`."""
    sections = "|".join(Settings.model_fields)
    for span in spans(text):
        table = re.fullmatch(rf"\[\[?({sections})((?:\.[\w-]+|\.\")*)\]\]?(?: (\w+)(?: = .*)?)?", span)
        dotted = re.fullmatch(rf"({sections})((?:\.[\w-]+)+)(?: = .*)?", span)
        if table is not None:
            yield ".".join([table[1] + table[2], *([table[3]] if table[3] else [])])
        elif dotted is not None and not re.search(r"\.(py|md|toml|json|sqlite|lock|cfg|sh)$", span):
            yield dotted[1] + dotted[2]


def is_setting(dotted: str) -> bool:
    """Whether a dotted name is a key or a table of the settings tree; in a table by names, any name will do."""
    kinds: list[object] = [Settings]
    for part in dotted.split("."):
        kinds = [inner for kind in kinds for inner in _below(kind, part)]
    return bool(kinds)


def _below(kind: object, part: str) -> Iterator[object]:
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        for field, info in kind.model_fields.items():
            if part in (field, info.alias, f"{field}_replace"):
                yield info.annotation
        return
    arguments = get_args(kind)
    if getattr(kind, "__origin__", None) is dict:
        yield arguments[1]
        return
    for argument in arguments:
        yield from _below(argument, part)
