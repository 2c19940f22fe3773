"""Finds the tool that a model means by a name that is nearly right. Pure."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from lg_orch.tools.tool_info import ToolInfo

MAX_NAME = 200
_PREFIX = re.compile(r"(?:(?:functions?|tools?|default_api|mcp)(?:::|__|[./:]))+", re.IGNORECASE)
_NUMBER = re.compile(r":\d{1,4}")
_NO_WORD = re.compile(r"[^a-z0-9]+")
_SEPARATORS = re.compile(r"[^a-z0-9]+")


def tool_meant(name: str, tools: Sequence[ToolInfo], others: Collection[str] = ()) -> str:
    """Return the qualified name of the one tool that a name can mean; the name itself where that is not certain.

    Models put `functions.` or `mcp__` before a name, a number or a mark of their own behind it, leave the server's name
    out, or write a dot for the two underscores. `others` are names of ours that are no tool of the gateway.
    """
    known = {tool.name for tool in tools} | set(others)
    if name in known:
        return name
    plain = name[:MAX_NAME].partition("<|")[0].strip()
    found = _PREFIX.match(plain)
    for guess in dict.fromkeys((plain, plain[found.end() :] if found is not None else plain)):
        whole = _NUMBER.sub("", guess) if _NUMBER.search(guess) else guess
        if whole in known:
            return whole
        meant = {tool.name for tool in tools if whole == tool.original} or {
            qualified for qualified in known if _key(qualified) == _key(whole)
        }
        meant = meant or {tool.name for tool in tools if _key(tool.original) == _key(whole)}
        if len(meant) == 1:
            return meant.pop()
    return _longer(plain, known) or _only([tool.name for tool in tools if _bare(plain) in _bare_names(tool)]) or name


def _longer(name: str, known: Collection[str]) -> str:
    """The whole name of a tool at the end of a longer one, as clients make it: `mcp__lg-gateway__fs__read_file`."""
    return _only(
        [whole for whole in known if len(name) > len(whole) and re.search(rf"[_./:]{re.escape(whole)}\Z", name)]
    )


def _bare_names(tool: ToolInfo) -> tuple[str, str]:
    return _bare(tool.name), _bare(tool.original)


def _bare(name: str) -> str:
    """Letters and digits alone: `readFile` and `read_file` are the same."""
    return _NO_WORD.sub("", name.lower())


def _only(names: list[str]) -> str:
    return names[0] if len(names) == 1 else ""


def _key(name: str) -> str:
    return _SEPARATORS.sub("_", name.lower()).strip("_")
