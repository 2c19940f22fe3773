r"""Builds HTML. Every text that is put in is escaped, and shown as it is: what hides or turns text becomes `\u{…}`.

A page is a tree of `tag(…)`. There is no way to put in markup as text. Addresses lead to this site alone.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from html import escape

from lg_policy.printing import visible

EMPTY = frozenset({"meta", "link", "input", "br", "hr"})
"""Elements without an end."""
DRAWN = frozenset({"rect", "path", "line", "circle"})
"""Elements of a picture without children. They must end: what follows one that does not is taken for its child."""
_OWN = re.compile(r"(?:/(?![/\\])|[#?])[^\x00-\x20\\]*|/")
ADDRESSES = frozenset({"href", "src", "action", "formaction"})


class Markup(str):
    """Finished HTML. Only this module makes it."""

    __slots__ = ()


Child = str | int | float | None | Iterable["Child"]
Value = str | int | float | bool | None


def tag(name: str, /, *children: Child, **attributes: Value) -> Markup:
    """Return an element. `class_="x"` is `class="x"`, `data_id="1"` is `data-id="1"`, `hidden=True` is `hidden`."""
    opened = f"<{name}{''.join(_attribute(key, value) for key, value in attributes.items())}"
    if name in EMPTY or name in DRAWN:
        return Markup(f"{opened}{'/' if name in DRAWN else ''}>")
    return Markup(f"{opened}>{markup(*children)}</{name}>")


def markup(*children: Child) -> Markup:
    """Return children one after another."""
    return Markup("".join(_parts(children)))


def document(*children: Child, lang: str = "en", **attributes: Value) -> str:
    """Return a whole page."""
    return f"<!doctype html>\n{tag('html', *children, lang=lang, **attributes)}\n"


def shown(text: object) -> str:
    r"""Return a foreign text as it is shown: line ends and tabs stay, the rest that cannot be seen is spelled out."""
    return visible(str(text), keep="\n\t")


def is_own_address(text: str) -> bool:
    """Whether an address leads to this site. Browsers leave tabs and line ends out of one, and take `\\` for `/`."""
    return _OWN.fullmatch(text) is not None


def _parts(children: Iterable[Child]) -> Iterable[str]:
    for child in children:
        if child is None:
            continue
        if isinstance(child, Markup):
            yield child
        elif isinstance(child, str | int | float):
            yield escape(shown(child), quote=False)
        else:
            yield from _parts(child)


def _attribute(key: str, value: Value) -> str:
    name = key.rstrip("_").replace("_", "-")
    if value is None or value is False:
        return ""
    if value is True:
        return f" {name}"
    text = shown(value)
    if name.startswith("on") or name in ("style", "srcdoc"):
        raise ValueError(f"the attribute {name} would hold code")
    if name in ADDRESSES and not is_own_address(text):
        raise ValueError(f"the address {text[:80]!r} leads to another site")
    return f' {name}="{escape(text, quote=True)}"'
