"""Proposes the rules by which a resource would be read without a question: this one, or all in its folder. Pure.

A rule about resources must cover every spelling that a server may take for the same resource, so it names them all. Of
an address with a query, one spelling is the address without it: the words of the choice say so.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from lg_policy.printing import quote
from lg_policy.rules.rule_set import ToolFacts

ADDRESS_WIDTH = 200
_OF_A_HOST = ("http", "https", "ws", "wss", "ftp", "file")
"""Schemes whose addresses begin with a host: all addresses of such a scheme are never one folder."""


def resource_rules(facts: ToolFacts, base: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield words and rule: first for this resource, then for its folder if it has one."""
    spelled = facts.spellings
    if spelled is None:
        return
    uri = spelled.forms[0]
    if any("*" in form or _tails(form) > _tails(uri) for form in spelled.forms):
        return  # decoded, it holds a `*` or ends early: the rule would cover more than what a human reads here
    bare = ", and the same without its query" if "?" in uri or "#" in uri else ""
    named = sorted(set(spelled.addresses))
    yield f"this resource, {quote(uri, limit=ADDRESS_WIDTH)}{bare}", {**base, "resources": named}
    folders = [_folder(form, address) for form, address in zip(spelled.forms, spelled.addresses, strict=True)]
    found = sorted({folder for folder in folders if folder})
    if all(folders) and found:
        shown = quote(f"{uri[: _end(uri)]}**", limit=ADDRESS_WIDTH)
        yield f"resources of this server below {shown}", {**base, "resources": [f"{folder}*" for folder in found]}


def _tails(uri: str) -> int:
    return uri.count("?") + uri.count("#")


def _folder(form: str, address: str) -> str:
    """Return an address up to the end of its folder, "" where it has none that says anything."""
    end = _end(form)
    return address[: len(address) - (len(form) - end)] if end else ""


def _end(uri: str) -> int:
    """Return where the folder of a URI ends, 0 for none."""
    path = uri.partition("?")[0].partition("#")[0]
    scheme, mark, rest = path.partition("://")
    if not mark or not rest:
        return 0
    end = path.rfind("/") + 1
    top = len(scheme) + len(mark)
    if scheme.lower() in _OF_A_HOST:
        top += rest.find("/") + 1 if "/" in rest else len(path)
        # The root of a disk is no folder that anybody means; the top of a host is.
        return end if end > top or (end == top and scheme.lower() != "file") else 0
    return end if end >= top else 0
