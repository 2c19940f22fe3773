"""Adds tables to a TOML text and takes them out again. Everything else stays as it is, byte for byte."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping
from typing import Any


def parse_toml(text: str) -> dict[str, Any]:
    """Return what a TOML text says. Raises `ValueError`."""
    return tomllib.loads(text.replace("\r\n", "\n"))


def table_text(parents: tuple[str, ...], name: str, values: Mapping[str, Any]) -> str:
    """Return the text of one table, such as `[gateway.servers.NAME]`."""
    import tomlkit

    header = ".".join(tomlkit.key(part).as_string() for part in (*parents, name))
    lines = [f"{tomlkit.key(key).as_string()} = {_value(value)}" for key, value in values.items()]
    return "\n".join([f"[{header}]", *lines, ""])


def with_tables(text: str, parents: tuple[str, ...], tables: Mapping[str, Mapping[str, Any]]) -> str:
    """Return a text with more tables at its end. Raises `ValueError` where that would mean something else."""
    end = "\r\n" if "\r\n" in text else "\n"
    blocks = "\n".join(table_text(parents, name, values) for name, values in tables.items())
    gap = end if text.strip() else ""
    start = text if not text or text.endswith("\n") else text + end
    made = start + gap + blocks.replace("\n", end)
    wanted = parse_toml(text)
    place = wanted
    for part in parents:
        place = place.setdefault(part, {})
    place.update(tables)
    try:
        fits = parse_toml(made) == wanted
    except ValueError:
        fits = False
    if not fits:
        raise ValueError("its tables are written in a way that nothing can be added to")
    return made


def without_tables(text: str, parents: tuple[str, ...], names: tuple[str, ...]) -> str:
    """Return a text without these tables. Raises `ValueError` where that would change anything else."""
    wanted = parse_toml(text)
    place = wanted
    for part in parents:
        place = place.get(part, {})
    anew = []
    for name in names:
        end = "\r\n" if "\r\n" in text else "\n"
        values = place.pop(name, None)
        if values is None:
            continue
        block = table_text(parents, name, values).replace("\n", end)
        for before in (end + block, block):
            if before in text:
                text = text.replace(before, "", 1)
                break
        else:
            anew.append(name)
    if anew:
        text = _edited(text, parents, anew)
    if _filled(parse_toml(text)) != _filled(wanted):
        raise ValueError("its tables are written in a way that nothing can be taken out of")
    return text


def _edited(text: str, parents: tuple[str, ...], names: Iterable[str]) -> str:
    """Take out tables that somebody has laid out anew."""
    import tomlkit
    from tomlkit.exceptions import TOMLKitError

    try:
        document: Any = tomlkit.parse(text)
        place = document
        for part in parents:
            place = place[part]
        for name in names:
            del place[name]
        return str(tomlkit.dumps(document))
    except (TOMLKitError, LookupError, TypeError) as error:  # tomlkit loses count of dotted keys
        raise ValueError("its tables are written in a way that nothing can be taken out of") from error


def _filled(value: Any) -> Any:
    """Return a value without empty tables: whether one is written says nothing."""
    if not isinstance(value, dict):
        return value
    return {key: made for key, inner in value.items() if (made := _filled(inner)) != {}}


def _value(value: Any) -> str:
    import tomlkit

    if isinstance(value, Mapping):
        inner = ", ".join(f"{tomlkit.key(key).as_string()} = {_value(item)}" for key, item in value.items())
        return f"{{ {inner} }}" if inner else "{}"
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_value, value))}]"
    return str(tomlkit.item(value).as_string())
