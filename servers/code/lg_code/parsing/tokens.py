"""The names in a text, without a grammar: in linear time, whatever the text is."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from itertools import islice

from lg_code.parsing.facts import COUNT_SHIFT, MAX_COUNT, MAX_NAME, MAX_NAMES, MENTION

_NAME = rb"[A-Za-z_\x80-\xff][A-Za-z0-9_\x80-\xff]*"
_NAMES = re.compile(_NAME)
_WITH_DOLLAR = re.compile(rb"[A-Za-z_$\x80-\xff][A-Za-z0-9_$\x80-\xff]*")
_WITH_MARK = re.compile(rb"(?<![A-Za-z0-9_\x80-\xff])" + _NAME + rb"(?:[?!](?!=))?")
_DIGITS = b"0123456789"
_SPACED = bytes(byte if _NAMES.match(b"_%c" % byte).end() == 2 else 0x20 for byte in range(256))  # type: ignore[union-attr]  # `_` matches
_SPACED_DOLLAR = bytes(byte if byte == 0x24 else spaced for byte, spaced in enumerate(_SPACED))
_SPACED_BY_LANGUAGE: dict[str, bytes | None] = {
    "javascript": _SPACED_DOLLAR,
    "typescript": _SPACED_DOLLAR,
    "tsx": _SPACED_DOLLAR,
    "ruby": None,  # what a name ends with is up to the sign behind it
}
"""Bytes that are in no name become spaces: to split at them is several times as fast as an expression."""
_BY_LANGUAGE = {"javascript": _WITH_DOLLAR, "typescript": _WITH_DOLLAR, "tsx": _WITH_DOLLAR, "ruby": _WITH_MARK}
# Words of the languages and of English that are no names of anything. A call or an import of one counts all the same.
_COMMON_WORDS = """
a an and are as be but by can do for from has have if in is it its not of on one or so than that the then
there these this to was we were when which will with you also any because been e g i into may must no only
other should such they use used using would abstract async await break case catch class const continue def del
elif else end enum except export extends false final finally fn func function goto implements import include
interface let mut namespace new nil none null package pass private protected pub public raise return self
static struct super switch throw throws true try type typedef undefined union use var void while yield False
None True elsif unless begin rescue ensure module
"""
COMMON = frozenset(_COMMON_WORDS.split())


def names_in(text: bytes, language: str) -> Counter[bytes]:
    """Return every name in a text with how often it occurs."""
    spaced = _SPACED_BY_LANGUAGE.get(language, _SPACED)
    if spaced is None:
        return Counter(_BY_LANGUAGE[language].findall(text))
    found = Counter(text.translate(spaced).split())
    for word in [word for word in found if word[0] in _DIGITS]:
        del found[word]  # a number
    return found


def sites_of(name: str, text: bytes, language: str) -> Iterable[int]:
    """Return where in a text a name stands, as bytes from 0. What is part of a longer name does not count."""
    wanted = name.encode("utf-8", "surrogateescape")
    pattern = _BY_LANGUAGE.get(language, _NAMES)
    place = text.find(wanted)
    while place >= 0:
        found = pattern.match(text, place)
        if found is not None and found[0] == wanted and not _continues(pattern, text, place):
            yield place
        place = text.find(wanted, place + len(wanted))


def _continues(pattern: re.Pattern[bytes], text: bytes, place: int) -> bool:
    """Return whether the byte before belongs to the same name."""
    return place > 0 and pattern.match(b"_" + text[place - 1 : place], 0).end() == 2  # type: ignore[union-attr]  # `_`


def mentions(names: Counter[bytes]) -> dict[str, int]:
    """Return the uses of a file in which every name is a mention."""
    if len(names) > MAX_NAMES:
        names = Counter(dict(islice(names.items(), MAX_NAMES)))
    # One text is decoded, not each name: no name has a line break in it.
    written = b"\n".join(names).decode("utf-8", "replace").split("\n") if names else []
    counts = [MENTION | (count if count < MAX_COUNT else MAX_COUNT) << COUNT_SHIFT for count in names.values()]
    uses = dict(zip(written, counts, strict=True))
    for word in COMMON & uses.keys():
        del uses[word]
    if any(map(MAX_NAME.__lt__, map(len, written))):
        for word in [word for word in uses if len(word) > MAX_NAME]:
            del uses[word]
    return uses
