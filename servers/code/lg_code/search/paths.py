"""What a path says about a file: whether it is a test, an example, generated, or no code at all."""

from __future__ import annotations

import re
from functools import lru_cache

_TEST_PATH = re.compile(
    r"(?:^|/)(?:tests?|__tests__|specs?|testing|testdata|fixtures?|mocks?|__mocks__)/"
    r"|(?:^|/)(?:test_|conftest)[^/]*$|[._-](?:test|spec)s?\.[^/]+$|(?:Tests?|Spec)\.[a-z]+$"
)
_ASIDE = re.compile(
    r"(?:^|/)(?:_?compat|legacy|_?examples?|docs?|docs_src|bench(?:mark)?s?|vendor|third_party|node_modules|dist)/"
)
_NO_CODE = re.compile(
    r"\.(?:md|rst|txt|adoc|json|ya?ml|toml|lock|cfg|ini|html?|css|svg|xml|csv|snap|patch|in|am|cmake|pro|mk|m4|po|map)$"
    r"|(?:^|/)[^./]+$|\.min\.[a-z]+$",
    re.IGNORECASE,
)
_EXPORTS = ("__init__.py", "package-info.java")
TEST, ASIDE, NO_CODE, EXPORTS, DECLARED = 0.35, 0.4, 0.4, 0.55, 0.7


def is_test(path: str) -> bool:
    """Tell whether a path is one of tests."""
    return _TEST_PATH.search(path) is not None


@lru_cache(maxsize=20_000)
def weight(path: str, *, tests: bool, docs: bool) -> float:
    """Return how much what is found in a file counts; `tests` and `docs` say that the query asks for these."""
    found = 1.0
    if not tests and is_test(path):
        found *= TEST
    if not docs:
        found *= (ASIDE if _ASIDE.search(path) else 1.0) * (NO_CODE if _NO_CODE.search(path) else 1.0)
    if path.endswith(_EXPORTS):
        found *= EXPORTS
    return found * DECLARED if path.endswith(".d.ts") else found
