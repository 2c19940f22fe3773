"""Why a question of a server does not reach a client."""

from __future__ import annotations

from lg_policy.errors import PolicyDenied


class Refused(Exception):
    """The question is not put to a human. The message says why. The server gets a decline."""


class NotPassedOn(PolicyDenied):
    """The server asked for something that it does not get and that it cannot be declined in its own terms.

    A round of 2026 has no answer that says no to a request for a message or for roots, so the call ends with this.
    """
