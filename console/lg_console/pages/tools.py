"""The pages of decisions: tools for a chosen caller, definitions that wait, rules with hits, one call explained."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from lg_console.markup.elements import Child, Markup, tag
from lg_console.sources.people import Person
from lg_console.sources.servers import PinState, RuleState, ToolState
from lg_console.web.console import Console
from lg_console.web.layout import PageFrame, empty, fitting, framed, state_word

DESCRIPTION = 300
PAGE = 100
"""Tools, or accepted definitions, on one page."""
RULES = 200
"""Rules on the page."""
RULES_CHARACTERS = 100_000
WAITING = 20
"""Definitions that wait, on one page: each is shown whole."""
PINS_CHARACTERS = 60_000
"""Of those that wait, and of those that are accepted."""


@dataclass(frozen=True, kw_only=True)
class ToolsWanted:
    """Which tools to show, and as whom."""

    identity: str
    text: str = ""
    """A part of the name, or a pattern with `*`."""
    first: int = 0

    def fits(self, tool: ToolState) -> bool:
        """Whether a tool is wanted."""
        text, name = self.text.lower(), tool.name.lower()
        if "*" not in text:
            return text in name
        # Each part is found after the one before it: no pattern takes longer than the name is long.
        parts, at = text.split("*"), 0
        for part in parts:
            at = name.find(part, at)
            if at < 0:
                return False
            at += len(part)
        return name.startswith(parts[0]) and name.endswith(parts[-1])

    def query(self, *, first: int, text: str | None = None) -> str:
        """Return the address of another page of them."""
        wanted = self.text if text is None else text
        return "/tools?" + urlencode({"as": self.identity, "text": wanted, "first": first})


def tools_page(
    console: Console, person: Person, wanted: ToolsWanted, identities: Sequence[str], tools: Sequence[ToolState]
) -> str:
    """Return a page of tools, each with the decision about it for one caller."""
    frame = PageFrame(title="Tools", path="/tools", person=person)
    names = [tag("option", value=name) for name in identities[:PAGE]]
    chosen = tag(
        "form",
        tag(
            "label",
            "As whom",
            tag("input", name="as", value=wanted.identity, list="identities", maxlength="200"),
        ),
        tag(
            "label",
            "Search",
            tag("input", name="text", value=wanted.text, placeholder="fs__*", maxlength="200", data_search=True),
        ),
        tag("datalist", *names, id="identities"),
        tag("button", "Show"),
        action="/tools",
        class_="filter",
    )
    heads = ("Tool", "Decision", "Rule", "Seen", "Does")
    found = [tool for tool in tools if wanted.fits(tool)]
    first = min(wanted.first, max(0, len(found) - 1))
    shown = found[first : first + PAGE]
    nothing = (
        empty("No tool fits this search.", tag("a", "Show all", href=wanted.query(text="", first=0)))
        if tools
        else empty("No server has a tool.", "See how they stand: ", tag("a", "Servers", href="/servers"))
    )
    ways = (("Before", first - PAGE, first > 0), ("Next", first + PAGE, first + PAGE < len(found)))
    counted = f"{first + 1} to {first + len(shown)} of {len(found):,}" if len(found) > PAGE else f"{len(found):,}"
    return framed(
        console,
        frame,
        tag("h1", "Tools ", tag("span", counted, class_="count")),
        chosen,
        _table(heads, [_tool(tool) for tool in shown]) if shown else nothing,
        tag(
            "p",
            *[tag("a", word, href=wanted.query(first=max(0, at))) for word, at, there in ways if there],
            class_="pages",
        ),
    )


def pins_page(console: Console, person: Person, pins: Sequence[PinState]) -> str:
    """Return definitions; what changed of those that wait, with a button that accepts exactly what is shown."""
    frame = PageFrame(title="Pins", path="/pins", person=person)
    waiting = [pin for pin in pins if pin.state != "accepted"]
    accepted = [pin for pin in pins if pin.state == "accepted"]
    cards = fitting((_waiting(pin, person) for pin in waiting), most=WAITING, room=PINS_CHARACTERS)
    rows = fitting(map(_accepted, accepted), most=PAGE, room=PINS_CHARACTERS)
    return framed(
        console,
        frame,
        tag("h1", f"Pins, {len(waiting)} wait", id="pins-title", data_live=True),
        tag(
            "div",
            *(cards or [empty("No definition waits to be accepted.")]),
            _more(len(waiting) - len(cards), "wait. They appear as these are accepted"),
            id="waiting-pins",
            data_live=True,
        ),
        tag(
            "section",
            tag("h2", f"{len(accepted)} accepted"),
            _table(("Server", "Definition", "Digest", "By", "Warnings"), rows) if rows else None,
            _more(len(accepted) - len(rows), "are accepted. `lg-gateway pins list` shows all"),
            id="accepted",
            data_live=True,
        ),
    )


def _accepted(pin: PinState) -> Markup:
    return tag(
        "tr",
        tag("td", pin.server, data_label="Server"),
        tag("td", pin.tool, data_label="Definition", class_="title"),
        tag("td", tag("code", pin.digest), data_label="Digest"),
        tag("td", pin.basis or "first sight, or a person", data_label="By"),
        tag("td", ", ".join(pin.warnings), data_label="Warnings"),
        tabindex="-1",
    )


@dataclass(frozen=True, kw_only=True)
class Explained:
    """A call that was asked about, and the answer; `problem` where there is none."""

    tool: str = ""
    arguments: str = "{}"
    identity: str = ""
    found: Mapping[str, Any] | None = None
    problem: str = ""


def policy_page(console: Console, person: Person, rules: Sequence[RuleState], asked: Explained) -> str:
    """Return the form that explains a decision, and the rules in force."""
    frame = PageFrame(title="Policy", path="/policy", person=person)
    form = tag(
        "form",
        tag("label", "Tool", tag("input", name="tool", value=asked.tool, maxlength="200", data_search=True)),
        tag("label", "Arguments, as JSON", tag("input", name="args", value=asked.arguments, maxlength="4000")),
        tag("label", "As whom", tag("input", name="as", value=asked.identity, maxlength="200")),
        tag("button", "Explain"),
        action="/policy",
        class_="filter",
    )
    rows = fitting(map(_rule, rules), most=RULES, room=RULES_CHARACTERS)
    heads = ("No.", "Effect", "About", "Callers", "Hits", "Last", "Written in")
    return framed(
        console,
        frame,
        tag("h1", "Policy"),
        tag("h2", "How would a call be decided?"),
        form,
        tag("p", asked.problem, class_="problem", role="alert"),
        _explained(asked.found) if asked.found is not None else None,
        tag("h2", "Rules in force"),
        _table(heads, rows) if rows else empty("There are no rules: the defaults decide."),
        _more(len(rules) - len(rows), "are in force. `lg-gateway config show` has all"),
    )


def _more(count: int, what: str) -> Markup | None:
    return tag("p", f"{count:,} more {what}.", class_="note") if count > 0 else None


def _table(heads: Sequence[str], rows: Sequence[Child]) -> Markup:
    head = tag("thead", tag("tr", *[tag("th", name, scope="col") for name in heads]))
    return tag("div", tag("table", head, tag("tbody", *rows), class_="rows"), class_="scroll")


def _tool(tool: ToolState) -> Markup:
    about = tool.description[:DESCRIPTION] + ("…" if len(tool.description) > DESCRIPTION else "")
    return tag(
        "tr",
        tag(
            "td",
            tag("strong", tool.name),
            tag("br"),
            tag("span", about, class_="dim"),
            data_label="Tool",
            class_="title",
        ),
        tag("td", state_word(tool.effect), data_label="Decision"),
        tag("td", tool.rule, f" ({tool.place})" if tool.place else "", data_label="Rule"),
        tag("td", "yes" if tool.visible else "no", data_label="Seen"),
        tag("td", "only reads" if tool.read_only else "may change", data_label="Does"),
        tabindex="-1",
    )


def _waiting(pin: PinState, person: Person) -> Markup:
    title = f"pin-{pin.digest}"
    lines: list[Child] = []
    for line in pin.diff.split("\n"):
        kind = {"+": "add", "-": "del", "@": "hunk"}.get(line[:1], "")
        lines += [tag("span", line, class_=kind) if kind else line, "\n"]
    fields = json.dumps({"server": pin.server, "tool": pin.tool, "digest": pin.digest})
    button = tag("button", "Accept this definition", type="button", data_post="/v1/pins/accept", data_fields=fields)
    return tag(
        "article",
        tag("h3", state_word(pin.state), " ", tag("code", f"{pin.server}: {pin.tool}"), id=title),
        *[tag("p", warning, class_="problem") for warning in pin.warnings],
        tag("pre", *lines[:-1], tabindex="0", class_="diff wrap"),
        button if person.manages and not pin.basis else None,
        tag("p", f"It is pinned by {pin.basis}; change it there.") if pin.basis else None,
        tag("p", "", class_="problem", role="alert"),
        class_="card",
        tabindex="-1",
        aria_labelledby=title,
    )


def _rule(rule: RuleState) -> Markup:
    cells = (
        ("Callers", rule.identities),
        ("Hits", str(rule.hits)),
        ("Last", rule.last or "never"),
    )
    return tag(
        "tr",
        tag("td", rule.number, data_label="No."),
        tag("td", state_word(rule.effect), data_label="Effect"),
        tag("td", rule.tools, data_label="About", class_="title"),
        *[tag("td", text, data_label=label) for label, text in cells],
        tag("td", f"{rule.name} ({rule.place})" if rule.name else rule.place, data_label="Written in"),
        tabindex="-1",
    )


def _explained(found: Mapping[str, Any]) -> Markup:
    facts = (
        ("Decision", state_word(str(found["effect"]))),
        ("Why", found["reason"]),
        ("Decided by", f"{found['rule']} {found['place'] or ''}"),
        ("Approver", found["approver"] if found["effect"] == "approve" else ""),
        ("Caller", f"{found['identity']}, sees it: {'yes' if found['visible'] else 'no'}"),
        ("Server", f"{found['server']}, {'trusted' if found['trusted'] else 'not trusted'}"),
        ("Arguments", f"would be refused first: {found['arguments_refused']}" if found["arguments_refused"] else ""),
    )
    rows = [[tag("dt", name), tag("dd", value)] for name, value in facts if value]
    views = [
        tag("li", f"{view['effect']} {view['name']} ({view['place']}): {view['why'] or 'matches'}")
        for view in found["rules"]
    ]
    problems = [tag("li", problem, class_="problem") for problem in found["problems"]]
    return tag("section", tag("dl", *rows, class_="facts-list"), tag("ul", *views, *problems), id="explained")
