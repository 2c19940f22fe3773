"""What the dialects have in common: the row of a client, and what most clients write in the same words.

An adapter turns an entry into the keys of a server's settings: `command args env cwd url headers env_file enabled
call_timeout_s connect_timeout_s include_tools exclude_tools`, and `type`. What it leaves is ignored with a note.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from lg_gateway.clients.entry import ProposedRule, UnusableEntry
from lg_gateway.clients.placeholders import Syntaxes

Raw = dict[str, Any]
MILLISECONDS_FROM = 1000
"""A time-out without a unit, of a client that is not known, is in milliseconds from this number on."""
LONGEST_S = 86_400.0
SWITCHES = {"true": True, "1": True, "yes": True, "on": True, "false": False, "0": False, "no": False, "off": False}


@dataclass(kw_only=True)
class Reading:
    """What is noted while one entry is read."""

    ask: Callable[[str, str], str]
    """Takes an id and a description; gives the name under which a person's answer is kept."""
    unit: str = ""
    longest_s: float = LONGEST_S
    notes: list[str] = field(default_factory=list)
    proposed: list[ProposedRule] = field(default_factory=list)


Adapter = Callable[[Raw, Reading], Raw]


def common(entry: Raw, reading: Reading) -> Raw:
    """Read the keys that several clients share, in the same meaning."""
    if entry.get("headersHelper") is not None:
        raise UnusableEntry("headersHelper runs a program to make headers, which the gateway does not do")
    if entry.get("sandbox") or entry.get("sandboxEnabled"):
        raise UnusableEntry(
            "it is confined by its client's sandbox, and the gateway would start it without one",
            hint="take `sandbox` and `sandboxEnabled` out to run it with your rights",
        )
    entry["url"] = first(entry, "httpUrl", "url", "serverUrl")
    if entry.get("envFile") is not None:
        entry["env_file"] = entry.pop("envFile")
    times(entry, reading, "timeout")
    for key in ("autoApprove", "alwaysAllow"):
        propose(entry, reading, key)
    if switch(entry.pop("trust", False), "trust"):
        reading.proposed.append(ProposedRule(tools=("*",), key="trust"))
    tool_lists(entry, include=("includeTools", "tools"), exclude=("disabledTools", "excludeTools"), reading=reading)
    logins(entry, reading, ("oauth", "auth", "oauthScopes", "oauthClientId", "authProviderType"))
    drop(entry, ("metadata", "description", "dev", "watchPaths", "deferTools", "icon", "name", "gallery", "version"))
    return entry


def first(entry: Raw, *keys: str) -> Any:
    """Take these keys out, and return the value of the first that has one."""
    found = [entry.pop(key, None) for key in keys]
    return next((value for value in found if value is not None), None)


def drop(entry: Raw, keys: tuple[str, ...]) -> None:
    """Take out keys that mean nothing here and that nobody misses."""
    for key in keys:
        entry.pop(key, None)


def switch(value: Any, key: str) -> bool:
    """Return a switch, also one that is written as a text or a number. Raises `UnusableEntry` if it is neither."""
    word = str(value).strip().lower() if isinstance(value, bool | int | str) else ""
    if word not in SWITCHES:
        raise UnusableEntry(f"{key} must be true or false")
    return SWITCHES[word]


def names(value: Any, key: str) -> tuple[str, ...]:
    """Return a list of tools. Raises `UnusableEntry` for anything else: it may say what must not be called."""
    if not isinstance(value, list) or not all(isinstance(name, str) and name for name in value):
        raise UnusableEntry(f"{key} must be a list of names")
    return tuple(dict.fromkeys(value))


def times(entry: Raw, reading: Reading, key: str, *, target: str = "call_timeout_s", unit: str = "") -> None:
    """Read a time-out in the unit of the client."""
    value = entry.pop(key, None)
    if value is None:
        return
    if isinstance(value, bool) or not isinstance(value, int | float) or not value > 0:
        reading.notes.append(f"{key} is not a number of seconds or milliseconds, and is ignored")
        return
    unit = unit or reading.unit
    if not unit:
        unit = "ms" if value >= MILLISECONDS_FROM else "s"
        reading.notes.append(f"{key} {value:g} is taken for {unit}, because its client names no unit")
    seconds = value / 1000 if unit == "ms" else value
    if seconds > reading.longest_s:
        reading.notes.append(f"{key} {value:g} is more than {reading.longest_s:g} s; that is what counts")
    entry[target] = min(float(seconds), reading.longest_s)


def propose(entry: Raw, reading: Reading, key: str) -> None:
    """Note the tools that the client lets run without asking."""
    value = entry.pop(key, None)
    if value is None or value is False:
        return
    tools = ("*",) if value is True else names(value, key)
    if tools:
        reading.proposed.append(ProposedRule(tools=tools, key=key))


def tool_lists(entry: Raw, *, include: tuple[str, ...], exclude: tuple[str, ...], reading: Reading) -> None:
    """Read which tools are offered. A list that offers none switches the server off."""
    for key in exclude:
        value = entry.pop(key, None)
        if value is not None:
            entry["exclude_tools"] = (*entry.get("exclude_tools", ()), *names(value, key))
    for key in include:
        value = entry.pop(key, None)
        if isinstance(value, Mapping):
            reading.notes.append(f"{key} renames or changes {len(value)} tools; here they keep their own names")
        elif value is not None and (offered := names(value, key)) != ("*",):
            entry["include_tools"] = offered
            if not offered:
                entry["disabled"] = True
                reading.notes.append(f"{key} offers no tool, so the server is switched off")


def logins(entry: Raw, reading: Reading, keys: tuple[str, ...]) -> None:
    """Take out the client's own login. Its tokens are the client's, and are never copied."""
    found = [key for key in keys if entry.pop(key, None) not in (None, False, [], {})]
    if found:
        reading.notes.append(
            f"{', '.join(found)}: its login was not copied. If the server asks for one, log in with"
            " `lg-gateway login`, or give it a header"
        )


@dataclass(frozen=True, kw_only=True)
class ClientRow:
    """One client: where its files list servers, and what its entries mean."""

    name: str
    title: str
    tables: tuple[tuple[str, ...], ...] = (("mcpServers",),)
    adapt: Adapter = common
    syntaxes: Syntaxes = field(default_factory=Syntaxes)
    unit: Literal["s", "ms", ""] = ""
    longest_s: float = LONGEST_S
    untyped_url: Literal["http", "sse", "auto"] = "http"
