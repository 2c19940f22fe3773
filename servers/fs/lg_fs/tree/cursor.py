"""Cursors: where a paged answer continues. Each is bound to its request."""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from lg_policy.errors import InvalidArguments

_HINT = "pass next_cursor of the previous answer unchanged, with the same other arguments"

WHOLE = -1


@dataclass(frozen=True, kw_only=True)
class CursorPosition:
    """A place in a walk: after `path` (`seen` is `WHOLE`), or inside that file, after its first `seen` matches."""

    path: str
    seen: int = WHOLE


def pack(place: CursorPosition, request: Mapping[str, Any]) -> str:
    """Make a cursor for the request it belongs to (its `cursor` and `limit` do not count)."""
    data = json.dumps([_digest(request), place.path, place.seen], separators=(",", ":"))
    return base64.urlsafe_b64encode(data.encode()).decode().rstrip("=")


def unpack(cursor: str, request: Mapping[str, Any]) -> CursorPosition:
    """Read a cursor. Raises `InvalidArguments` if it is damaged or belongs to another request."""
    try:
        padded = cursor + "=" * (-len(cursor) % 4)
        digest, path, seen = json.loads(base64.b64decode(padded, altchars=b"-_", validate=True))
    except (ValueError, TypeError, RecursionError, binascii.Error) as error:
        raise InvalidArguments("the cursor is not one that this server gave", hint=_HINT) from error
    if digest != _digest(request):
        raise InvalidArguments("the cursor belongs to a call with other arguments", hint=_HINT)
    if not isinstance(path, str) or not isinstance(seen, int) or isinstance(seen, bool) or seen < WHOLE:
        raise InvalidArguments("the cursor is not one that this server gave", hint=_HINT)
    return CursorPosition(path=path, seen=seen)


def _digest(request: Mapping[str, Any]) -> str:
    kept = {key: value for key, value in request.items() if key not in ("cursor", "limit")}
    return hashlib.sha256(json.dumps(kept, sort_keys=True).encode()).hexdigest()[:12]
