"""Finds the hosts from which a package runner downloads, in what its user has configured. Nothing is run.

Without a configuration the runner uses its built-in index, which is not known here: the first refused host names it.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from urllib.parse import urlsplit

FILE_BYTES = 100_000
"""Of a configuration file; what lies behind is not read."""
_NODE = ("npx", "npm", "pnpm", "bunx")
_PYTHON = ("uvx", "uv", "pipx")
_VARIABLES = {
    _NODE: ("NPM_CONFIG_REGISTRY", "npm_config_registry"),
    _PYTHON: ("UV_DEFAULT_INDEX", "UV_INDEX_URL", "PIP_INDEX_URL"),
}
_FILES = {
    _NODE: ("~/.npmrc",),
    _PYTHON: ("~/.config/uv/uv.toml", "~/.config/pip/pip.conf", "~/.pip/pip.conf"),
}
_LINE = re.compile(r"[ \t]*(?:registry|index-url|url)[ \t]*=[ \t]*\"?(https?://[^\s\"]{1,500})")


def downloads(program: str) -> bool:
    """Return whether a program of that name downloads the package that it runs."""
    return program in _NODE or program in _PYTHON


def index_hosts(program: str, environ: Mapping[str, str]) -> tuple[str, ...]:
    """Return the configured hosts of a package runner, with `:PORT` where it is an unusual one."""
    for runners, names in _VARIABLES.items():
        if program in runners:
            urls = [*(environ[name] for name in names if name in environ), *_in_files(_FILES[runners], environ)]
            return tuple(dict.fromkeys(host for url in urls if (host := _host(url))))
    return ()


def _in_files(paths: tuple[str, ...], environ: Mapping[str, str]) -> Iterator[str]:
    home = environ.get("HOME", "")
    for path in paths:
        try:
            handle = os.open(home + path.removeprefix("~"), os.O_RDONLY | os.O_NONBLOCK)
        except OSError:
            continue  # most people have none
        with open(handle, encoding="utf-8", errors="replace") as file:
            try:
                text = file.read(FILE_BYTES)
            except OSError:
                continue  # a directory of that name
        yield from (found[1] for line in text.splitlines() if (found := _LINE.match(line)))


def _host(url: str) -> str:
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        return ""
    if not host or parts.scheme not in ("http", "https"):
        return ""
    shown = f"[{host}]" if ":" in host else host
    return shown if port in (None, 80, 443) else f"{shown}:{port}"
