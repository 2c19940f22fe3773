"""Names are bytes: how those are shown that are not UTF-8 or hold control characters."""

from __future__ import annotations

_CONTROLS = {code: f"\\x{code:02x}" for code in (*range(0x20), 0x7F)} | {9: "\\t", 10: "\\n", 13: "\\r"}
_BYTES = {0xDC00 + byte: f"\\x{byte:02x}" for byte in range(0x80, 0x100)}
_OTHER = {code: f"\\u{code:04x}" for code in range(0xD800, 0xE000)}
_ESCAPES = {**_OTHER, **_BYTES, **_CONTROLS}


def nameable(name: str) -> bool:
    """Return whether a name can be given to a tool: it is UTF-8, without control characters."""
    return name.isprintable() or not any(char < " " or char == "\x7f" or "\ud800" <= char <= "\udfff" for char in name)


def shown(path: str) -> str:
    """Return a path as results show it: with an escape such as `\\xe9` for each byte that cannot stand in them."""
    return path if nameable(path) else path.translate(_ESCAPES)
