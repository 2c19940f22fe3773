"""Writes equal JSON values as equal bytes, so that their digests are equal."""

from __future__ import annotations

import hashlib
import hmac
import json
from functools import lru_cache
from typing import Any

_ENCODER = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)
_AS_THEY_ARE = frozenset({str, int, bool, type(None)})
_NAMES = frozenset({str})


def canonical(value: Any) -> bytes:
    """Return `value` as compact ASCII JSON with sorted keys; `1.0` and `1` are the same number.

    Raises `ValueError` for NaN and infinities, `TypeError` for what is not JSON.
    """
    return _ENCODER.encode(_plain(value)).encode("ascii")


def digest(value: Any) -> str:
    """Return the SHA-256 of the canonical form, in hex."""
    return hashlib.sha256(canonical(value)).hexdigest()


def keyed_digest(key: bytes, value: Any) -> str:
    """Return the HMAC-SHA-256 of the canonical form, in hex: without the key no guess can be tested."""
    return keyed_hex(key, canonical(value))


def keyed_hex(key: bytes, data: bytes) -> str:
    """Return the HMAC-SHA-256 of `data`, in hex."""
    made = _begun(key).copy()
    made.update(data)
    return made.hexdigest()


@lru_cache(maxsize=32)
def _begun(key: bytes) -> hmac.HMAC:
    """The code as it is before the data, which must not be changed: to begin with a key takes longer than the rest."""
    return hmac.new(key, digestmod="sha256")


def _plain(value: Any) -> Any:
    if type(value) in _AS_THEY_ARE:
        return value
    if isinstance(value, dict):
        # Most members are plain: a call for each would cost more than all the rest.
        if _AS_THEY_ARE.issuperset(map(type, value.values())) and _NAMES.issuperset(map(type, value)):
            return value
        return {str(key): item if type(item) in _AS_THEY_ARE else _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, float) and value.is_integer() and abs(value) < 2**53:
        return int(value)
    return value
