"""Reads filters out of addresses."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lg_console.sources.ledger import CallsWanted
from lg_policy.errors import InvalidArguments

if TYPE_CHECKING:
    from starlette.requests import Request

VALUE = 200


def wanted_of(request: Request) -> CallsWanted:
    """Return the filter that an address holds. Raises `InvalidArguments`."""
    given = {name: request.query_params.get(name, "").strip() for name in CallsWanted.__dataclass_fields__}
    before = given.pop("before")
    if any(len(value) > VALUE for value in given.values()):
        raise InvalidArguments(f"a filter has more than {VALUE} characters")
    if before and not (before.isdecimal() and len(before) < 18):
        raise InvalidArguments("before is no number of a record")
    return CallsWanted(**given, before=int(before) if before else None)
