"""Names that are easily taken for each other, or that do not show what they are.

Two names look alike when they are the same after compatibility decomposition, case folding, and the replacement of
the Cyrillic and Greek letters whose usual forms are those of Latin ones (a part of confusables.txt of Unicode
Technical Standard 39). Many file systems take names that differ only in case or normal form for one.

Not covered: look-alikes of other scripts, and letters that differ little, such as l, I and 1.
"""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Iterable

from lg_policy.tree.similarity import closest

_LIKE_LATIN = str.maketrans(
    "\u0430\u0435\u043e\u0440\u0441\u0443\u0445\u0456\u0458\u0455\u04bb\u0501\u051b\u051d\u0432\u043a\u043c\u043d\u0442"
    "\u03bf\u03b1\u03bd\u03c1\u03b9",
    "aeopcyxijshdqwbkmhtoavpi",
)
_SHOWN_NOWHERE = frozenset(
    [0x00AD, 0x061C, 0x180E, 0x200B, 0x200E, 0x200F, 0xFEFF, *range(0x202A, 0x202F), *range(0x2060, 0x2070)]
)
_ALIKE = 0.6
_MAX_NAMED = 3


def skeleton(name: str) -> str:
    """Return the form that names have in common if they look alike."""
    if name.isascii():
        return name.lower()
    return unicodedata.normalize("NFKC", name).casefold().translate(_LIKE_LATIN)


def invisible(path: str) -> str | None:
    """Return the first character, as "U+200B", that takes no place or reorders what is shown; `None` if there is none.

    Joiners are allowed: emoji and several scripts need them.
    """
    if path.isascii():
        return None
    return next((f"U+{ord(char):04X}" for char in path if _hides(ord(char))), None)


def _hides(code: int) -> bool:
    return code in _SHOWN_NOWHERE or 0xE0000 <= code <= 0xE007F


def look_alike(name: str, others: Iterable[str]) -> str | None:
    """Return another name that looks like this one, if there is one."""
    wanted = skeleton(name)
    return next((other for other in others if other != name and skeleton(other) == wanted), None)


def quoted(name: str) -> str:
    """Quote a name for copying. If it is not all ASCII, it is also shown with JSON's escapes."""
    return repr(name) if name.isascii() else f"{name!r} (as JSON: {json.dumps(name)})"


def suggestion(name: str, others: Iterable[str]) -> str:
    """Say which of the others may be meant by `name`, which is not among them; "" if none."""
    known = sorted(others)
    same = look_alike(name, known)
    if same is not None:
        return f"there is {quoted(same)}: names differ in case and in Unicode form"
    close = closest(name, known, count=_MAX_NAMED, cutoff=_ALIKE)
    return f"there is {', '.join(map(quoted, close))}" if close else ""
