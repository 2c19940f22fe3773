"""Says whether an object of the SDK has the names that the direct ways use, private ones among them.

Another version of the SDK may lack one. The request then goes the SDK's own way, which is slower and answers the same.
"""

from __future__ import annotations

from collections.abc import Iterable

MANAGER = ("_server_instances", "_session_owners")
TRANSPORT = (
    "idle_scope",
    "is_terminated",
    "_event_store",
    "_request_streams",
    "_requests_in_flight",
    "_idle_timeout",
    "_clean_up_memory_streams",
)
CONNECTION = ("outbound", "exit_stack")
DISPATCHER = ("_in_flight", "_write_result", "_write_error", "send_raw_request", "notify")


def has_all(value: object, names: Iterable[str]) -> bool:
    """Whether an object has all of these names."""
    return all(hasattr(value, name) for name in names)
