"""Adds an entry to a table in a YAML text, and takes one out. Comments, order and layout of the rest stay."""

from __future__ import annotations

from typing import Any

from lg_gateway.clients.formats.documents import parsed


def with_entry(text: str, table: str, key: str, value: Any) -> str:
    """Return the text with `key` set in `table`. Raises `ValueError` where that cannot be done."""
    wanted = parsed("yaml", text) or {}
    tables = isinstance(wanted, dict) and isinstance(wanted.get(table) or {}, dict)
    if not tables:
        raise ValueError(f"{table} is not a table")
    if key in (wanted.get(table) or {}):
        text = without_entry(text, table, key)
    wanted[table] = (wanted.get(table) or {}) | {key: value}
    return _checked(_added(text, table, key, value), wanted)


def without_entry(text: str, table: str, key: str) -> str:
    """Return the text without `key` in `table`. Raises `ValueError` where that cannot be done."""
    wanted = parsed("yaml", text) or {}
    if not isinstance(wanted, dict) or key not in (wanted.get(table) or {}):
        return text
    del wanted[table][key]
    _, node = _member(_root(text), table)
    name, value = _member(node, key)
    if node.flow_style:
        raise ValueError(f"{table} is written on one line")
    lines = text.splitlines(keepends=True)
    first, last = name.start_mark.line, _last_line(value)
    if len(node.value) > 1:
        return _checked("".join(lines[:first] + lines[last + 1 :]), wanted)
    end = "\r\n" if "\r\n" in text else "\n"
    head = lines[:first]
    holder = next(number for number in range(first - 1, -1, -1) if lines[number].lstrip().startswith(table))
    head[holder] = head[holder].rstrip() + " {}" + end
    return _checked("".join(head + lines[last + 1 :]), wanted)


def _added(text: str, table: str, key: str, value: Any) -> str:
    root = _root(text)
    end = "\r\n" if "\r\n" in text else "\n"
    text = text if not text or text.endswith("\n") else text + end
    found = _member(root, table) if root is not None else None
    if found is None:
        return text + f"{table}:{end}" + _block(key, value, "  ", end)
    name, node = found
    lines = text.splitlines(keepends=True)
    if getattr(node, "value", None) and hasattr(node, "flow_style") and not node.flow_style:
        at = _last_line(node) + 1
        indent = " " * node.value[0][0].start_mark.column
        return "".join([*lines[:at], _block(key, value, indent, end), *lines[at:]])
    if getattr(node, "value", None):
        raise ValueError(f"{table} is written on one line")
    line = lines[name.start_mark.line]
    kept = line[: name.end_mark.column] + ":" + end
    at = name.start_mark.line
    return "".join([*lines[:at], kept, _block(key, value, "  ", end), *lines[at + 1 :]])


def _block(key: str, value: Any, indent: str, end: str) -> str:
    import yaml

    text = yaml.safe_dump({key: value}, sort_keys=False, default_flow_style=False, allow_unicode=True, width=10_000)
    return "".join(f"{indent}{line}{end}" for line in text.splitlines())


def _root(text: str) -> Any:
    import yaml

    try:
        return yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.YAMLError as error:
        raise ValueError(str(error)) from error


def _member(node: Any, key: str) -> Any:
    pairs = node.value if node is not None else []
    return next(((name, value) for name, value in pairs if name.value == key), None)


def _last_line(node: Any) -> int:
    """Return the line in which a node ends. The mark of a block is behind the comments that follow it."""
    while isinstance(node.value, list) and node.value and not node.flow_style:
        last = node.value[-1]
        node = last[1] if isinstance(last, tuple) else last
    if isinstance(node.value, str) and node.style in ("|", ">"):
        return int(node.end_mark.line) - 1
    return int(node.end_mark.line)


def _checked(made: str, wanted: Any) -> str:
    """Return the text if it says exactly what it should: somebody's file is not to be spoilt."""
    if (parsed("yaml", made) or {}) != wanted:
        raise ValueError("it is laid out in a way that cannot be changed safely")
    return made
