"""Which licence a LICENSE file is, by sentences that only that licence has."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from lg_orch.analyst.sources.facts import FoundValue

if TYPE_CHECKING:
    from lg_orch.analyst.sources.evidence import FileText

_MARKS: tuple[tuple[str, str], ...] = (
    ("GNU AFFERO GENERAL PUBLIC LICENSE", "AGPL"),
    ("GNU LESSER GENERAL PUBLIC LICENSE", "LGPL"),
    ("GNU GENERAL PUBLIC LICENSE", "GPL"),
    ("Apache License", "Apache-2.0"),
    ("Mozilla Public License Version 2.0", "MPL-2.0"),
    ("Mozilla Public License, version 2.0", "MPL-2.0"),
    ("Permission is hereby granted, free of charge, to any person obtaining a copy", "MIT"),
    ("Permission to use, copy, modify, and/or distribute this software for any purpose", "ISC or 0BSD"),
    ("This is free and unencumbered software released into the public domain", "Unlicense"),
    ("Redistribution and use in source and binary forms", "BSD"),
    ("Boost Software License", "BSL-1.0"),
    ("Eclipse Public License", "EPL"),
    ("Creative Commons Legal Code", "Creative Commons"),
)
_VERSION = re.compile(r"Version (\d+(?:\.\d+)?)")


def recognise(file: FileText) -> FoundValue | None:
    """Return the licence with the line that shows it, or None when no known sentence is there."""
    lines = file.lines()
    flat = " ".join(" ".join(lines).split())
    for mark, name in _MARKS:
        if mark in flat:
            return FoundValue(text=_refined(name, flat), file=file.path, line=_line(lines, mark))
    return None


def _refined(name: str, flat: str) -> str:
    if name in ("GPL", "LGPL", "AGPL"):
        version = _VERSION.search(flat)
        return f"{name}-{version[1]}" if version else name
    if name == "BSD":
        return "BSD-3-Clause" if re.search(r"[Nn]either the name", flat) else "BSD-2-Clause"
    if name == "ISC or 0BSD":
        return "ISC" if "provided that the above copyright notice" in flat else "0BSD"
    return name


def _line(lines: list[str], mark: str) -> int:
    """First line that starts the sentence; a licence is wrapped anywhere, so fewer and fewer words are asked for."""
    words = mark.split()
    for length in range(len(words), 1, -1):
        start = " ".join(words[:length])
        for number, line in enumerate(lines, start=1):
            if start in " ".join(line.split()):
                return number
    return 1
