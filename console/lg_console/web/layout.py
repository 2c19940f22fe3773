"""The frame of a page: navigation, the status line that tells how live it is, and the help for keys."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from lg_console.markup.elements import Child, Markup, document, markup, tag
from lg_console.sources.people import Person
from lg_console.web.console import Console, Section

KEYS = (
    ("j / k", "next and previous row or card"),
    ("Enter", "open the row"),
    ("/", "search"),
    ("g, then a letter", "go to a section"),
    ("a / d", "approve or deny the card that has the focus"),
    ("n / b", "next and previous event of a replay"),
    ("?", "this help"),
    ("Esc", "close"),
)


@dataclass(frozen=True, kw_only=True)
class PageFrame:
    """What a page needs around its content. `topics` are what it shows that can change; `marks` how they stand."""

    title: str
    path: str
    person: Person
    topics: Sequence[str] = ()
    script: str = ""
    marks: str = ""


def framed(console: Console, frame: PageFrame, *content: Child) -> str:
    """Return a whole page."""
    sections = console.sections()
    main = tag("main", *content, id="main", tabindex="-1", data_marks=frame.marks or None)
    return document(
        _head(f"{frame.title} · {console.name}", "app.js", frame.script),
        tag(
            "body",
            tag("a", "Skip to the content", class_="skip", href="#main"),
            _header(console, frame, sections),
            main,
            _help(sections),
            data_topics=",".join(frame.topics) or None,
        ),
    )


def bare_page(title: str, script: str, *content: Child) -> str:
    """Return a page without navigation."""
    return document(_head(title, script), tag("body", tag("main", *content, id="main"), class_="bare"))


def message_page(message: str, hint: str) -> str:
    """Return a page that says why something is not shown."""
    return bare_page(
        "LG console",
        "",
        tag("h1", "This cannot be shown"),
        tag("p", _sentence(message)),
        tag("p", _sentence(hint)) if hint else None,
        tag("p", tag("a", "To the start", href="/")),
    )


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:].rstrip('.')}."


def state_word(state: str, word: str | None = None) -> Markup:
    """Return a state as a word with a shape, so that colour is not needed."""
    return tag("span", word or state, class_=f"state {''.join(filter(str.isalnum, state))}")


def empty(why: str, *then: Child) -> Markup:
    """Return what stands where nothing is to be shown: why, and what to do."""
    return tag("div", tag("strong", why), tag("span", *then) if then else None, class_="empty")


def moment(seconds: float) -> Markup:
    """Return how long ago something was; the time itself shows when one points at it."""
    from datetime import UTC, datetime

    at = datetime.fromtimestamp(seconds, UTC)
    ago = f"{age(time.time() - seconds)} ago"
    return tag("time", ago, datetime=at.isoformat(), title=at.strftime("%Y-%m-%d %H:%M:%S UTC"), data_ago=True)


def fitting(parts: Iterable[Markup], *, most: int, room: int) -> list[Markup]:
    """Return the first parts that a page has room for, in characters of markup: at most so many, and at least one."""
    found: list[Markup] = []
    for part in parts:
        room -= len(part)
        if len(found) == most or (found and room < 0):
            break
        found.append(part)
    return found


def copyable(text: str) -> Markup:
    """Return an identifier with a button that copies it."""
    button = tag("button", "Copy", type="button", class_="copy", data_copy=text, aria_label=f"Copy {text}")
    return tag("span", tag("code", text), button, class_="copyable")


def age(seconds: float) -> str:
    """Return a length of time in its largest unit."""
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= size:
            return f"{int(seconds) // size} {unit}"
    return f"{max(0, int(seconds))} s"


def _head(title: str, *scripts: str) -> Markup:
    return tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("title", title),
        tag("link", rel="icon", href="/static/icon.svg", type="image/svg+xml"),
        tag("link", rel="stylesheet", href="/static/app.css"),
        *[tag("script", src=f"/static/{script}", type="module") for script in scripts if script],
    )


def _header(console: Console, frame: PageFrame, sections: Sequence[Section]) -> Markup:
    links = [
        tag(
            "a",
            section.title,
            href=section.path,
            data_go=section.key,
            aria_current="page" if frame.path.startswith(section.path) else None,
        )
        for section in sections
    ]
    person = frame.person
    return tag(
        "header",
        tag("a", console.name, class_="name", href="/"),
        tag("nav", *links, aria_label="Sections"),
        tag("span", "", id="live", role="status", data_state="loading" if frame.topics else None),
        tag("span", f"{person.name} ({person.role})", class_="who"),
        tag("button", "◐", id="theme", type="button", aria_label="Change between light and dark", title="Theme"),
        tag("button", "?", id="help", type="button", aria_label="Keys", title="Keys"),
        tag("button", "Log out", id="logout", type="button"),
    )


def _help(sections: Sequence[Section]) -> Markup:
    go = [(f"g {section.key}", section.title) for section in sections]
    rows = [markup(tag("dt", tag("kbd", keys)), tag("dd", what)) for keys, what in (*KEYS, *go)]
    return tag(
        "dialog",
        tag("h2", "Keys", id="keys-title"),
        tag("dl", *rows, class_="keys"),
        tag(
            "label",
            tag("input", type="checkbox", id="keys-on", checked=True),
            " Single keys work",
        ),
        tag("form", tag("button", "Close"), method="dialog"),
        id="keys",
        aria_labelledby="keys-title",
    )
