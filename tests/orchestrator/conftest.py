"""Fixtures that are shared with the gateway's tests."""

from __future__ import annotations

from tests.gateway.conftest import postgres_server, postgres_url

__all__ = ["postgres_server", "postgres_url"]
