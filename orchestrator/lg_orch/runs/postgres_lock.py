"""Locks a run in PostgreSQL, for state that several machines share, by an advisory lock on its own connection.

The server frees it when the connection ends, so it dies with its process. Not covered: a connection that breaks while
its process lives on; the gateway's epochs shut such a process out once another has taken the run over.
"""

from __future__ import annotations

from typing import Any

from lg_orch.contracts.errors import RunBusy
from lg_policy.errors import ConfigError
from lg_policy.install_hints import extra_command

CONNECT_TIMEOUT_S = 10


class PostgresLock:
    """Held until `release` or the end of the process. Raises `RunBusy`, `ConfigError` when there is no such server."""

    def __init__(self, url: str, run_id: str) -> None:
        try:
            import psycopg
        except ModuleNotFoundError as error:
            raise ConfigError(
                "store.url is PostgreSQL and psycopg is not installed", hint=extra_command("orch-postgres")
            ) from error
        self._connection: Any = None
        try:
            self._connection = psycopg.connect(
                url, autocommit=True, connect_timeout=CONNECT_TIMEOUT_S, application_name=f"lg-orch {run_id}"
            )
            taken = self._connection.execute(
                "SELECT pg_try_advisory_lock(hashtextextended(%s, 0))", (f"lg-orch run {run_id}",)
            ).fetchone()[0]
        except psycopg.Error as error:
            self.release()
            raise ConfigError(f"store.url: PostgreSQL cannot be used: {str(error).strip()}") from error
        if not taken:
            self.release()
            raise RunBusy(f"run {run_id} is being driven by another process")

    def release(self) -> None:
        """Let another process drive the run."""
        if self._connection is not None:
            self._connection.close()
