"""The tables of the store, as a list of migrations that is only ever appended to."""

from __future__ import annotations

import sqlite3

# The ledger keeps each record once, as the text that was hashed; the columns to search by are derived from it, so that
# an edit of what a query shows is an edit of what the chain covers.
LEDGER = """
CREATE TABLE ledger (
    seq INTEGER PRIMARY KEY,
    hash TEXT NOT NULL,
    mac TEXT NOT NULL,
    record TEXT NOT NULL,
    request_id TEXT GENERATED ALWAYS AS (json_extract(record, '$.request_id')) VIRTUAL,
    run_id TEXT GENERATED ALWAYS AS (json_extract(record, '$.run_id')) VIRTUAL
);
CREATE INDEX ledger_request ON ledger (request_id);
CREATE INDEX ledger_run ON ledger (run_id) WHERE run_id IS NOT NULL;
"""

MIGRATIONS: tuple[str, ...] = (LEDGER,)


def migrate(connection: sqlite3.Connection) -> None:
    """Bring the database to the newest version, each step in its own transaction.

    Raises `sqlite3.DatabaseError` when the file was written by a newer version of this program.
    """
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if version > len(MIGRATIONS):
        raise sqlite3.DatabaseError(
            f"written by a newer version (schema {version}, this program knows {len(MIGRATIONS)})"
        )
    for number in range(version, len(MIGRATIONS)):
        connection.executescript(f"BEGIN IMMEDIATE; {MIGRATIONS[number]} PRAGMA user_version = {number + 1}; COMMIT;")
